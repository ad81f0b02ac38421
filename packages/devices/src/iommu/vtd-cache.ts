// What the remapping hardware remembers (VT-d specification, 6.2): contexts by requester, pages by domain. Both are bounded; a full one starts anew.
// Faults are never remembered, so that "caching mode" asks nothing of it. Invalidating more than asked for is allowed.

import type { Context, Page } from './vtd-tables.ts';

const CONTEXTS_MAX = 256;
const PAGES_MAX = 1024;
/** A larger range (as a power of two of pages) costs a domain all its pages. */
const LARGEST_RANGE = 4;

export class VtdCache {
  readonly #contexts = new Map<number, Context>();
  readonly #domains = new Map<number, Map<number, Page>>();
  #pageCount = 0;

  context(source: number): Context | undefined {
    return this.#contexts.get(source);
  }

  addContext(source: number, context: Context): void {
    if (this.#contexts.size >= CONTEXTS_MAX) this.#contexts.clear();
    this.#contexts.set(source, context);
  }

  /** `pageNumber`: address / 4096. */
  page(domain: number, pageNumber: number): Page | undefined {
    return this.#domains.get(domain)?.get(pageNumber);
  }

  addPage(domain: number, pageNumber: number, page: Page): void {
    if (this.#pageCount >= PAGES_MAX) this.dropPages();
    let pages = this.#domains.get(domain);
    if (pages === undefined) {
      pages = new Map();
      this.#domains.set(domain, pages);
    }
    if (!pages.has(pageNumber)) this.#pageCount++;
    pages.set(pageNumber, page);
  }

  dropContexts(): void {
    this.#contexts.clear();
  }

  dropContextsOfDomain(domain: number): void {
    for (const [source, context] of this.#contexts) if (context.domain === domain) this.#contexts.delete(source);
  }

  /** Contexts of requesters that are equal to `source` in all bits but those of `ignored`. */
  dropContextsOfSource(source: number, ignored: number): void {
    for (const key of this.#contexts.keys()) if (((key ^ source) & ~ignored) === 0) this.#contexts.delete(key);
  }

  dropPages(): void {
    this.#domains.clear();
    this.#pageCount = 0;
  }

  dropPagesOfDomain(domain: number): void {
    this.#pageCount -= this.#domains.get(domain)?.size ?? 0;
    this.#domains.delete(domain);
  }

  /** 2 ** log2Count pages, aligned to their number. */
  dropRange(domain: number, pageNumber: number, log2Count: number): void {
    if (log2Count > LARGEST_RANGE) {
      this.dropPagesOfDomain(domain);
      return;
    }
    const pages = this.#domains.get(domain);
    const first = pageNumber - (pageNumber % 2 ** log2Count);
    for (let i = 0; i < 2 ** log2Count; i++) if (pages?.delete(first + i) === true) this.#pageCount--;
  }
}
