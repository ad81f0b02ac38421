// Goes through everything in an image that refers to a cluster.

import type { ByteStore } from '../byte-store.ts';
import { readBitmapDirectory } from './bitmaps.ts';
import { COMPRESSED_HI, COPIED_HI, compressedPlace, entryOffset, type Geometry, geometryOf } from './geometry.ts';
import { checkTables, EXTENSION, extensionOf, type Header } from './header.ts';
import { readSnapshots } from './snapshot-table.ts';
import { SparseCounts } from './sparse-counts.ts';

type Tell = (line: string) => void;

export class Survey {
  readonly references = new SparseCounts();
  /** Index in the refcount table and place, of those that are where they can be. */
  refcountBlocks: [index: number, offset: number][] = [];
  errors = 0;
  refcountErrors = 0;
  allocated = 0;
  fragmented = 0;
  compressed = 0;
  readonly #store: ByteStore;
  readonly #header: Header;
  readonly #geometry: Geometry;
  readonly #end: number;
  readonly #tell: Tell;
  #nextInRow = 0;
  /** How often what is looked at is referred to. */
  #times = 1;

  constructor(store: ByteStore, header: Header, storeByteCount: number, tell: Tell) {
    this.#store = store;
    this.#header = header;
    this.#geometry = geometryOf(header);
    this.#end = storeByteCount;
    this.#tell = tell;
  }

