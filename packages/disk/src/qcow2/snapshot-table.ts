// The table of internal snapshots (QEMU, docs/interop/qcow2.txt, "Snapshots").

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from '../byte-store.ts';
import { utf8Bytes, utf8Text } from '../text-bytes.ts';
import { type Header, MAX_L1_BYTES } from './header.ts';

const MAX_TABLE_BYTES = 64 << 20;
const MAX_EXTRA = 1024;
const FIXED = 40;

export interface Snapshot {
  readonly id: string;
  readonly name: string;
  readonly l1Offset: number;
  readonly l1Entries: number;
  readonly seconds: number;
  readonly nanoseconds: number;
  /** Nanoseconds of the machine's clock. */
  readonly vmClock: bigint;
  readonly vmStateBytes: number;
  /** Of the disk then; undefined in old images: as now. */
  readonly byteCount: number | undefined;
  /** What follows the fixed fields, as it is. */
  readonly extra: Uint8Array;
}

const bad = (store: ByteStore, what: string): AnilloError =>
  new AnilloError('BAD_IMAGE', `${store.name} is damaged: ${what}; run 'anillo image check' on it, or restore it from a copy.`);

/** Reads in pieces, for a table's size stands nowhere. */
class TableReader {
  readonly #store: ByteStore;
  readonly #start: number;
  #bytes = new Uint8Array(0);
  /** Of the store, by the table. */
  at = 0;

  constructor(store: ByteStore, start: number) {
    this.#store = store;
    this.#start = start;
  }

  async take(byteCount: number): Promise<Uint8Array> {
    if (this.at + byteCount > MAX_TABLE_BYTES) throw bad(this.#store, 'its snapshot table is too large');
    if (this.at + byteCount > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.at + byteCount, this.#bytes.length * 2, 4096));
      grown.set(this.#bytes);
      await this.#store.read(this.#start + this.#bytes.length, [grown.subarray(this.#bytes.length)]);
      this.#bytes = grown;
    }
    const part = this.#bytes.subarray(this.at, this.at + byteCount);
    this.at += byteCount;
    return part;
  }
}

async function readOne(reader: TableReader, store: ByteStore): Promise<Snapshot> {
  const fixed = await reader.take(FIXED);
  const view = new DataView(fixed.buffer, fixed.byteOffset, FIXED);
  const l1Offset = view.getBigUint64(0);
  const l1Entries = view.getUint32(8);
  const extraBytes = view.getUint32(36);
  if (l1Offset >= 1n << 53n || l1Entries * 8 > MAX_L1_BYTES) throw bad(store, "a snapshot's L1 table has no sensible place or size");
  if (extraBytes > MAX_EXTRA) throw bad(store, 'a snapshot has too much extra data');
  const [idBytes, nameBytes] = [view.getUint16(12), view.getUint16(14)];
  const [seconds, nanoseconds, vmClock, state32] = [view.getUint32(16), view.getUint32(20), view.getBigUint64(24), view.getUint32(32)];
  const extra = (await reader.take(extraBytes)).slice();
  const extraView = new DataView(extra.buffer);
  const id = utf8Text(await reader.take(idBytes));
  const name = utf8Text(await reader.take(nameBytes));
  await reader.take((8 - (reader.at % 8)) % 8);
  const byteCount = extraBytes >= 16 ? Number(extraView.getBigUint64(8)) : undefined;
  if (byteCount !== undefined && byteCount > 2 ** 53) throw bad(store, "a snapshot's size is out of range");
  return {
    id,
    name,
    l1Offset: Number(l1Offset),
    l1Entries,
    seconds,
    nanoseconds,
    vmClock,
    vmStateBytes: extraBytes >= 8 ? Number(extraView.getBigUint64(0)) : state32,
    byteCount,
    extra,
  };
}

/** AnilloError BAD_IMAGE. */
export async function readSnapshotTable(store: ByteStore, header: Header): Promise<readonly Snapshot[]> {
  return (await readSnapshots(store, header)).snapshots;
}

export async function readSnapshots(store: ByteStore, header: Header): Promise<{ snapshots: readonly Snapshot[]; byteCount: number }> {
  const reader = new TableReader(store, header.snapshotsOffset);
  const snapshots: Snapshot[] = [];
  for (let index = 0; index < header.snapshotCount; index++) snapshots.push(await readOne(reader, store));
  return { snapshots, byteCount: reader.at };
}

export function serializeSnapshots(snapshots: readonly Snapshot[]): Uint8Array {
  const parts = snapshots.map((snapshot) => {
    const [id, name] = [utf8Bytes(snapshot.id), utf8Bytes(snapshot.name)];
    const end = FIXED + snapshot.extra.length + id.length + name.length;
    const bytes = new Uint8Array(Math.ceil(end / 8) * 8);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(snapshot.l1Offset));
    view.setUint32(8, snapshot.l1Entries);
    view.setUint16(12, id.length);
    view.setUint16(14, name.length);
    view.setUint32(16, snapshot.seconds);
    view.setUint32(20, snapshot.nanoseconds);
    view.setBigUint64(24, snapshot.vmClock);
    view.setUint32(32, Math.min(snapshot.vmStateBytes, 0xffff_ffff));
    view.setUint32(36, snapshot.extra.length);
    bytes.set(snapshot.extra, FIXED);
    bytes.set(id, FIXED + snapshot.extra.length);
    bytes.set(name, FIXED + snapshot.extra.length + id.length);
    return bytes;
  });
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** By id first, then by name. AnilloError BAD_OPTION where there is none. */
export function findSnapshot(snapshots: readonly Snapshot[], idOrName: string, image: string): Snapshot {
  const found = snapshots.find(({ id }) => id === idOrName) ?? snapshots.find(({ name }) => name === idOrName);
  if (found === undefined) {
    const names = snapshots.map(({ name }) => name).join(', ');
    throw new AnilloError('BAD_OPTION', `${image} has no snapshot "${idOrName}"; ${names === '' ? 'it has none' : `it has ${names}`}.`);
  }
  return found;
}
