// Makes VHDX images, dynamic ones (blocks come as they are written) and fixed ones.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from '../byte-store.ts';
import { checkDiskSize } from '../disk-size.ts';
import { viewOf } from '../packed-layout.ts';
import { randomId } from '../random-id.ts';
import { utf16Bytes } from '../text-bytes.ts';
import { crc32cAround } from '../crc32c.ts';
import { guidBytes } from './guid.ts';
import { writeVhdxHeader } from './vhdx-header.ts';
import {
  BLOCK_STATE,
  CHUNK_SECTORS,
  FILE_FLAG,
  FILE_SIGNATURE,
  MAX_DISK_BYTES,
  METADATA,
  METADATA_ENTRY,
  METADATA_FLAG,
  METADATA_SIGNATURE,
  METADATA_TABLE,
  METADATA_TABLE_BYTES,
  MIB,
  REGION,
  REGION_ENTRY,
  REGION_SIGNATURE,
  REGION_TABLE,
  REGION_TABLE_BYTES,
  REGION_TABLE_OFFSETS,
} from './vhdx-layout.ts';

const LOG_OFFSET = MIB;
const METADATA_OFFSET = 2 * MIB;
const BAT_OFFSET = 3 * MIB;
const SECTOR_BYTES = 512;
const PIECE_ENTRIES = 1 << 15;

export interface CreateVhdxOptions {
  readonly byteCount: number;
  readonly isFixed: boolean;
  /** A power of two, 1 to 256 MiB. */
  readonly blockBytes: number;
}

function regionTable(batBytes: number): Uint8Array {
  const bytes = new Uint8Array(REGION_TABLE_BYTES);
  REGION_TABLE.encodeInto(bytes, 0, { signature: REGION_SIGNATURE, entryCount: 2 });
  const regions = [
    { guid: guidBytes(REGION.bat), offset: BAT_OFFSET, byteCount: batBytes, isRequired: 1 },
    { guid: guidBytes(REGION.metadata), offset: METADATA_OFFSET, byteCount: MIB, isRequired: 1 },
  ];
  for (const [i, region] of regions.entries()) REGION_ENTRY.encodeInto(bytes, REGION_TABLE.byteCount + i * REGION_ENTRY.byteCount, region);
  REGION_TABLE.encodeInto(bytes, 0, { checksum: crc32cAround(bytes, REGION_TABLE.offset.checksum) });
  return bytes;
}

function numbers(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  for (const [i, value] of values.entries()) viewOf(bytes).setUint32(4 * i, value, true);
  return bytes;
}

function metadataTable({ byteCount, isFixed, blockBytes }: CreateVhdxOptions): Uint8Array {
  const { required, virtualDisk } = METADATA_FLAG;
  const items: readonly (readonly [string, number, Uint8Array])[] = [
    [METADATA.fileParameters, required, numbers(blockBytes, isFixed ? FILE_FLAG.leaveAllocated : 0)],
    [METADATA.diskSize, required | virtualDisk, numbers(byteCount % 2 ** 32, Math.floor(byteCount / 2 ** 32))],
    [METADATA.diskId, required | virtualDisk, randomId()],
    [METADATA.logicalSector, required | virtualDisk, numbers(SECTOR_BYTES)],
    [METADATA.physicalSector, required | virtualDisk, numbers(4096)],
  ];
  const bytes = new Uint8Array(METADATA_TABLE_BYTES + 4096);
  METADATA_TABLE.encodeInto(bytes, 0, { signature: METADATA_SIGNATURE, entryCount: items.length });
  let offset = METADATA_TABLE_BYTES;
  for (const [i, [guid, flags, value]] of items.entries()) {
    const entry = { guid: guidBytes(guid), offset, byteCount: value.length, flags };
    METADATA_ENTRY.encodeInto(bytes, METADATA_TABLE.byteCount + i * METADATA_ENTRY.byteCount, entry);
    bytes.set(value, offset);
    offset += value.length;
  }
  return bytes;
}

/** Blocks one after the other. */
async function writeFullTable(
  store: ByteStore,
  blocks: number,
  chunkBlocks: number,
  blockBytes: number,
  dataOffset: number,
): Promise<void> {
  const entries = blocks + Math.floor(Math.max(0, blocks - 1) / chunkBlocks);
  for (let first = 0; first < entries; first += PIECE_ENTRIES) {
    const piece = new Uint8Array(8 * Math.min(PIECE_ENTRIES, entries - first));
    const view = viewOf(piece);
    for (let i = 0; 8 * i < piece.length; i++) {
      const chunk = Math.floor((first + i) / (chunkBlocks + 1));
      if ((first + i) % (chunkBlocks + 1) === chunkBlocks) continue;
      view.setBigUint64(8 * i, BigInt(dataOffset + (first + i - chunk) * blockBytes) | BigInt(BLOCK_STATE.fullyPresent), true);
    }
    await store.write(BAT_OFFSET + 8 * first, [piece]);
  }
}

/** Into an empty store. AnilloError BAD_OPTION. */
export async function createVhdx(store: ByteStore, options: CreateVhdxOptions): Promise<void> {
  const { byteCount, isFixed, blockBytes } = options;
  checkDiskSize('VHDX', byteCount, MAX_DISK_BYTES);
  if (!Number.isInteger(Math.log2(blockBytes)) || blockBytes < MIB || blockBytes > 256 * MIB)
    throw new AnilloError('BAD_OPTION', `A VHDX image cannot have blocks of ${blockBytes} bytes; give a power of two from 1M to 256M.`);
  const blocks = Math.ceil(byteCount / blockBytes);
  const chunkBlocks = (CHUNK_SECTORS * SECTOR_BYTES) / blockBytes;
  const entries = blocks + Math.floor(Math.max(0, blocks - 1) / chunkBlocks);
  const batBytes = Math.max(1, Math.ceil((8 * entries) / MIB)) * MIB;
  const dataOffset = BAT_OFFSET + batBytes;
  await store.write(0, [FILE_SIGNATURE, utf16Bytes('Anillo')]);
  for (const offset of REGION_TABLE_OFFSETS) await store.write(offset, [regionTable(batBytes)]);
  await store.write(METADATA_OFFSET, [metadataTable(options)]);
  if (isFixed) await writeFullTable(store, blocks, chunkBlocks, blockBytes, dataOffset);
  await store.resize(dataOffset + (isFixed ? blocks * blockBytes : 0));
  const log = { logGuid: new Uint8Array(16), logBytes: MIB, logOffset: LOG_OFFSET };
  await writeVhdxHeader(store, { sequence: 0, slot: 1, fileWriteGuid: randomId(), dataWriteGuid: randomId(), ...log });
}
