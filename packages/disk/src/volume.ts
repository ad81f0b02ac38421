// A part of a disk that holds a file system: the whole, or a partition. Reads of any place and length.

import { AnilloError } from '@anillo/base/anillo-error';

/** What is needed of a disk to look at what it holds. */
export interface ReadableDisk {
  readonly byteCount: number;
  read(offset: number, into: readonly Uint8Array[]): Promise<void>;
}

const SECTOR = 512;

export class Volume {
  readonly byteCount: number;
  readonly #disk: ReadableDisk;
  readonly #offset: number;

  /** `offset` is a multiple of 512; what lies behind the disk's end is left out. */
  constructor(disk: ReadableDisk, offset = 0, byteCount = disk.byteCount) {
    this.#disk = disk;
    this.#offset = offset;
    this.byteCount = Math.max(0, Math.min(byteCount, disk.byteCount - offset));
  }

  /** AnilloError BAD_IMAGE for what is not there. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    if (!(offset >= 0) || offset + into.length > this.byteCount)
      throw new AnilloError('BAD_IMAGE', `A file system refers to byte ${offset} of its ${this.byteCount}; check it with fsck.`);
    const head = offset % SECTOR;
    const tail = -(head + into.length) & (SECTOR - 1);
    const parts = [new Uint8Array(head), into, new Uint8Array(tail)].filter(({ length }) => length > 0);
    await this.#disk.read(this.#offset + offset - head, parts);
  }
}
