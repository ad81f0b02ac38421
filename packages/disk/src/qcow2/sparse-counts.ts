// Counts of clusters, of which most may be far apart: a damaged image may refer to any place.

import { AnilloError } from '@anillo/base/anillo-error';

const PAGE = 4096;
/** Half a GiB of counts: 16 TiB in clusters of 64 KiB. */
const MAX_PAGES = 65536;
const MOST = 0xffff;

export class SparseCounts {
  readonly #pages = new Map<number, Uint16Array>();
  /** The page looked at last. */
  #index = -1;
  #page: Uint16Array | undefined;
  /** No cluster from here on has been counted. */
  end = 0;

  #find(index: number): Uint16Array | undefined {
    if (index !== this.#index) {
      this.#index = index;
      this.#page = this.#pages.get(index);
    }
    return this.#page;
  }

  get(cluster: number): number {
    return this.#find(Math.floor(cluster / PAGE))?.[cluster % PAGE] ?? 0;
  }

  set(cluster: number, count: number): void {
    const index = Math.floor(cluster / PAGE);
    let page = this.#find(index);
    if (page === undefined) {
      if (count === 0) return;
      if (this.#pages.size >= MAX_PAGES)
        throw new AnilloError(
          'UNSUPPORTED',
          'The image refers to more clusters than can be counted; convert it with a larger cluster_size.',
        );
      page = new Uint16Array(PAGE);
      this.#pages.set(index, page);
      this.#page = page;
    }
    page[cluster % PAGE] = Math.min(count, MOST);
    if (count > 0) this.end = Math.max(this.end, cluster + 1);
  }

  add(cluster: number, by = 1): void {
    this.set(cluster, this.get(cluster) + by);
  }

  /** Pages that have counts in this or another one, in order, as their first clusters. */
  static pagesOf(...all: readonly SparseCounts[]): readonly number[] {
    return [...new Set(all.flatMap((counts) => [...counts.#pages.keys()]))].sort((a, b) => a - b).map((index) => index * PAGE);
  }

  static readonly pageSize = PAGE;
}
