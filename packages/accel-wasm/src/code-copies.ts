// Pages of guest code as they were when a block was lifted from them, where other vCPUs may change them meanwhile.

const PAGE = 4096;

export class CodeCopies {
  readonly #memory: Uint8Array;
  readonly #pages: { readonly at: number; readonly bytes: Uint8Array }[] = [];

  constructor(memory: Uint8Array) {
    this.#memory = memory;
  }

  take(at: number): Uint8Array {
    const bytes = this.#memory.slice(at, at + PAGE);
    this.#pages.push({ at, bytes });
    return bytes;
  }

  /** Does memory hold now what was taken: `byteCount` bytes from `start` in the first page on, and into the next one? */
  areCurrent(start: number, byteCount: number): boolean {
    let from = start;
    let left = byteCount;
    for (const { at, bytes } of this.#pages) {
      const end = Math.min(from + left, PAGE);
      for (let i = from; i < end; i++) if (bytes[i] !== this.#memory[at + i]) return false;
      left -= end - from;
      from = 0;
    }
    return true;
  }
}
