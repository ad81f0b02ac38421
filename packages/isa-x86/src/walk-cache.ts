// Recent page walks made for helpers (descriptor tables, TSS, stacks), so that delivering an event does not walk the same few pages again and
// again. It may hold what a TLB may hold, and is emptied when the TLB is. Rights are in the key: each TLB class and kind of access has a part.

const ENTRIES = 64;
const CLASSES = 3;

export class WalkCache {
  /** Linear address of the page; NaN: empty. */
  readonly #pages = new Float64Array(ENTRIES * CLASSES * 2).fill(Number.NaN);
  readonly #frames = new Float64Array(ENTRIES * CLASSES * 2);

  #isEmpty = true;

  /** Guest-physical address of `linear`, or -1. `write`: 0 or 1. */
  find(linear: number, write: number, privilege: number): number {
    const offset = linear & 0xfff;
    const index = (privilege * 2 + write) * ENTRIES + ((linear >>> 12) & (ENTRIES - 1));
    return this.#pages[index] === linear - offset ? this.#frames[index] + offset : -1;
  }

  add(linear: number, write: number, privilege: number, gpa: number): void {
    const offset = linear & 0xfff;
    const index = (privilege * 2 + write) * ENTRIES + ((linear >>> 12) & (ENTRIES - 1));
    this.#isEmpty = false;
    this.#pages[index] = linear - offset;
    this.#frames[index] = gpa - offset;
  }

  clear(): void {
    if (this.#isEmpty) return;
    this.#pages.fill(Number.NaN);
    this.#isEmpty = true;
  }
}
