// Internal snapshots: a copy of the L1 table, whose clusters then count once more. Nothing else is on its way while one of these runs.
//
// Each step is stable before the next: shared clusters lose their mark of being the disk's alone before they are shared, counts go up before the header names what needs
// them, and down after it has ceased to. In version 3 the dirty bit is set meanwhile, so that what is cut is counted anew by whoever opens it.

import { AnilloError } from '@anillo/base/anillo-error';
import { utf8Bytes } from '../text-bytes.ts';
import { COMPRESSED_HI, COPIED_HI, compressedPlace, entryOffset } from './geometry.ts';
import { findSnapshot, readSnapshots, type Snapshot, serializeSnapshots } from './snapshot-table.ts';
import type { Tables } from './tables.ts';

/** L2 tables and data that an L1 table leads to, each row of clusters once for each reference. */
async function forEachReference(tables: Tables, l1: Uint8Array, visit: (cluster: number, count: number) => Promise<void>): Promise<void> {
  const { clusterBytes } = tables.geometry;
  const view = new DataView(l1.buffer, l1.byteOffset, l1.byteLength);
  for (let at = 0; at + 8 <= l1.length; at += 8) {
    const offset = entryOffset(view.getUint32(at), view.getUint32(at + 4));
    if (offset === 0) continue;
    if (offset % clusterBytes !== 0) throw tables.corrupt("a snapshot's L2 table is not at the start of a cluster");
    await visit(offset / clusterBytes, 1);
    const table = new Uint8Array(clusterBytes);
    await tables.store.read(offset, [table]);
    await forEachRow(tables, table, visit);
  }
}

async function forEachRow(tables: Tables, table: Uint8Array, visit: (cluster: number, count: number) => Promise<void>): Promise<void> {
  const { clusterBytes, l2EntryBytes, clusterBits } = tables.geometry;
  const view = new DataView(table.buffer);
  let first = 0;
  let count = 0;
  for (let at = 0; at < table.length; at += l2EntryBytes) {
    const [hi, lo] = [view.getUint32(at), view.getUint32(at + 4)];
    let [cluster, length] = [0, 1];
    if (hi & COMPRESSED_HI) {
      const place = compressedPlace(hi, lo, clusterBits);
      cluster = Math.floor(place.offset / clusterBytes);
      length = Math.floor((place.offset + place.byteCount - 1) / clusterBytes) - cluster + 1;
    } else {
      const offset = entryOffset(hi, lo);
      if (offset === 0) continue;
      if (offset % clusterBytes !== 0) throw tables.corrupt('an L2 entry names no start of a cluster');
      cluster = offset / clusterBytes;
    }
    if (count > 0 && cluster === first + count && !(hi & COMPRESSED_HI)) count++;
    else {
      if (count > 0) await visit(first, count);
      [first, count] = [cluster, length];
    }
  }
  if (count > 0) await visit(first, count);
}

/** Sets the marks of being the disk's alone right, in the L1 table and the tables that it leads to: none (`isAnyOwn` false), or by their counts. */
async function markOwn(tables: Tables, isAnyOwn: boolean): Promise<void> {
  const { clusterBytes, l2EntryBytes } = tables.geometry;
  const isOwn = async (offset: number): Promise<boolean> => isAnyOwn && (await tables.refcounts.count(offset / clusterBytes)) === 1;
  for (let index = 0; index < tables.header.l1Entries; index++) {
    const offset = tables.l2TableOf(index);
    if (offset === 0) continue;
    const table = new Uint8Array(clusterBytes);
    const view = new DataView(table.buffer);
    await tables.store.read(offset, [table]);
    let hasChanged = false;
    for (let at = 0; at < clusterBytes; at += l2EntryBytes) {
      const hi = view.getUint32(at);
      const data = entryOffset(hi, view.getUint32(at + 4));
      if (hi & COMPRESSED_HI || data === 0) continue;
      const marked = ((hi & ~COPIED_HI) | ((await isOwn(data)) ? COPIED_HI : 0)) >>> 0;
      if (marked === hi) continue;
      view.setUint32(at, marked);
      hasChanged = true;
    }
    if (hasChanged) await tables.store.write(offset, [table]);
    if (tables.isOwnTable(index) !== (await isOwn(offset))) tables.setL1(index, offset, !tables.isOwnTable(index));
  }
  tables.l2.forgetAll();
  await tables.writeBack();
  await tables.store.flush();
}

async function changeAll(tables: Tables, l1: Uint8Array, by: number): Promise<void> {
  await forEachReference(tables, l1, (cluster, count) => tables.refcounts.change(cluster, count, by));
  await settleCounts(tables);
}

async function settleCounts(tables: Tables): Promise<void> {
  await tables.refcounts.writeBack();
  await tables.store.flush();
}

/** Writes bytes into clusters of their own, and waits until they are stable. */
async function place(tables: Tables, bytes: Uint8Array): Promise<number> {
  if (bytes.length === 0) return 0;
  const { clusterBytes } = tables.geometry;
  const { cluster } = await tables.refcounts.allocate(Math.ceil(bytes.length / clusterBytes), true);
  const padded = new Uint8Array(Math.ceil(bytes.length / clusterBytes) * clusterBytes);
  padded.set(bytes);
  await tables.store.write(cluster * clusterBytes, [padded]);
  await settleCounts(tables);
  return cluster * clusterBytes;
}

