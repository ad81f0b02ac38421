// Goes through a list of buffers as if they were one, without copying.

export class BufferCursor {
  readonly #buffers: readonly Uint8Array[];
  #index = 0;
  #skip = 0;

  constructor(buffers: readonly Uint8Array[]) {
    this.#buffers = buffers;
  }

  /** Views of the next `byteCount` bytes (fewer at the end). */
  take(byteCount: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    for (let left = byteCount; left > 0 && this.#index < this.#buffers.length; ) {
      const buffer = this.#buffers[this.#index];
      const piece = Math.min(left, buffer.length - this.#skip);
      if (piece > 0) taken.push(buffer.subarray(this.#skip, this.#skip + piece));
      left -= piece;
      this.#skip += piece;
      if (this.#skip === buffer.length) {
        this.#index++;
        this.#skip = 0;
      }
    }
    return taken;
  }
}
