// Makes the checksums of a damaged VHDX image right again, so that what they guard is believed. For fuzzing.

import { crc32cAround } from '@anillo/disk/crc32c';
import {
  HEADER,
  HEADER_BYTES,
  HEADER_OFFSETS,
  LOG_ENTRY,
  MIB,
  REGION_TABLE,
  REGION_TABLE_BYTES,
  REGION_TABLE_OFFSETS,
} from '@anillo/disk/vhdx/vhdx-layout';
import type { ForkedStore } from './forked-store.ts';

async function mend(store: ForkedStore, offset: number, byteCount: number, sumOffset: number): Promise<void> {
  const bytes = new Uint8Array(byteCount);
  await store.read(offset, [bytes]);
  const sum = new Uint8Array(4);
  new DataView(sum.buffer).setUint32(0, crc32cAround(bytes, sumOffset), true);
  store.put(offset + sumOffset, sum);
}

export async function mendVhdx(store: ForkedStore): Promise<void> {
  if ((await store.size()) < 3 * MIB) return;
  for (const offset of HEADER_OFFSETS) await mend(store, offset, HEADER_BYTES, HEADER.offset.checksum);
  for (const offset of REGION_TABLE_OFFSETS) await mend(store, offset, REGION_TABLE_BYTES, REGION_TABLE.offset.checksum);
  // Where images that were not closed have their log's first entry.
  const head = new Uint8Array(LOG_ENTRY.byteCount);
  await store.read(MIB, [head]);
  const { entryBytes } = LOG_ENTRY.decode(head);
  if (entryBytes > 0 && entryBytes <= 65536) await mend(store, MIB, entryBytes, LOG_ENTRY.offset.checksum);
}
