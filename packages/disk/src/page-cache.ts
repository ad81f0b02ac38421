// Tables of an image, page by page and a bounded number of them; a hostile header can claim a table of any size. Writes go through.

import type { ByteStore } from './byte-store.ts';
import { LruMap } from './lru-map.ts';
import { viewOf } from './packed-layout.ts';

const PAGE_BYTES = 16384;

export class PageCache {
  readonly #store: ByteStore;
  readonly #pages: LruMap<number, Promise<DataView>>;

  constructor(store: ByteStore, maxPages = 256) {
    this.#store = store;
    this.#pages = new LruMap(maxPages);
  }

  async #load(page: number): Promise<DataView> {
    const bytes = new Uint8Array(PAGE_BYTES);
    await this.#store.read(page * PAGE_BYTES, [bytes]);
    return viewOf(bytes);
  }

  #page(page: number): Promise<DataView> {
    const known = this.#pages.get(page);
    if (known !== undefined) return known;
    const loading = this.#load(page);
    this.#pages.set(page, loading);
    loading.catch(() => this.#forget(page, loading));
    return loading;
  }

  #forget(page: number, loaded: Promise<DataView>): void {
    if (this.#pages.peek(page) === loaded) this.#pages.delete(page);
  }

  /** The page with that byte of the store, and where in it; entries do not straddle pages. */
  async at(offset: number): Promise<{ readonly view: DataView; readonly index: number }> {
    return { view: await this.#page(Math.floor(offset / PAGE_BYTES)), index: offset % PAGE_BYTES };
  }

  async u32(offset: number, isLittle: boolean): Promise<number> {
    const { view, index } = await this.at(offset);
    return view.getUint32(index, isLittle);
  }

  /** Within one page. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    const page = Math.floor(offset / PAGE_BYTES);
    const loading = this.#page(page);
    const view = await loading;
    new Uint8Array(view.buffer, view.byteOffset + (offset % PAGE_BYTES), bytes.length).set(bytes);
    try {
      await this.#store.write(offset, [bytes]);
    } catch (error) {
      this.#forget(page, loading);
      throw error;
    }
  }

  async writeU32(offset: number, value: number, isLittle: boolean): Promise<void> {
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, value, isLittle);
    await this.write(offset, bytes);
  }
}
