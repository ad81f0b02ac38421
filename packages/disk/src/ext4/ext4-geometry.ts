// Where a new file system keeps what: groups of 128 MiB, each with its bitmaps and inodes at its start, and copies of superblock and descriptors in some.

import { AnilloError } from '@anillo/base/anillo-error';

export const BLOCK_BYTES = 4096;
export const INODE_BYTES = 256;
export const DESCRIPTOR_BYTES = 64;
const BLOCKS_PER_GROUP = 8 * BLOCK_BYTES;
const MOST_INODES_PER_GROUP = 8192;
/** A last group with fewer blocks for files is left out. */
const LEAST_DATA_BLOCKS = 50;
/** Bounds what this program holds of it. */
const MAX_BYTES = 64 * 2 ** 40;

export interface Ext4Geometry {
  readonly blockCount: number;
  readonly groupCount: number;
  readonly blocksPerGroup: number;
  readonly inodesPerGroup: number;
  readonly inodeTableBlocks: number;
  readonly descriptorBlocks: number;
  /** 0: none, for a file system too small for one. */
  readonly journalBlocks: number;
}

/** Groups 0, 1 and the powers of 3, 5 and 7 have a superblock ("sparse_super"). */
export function hasSuperblock(group: number): boolean {
  if (group < 2) return true;
  return [3, 5, 7].some((base) => {
    let power = base;
    while (power < group) power *= base;
    return power === group;
  });
}

export const groupStart = (geometry: Ext4Geometry, group: number): number => group * geometry.blocksPerGroup;

/** Blocks before the block bitmap. */
export const headBlocks = (geometry: Ext4Geometry, group: number): number => (hasSuperblock(group) ? 1 + geometry.descriptorBlocks : 0);

/** Blocks that no file can have. */
export const overheadBlocks = (geometry: Ext4Geometry, group: number): number =>
  headBlocks(geometry, group) + 2 + geometry.inodeTableBlocks;

export const groupBlocks = (geometry: Ext4Geometry, group: number): number =>
  Math.min(geometry.blocksPerGroup, geometry.blockCount - groupStart(geometry, group));

function journalBlocksFor(blockCount: number): number {
  if (blockCount < 2048) return 0;
  if (blockCount < 32768) return 1024;
  return blockCount < 262_144 ? 4096 : 16384;
}

/** AnilloError BAD_OPTION for what is too small or too large. */
export function ext4Geometry(byteCount: number): Ext4Geometry {
  const blockCount = Math.floor(byteCount / BLOCK_BYTES);
  const refuse = (what: string): AnilloError =>
    new AnilloError('BAD_OPTION', `${byteCount} bytes are ${what} for an ext4 file system; give another size.`);
  if (byteCount > MAX_BYTES) throw refuse('too much');
  const groupCount = Math.ceil(blockCount / BLOCKS_PER_GROUP);
  // One inode for 16 KiB, in whole blocks.
  const inodesPerGroup = Math.min(MOST_INODES_PER_GROUP, Math.ceil(blockCount / Math.max(groupCount, 1) / 4 / 64) * 64);
  const inodeTableBlocks = (inodesPerGroup * INODE_BYTES) / BLOCK_BYTES;
  const descriptorBlocks = Math.ceil((groupCount * DESCRIPTOR_BYTES) / BLOCK_BYTES);
  const geometry: Ext4Geometry = {
    blockCount,
    groupCount,
    blocksPerGroup: BLOCKS_PER_GROUP,
    inodesPerGroup,
    inodeTableBlocks,
    descriptorBlocks,
    journalBlocks: journalBlocksFor(blockCount),
  };
  const last = groupCount - 1;
  if (last < 0 || groupBlocks(geometry, last) >= overheadBlocks(geometry, last) + LEAST_DATA_BLOCKS) {
    if (last < 0 || inodesPerGroup < 64) throw refuse('too few');
    return geometry;
  }
  if (last === 0) throw refuse('too few');
  return ext4Geometry(last * BLOCKS_PER_GROUP * BLOCK_BYTES);
}
