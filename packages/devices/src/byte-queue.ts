// A ring of bytes that lives in a device's state struct.

export interface ByteQueueCells {
  readonly queue: Uint8Array;
  queueHead: number;
  queueCount: number;
}

export class ByteQueue {
  readonly #cells: ByteQueueCells;

  constructor(cells: ByteQueueCells) {
    this.#cells = cells;
  }

  get count(): number {
    return Math.min(this.#cells.queueCount, this.#cells.queue.length);
  }

  /** False: full, dropped. */
  push(byte: number): boolean {
    const { queue, queueHead } = this.#cells;
    if (this.count >= queue.length) return false;
    queue[(queueHead + this.count) % queue.length] = byte;
    this.#cells.queueCount++;
    return true;
  }

  /** The first byte, which stays; 0 when empty. */
  peek(): number {
    const { queue, queueHead } = this.#cells;
    return this.count === 0 ? 0 : queue[queueHead % queue.length];
  }

  /** The first byte; 0 when empty. */
  shift(): number {
    const { queue, queueHead } = this.#cells;
    const byte = this.peek();
    if (this.count === 0) return 0;
    this.#cells.queueHead = (queueHead + 1) % queue.length;
    this.#cells.queueCount = this.count - 1;
    return byte;
  }

  clear(): void {
    this.#cells.queueCount = 0;
  }
}
