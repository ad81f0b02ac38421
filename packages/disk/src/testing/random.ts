// Numbers that a seed determines, for tests.

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** mulberry32: 0 <= x < 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)];
  }

  bytes(count: number): Uint8Array {
    // A few values in a row, so that some of it can be compressed.
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count; ) {
      const end = Math.min(count, at + 1 + this.below(64));
      bytes.fill(this.below(256), at, end);
      at = end;
    }
    return bytes;
  }
}
