// Bytes that wait, to be acknowledged or to be taken: a ring that grows as it must and is given back when it is empty.

const SMALLEST_BYTES = 4096;

export class ByteRing {
  #ring = new Uint8Array(0);
  #start = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(bytes: Uint8Array): void {
    const needed = this.#length + bytes.length;
    if (needed > this.#ring.length) this.#grow(needed);
    const mask = this.#ring.length - 1;
    const at = (this.#start + this.#length) & mask;
    const first = Math.min(bytes.length, this.#ring.length - at);
    if (first === bytes.length) this.#ring.set(bytes, at);
    else {
      this.#ring.set(bytes.subarray(0, first), at);
      this.#ring.set(bytes.subarray(first), 0);
    }
    this.#length = needed;
  }

  /** Copies a part; it must lie within. */
  copy(offset: number, byteCount: number, into: Uint8Array, at: number): void {
    const start = (this.#start + offset) & (this.#ring.length - 1);
    const first = Math.min(byteCount, this.#ring.length - start);
    into.set(this.#ring.subarray(start, start + first), at);
    if (first < byteCount) into.set(this.#ring.subarray(0, byteCount - first), at + first);
  }

  /** The bytes at the front, as far as they lie in a row; valid until the next call. */
  front(): Uint8Array {
    return this.#ring.subarray(this.#start, Math.min(this.#ring.length, this.#start + this.#length));
  }

  /** An empty ring is given back if it is larger than `keptBytes`. */
  drop(byteCount: number, keptBytes: number): void {
    this.#length -= byteCount;
    this.#start = this.#length === 0 ? 0 : (this.#start + byteCount) & (this.#ring.length - 1);
    if (this.#length === 0 && this.#ring.length > keptBytes) this.#ring = new Uint8Array(0);
  }

  clear(): void {
    this.#ring = new Uint8Array(0);
    this.#start = 0;
    this.#length = 0;
  }

  #grow(needed: number): void {
    let size = Math.max(SMALLEST_BYTES, this.#ring.length);
    while (size < needed) size *= 2;
    const ring = new Uint8Array(size);
    if (this.#length > 0) this.copy(0, this.#length, ring, 0);
    this.#ring = ring;
    this.#start = 0;
  }
}