  #error(line: string): void {
    this.errors++;
    this.#tell(`ERROR ${line}`);
  }

  /** Each cluster of the range once more. */
  #refer(offset: number, byteCount: number): void {
    const { clusterBytes } = this.#geometry;
    if (byteCount === 0) return;
    if (offset >= this.#end && offset >= Math.ceil(this.#end / clusterBytes) * clusterBytes + 2 ** 40) {
      this.#error(`cluster at ${offset} is far behind the end of the image`);
      return;
    }
    for (let cluster = Math.floor(offset / clusterBytes); cluster * clusterBytes < offset + byteCount; cluster++)
      this.references.add(cluster, this.#times);
  }

  async run(): Promise<void> {
    const header = this.#header;
    const { clusterBytes } = this.#geometry;
    this.#refer(0, clusterBytes);
    await this.#countL1(header.l1Offset, header.l1Entries, true);
    const { snapshots, byteCount } = await readSnapshots(this.#store, header);
    this.#refer(header.snapshotsOffset, byteCount);
    for (const snapshot of snapshots) {
      if (snapshot.l1Offset % clusterBytes !== 0) this.#error(`snapshot ${snapshot.id}: L1 table is not cluster aligned`);
      else await this.#countL1(snapshot.l1Offset, snapshot.l1Entries, false);
    }
    await this.#countBitmaps();
    await this.#countRefcounts();
  }

  async #countL1(offset: number, entries: number, isActive: boolean): Promise<void> {
    this.#refer(offset, entries * 8);
    const l1 = new Uint8Array(entries * 8);
    await this.#store.read(offset, [l1]);
    const view = new DataView(l1.buffer);
    // A damaged table may name one L2 table millions of times.
    const times = new Map<number, number>();
    for (let index = 0; index < entries; index++) {
      const table = entryOffset(view.getUint32(index * 8), view.getUint32(index * 8 + 4));
      if (table !== 0) times.set(table, (times.get(table) ?? 0) + 1);
    }
    for (const [table, count] of times) {
      this.#times = count;
      this.#refer(table, this.#geometry.clusterBytes);
      if (table % this.#geometry.clusterBytes !== 0)
        this.#error(`l2_offset=${table.toString(16)}: Table is not cluster aligned; L1 entry corrupted`);
      else if (table < this.#end) await this.#countL2(table, isActive);
    }
    this.#times = 1;
  }

  async #countL2(offset: number, isActive: boolean): Promise<void> {
    const { clusterBytes, clusterBits, l2EntryBytes, isExtended } = this.#geometry;
    const table = new Uint8Array(clusterBytes);
    await this.#store.read(offset, [table]);
    const view = new DataView(table.buffer);
    for (let at = 0; at < clusterBytes; at += l2EntryBytes) {
      const [hi, lo] = [view.getUint32(at), view.getUint32(at + 4)];
      if (hi & COMPRESSED_HI) {
        const place = compressedPlace(hi, lo, clusterBits);
        if (hi & COPIED_HI) this.#error(`coffset=0x${place.offset.toString(16)}: copied flag must never be set for compressed clusters`);
        this.#refer(place.offset, place.byteCount);
        if (isActive) {
          this.allocated++;
          this.compressed++;
          // By nature.
          this.fragmented++;
        }
        continue;
      }
      const host = entryOffset(hi, lo);
      if (isExtended && view.getUint32(at + 8) & view.getUint32(at + 12))
        this.#error(`offset=${host.toString(16)}: Subcluster bitmap is invalid; L2 entry corrupted`);
      if (isExtended && host === 0 && view.getUint32(at + 12) !== 0)
        this.#error('offset=0: Cluster is not allocated and has subclusters; L2 entry corrupted');
      if (host === 0) continue;
      if (host % clusterBytes !== 0) this.#error(`offset=${host.toString(16)}: Cluster is not properly aligned; L2 entry corrupted.`);
      if (isActive) {
        this.allocated++;
        if (this.#nextInRow !== 0 && host !== this.#nextInRow) this.fragmented++;
        this.#nextInRow = host + clusterBytes;
      }
      this.#refer(host, clusterBytes);
    }
  }

  async #countBitmaps(): Promise<void> {
    const { clusterBytes } = this.#geometry;
    const directory = await readBitmapDirectory({ store: this.#store, header: this.#header });
    if (directory !== undefined) {
      this.#refer(directory.offset, directory.bytes.length);
      for (const { tableOffset, tableEntries } of directory.bitmaps) {
        this.#refer(tableOffset, tableEntries * 8);
        const table = new Uint8Array(tableEntries * 8);
        await this.#store.read(tableOffset, [table]);
        const view = new DataView(table.buffer);
        for (let at = 0; at < table.length; at += 8) {
          const offset = entryOffset(view.getUint32(at), view.getUint32(at + 4));
          if (offset % clusterBytes !== 0) this.#error(`bitmap data at ${offset} is not cluster aligned`);
          if (offset !== 0) this.#refer(offset, clusterBytes);
        }
      }
    }
    const encryption = extensionOf(this.#header, EXTENSION.encryption);
    if (encryption !== undefined && encryption.length >= 16) {
      const view = new DataView(encryption.buffer, encryption.byteOffset);
      const [offset, byteCount] = [Number(view.getBigUint64(0)), Number(view.getBigUint64(8))];
      if (byteCount <= this.#end) this.#refer(offset, byteCount);
    }
  }

  async #countRefcounts(): Promise<void> {
    const { clusterBytes } = this.#geometry;
    const { refcountTableOffset, refcountTableClusters } = this.#header;
    this.#refer(refcountTableOffset, refcountTableClusters * clusterBytes);
    const table = new Uint8Array(refcountTableClusters * clusterBytes);
    await this.#store.read(refcountTableOffset, [table]);
    const view = new DataView(table.buffer);
    const seen = new Set<number>();
    for (let index = 0; index * 8 < table.length; index++) {
      const offset = entryOffset(view.getUint32(index * 8), view.getUint32(index * 8 + 4));
      if (offset === 0) continue;
      const trouble =
        offset % clusterBytes !== 0
          ? 'is not cluster aligned; refcount table entry corrupted'
          : offset >= this.#end
            ? 'is outside image'
            : seen.has(offset)
              ? 'is named twice'
              : undefined;
      if (trouble !== undefined) {
        this.refcountErrors++;
        this.#tell(`ERROR refcount block ${index} ${trouble}`);
        continue;
      }
      seen.add(offset);
      this.refcountBlocks.push([index, offset]);
      this.#refer(offset, clusterBytes);
    }
  }

  /** The counts' own place does not count any more. */
  forgetRefcounts(): void {
    const { clusterBytes } = this.#geometry;
    const drop = (cluster: number): void => this.references.set(cluster, Math.max(this.references.get(cluster) - 1, 0));
    for (const [, offset] of this.refcountBlocks) drop(offset / clusterBytes);
    const { refcountTableOffset, refcountTableClusters } = this.#header;
    for (let index = 0; index < refcountTableClusters; index++) drop(refcountTableOffset / clusterBytes + index);
    this.refcountBlocks = [];
  }
}

/** AnilloError BAD_IMAGE where a table cannot even be looked at. */
export async function countReferences(store: ByteStore, header: Header, tell: Tell): Promise<Survey> {
  checkTables(header, store.name);
  const survey = new Survey(store, header, await store.size(), tell);
  await survey.run();
  return survey;
}
