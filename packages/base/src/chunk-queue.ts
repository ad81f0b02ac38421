// Bytes on their way to the guest, in chunks as they arrived.

export class ChunkQueue {
  #chunks: Uint8Array[] = [];
  /** Read so far of the first chunk. */
  #taken = 0;
  #available = 0;

  get available(): number {
    return this.#available;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#available += bytes.length;
  }

  /** The next byte; -1: none. */
  read(): number {
    const [first] = this.#chunks;
    if (first === undefined) return -1;
    const byte = first[this.#taken++];
    this.#available--;
    if (this.#taken === first.length) {
      this.#chunks.shift();
      this.#taken = 0;
    }
    return byte;
  }

  clear(): void {
    this.#chunks = [];
    this.#taken = 0;
    this.#available = 0;
  }
}
