// Seeded random numbers, and values that find mistakes.

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** 0 .. 2^32 - 1 (xorshift). */
  u32(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }
  below(limit: number): number {
    return this.u32() % limit;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  #hostile32(): number {
    return this.pick([
      0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x3f800000, 0x7fc00000, 0xff800000, 0x00000001,
    ]);
  }
  /** A word that is often an edge case. */
  word(): number {
    const kind = this.below(4);
    if (kind === 0) return this.#hostile32();
    if (kind === 1) return this.below(64);
    return this.u32();
  }
  /** Sixteen bytes: words, or a pair of f64 or f32 edge cases. */
  bytes16(): Uint8Array {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    const doubles = [
      0,
      -0,
      0.5,
      -0.5,
      1.5,
      2.5,
      -2.5,
      1e300,
      -1e300,
      1e-310,
      Infinity,
      -Infinity,
      Number.NaN,
      2147483647.5,
      -2147483649,
      9.3e18,
      2 ** 52 - 0.5,
    ];
    const kind = this.below(3);
    for (let i = 0; i < 16; i += 4) view.setUint32(i, this.word(), true);
    if (kind === 1) for (let i = 0; i < 16; i += 8) view.setFloat64(i, this.pick(doubles), true);
    if (kind === 2) for (let i = 0; i < 16; i += 4) view.setFloat32(i, this.pick(doubles), true);
    return bytes;
  }
  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i += 16) bytes.set(this.bytes16().subarray(0, Math.min(16, bytes.length - i)), i);
  }
}
