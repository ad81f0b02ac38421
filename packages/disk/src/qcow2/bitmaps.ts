// Persistent dirty bitmaps (QEMU, docs/interop/qcow2.txt, "Bitmaps extension"). Those that record what changes go on doing so: they are marked as in use before the first
// write, and have the new bits when the image is closed. A process that dies leaves the mark, which tells everybody that they cannot be relied upon.

import { AnilloError } from '@anillo/base/anillo-error';
import { utf8Text } from '../text-bytes.ts';
import { hiOf, loOf } from './geometry.ts';
import { AUTOCLEAR, EXTENSION, extensionOf } from './header.ts';
import type { Tables } from './tables.ts';

const IN_USE = 1;
const AUTO = 2;
const MAX_DIRECTORY_BYTES = 65536 * 1024;
const MAX_TABLE_ENTRIES = 1 << 20;
const ENTRY = 24;

export interface Bitmap {
  /** Of the entry in the directory. */
  readonly at: number;
  readonly name: string;
  readonly granularityBits: number;
  readonly tableOffset: number;
  readonly tableEntries: number;
  flags: number;
}

export interface BitmapDirectory {
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly bitmaps: readonly Bitmap[];
}

/** The directory that the header names; undefined: none that counts. AnilloError BAD_IMAGE. */
export async function readBitmapDirectory(tables: Pick<Tables, 'store' | 'header'>): Promise<BitmapDirectory | undefined> {
  const { header, store } = tables;
  const extension = extensionOf(header, EXTENSION.bitmaps);
  // Without the mark somebody who does not know bitmaps has written since.
  if (extension === undefined || !(header.autoclear & AUTOCLEAR.bitmaps)) return undefined;
  const bad = (what: string): AnilloError =>
    new AnilloError('BAD_IMAGE', `${store.name} is damaged: ${what}; run 'anillo image check' on it.`);
  if (extension.length < 24) throw bad('its bitmaps extension is too short');
  const view = new DataView(extension.buffer, extension.byteOffset, extension.length);
  const [count, byteCount, offset] = [view.getUint32(0), Number(view.getBigUint64(8)), Number(view.getBigUint64(16))];
  if (
    count > 65535 ||
    byteCount > MAX_DIRECTORY_BYTES ||
    byteCount < count * ENTRY ||
    offset % 2 ** header.clusterBits !== 0 ||
    offset > 2 ** 53
  )
    throw bad('its bitmap directory has no sensible place or size');
  const bytes = new Uint8Array(byteCount);
  await store.read(offset, [bytes]);
  const entries = new DataView(bytes.buffer);
  const bitmaps: Bitmap[] = [];
  for (let at = 0; bitmaps.length < count; ) {
    if (at + ENTRY > byteCount) throw bad('its bitmap directory is too short');
    const [nameBytes, extraBytes] = [entries.getUint16(at + 18), entries.getUint32(at + 20)];
    const nameAt = at + ENTRY + extraBytes;
    const bitmap = {
      at,
      name: utf8Text(bytes.subarray(nameAt, nameAt + nameBytes)),
      granularityBits: bytes[at + 17],
      tableOffset: Number(entries.getBigUint64(at)),
      tableEntries: entries.getUint32(at + 8),
      flags: entries.getUint32(at + 12),
    };
    if (
      nameAt + nameBytes > byteCount ||
      bitmap.tableEntries > MAX_TABLE_ENTRIES ||
      bitmap.tableOffset % 2 ** header.clusterBits !== 0 ||
      bitmap.tableOffset > 2 ** 53
    )
      throw bad('an entry of its bitmap directory has no sensible place or size');
    bitmaps.push(bitmap);
    at = Math.ceil((nameAt + nameBytes) / 8) * 8;
  }
  return { offset, bytes, bitmaps };
}

/** A bitmap that records, and what has changed since the image was opened. */
interface Recording {
  readonly bitmap: Bitmap;
  readonly changed: Uint8Array;
}

export class Bitmaps {
  readonly #tables: Tables;
  readonly #directory: BitmapDirectory | undefined;
  readonly #recordings: Recording[] = [];
  #preparing: Promise<void> | undefined;
  /** Nothing to do before a write. */
  isReady: boolean;

  private constructor(tables: Tables, directory: BitmapDirectory | undefined) {
    this.#tables = tables;
    this.#directory = directory;
    this.isReady = directory === undefined;
  }

