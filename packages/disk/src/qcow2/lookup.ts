// Where the image keeps a guest address: L1 and L2 entries, extended ones too (QEMU, docs/interop/qcow2.txt, "L2 table entry" and "Extended L2 Entries").

import type { Block } from './block-cache.ts';
import { COMPRESSED_HI, entryOffset, ZERO_LO } from './geometry.ts';
import type { Tables } from './tables.ts';

/** Not here: what lies behind shows. */
export const ABSENT = 0;
export const ZERO = 1;
export const DATA = 2;
export const COMPRESSED = 3;

/** Bytes of the guest in a row that are kept in the same way. */
export interface Run {
  readonly kind: number;
  readonly offset: number;
  byteCount: number;
  /** DATA: where it lies. ZERO and ABSENT: -1. COMPRESSED: the entry's halves are `hi` and `lo`, and the run is of one cluster. */
  readonly host: number;
  readonly hi: number;
  readonly lo: number;
}

export const l1IndexOf = (tables: Tables, offset: number): number => Math.floor(offset / tables.geometry.l2Span);

/** Where the piece of the L2 table begins that has the entry; 0: there is no table. AnilloError BAD_IMAGE. */
export function l2BlockOf(tables: Tables, offset: number): number {
  const { clusterBytes, l2EntryBytes, l2Span, blockBytes } = tables.geometry;
  const table = tables.l2TableOf(Math.floor(offset / l2Span));
  if (table === 0) return 0;
  const byte = Math.floor((offset % l2Span) / clusterBytes) * l2EntryBytes;
  return table + byte - (byte % blockBytes);
}

/** Place of the entry in its piece, in bytes. */
export function entryAt(tables: Tables, offset: number): number {
  const { clusterBytes, l2EntryBytes, blockBytes } = tables.geometry;
  return (Math.floor(offset / clusterBytes) * l2EntryBytes) % blockBytes;
}

/** Bytes from `offset` to the end of what its piece of the L2 table maps. */
export function mappedByBlock(tables: Tables, offset: number): number {
  const { clusterBytes, l2EntryBytes, blockBytes } = tables.geometry;
  const span = (blockBytes / l2EntryBytes) * clusterBytes;
  return span - (offset % span);
}

/** Is the subcluster kept here (DATA), zero or absent? For an entry that is not compressed. AnilloError BAD_IMAGE. */
function subclusterKind(tables: Tables, view: DataView, at: number, subcluster: number, host: number): number {
  const isData = (view.getUint32(at + 12) >>> subcluster) & 1;
  const isZero = (view.getUint32(at + 8) >>> subcluster) & 1;
  if (isData & isZero) throw tables.corrupt('a subcluster is marked both as zero and as kept');
  if (isData === 1 && host === 0) throw tables.corrupt('a subcluster is marked as kept in no cluster');
  return isZero === 1 ? ZERO : isData === 1 ? DATA : ABSENT;
}

function kindAt(tables: Tables, view: DataView, at: number, offset: number): number {
  const hi = view.getUint32(at);
  if (hi & COMPRESSED_HI) return COMPRESSED;
  const lo = view.getUint32(at + 4);
  const host = entryOffset(hi, lo);
  const { geometry } = tables;
  if (host % geometry.clusterBytes !== 0 || host >= 2 ** 53) throw tables.corrupt('an L2 entry names no start of a cluster');
  if (geometry.isExtended)
    return subclusterKind(tables, view, at, Math.floor((offset % geometry.clusterBytes) / geometry.subclusterBytes), host);
  if (lo & ZERO_LO) {
    if (tables.header.version < 3) throw tables.corrupt('an L2 entry of version 2 is marked as zero');
    return ZERO;
  }
  return host === 0 ? ABSENT : DATA;
}

/** The run at `offset`, at most `byteCount` long and within the piece of the table. AnilloError BAD_IMAGE. */
export function runIn(tables: Tables, block: Block, offset: number, byteCount: number): Run {
  const { clusterBytes, subclusterBytes, l2EntryBytes } = tables.geometry;
  const { view } = block;
  let at = entryAt(tables, offset);
  const hi = view.getUint32(at);
  const lo = view.getUint32(at + 4);
  const kind = kindAt(tables, view, at, offset);
  if (kind === COMPRESSED)
    return { kind, offset, byteCount: Math.min(byteCount, clusterBytes - (offset % clusterBytes)), host: -1, hi, lo };
  const limit = Math.min(byteCount, mappedByBlock(tables, offset));
  const host = kind === DATA ? entryOffset(hi, lo) + (offset % clusterBytes) : -1;
  let count = subclusterBytes - (offset % subclusterBytes);
  while (count < limit) {
    const next = offset + count;
    if (next % clusterBytes === 0) at += l2EntryBytes;
    if (kindAt(tables, view, at, next) !== kind) break;
    if (kind === DATA && entryOffset(view.getUint32(at), view.getUint32(at + 4)) + (next % clusterBytes) !== host + count) break;
    count += subclusterBytes;
  }
  return { kind, offset, byteCount: Math.min(count, limit), host, hi, lo };
}

/** The run at `offset`; undefined: the piece of the table that tells is not in memory. */
export function lookUp(tables: Tables, offset: number, byteCount: number): Run | undefined {
  const place = l2BlockOf(tables, offset);
  if (place === 0) {
    const { l2Span } = tables.geometry;
    return { kind: ABSENT, offset, byteCount: Math.min(byteCount, l2Span - (offset % l2Span)), host: -1, hi: 0, lo: 0 };
  }
  const block = tables.l2.peek(place);
  return block === undefined ? undefined : runIn(tables, block, offset, byteCount);
}

/** The runs of a range, neighbours made one. */
export async function runsOf(
  tables: Tables,
  offset: number,
  byteCount: number,
  maxRuns = Number.POSITIVE_INFINITY,
): Promise<readonly Run[]> {
  const runs: Run[] = [];
  for (let at = offset; at < offset + byteCount && runs.length < maxRuns; ) {
    const run = lookUp(tables, at, offset + byteCount - at);
    if (run === undefined) {
      await tables.l2.load(l2BlockOf(tables, at));
      continue;
    }
    at += run.byteCount;
    const last = runs.at(-1);
    if (
      last !== undefined &&
      last.kind === run.kind &&
      run.kind !== COMPRESSED &&
      (run.kind !== DATA || last.host + last.byteCount === run.host)
    )
      last.byteCount += run.byteCount;
    else runs.push(run);
  }
  return runs;
}
