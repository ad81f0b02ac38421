// Which machine-memory pages hold translated code, and which 64-byte granules of them: what a store is checked against.

const PAGE = 4096;

export class CodePages {
  /** Two words of granule bits a page, in the machine's memory: generated code looks there before it grants write access. */
  readonly #granules: Uint32Array;

  constructor(buffer: ArrayBufferLike, granulesAt: number, memoryBytes: number) {
    this.#granules = new Uint32Array(buffer, granulesAt, (memoryBytes / PAGE) * 2);
  }

  /** Marks [at, at + byteCount) of one page as code. True: the page held none before. */
  add(at: number, byteCount: number): boolean {
    const page = (at >>> 12) * 2;
    const fresh = (this.#granules[page] | this.#granules[page + 1]) === 0;
    const first = (at & (PAGE - 1)) >> 6;
    const last = ((at + byteCount - 1) & (PAGE - 1)) >> 6;
    for (let g = first; g <= last; g++) this.#granules[page + (g >> 5)] |= 1 << (g & 31);
    return fresh;
  }

  hasCode(at: number): boolean {
    const page = (at >>> 12) * 2;
    return (this.#granules[page] | this.#granules[page + 1]) !== 0;
  }

  /** Do bytes [at, at + byteCount) of one page touch a granule with code? */
  touches(at: number, byteCount: number): boolean {
    const page = (at >>> 12) * 2;
    const first = (at & (PAGE - 1)) >> 6;
    const last = ((at + byteCount - 1) & (PAGE - 1)) >> 6;
    for (let g = first; g <= last; g++) if (this.#granules[page + (g >> 5)] & (1 << (g & 31))) return true;
    return false;
  }

  /** Forgets the granules that [at, at + byteCount) of one page touches. */
  clear(at: number, byteCount: number): void {
    const page = (at >>> 12) * 2;
    const first = (at & (PAGE - 1)) >> 6;
    const last = ((at + byteCount - 1) & (PAGE - 1)) >> 6;
    for (let g = first; g <= last; g++) this.#granules[page + (g >> 5)] &= ~(1 << (g & 31));
  }

  clearAll(): void {
    this.#granules.fill(0);
  }
}
