// Another size for the disk. Nothing else is on its way.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ClusterReader } from './cluster-reader.ts';
import type { ClusterWriter } from './cluster-writer.ts';
import { EXTENSION, extensionOf, MAX_L1_BYTES } from './header.ts';
import type { Tables } from './tables.ts';

/** A longer L1 table elsewhere; the header names it together with the new size. */
async function growL1(tables: Tables, entries: number): Promise<void> {
  const { header, geometry, store } = tables;
  if (entries * 8 > MAX_L1_BYTES)
    throw new AnilloError(
      'UNSUPPORTED',
      `Clusters of ${geometry.clusterBytes} bytes do not allow a disk of this size; convert with a larger cluster_size.`,
    );
  const old = { offset: header.l1Offset, byteCount: header.l1Entries * 8 };
  const l1 = new Uint8Array(Math.ceil((entries * 8) / geometry.clusterBytes) * geometry.clusterBytes);
  l1.set(tables.l1Bytes);
  const { cluster } = await tables.refcounts.allocate(l1.length / geometry.clusterBytes, true);
  await store.write(cluster * geometry.clusterBytes, [l1]);
  await tables.refcounts.writeBack();
  await store.flush();
  header.l1Offset = cluster * geometry.clusterBytes;
  header.l1Entries = entries;
  await tables.writeHeader();
  tables.replaceL1(l1.subarray(0, entries * 8));
  if (old.byteCount > 0) tables.freeLater(old.offset / geometry.clusterBytes, Math.ceil(old.byteCount / geometry.clusterBytes));
}

async function shrink(tables: Tables, writer: ClusterWriter, byteCount: number): Promise<void> {
  const { header, geometry } = tables;
  const { clusterBytes, l2Span } = geometry;
  const from = Math.ceil(byteCount / clusterBytes) * clusterBytes;
  if (from < header.byteCount) await writer.discard(from, header.byteCount - from, true);
  for (let index = Math.ceil(byteCount / l2Span); index < header.l1Entries; index++) {
    const table = tables.l2TableOf(index);
    if (table === 0) continue;
    tables.setL1(index, 0, false);
    tables.freeLater(table / clusterBytes, 1);
  }
  await tables.settle();
  header.byteCount = byteCount;
  await tables.writeHeader();
}

export async function resizeImage(tables: Tables, reader: ClusterReader, writer: ClusterWriter, byteCount: number): Promise<void> {
  const { header, geometry, store } = tables;
  if (extensionOf(header, EXTENSION.bitmaps) !== undefined)
    throw new AnilloError(
      'UNSUPPORTED',
      `${store.name} has bitmaps, which have the disk's size; remove them with 'qemu-img bitmap --remove' first.`,
    );
  if (header.snapshotCount > 0 && header.version < 3)
    throw new AnilloError(
      'UNSUPPORTED',
      `${store.name} is of version 2, whose snapshots do not know their size; delete them, or convert it.`,
    );
  const old = header.byteCount;
  if (byteCount < old) return shrink(tables, writer, byteCount);
  if (byteCount === old) return;
  const entries = Math.ceil(byteCount / geometry.l2Span);
  if (entries > header.l1Entries) await growL1(tables, entries);
  header.byteCount = byteCount;
  await tables.writeHeader();
  // Neither what an earlier, larger disk left in the last cluster nor what lies behind may show.
  const clean = Math.max(Math.ceil(old / geometry.clusterBytes) * geometry.clusterBytes, reader.backing?.byteCount ?? 0);
  await writer.writeZeroes(old, Math.min(clean, byteCount) - old, true);
  await tables.settle();
}