  static async open(tables: Tables): Promise<Bitmaps> {
    return new Bitmaps(tables, await readBitmapDirectory(tables));
  }

  get facts(): readonly unknown[] {
    return (this.#directory?.bitmaps ?? []).map(({ name, granularityBits, flags }) => ({
      flags: [...(flags & IN_USE ? ['in-use'] : []), ...(flags & AUTO ? ['auto'] : [])],
      name,
      granularity: 2 ** granularityBits,
    }));
  }

  /** Before the first change of what the disk reads as. */
  prepare(): Promise<void> {
    if (this.isReady) return Promise.resolve();
    this.#preparing ??= this.#prepare();
    return this.#preparing;
  }

  async #prepare(): Promise<void> {
    const { byteCount } = this.#tables.header;
    for (const bitmap of this.#directory!.bitmaps) {
      if ((bitmap.flags & (IN_USE | AUTO)) !== AUTO) continue;
      const bits = Math.ceil(byteCount / 2 ** bitmap.granularityBits);
      if (bitmap.granularityBits < 9 || bitmap.granularityBits > 31 || bits > 2 ** 32)
        throw new AnilloError(
          'BAD_IMAGE',
          `The bitmap ${bitmap.name} of ${this.#tables.store.name} has no sensible granularity; remove it.`,
        );
      bitmap.flags |= IN_USE;
      this.#recordings.push({ bitmap, changed: new Uint8Array(Math.ceil(bits / 8)) });
    }
    if (this.#recordings.length > 0) await this.#writeDirectory();
    this.isReady = true;
  }

  changed(offset: number, byteCount: number): void {
    for (const { bitmap, changed } of this.#recordings) {
      const granularity = 2 ** bitmap.granularityBits;
      const end = Math.ceil((offset + byteCount) / granularity);
      for (let bit = Math.floor(offset / granularity); bit < end; bit++) changed[Math.floor(bit / 8)] |= 1 << (bit % 8);
    }
  }

  /** Puts what has changed into the image. */
  async store(): Promise<void> {
    if (this.#recordings.length === 0) return;
    const tables = this.#tables;
    for (const recording of this.#recordings) await this.#storeOne(recording);
    await tables.refcounts.writeBack();
    await tables.store.flush();
    for (const { bitmap } of this.#recordings) bitmap.flags &= ~IN_USE;
    await this.#writeDirectory();
  }

  async #storeOne({ bitmap, changed }: Recording): Promise<void> {
    const { store, geometry, refcounts } = this.#tables;
    const { clusterBytes } = geometry;
    const table = new Uint8Array(bitmap.tableEntries * 8);
    await store.read(bitmap.tableOffset, [table]);
    const view = new DataView(table.buffer);
    for (let index = 0; index * clusterBytes < changed.length && index < bitmap.tableEntries; index++) {
      const piece = changed.subarray(index * clusterBytes, (index + 1) * clusterBytes);
      if (piece.every((byte) => byte === 0)) continue;
      const old = (view.getUint32(index * 8) & 0x00ff_ffff) * 2 ** 32 + ((view.getUint32(index * 8 + 4) & 0xffff_fe00) >>> 0);
      // All ones already.
      if (old === 0 && view.getUint32(index * 8 + 4) & 1) continue;
      const bytes = new Uint8Array(clusterBytes);
      let offset = old;
      if (old !== 0) {
        if (old % clusterBytes !== 0) throw this.#tables.corrupt('a bitmap is not at the start of a cluster');
        this.#tables.checkDataPlace(old, clusterBytes);
        await store.read(old, [bytes]);
      } else offset = (await refcounts.allocate(1)).cluster * clusterBytes;
      for (let at = 0; at < piece.length; at++) bytes[at] |= piece[at];
      await store.write(offset, [bytes]);
      view.setUint32(index * 8, hiOf(offset));
      view.setUint32(index * 8 + 4, loOf(offset));
    }
    await refcounts.writeBack();
    await store.flush();
    await store.write(bitmap.tableOffset, [table]);
  }

  async #writeDirectory(): Promise<void> {
    const { offset, bytes, bitmaps } = this.#directory!;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (const { at, flags } of bitmaps) view.setUint32(at + 12, flags);
    this.#tables.checkDataPlace(offset, bytes.length);
    await this.#tables.store.write(offset, [bytes]);
    await this.#tables.store.flush();
  }
}
