// What an ext4 file system consists of (Linux, Documentation/filesystems/ext4): superblock, group descriptors, inodes, extents, directories, journal.

import { packedLayout } from '../packed-layout.ts';

export const SUPERBLOCK_OFFSET = 1024;
export const MAGIC = 0xef53;
export const ROOT_INODE = 2;
export const JOURNAL_INODE = 8;
export const FIRST_INODE = 11;

export const COMPAT = { journal: 0x4, extendedAttributes: 0x8, resizeInode: 0x10, indexedDirectories: 0x20, sparseSuper2: 0x200 } as const;
export const INCOMPAT = {
  compression: 0x1,
  fileType: 0x2,
  recover: 0x4,
  journalDevice: 0x8,
  metaGroups: 0x10,
  extents: 0x40,
  bits64: 0x80,
  mountProtection: 0x100,
  flexGroups: 0x200,
  attributeInodes: 0x400,
  checksumSeed: 0x2000,
  largeDirectories: 0x4000,
  inlineData: 0x8000,
  encryption: 0x10000,
  caseFolding: 0x20000,
} as const;
export const RO_COMPAT = {
  sparseSuper: 0x1,
  largeFiles: 0x2,
  hugeFiles: 0x8,
  directoryLinks: 0x20,
  extraInodeSize: 0x40,
  metadataChecksums: 0x400,
} as const;

export const SUPERBLOCK = packedLayout('little', {
  inodeCount: 'u32',
  blockCountLow: 'u32',
  reservedBlocksLow: 'u32',
  freeBlocksLow: 'u32',
  freeInodes: 'u32',
  firstDataBlock: 'u32',
  logBlockSize: 'u32',
  logClusterSize: 'u32',
  blocksPerGroup: 'u32',
  clustersPerGroup: 'u32',
  inodesPerGroup: 'u32',
  mountTime: 'u32',
  writeTime: 'u32',
  mountCount: 'u16',
  maxMountCount: 'u16',
  magic: 'u16',
  state: 'u16',
  errors: 'u16',
  minorRevision: 'u16',
  checkTime: 'u32',
  checkInterval: 'u32',
  creatorOs: 'u32',
  revision: 'u32',
  reservedUser: 'u16',
  reservedGroup: 'u16',
  firstInode: 'u32',
  inodeSize: 'u16',
  groupNumber: 'u16',
  compat: 'u32',
  incompat: 'u32',
  roCompat: 'u32',
  uuid: 16,
  label: 16,
  lastMounted: 64,
  algorithms: 'u32',
  preallocated: 2,
  reservedDescriptorBlocks: 'u16',
  journalUuid: 16,
  journalInode: 'u32',
  journalDevice: 'u32',
  lastOrphan: 'u32',
  hashSeed: 16,
  hashVersion: 'u8',
  journalBackupType: 'u8',
  descriptorSize: 'u16',
  defaultMountOptions: 'u32',
  firstMetaGroup: 'u32',
  makeTime: 'u32',
  journalBlocks: 68,
  blockCountHigh: 'u32',
  reservedBlocksHigh: 'u32',
  freeBlocksHigh: 'u32',
  minExtraSize: 'u16',
  wantExtraSize: 'u16',
  flags: 'u32',
  raid: 2,
  mountProtectionInterval: 'u16',
  mountProtectionBlock: 'u64',
  raidStripe: 'u32',
  logGroupsPerFlex: 'u8',
  checksumType: 'u8',
  encryptionLevel: 2,
  writtenKib: 'u64',
  unused: 0xf0,
  checksumSeed: 'u32',
  unused2: 0x188,
  checksum: 'u32',
});

export const GROUP_FLAG = { inodesUnused: 1, blocksUnused: 2, tableZeroed: 4 } as const;
/** The first 32 bytes are all that there is without the feature "64bit". */
export const GROUP_DESCRIPTOR = packedLayout('little', {
  blockBitmapLow: 'u32',
  inodeBitmapLow: 'u32',
  inodeTableLow: 'u32',
  freeBlocks: 'u16',
  freeInodes: 'u16',
  directories: 'u16',
  flags: 'u16',
  excludeBitmapLow: 'u32',
  blockBitmapSumLow: 'u16',
  inodeBitmapSumLow: 'u16',
  unusedInodes: 'u16',
  checksum: 'u16',
  blockBitmapHigh: 'u32',
  inodeBitmapHigh: 'u32',
  inodeTableHigh: 'u32',
  freeBlocksHigh: 'u16',
  freeInodesHigh: 'u16',
  directoriesHigh: 'u16',
  unusedInodesHigh: 'u16',
  excludeBitmapHigh: 'u32',
  blockBitmapSumHigh: 'u16',
  inodeBitmapSumHigh: 'u16',
  reserved: 'u32',
});

