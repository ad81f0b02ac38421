// The header of a hosted sparse extent, and the markers of a stream-optimised one (Virtual Disk Format 5.0, "Hosted Sparse Extents", "Stream-Optimized Compressed Sparse Extents").

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from '../byte-store.ts';
import { packedLayout } from '../packed-layout.ts';

export const SECTOR_BYTES = 512;
export const SPARSE_MAGIC = 0x564d444b;
export const SPARSE_FLAG = { newLineTest: 1, redundantTable: 2, zeroedGrains: 4, compressed: 0x1_0000, markers: 0x2_0000 } as const;
/** The directory's place is told by the footer. */
export const GD_AT_END = 2 ** 64;
export const COMPRESSION_DEFLATE = 1;

export const SPARSE_HEADER = packedLayout('little', {
  magic: 'u32',
  version: 'u32',
  flags: 'u32',
  capacity: 'u64',
  grainSectors: 'u64',
  descriptorSector: 'u64',
  descriptorSectorCount: 'u64',
  entriesPerTable: 'u32',
  redundantDirectorySector: 'u64',
  directorySector: 'u64',
  overheadSectors: 'u64',
  uncleanShutdown: 'u8',
  /** '\n', ' ', '\r\n': shows whether a transfer has changed line ends. */
  lineEnds: 4,
  compression: 'u16',
  padding: 433,
});

export const LINE_ENDS = Uint8Array.of(10, 32, 13, 10);

/** A grain's bytes follow `byteCount`; where that is 0, `type` says what follows in the sectors behind. */
export const MARKER = packedLayout('little', { sector: 'u64', byteCount: 'u32', type: 'u32' });
export const GRAIN_MARKER_BYTES = MARKER.offset.type;
export const MARKER_TYPE = { endOfStream: 0, grainTable: 1, grainDirectory: 2, footer: 3 } as const;

export interface SparseHeader {
  readonly flags: number;
  readonly capacityBytes: number;
  readonly grainBytes: number;
  readonly descriptorOffset: number;
  readonly descriptorBytes: number;
  readonly entriesPerTable: number;
  readonly tableCount: number;
  readonly directoryOffset: number;
  /** undefined: there is one directory only. */
  readonly redundantDirectoryOffset: number | undefined;
  readonly isDirectoryAtEnd: boolean;
}

const isPowerOfTwo = (value: number): boolean => value > 0 && Number.isInteger(Math.log2(value));

async function decodeAt(store: ByteStore, offset: number) {
  const bytes = new Uint8Array(SPARSE_HEADER.byteCount);
  await store.read(offset, [bytes]);
  return SPARSE_HEADER.decode(bytes);
}

export function isSparseExtent(head: Uint8Array): boolean {
  return head.length >= SPARSE_HEADER.byteCount && SPARSE_HEADER.decode(head).magic === SPARSE_MAGIC;
}

function checkFormat(name: string, header: Awaited<ReturnType<typeof decodeAt>>): void {
  const bad = (what: string): never => {
    throw new AnilloError('BAD_IMAGE', `${name} is no usable VMDK extent: ${what}.`);
  };
  if (header.magic !== SPARSE_MAGIC) bad('its signature is missing');
  if (header.version < 1 || header.version > 3)
    throw new AnilloError('UNSUPPORTED', `${name} is a VMDK extent of version ${header.version}; 1 to 3 are known.`);
  if ((header.flags & SPARSE_FLAG.newLineTest) !== 0 && header.lineEnds.some((byte, i) => byte !== LINE_ENDS[i]))
    bad('a transfer as text has changed its line ends; copy it again');
  if (!isPowerOfTwo(header.grainSectors) || header.grainSectors > 1 << 15) bad(`it has grains of ${header.grainSectors} sectors`);
  if (header.entriesPerTable === 0 || header.entriesPerTable > 1 << 16) bad(`it has tables of ${header.entriesPerTable} entries`);
  if (header.capacity > 2 ** 44) bad(`it has ${header.capacity} sectors`);
  if (header.descriptorSectorCount > 1 << 20 || header.descriptorSector > 2 ** 40) bad('its descriptor is too large');
}

/** AnilloError BAD_IMAGE, or UNSUPPORTED for what an extent can be and this is not for. */
export async function readSparseHeader(store: ByteStore): Promise<SparseHeader> {
  const storeBytes = await store.size();
  let header = await decodeAt(store, 0);
  checkFormat(store.name, header);
  const { descriptorSector, descriptorSectorCount } = header;
  const isDirectoryAtEnd = header.directorySector === GD_AT_END;
  if (isDirectoryAtEnd) {
    if (storeBytes < 3 * SECTOR_BYTES) throw new AnilloError('BAD_IMAGE', `${store.name} ends before its footer; copy it again.`);
    header = await decodeAt(store, storeBytes - 2 * SECTOR_BYTES);
    if (header.magic !== SPARSE_MAGIC || header.directorySector === GD_AT_END)
      throw new AnilloError('BAD_IMAGE', `${store.name} has no footer where its end should be; copy it again.`);
    checkFormat(store.name, header);
  }
  const { flags, capacity, grainSectors, entriesPerTable, directorySector, redundantDirectorySector } = header;
  if ((flags & SPARSE_FLAG.compressed) !== 0 && (header.compression !== COMPRESSION_DEFLATE || (flags & SPARSE_FLAG.markers) === 0))
    throw new AnilloError('UNSUPPORTED', `${store.name} is compressed by method ${header.compression}, which is not known.`);
  const tableCount = Math.ceil(capacity / (grainSectors * entriesPerTable));
  if (directorySector * SECTOR_BYTES + 4 * tableCount > storeBytes)
    throw new AnilloError('BAD_IMAGE', `${store.name} is no usable VMDK extent: its grain directory lies behind the end of the file.`);
  const hasRedundant =
    (flags & SPARSE_FLAG.redundantTable) !== 0 &&
    redundantDirectorySector > 0 &&
    redundantDirectorySector * SECTOR_BYTES + 4 * tableCount <= storeBytes;
  return {
    ...{
      flags,
      capacityBytes: capacity * SECTOR_BYTES,
      grainBytes: grainSectors * SECTOR_BYTES,
      entriesPerTable,
      tableCount,
      isDirectoryAtEnd,
    },
    ...{ descriptorOffset: descriptorSector * SECTOR_BYTES, descriptorBytes: descriptorSectorCount * SECTOR_BYTES },
    directoryOffset: directorySector * SECTOR_BYTES,
    redundantDirectoryOffset: hasRedundant ? redundantDirectorySector * SECTOR_BYTES : undefined,
  };
}
