// What a new file system says of itself: inodes, bitmaps, descriptors, superblocks and their copies.

import type { Disk } from '../disk.ts';
import type { BlockAllocator } from './block-allocator.ts';
import { Ext4Checksums } from './ext4-checksums.ts';
import {
  BLOCK_BYTES,
  DESCRIPTOR_BYTES,
  type Ext4Geometry,
  groupBlocks,
  groupStart,
  hasSuperblock,
  headBlocks,
  INODE_BYTES,
  overheadBlocks,
} from './ext4-geometry.ts';
import {
  COMPAT,
  EXTRA_INODE_BYTES,
  FIRST_INODE,
  GROUP_DESCRIPTOR,
  GROUP_FLAG,
  INCOMPAT,
  JOURNAL_INODE,
  MAGIC,
  RO_COMPAT,
  SUPERBLOCK,
  SUPERBLOCK_OFFSET,
} from './ext4-layout.ts';
import type { NewInode } from './new-inode.ts';

export interface NewGroups {
  readonly geometry: Ext4Geometry;
  readonly sums: Ext4Checksums;
  readonly blocks: BlockAllocator;
  /** By number. */
  readonly inodes: readonly (NewInode | undefined)[];
  /** How many each group has. */
  readonly directories: Uint32Array;
  readonly journal: NewInode | undefined;
  readonly uuid: Uint8Array;
  readonly hashSeed: Uint8Array;
  readonly label?: string;
  readonly makeTime: number;
}

/** The first `count` bits are set, and all behind the first `end`. */
function bitmap(count: number, end: number): Uint8Array {
  const bits = new Uint8Array(BLOCK_BYTES);
  bits.fill(255, 0, count >> 3);
  if (count % 8 !== 0) bits[count >> 3] = (1 << (count % 8)) - 1;
  if (end % 8 !== 0) bits[end >> 3] |= 0xff << (end % 8);
  bits.fill(255, Math.ceil(end / 8));
  return bits;
}

/** Gives the group's descriptor. */
async function writeGroup(disk: Disk, groups: NewGroups, group: number): Promise<Uint8Array> {
  const { geometry, sums, blocks, inodes } = groups;
  const { inodesPerGroup, inodeTableBlocks } = geometry;
  const firstInode = group * inodesPerGroup + 1;
  const usedInodes = Math.min(Math.max(inodes.length - firstInode, 0), inodesPerGroup);
  const blockBitmapAt = groupStart(geometry, group) + headBlocks(geometry, group);
  const tableAt = blockBitmapAt + 2;
  const hasInodes = usedInodes > 0;
  // The last group's size is not what Linux would take for granted.
  const hasBlocks = blocks.used[group] > overheadBlocks(geometry, group) || group === geometry.groupCount - 1;
  const blockBits = bitmap(blocks.used[group], groupBlocks(geometry, group));
  const inodeBits = bitmap(usedInodes, inodesPerGroup);
  if (hasBlocks) await disk.write(blockBitmapAt * BLOCK_BYTES, [blockBits]);
  if (hasInodes) {
    await disk.write((blockBitmapAt + 1) * BLOCK_BYTES, [inodeBits]);
    const table = new Uint8Array(Math.ceil((usedInodes * INODE_BYTES) / BLOCK_BYTES) * BLOCK_BYTES);
    for (let i = 0; i < usedInodes; i++) {
      const inode = inodes[firstInode + i];
      if (inode !== undefined) table.set(inode.encode(sums, BLOCK_BYTES / 512), i * INODE_BYTES);
    }
    await disk.write(tableAt * BLOCK_BYTES, [table.subarray(0, inodeTableBlocks * BLOCK_BYTES)]);
  }
  const blockSum = hasBlocks ? sums.bitmap(blockBits.subarray(0, geometry.blocksPerGroup / 8)) : 0;
  const inodeSum = hasInodes ? sums.bitmap(inodeBits.subarray(0, inodesPerGroup / 8)) : 0;
  const free = blocks.freeIn(group);
  const descriptor = GROUP_DESCRIPTOR.encode({
    ...split('blockBitmap', blockBitmapAt),
    ...split('inodeBitmap', blockBitmapAt + 1),
    ...split('inodeTable', tableAt),
    freeBlocks: free & 0xffff,
    freeBlocksHigh: free >>> 16,
    freeInodes: inodesPerGroup - usedInodes,
    directories: groups.directories[group],
    flags: GROUP_FLAG.tableZeroed | (hasInodes ? 0 : GROUP_FLAG.inodesUnused) | (hasBlocks ? 0 : GROUP_FLAG.blocksUnused),
    unusedInodes: inodesPerGroup - usedInodes,
    blockBitmapSumLow: blockSum & 0xffff,
    blockBitmapSumHigh: blockSum >>> 16,
    inodeBitmapSumLow: inodeSum & 0xffff,
    inodeBitmapSumHigh: inodeSum >>> 16,
  });
  sums.signGroup(group, descriptor);
  return descriptor;
}