export const MODE = {
  type: 0o170000,
  fifo: 0o010000,
  characterDevice: 0o020000,
  directory: 0o040000,
  blockDevice: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
} as const;
export const INODE_FLAG = { encrypted: 0x800, extents: 0x80000, inlineData: 0x1000_0000 } as const;
/** Its first 128 bytes are all that old file systems have. */
export const INODE = packedLayout('little', {
  mode: 'u16',
  user: 'u16',
  sizeLow: 'u32',
  accessTime: 'u32',
  changeTime: 'u32',
  modifyTime: 'u32',
  deleteTime: 'u32',
  group: 'u16',
  links: 'u16',
  sectorsLow: 'u32',
  flags: 'u32',
  version: 'u32',
  block: 60,
  generation: 'u32',
  attributesLow: 'u32',
  sizeHigh: 'u32',
  fragment: 'u32',
  sectorsHigh: 'u16',
  attributesHigh: 'u16',
  userHigh: 'u16',
  groupHigh: 'u16',
  checksumLow: 'u16',
  reserved: 'u16',
  extraSize: 'u16',
  checksumHigh: 'u16',
  changeTimeExtra: 'u32',
  modifyTimeExtra: 'u32',
  accessTimeExtra: 'u32',
  createTime: 'u32',
  createTimeExtra: 'u32',
  versionHigh: 'u32',
  project: 'u32',
});
export const OLD_INODE_BYTES = 128;
/** What INODE has beyond that. */
export const EXTRA_INODE_BYTES = INODE.byteCount - OLD_INODE_BYTES;

export const EXTENT_MAGIC = 0xf30a;
export const EXTENT_HEADER = packedLayout('little', { magic: 'u16', entries: 'u16', most: 'u16', depth: 'u16', generation: 'u32' });
export const EXTENT_INDEX = packedLayout('little', { fileBlock: 'u32', leafLow: 'u32', leafHigh: 'u16', unused: 'u16' });
/** A length above 32768 is that of an extent whose blocks have not been written: they read as zeros. */
export const EXTENT = packedLayout('little', { fileBlock: 'u32', length: 'u16', startHigh: 'u16', startLow: 'u32' });
export const MAX_EXTENT_BLOCKS = 32768;

export const DIRECTORY_ENTRY = packedLayout('little', { inode: 'u32', recordBytes: 'u16', nameBytes: 'u8', fileType: 'u8' });
export const FILE_TYPE = { file: 1, directory: 2, characterDevice: 3, blockDevice: 4, fifo: 5, symlink: 7, checksum: 0xde } as const;

export const ATTRIBUTE_MAGIC = 0xea02_0000;
export const ATTRIBUTE = packedLayout('little', {
  nameBytes: 'u8',
  nameIndex: 'u8',
  valueOffset: 'u16',
  valueInode: 'u32',
  valueBytes: 'u32',
  hash: 'u32',
});
/** Beginnings of names, and the numbers that stand for them. */
export const ATTRIBUTE_PREFIXES: readonly (readonly [string, number])[] = [
  ['user.', 1],
  ['trusted.', 4],
  ['security.', 6],
];

export const JOURNAL_MAGIC = 0xc03b_3998;
export const JOURNAL_BLOCK = { descriptor: 1, commit: 2, superblock1: 3, superblock2: 4, revoke: 5 } as const;
export const JOURNAL_INCOMPAT = { revoke: 1, bits64: 2, asyncCommit: 4, checksum2: 8, checksum3: 0x10, fastCommit: 0x20 } as const;
export const JOURNAL_HEADER = packedLayout('big', { magic: 'u32', type: 'u32', sequence: 'u32' });
export const JOURNAL_SUPERBLOCK = packedLayout('big', {
  magic: 'u32',
  type: 'u32',
  headerSequence: 'u32',
  blockSize: 'u32',
  blockCount: 'u32',
  firstBlock: 'u32',
  sequence: 'u32',
  start: 'u32',
  error: 'u32',
  compat: 'u32',
  incompat: 'u32',
  roCompat: 'u32',
  uuid: 16,
  userCount: 'u32',
});
export const JOURNAL_TAG_FLAG = { escaped: 1, sameUuid: 2, last: 8 } as const;
