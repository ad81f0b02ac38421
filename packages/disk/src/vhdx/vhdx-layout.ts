// What a VHDX file consists of (MS-VHDX 2.1 to 2.6): headers, region tables, metadata, and the block allocation table's entries.

import { packedLayout } from '../packed-layout.ts';

export const MIB = 1 << 20;
export const KIB_4 = 4096;

/** "vhdxfile" */
export const FILE_SIGNATURE = Uint8Array.from([...'vhdxfile'].map((letter) => letter.charCodeAt(0)));
export const HEADER_OFFSETS = [1 << 16, 2 << 16] as const;
export const HEADER_BYTES = KIB_4;
export const HEADER_SIGNATURE = 0x6461_6568;
export const HEADER = packedLayout('little', {
  signature: 'u32',
  checksum: 'u32',
  sequence: 'u64',
  fileWriteGuid: 16,
  dataWriteGuid: 16,
  logGuid: 16,
  logVersion: 'u16',
  version: 'u16',
  logBytes: 'u32',
  logOffset: 'u64',
});

export const REGION_TABLE_OFFSETS = [3 << 16, 4 << 16] as const;
export const REGION_TABLE_BYTES = 1 << 16;
export const REGION_SIGNATURE = 0x6967_6572;
export const REGION_TABLE = packedLayout('little', { signature: 'u32', checksum: 'u32', entryCount: 'u32', reserved: 'u32' });
export const REGION_ENTRY = packedLayout('little', { guid: 16, offset: 'u64', byteCount: 'u32', isRequired: 'u32' });
export const MAX_TABLE_ENTRIES = 2047;
export const REGION = { bat: '2dc27766-f623-4200-9d64-115e9bfd4a08', metadata: '8b7ca206-4790-4b9a-b8fe-575f050f886e' } as const;

export const METADATA_TABLE_BYTES = 1 << 16;
export const METADATA_SIGNATURE = Uint8Array.from([...'metadata'].map((letter) => letter.charCodeAt(0)));
export const METADATA_TABLE = packedLayout('little', { signature: 8, reserved: 'u16', entryCount: 'u16', reserved2: 20 });
export const METADATA_ENTRY = packedLayout('little', { guid: 16, offset: 'u32', byteCount: 'u32', flags: 'u32', reserved: 'u32' });
export const METADATA_FLAG = { user: 1, virtualDisk: 2, required: 4 } as const;
export const METADATA = {
  fileParameters: 'caa16737-fa36-4d43-b3b6-33f0aa44e76b',
  diskSize: '2fa54224-cd1b-4876-b211-5dbed83bf4b8',
  diskId: 'beca12ab-b2e6-4523-93ef-c309e000c746',
  logicalSector: '8141bf1d-a96f-4709-ba47-f233a8faab5f',
  physicalSector: 'cda348c7-445d-4471-9cc9-e9885251c556',
  parentLocator: 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c',
} as const;
export const FILE_FLAG = { leaveAllocated: 1, hasParent: 2 } as const;

export const PARENT_LOCATOR = packedLayout('little', { type: 16, reserved: 'u16', entryCount: 'u16' });
export const PARENT_ENTRY = packedLayout('little', { keyOffset: 'u32', valueOffset: 'u32', keyBytes: 'u16', valueBytes: 'u16' });
export const PARENT_TYPE_VHDX = 'b04aefb7-d19e-4a81-b789-25b8e9445913';

export const BLOCK_STATE = { notPresent: 0, undefined: 1, zero: 2, unmapped: 3, fullyPresent: 6, partiallyPresent: 7 } as const;

/** Sectors that one sector bitmap block, which is 1 MiB, tells of. */
export const CHUNK_SECTORS = 2 ** 23;
export const MAX_DISK_BYTES = 2 ** 46;

export const LOG_SIGNATURE = 0x6567_6f6c;
export const LOG_ENTRY = packedLayout('little', {
  signature: 'u32',
  checksum: 'u32',
  entryBytes: 'u32',
  tail: 'u32',
  sequence: 'u64',
  descriptorCount: 'u32',
  reserved: 'u32',
  logGuid: 16,
  flushedFileBytes: 'u64',
  lastFileBytes: 'u64',
});
export const ZERO_SIGNATURE = 0x6f72_657a;
export const DATA_SIGNATURE = 0x6373_6564;
/** Of a zero descriptor `leading` is the length; of a data descriptor `trailing` and `leading` are the sector's last 4 and first 8 bytes. */
export const LOG_DESCRIPTOR = packedLayout('little', { signature: 'u32', trailing: 4, leading: 8, fileOffset: 'u64', sequence: 'u64' });
export const DATA_SECTOR_SIGNATURE = 0x6174_6164;
export const DATA_SECTOR = packedLayout('little', { signature: 'u32', sequenceHigh: 'u32', data: 4084, sequenceLow: 'u32' });
