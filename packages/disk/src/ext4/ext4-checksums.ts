// The sums of "metadata_csum": CRC-32C from a seed that the file system's id gives, the half of it where there is room for no more.

import { crc32cUpdate } from '../crc32c.ts';
import { DIRECTORY_ENTRY, FILE_TYPE, GROUP_DESCRIPTOR, INODE, SUPERBLOCK } from './ext4-layout.ts';

const ALL_ONES = 0xffff_ffff;
const u32 = (value: number): Uint8Array => Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);

/** The last entry of a directory's block: no name, its type says that a sum follows. */
export const DIRECTORY_TAIL_BYTES = 12;

export class Ext4Checksums {
  readonly #seed: number;

  constructor(uuid: Uint8Array) {
    this.#seed = crc32cUpdate(ALL_ONES, uuid);
  }

  static signSuperblock(superblock: Uint8Array): void {
    const at = SUPERBLOCK.offset.checksum;
    SUPERBLOCK.encodeInto(superblock, 0, { checksum: crc32cUpdate(ALL_ONES, superblock.subarray(0, at)) });
  }

  /** `descriptor`: of which the sum itself is zero. */
  signGroup(group: number, descriptor: Uint8Array): void {
    const sum = crc32cUpdate(crc32cUpdate(this.#seed, u32(group)), descriptor);
    GROUP_DESCRIPTOR.encodeInto(descriptor, 0, { checksum: sum & 0xffff });
  }

  bitmap(bits: Uint8Array): number {
    return crc32cUpdate(this.#seed, bits);
  }

  /** For what belongs to an inode of generation 0. */
  inodeSeed(inode: number): number {
    return crc32cUpdate(crc32cUpdate(this.#seed, u32(inode)), u32(0));
  }

  /** `bytes`: a whole inode, of which both halves of the sum are zero. */
  signInode(inode: number, bytes: Uint8Array): void {
    const sum = crc32cUpdate(this.inodeSeed(inode), bytes);
    INODE.encodeInto(bytes, 0, { checksumLow: sum & 0xffff, checksumHigh: sum >>> 16 });
  }

  /** Puts the tail into a directory's block. */
  signDirectory(inode: number, block: Uint8Array): void {
    const at = block.length - DIRECTORY_TAIL_BYTES;
    DIRECTORY_ENTRY.encodeInto(block, at, { recordBytes: DIRECTORY_TAIL_BYTES, fileType: FILE_TYPE.checksum });
    block.set(u32(crc32cUpdate(this.inodeSeed(inode), block.subarray(0, at))), block.length - 4);
  }

  /** Puts the sum behind a whole block of extents. */
  signExtents(inode: number, block: Uint8Array): void {
    const at = block.length - 4;
    block.set(u32(crc32cUpdate(this.inodeSeed(inode), block.subarray(0, at))), at);
  }
}
