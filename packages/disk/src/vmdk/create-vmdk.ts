// Makes VMDK images of the type monolithicSparse: all tables are there, grains come as they are written.

import type { ByteStore } from '../byte-store.ts';
import { checkDiskSize } from '../disk-size.ts';
import { viewOf } from '../packed-layout.ts';
import { utf8Bytes } from '../text-bytes.ts';
import { LINE_ENDS, SECTOR_BYTES, SPARSE_FLAG, SPARSE_HEADER, SPARSE_MAGIC } from './sparse-header.ts';
import { vmdkDescriptorText } from './vmdk-descriptor.ts';

export const GRAIN_SECTORS = 128;
export const ENTRIES_PER_TABLE = 512;
export const DESCRIPTOR_SECTORS = 20;
const TABLE_SECTORS = (4 * ENTRIES_PER_TABLE) / SECTOR_BYTES;
/** Places of grains are sectors in 32 bits; some are left for the tables. */
export const MAX_VMDK_BYTES = 2 ** 41 - 2 ** 32;

export interface CreateVmdkOptions {
  readonly byteCount: number;
  /** Random, and not 0xffffffff. */
  readonly cid: number;
}

/** A directory whose tables follow it. */
function directory(firstTableSector: number, tableCount: number): Uint8Array {
  const bytes = new Uint8Array(4 * tableCount);
  const view = viewOf(bytes);
  for (let i = 0; i < tableCount; i++) view.setUint32(4 * i, firstTableSector + i * TABLE_SECTORS, true);
  return bytes;
}

/** Into an empty store. AnilloError BAD_OPTION. */
export async function createVmdk(store: ByteStore, { byteCount, cid }: CreateVmdkOptions): Promise<void> {
  checkDiskSize('VMDK', byteCount, MAX_VMDK_BYTES);
  const sectorCount = byteCount / SECTOR_BYTES;
  const tableCount = Math.ceil(sectorCount / (GRAIN_SECTORS * ENTRIES_PER_TABLE));
  const directorySectors = Math.ceil((4 * tableCount) / SECTOR_BYTES);
  const redundantDirectorySector = 1 + DESCRIPTOR_SECTORS;
  const directorySector = redundantDirectorySector + directorySectors + tableCount * TABLE_SECTORS;
  const end = directorySector + directorySectors + tableCount * TABLE_SECTORS;
  const overheadSectors = Math.ceil(end / GRAIN_SECTORS) * GRAIN_SECTORS;
  const header = SPARSE_HEADER.encode({
    ...{ magic: SPARSE_MAGIC, version: 1, flags: SPARSE_FLAG.newLineTest | SPARSE_FLAG.redundantTable, capacity: sectorCount },
    ...{ grainSectors: GRAIN_SECTORS, descriptorSector: 1, descriptorSectorCount: DESCRIPTOR_SECTORS, entriesPerTable: ENTRIES_PER_TABLE },
    ...{ redundantDirectorySector, directorySector, overheadSectors, lineEnds: LINE_ENDS },
  });
  await store.write(0, [header, utf8Bytes(vmdkDescriptorText({ createType: 'monolithicSparse', cid, sectorCount, fileName: store.name }))]);
  for (const sector of [redundantDirectorySector, directorySector])
    if (tableCount > 0) await store.write(sector * SECTOR_BYTES, [directory(sector + directorySectors, tableCount)]);
  await store.resize(overheadSectors * SECTOR_BYTES);
}
