// Reads and renews what a VHDX file says of itself (MS-VHDX 2.2, 2.4 to 2.6).

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from '../byte-store.ts';
import { viewOf } from '../packed-layout.ts';
import { utf16Text } from '../text-bytes.ts';
import { crc32cAround } from '../crc32c.ts';
import { guidText, isZeroGuid } from './guid.ts';
import {
  FILE_FLAG,
  FILE_SIGNATURE,
  HEADER,
  HEADER_BYTES,
  HEADER_OFFSETS,
  HEADER_SIGNATURE,
  MAX_DISK_BYTES,
  MAX_TABLE_ENTRIES,
  METADATA,
  METADATA_ENTRY,
  METADATA_FLAG,
  METADATA_SIGNATURE,
  METADATA_TABLE,
  METADATA_TABLE_BYTES,
  MIB,
  PARENT_ENTRY,
  PARENT_LOCATOR,
  PARENT_TYPE_VHDX,
  REGION,
  REGION_ENTRY,
  REGION_SIGNATURE,
  REGION_TABLE,
  REGION_TABLE_BYTES,
  REGION_TABLE_OFFSETS,
} from './vhdx-layout.ts';

export interface VhdxHeader {
  readonly sequence: number;
  readonly fileWriteGuid: Uint8Array;
  readonly dataWriteGuid: Uint8Array;
  /** Zero: the log is empty. */
  readonly logGuid: Uint8Array;
  readonly logBytes: number;
  readonly logOffset: number;
  /** Which of the two places it was read from. */
  readonly slot: 0 | 1;
}

const bad = (name: string, what: string): AnilloError => new AnilloError('BAD_IMAGE', `${name} is no usable VHDX image: ${what}.`);

async function readAt(store: ByteStore, offset: number, byteCount: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(byteCount);
  await store.read(offset, [bytes]);
  return bytes;
}

export function isVhdx(head: Uint8Array): boolean {
  return head.length >= 8 && FILE_SIGNATURE.every((byte, i) => head[i] === byte);
}

/** The newer of the two. AnilloError BAD_IMAGE, UNSUPPORTED. */
export async function readVhdxHeader(store: ByteStore): Promise<VhdxHeader> {
  if (!isVhdx(await readAt(store, 0, 8))) throw bad(store.name, 'its signature is missing');
  let newest: (VhdxHeader & { readonly version: number; readonly logVersion: number }) | undefined;
  for (const [slot, offset] of HEADER_OFFSETS.entries()) {
    const bytes = await readAt(store, offset, HEADER_BYTES);
    const header = HEADER.decode(bytes);
    if (header.signature !== HEADER_SIGNATURE || header.checksum !== crc32cAround(bytes, HEADER.offset.checksum)) continue;
    if (newest === undefined || header.sequence > newest.sequence) newest = { ...header, slot: slot as 0 | 1 };
  }
  if (newest === undefined) throw bad(store.name, 'neither of its headers is whole');
  const { version, logVersion, logGuid, logBytes, logOffset } = newest;
  if (version !== 1 || (!isZeroGuid(logGuid) && logVersion !== 0))
    throw new AnilloError(
      'UNSUPPORTED',
      `${store.name} is a VHDX image of version ${version}, with a log of version ${logVersion}; 1 and 0 are known.`,
    );
  if (logBytes % MIB !== 0 || logOffset % MIB !== 0 || (logBytes > 0 && logOffset < MIB) || logOffset > 2 ** 50)
    throw bad(store.name, 'its log lies elsewhere');
  return newest;
}

/** Twice, so that both places have the same; each is whole before the other is touched. */
export async function writeVhdxHeader(store: ByteStore, header: VhdxHeader): Promise<VhdxHeader> {
  let { sequence, slot } = header;
  for (let time = 0; time < 2; time++) {
    sequence++;
    slot = slot === 0 ? 1 : 0;
    const bytes = new Uint8Array(HEADER_BYTES);
    const { fileWriteGuid, dataWriteGuid, logGuid, logBytes, logOffset } = header;
    HEADER.encodeInto(bytes, 0, {
      signature: HEADER_SIGNATURE,
      sequence,
      fileWriteGuid,
      dataWriteGuid,
      logGuid,
      version: 1,
      logBytes,
      logOffset,
    });
    HEADER.encodeInto(bytes, 0, { checksum: crc32cAround(bytes, HEADER.offset.checksum) });
    await store.write(HEADER_OFFSETS[slot], [bytes]);
    await store.flush();
  }
  return { ...header, sequence, slot };
}

export interface VhdxRegion {
  readonly offset: number;
  readonly byteCount: number;
}