function split<const N extends string>(name: N, value: number): Record<`${N}Low` | `${N}High`, number> {
  return { [`${name}Low`]: value % 2 ** 32, [`${name}High`]: Math.floor(value / 2 ** 32) } as Record<`${N}Low` | `${N}High`, number>;
}

function superblock(groups: NewGroups, group: number): Uint8Array {
  const { geometry, blocks, inodes, journal, label = '', makeTime } = groups;
  let freeBlocks = 0;
  for (let i = 0; i < geometry.groupCount; i++) freeBlocks += blocks.freeIn(i);
  const inodeCount = geometry.groupCount * geometry.inodesPerGroup;
  const journalBlocks = new Uint8Array(68);
  if (journal !== undefined) {
    journalBlocks.set(journal.block);
    const view = new DataView(journalBlocks.buffer);
    view.setUint32(60, Math.floor(journal.byteCount / 2 ** 32), true);
    view.setUint32(64, journal.byteCount % 2 ** 32, true);
  }
  const bytes = SUPERBLOCK.encode({
    ...split('blockCount', geometry.blockCount),
    ...split('reservedBlocks', Math.floor(geometry.blockCount / 100)),
    ...split('freeBlocks', freeBlocks),
    ...{ inodeCount, freeInodes: inodeCount - (inodes.length - 1) },
    ...{ logBlockSize: 2, logClusterSize: 2, blocksPerGroup: geometry.blocksPerGroup, clustersPerGroup: geometry.blocksPerGroup },
    ...{ inodesPerGroup: geometry.inodesPerGroup, inodeSize: INODE_BYTES, firstInode: FIRST_INODE },
    ...{ writeTime: makeTime, checkTime: makeTime, makeTime, maxMountCount: 0xffff },
    ...{ magic: MAGIC, state: 1, errors: 1, revision: 1, groupNumber: group },
    compat: COMPAT.extendedAttributes | COMPAT.indexedDirectories | (journal === undefined ? 0 : COMPAT.journal),
    incompat: INCOMPAT.fileType | INCOMPAT.extents | INCOMPAT.bits64,
    roCompat:
      RO_COMPAT.sparseSuper |
      RO_COMPAT.largeFiles |
      RO_COMPAT.hugeFiles |
      RO_COMPAT.directoryLinks |
      RO_COMPAT.extraInodeSize |
      RO_COMPAT.metadataChecksums,
    uuid: groups.uuid,
    label: Uint8Array.from(label.slice(0, 16), (letter) => letter.charCodeAt(0)),
    ...(journal === undefined ? {} : { journalInode: JOURNAL_INODE, journalBackupType: 1, journalBlocks }),
    ...{ hashSeed: groups.hashSeed, hashVersion: 1, flags: 1, checksumType: 1 },
    ...{ descriptorSize: DESCRIPTOR_BYTES, minExtraSize: EXTRA_INODE_BYTES, wantExtraSize: EXTRA_INODE_BYTES },
    // User attributes and access lists.
    defaultMountOptions: 0xc,
  });
  Ext4Checksums.signSuperblock(bytes);
  return bytes;
}

export async function writeGroups(disk: Disk, groups: NewGroups): Promise<void> {
  const { geometry } = groups;
  const descriptors = new Uint8Array(geometry.descriptorBlocks * BLOCK_BYTES);
  for (let group = 0; group < geometry.groupCount; group++)
    descriptors.set(await writeGroup(disk, groups, group), group * DESCRIPTOR_BYTES);
  for (let group = geometry.groupCount - 1; group >= 0; group--) {
    if (!hasSuperblock(group)) continue;
    const head = new Uint8Array(BLOCK_BYTES);
    head.set(superblock(groups, group), group === 0 ? SUPERBLOCK_OFFSET : 0);
    await disk.write(groupStart(geometry, group) * BLOCK_BYTES, [head, descriptors]);
  }
}
