// Bytes of any place and number over something that has whole blocks only: what is not whole is read, changed and written back, while nothing else is written.

import { BufferCursor } from './buffer-cursor.ts';
import { copyIntoList, listByteCount } from './request.ts';
import { SharedLock } from './shared-lock.ts';

/** Takes what is a multiple of the block's size. */
export interface BlockAccess {
  readonly blockBytes: number;
  read(offset: number, into: readonly Uint8Array[]): Promise<void>;
  write(offset: number, from: readonly Uint8Array[]): Promise<void>;
  writeZeroes(offset: number, byteCount: number, mayUnmap: boolean): Promise<void>;
}

export class AlignedAccess {
  readonly #blocks: BlockAccess;
  readonly #lock = new SharedLock();

  constructor(blocks: BlockAccess) {
    this.#blocks = blocks;
  }

  #bounds(offset: number, byteCount: number): readonly [number, number] {
    const { blockBytes } = this.#blocks;
    return [offset - (offset % blockBytes), Math.ceil((offset + byteCount) / blockBytes) * blockBytes];
  }

  async read(offset: number, into: readonly Uint8Array[]): Promise<void> {
    const byteCount = listByteCount(into);
    const [start, end] = this.#bounds(offset, byteCount);
    if (byteCount === 0) return;
    if (start === offset && end === offset + byteCount) return this.#blocks.read(offset, into);
    const { blockBytes } = this.#blocks;
    const [head, tail] = [new Uint8Array(offset - start), new Uint8Array(end - offset - byteCount)];
    if (byteCount > 4 * blockBytes) return this.#blocks.read(start, [head, ...into, tail]);
    const whole = new Uint8Array(end - start);
    await this.#blocks.read(start, [whole]);
    copyIntoList(into, whole.subarray(offset - start));
  }

  async write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    const byteCount = listByteCount(from);
    const [start, end] = this.#bounds(offset, byteCount);
    if (byteCount === 0) return;
    if (start === offset && end === offset + byteCount) return this.#lock.shared(() => this.#blocks.write(offset, from));
    const { blockBytes } = this.#blocks;
    await this.#lock.exclusive(async () => {
      const first = new Uint8Array(blockBytes);
      await this.#blocks.read(start, [first]);
      const last = end - start > blockBytes ? new Uint8Array(blockBytes) : first;
      if (last !== first) await this.#blocks.read(end - blockBytes, [last]);
      const tail = last.subarray(blockBytes - (end - offset - byteCount));
      await this.#blocks.write(start, [first.subarray(0, offset - start), ...new BufferCursor(from).take(byteCount), tail]);
    });
  }

  async writeZeroes(offset: number, byteCount: number, mayUnmap: boolean): Promise<void> {
    const { blockBytes } = this.#blocks;
    const first = Math.min(offset + byteCount, Math.ceil(offset / blockBytes) * blockBytes);
    const last = Math.max(first, Math.floor((offset + byteCount) / blockBytes) * blockBytes);
    if (first > offset) await this.write(offset, [new Uint8Array(first - offset)]);
    if (last > first) await this.#lock.shared(() => this.#blocks.writeZeroes(first, last - first, mayUnmap));
    if (offset + byteCount > last) await this.write(last, [new Uint8Array(offset + byteCount - last)]);
  }
}