async function release(tables: Tables, offset: number, byteCount: number): Promise<void> {
  const { clusterBytes } = tables.geometry;
  if (byteCount > 0) await tables.refcounts.change(offset / clusterBytes, Math.ceil(byteCount / clusterBytes), -1);
}

async function replaceTable(tables: Tables, snapshots: readonly Snapshot[], oldByteCount: number): Promise<void> {
  const { header } = tables;
  const old = header.snapshotsOffset;
  const offset = await place(tables, serializeSnapshots(snapshots));
  header.snapshotsOffset = offset;
  header.snapshotCount = snapshots.length;
  await tables.writeHeader();
  await release(tables, old, oldByteCount);
}

async function readL1(tables: Tables, snapshot: Snapshot): Promise<Uint8Array> {
  if (snapshot.l1Offset % tables.geometry.clusterBytes !== 0)
    throw tables.corrupt("a snapshot's L1 table is not at the start of a cluster");
  const l1 = new Uint8Array(snapshot.l1Entries * 8);
  await tables.store.read(snapshot.l1Offset, [l1]);
  return l1;
}

export async function createSnapshot(tables: Tables, name: string, at: Date): Promise<void> {
  const { header, geometry, store } = tables;
  if (geometry.maxRefcount < 2)
    throw new AnilloError(
      'UNSUPPORTED',
      `${store.name} counts references in one bit, which leaves no room for snapshots; convert it with refcount_bits=16.`,
    );
  if (name === '' || utf8Bytes(name).length > 255)
    throw new AnilloError('BAD_OPTION', 'The name of a snapshot has 1 to 255 bytes; choose another.');
  const { snapshots, byteCount } = await readSnapshots(store, header);
  if (snapshots.length >= 65536) throw new AnilloError('UNSUPPORTED', `${store.name} has 65536 snapshots; delete some.`);
  await tables.setDirtyBit(true);
  await markOwn(tables, false);
  await changeAll(tables, tables.l1Bytes, 1);
  const l1Offset = await place(tables, tables.l1Bytes.slice());
  const extra = new Uint8Array(24);
  new DataView(extra.buffer).setBigUint64(8, BigInt(header.byteCount));
  // No instructions counted.
  new DataView(extra.buffer).setBigInt64(16, -1n);
  const id = snapshots.reduce((largest, other) => Math.max(largest, Number.parseInt(other.id, 10) || 0), 0) + 1;
  const taken = {
    id: String(id),
    name,
    l1Offset,
    l1Entries: header.l1Entries,
    seconds: Math.floor(at.getTime() / 1000),
    nanoseconds: (at.getTime() % 1000) * 1e6,
    vmClock: 0n,
    vmStateBytes: 0,
    byteCount: header.byteCount,
    extra,
  };
  await replaceTable(tables, [...snapshots, taken], byteCount);
  await settleCounts(tables);
  await tables.setDirtyBit(false);
}

export async function applySnapshot(tables: Tables, idOrName: string): Promise<void> {
  const { header, geometry } = tables;
  const { snapshots } = await readSnapshots(tables.store, header);
  const snapshot = findSnapshot(snapshots, idOrName, tables.store.name);
  const byteCount = snapshot.byteCount ?? header.byteCount;
  const kept = await readL1(tables, snapshot);
  const entries = Math.max(snapshot.l1Entries, Math.ceil(byteCount / geometry.l2Span));
  const l1 = new Uint8Array(entries * 8);
  l1.set(kept);
  for (let at = 0; at < l1.length; at += 8) l1[at] &= 0x7f;
  await tables.setDirtyBit(true);
  await changeAll(tables, l1, 1);
  const old = { l1: tables.l1Bytes.slice(), offset: header.l1Offset };
  header.l1Offset = await place(tables, l1);
  header.l1Entries = entries;
  header.byteCount = byteCount;
  await tables.writeHeader();
  tables.replaceL1(l1);
  await changeAll(tables, old.l1, -1);
  await release(tables, old.offset, old.l1.length);
  await markOwn(tables, true);
  await settleCounts(tables);
  await tables.setDirtyBit(false);
}

export async function deleteSnapshot(tables: Tables, idOrName: string): Promise<void> {
  const { header } = tables;
  const { snapshots, byteCount } = await readSnapshots(tables.store, header);
  const snapshot = findSnapshot(snapshots, idOrName, tables.store.name);
  const l1 = await readL1(tables, snapshot);
  await tables.setDirtyBit(true);
  await replaceTable(
    tables,
    snapshots.filter((other) => other !== snapshot),
    byteCount,
  );
  await changeAll(tables, l1, -1);
  await release(tables, snapshot.l1Offset, l1.length);
  await settleCounts(tables);
  await markOwn(tables, true);
  await tables.setDirtyBit(false);
}