/** AnilloError BAD_IMAGE, UNSUPPORTED. */
export async function readRegions(store: ByteStore): Promise<{ readonly bat: VhdxRegion; readonly metadata: VhdxRegion }> {
  for (const offset of REGION_TABLE_OFFSETS) {
    const bytes = await readAt(store, offset, REGION_TABLE_BYTES);
    const { signature, checksum, entryCount } = REGION_TABLE.decode(bytes);
    if (signature !== REGION_SIGNATURE || entryCount > MAX_TABLE_ENTRIES || checksum !== crc32cAround(bytes, REGION_TABLE.offset.checksum))
      continue;
    const found = new Map<string, VhdxRegion>();
    for (let i = 0; i < entryCount; i++) {
      const { guid, offset: at, byteCount, isRequired } = REGION_ENTRY.decode(bytes, REGION_TABLE.byteCount + i * REGION_ENTRY.byteCount);
      const name = guidText(guid);
      if (name !== REGION.bat && name !== REGION.metadata && (isRequired & 1) !== 0)
        throw new AnilloError('UNSUPPORTED', `${store.name} has a region ${name} that is not known.`);
      if (at % MIB !== 0 || at < MIB || at > 2 ** 50 || byteCount % MIB !== 0 || byteCount === 0)
        throw bad(store.name, 'one of its regions lies elsewhere');
      found.set(name, { offset: at, byteCount });
    }
    const [bat, metadata] = [found.get(REGION.bat), found.get(REGION.metadata)];
    if (bat === undefined || metadata === undefined) throw bad(store.name, 'it has no block table or no metadata');
    return { bat, metadata };
  }
  throw bad(store.name, 'neither of its region tables is whole');
}

export interface VhdxMetadata {
  readonly blockBytes: number;
  readonly diskBytes: number;
  readonly logicalSectorBytes: number;
  /** Of the parent locator; undefined: there is no image behind it. */
  readonly parent: ReadonlyMap<string, string> | undefined;
}

const MAX_ITEM_BYTES = MIB;

async function readItems(store: ByteStore, { offset, byteCount }: VhdxRegion): Promise<ReadonlyMap<string, Uint8Array>> {
  const table = await readAt(store, offset, METADATA_TABLE_BYTES);
  const { signature, entryCount } = METADATA_TABLE.decode(table);
  if (METADATA_SIGNATURE.some((byte, i) => signature[i] !== byte) || entryCount > MAX_TABLE_ENTRIES)
    throw bad(store.name, 'its metadata is missing');
  const items = new Map<string, Uint8Array>();
  const known: readonly string[] = Object.values(METADATA);
  for (let i = 0; i < entryCount; i++) {
    const entry = METADATA_ENTRY.decode(table, METADATA_TABLE.byteCount + i * METADATA_ENTRY.byteCount);
    const name = guidText(entry.guid);
    if (!known.includes(name)) {
      if ((entry.flags & METADATA_FLAG.required) !== 0)
        throw new AnilloError('UNSUPPORTED', `${store.name} has metadata ${name} that is not known.`);
      continue;
    }
    if (entry.byteCount > MAX_ITEM_BYTES || entry.offset < METADATA_TABLE_BYTES || entry.offset + entry.byteCount > byteCount)
      throw bad(store.name, 'its metadata lies elsewhere');
    if (!items.has(name)) items.set(name, await readAt(store, offset + entry.offset, entry.byteCount));
  }
  return items;
}

function parentEntries(name: string, item: Uint8Array): ReadonlyMap<string, string> {
  if (item.length < PARENT_LOCATOR.byteCount) throw bad(name, 'it does not tell which image lies behind it');
  const { type, entryCount } = PARENT_LOCATOR.decode(item);
  if (guidText(type) !== PARENT_TYPE_VHDX)
    throw new AnilloError('UNSUPPORTED', `${name} names the image behind it in a way that is not known.`);
  const found = new Map<string, string>();
  for (let i = 0; i < entryCount; i++) {
    const at = PARENT_LOCATOR.byteCount + i * PARENT_ENTRY.byteCount;
    if (at + PARENT_ENTRY.byteCount > item.length) throw bad(name, 'the name of the image behind it is cut short');
    const { keyOffset, keyBytes, valueOffset, valueBytes } = PARENT_ENTRY.decode(item, at);
    if (keyOffset + keyBytes > item.length || valueOffset + valueBytes > item.length)
      throw bad(name, 'the name of the image behind it is cut short');
    found.set(utf16Text(item.subarray(keyOffset, keyOffset + keyBytes)), utf16Text(item.subarray(valueOffset, valueOffset + valueBytes)));
  }
  return found;
}

/** AnilloError BAD_IMAGE, UNSUPPORTED. */
export async function readVhdxMetadata(store: ByteStore, region: VhdxRegion): Promise<VhdxMetadata> {
  const items = await readItems(store, region);
  const item = (id: string, byteCount: number): DataView => {
    const bytes = items.get(id);
    if (bytes === undefined || bytes.length < byteCount) throw bad(store.name, 'a part of its metadata is missing');
    return viewOf(bytes);
  };
  const parameters = item(METADATA.fileParameters, 8);
  const [blockBytes, flags] = [parameters.getUint32(0, true), parameters.getUint32(4, true)];
  const diskBytes = Number(item(METADATA.diskSize, 8).getBigUint64(0, true));
  const logicalSectorBytes = item(METADATA.logicalSector, 4).getUint32(0, true);
  if (logicalSectorBytes !== 512 && logicalSectorBytes !== 4096) throw bad(store.name, `it has sectors of ${logicalSectorBytes} bytes`);
  if (blockBytes < MIB || blockBytes > 256 * MIB || !Number.isInteger(Math.log2(blockBytes)))
    throw bad(store.name, `it has blocks of ${blockBytes} bytes`);
  if (diskBytes % logicalSectorBytes !== 0 || diskBytes > MAX_DISK_BYTES) throw bad(store.name, `its disk has ${diskBytes} bytes`);
  const locator = items.get(METADATA.parentLocator) ?? new Uint8Array(0);
  const parent = (flags & FILE_FLAG.hasParent) === 0 ? undefined : parentEntries(store.name, locator);
  return { blockBytes, diskBytes, logicalSectorBytes, parent };
}
