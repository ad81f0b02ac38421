// An open image's header and tables in memory, and the order in which they go to the disk:
//
//   1. counts (blocks, then the table that names new ones)         unless refcounts are lazy
//   2. barrier: with it, data and new tables are stable too
//   3. L2 and L1 entries, as they were when the write-back began
//   4. barrier
//   5. counts of what nothing refers to any more go down; only now may it be used again
//
// Cut anywhere, the disk holds entries whose data and counts are there, and at most counts that are too high.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from '../byte-store.ts';
import { GracePeriod, Mutex } from '../mutex.ts';
import { settleAll } from '../settle-all.ts';
import { type Block, BlockCache } from './block-cache.ts';
import { COPIED_HI, entryOffset, type Geometry, geometryOf, hiOf, loOf } from './geometry.ts';
import { COMPATIBLE, checkTables, type Header, INCOMPATIBLE, serializeHeader } from './header.ts';
import { type CountedImage, Refcounts } from './refcounts.ts';

const SECTOR = 512;
const L2_CACHE_BYTES = 16 << 20;

interface Free {
  readonly cluster: number;
  readonly count: number;
  /** Its room on the host may go too. */
  readonly isDiscard: boolean;
}

export class Tables implements CountedImage {
  readonly store: ByteStore;
  readonly header: Header;
  readonly geometry: Geometry;
  readonly isReadOnly: boolean;
  readonly l2: BlockCache;
  readonly refcounts: Refcounts;
  /** Requests to the store that have looked a place up and not arrived there yet. */
  readonly requests = new GracePeriod();
  #l1: DataView;
  readonly #l1Dirty = new Set<number>();
  readonly #l2Tables = new Set<number>();
  readonly #newTables = new Map<number, Promise<void>>();
  #frees: Free[] = [];
  readonly #headerWrites = new Mutex();
  readonly #writing = new Mutex();
  #waiting: Promise<void> | undefined;
  /** A write-back has taken what was dirty, and it is not all there yet. */
  #isWritingBack = false;
  #marking: Promise<void> | undefined;
  /** Clusters may hold something else from now on. */
  onRelease: (() => void) | undefined;

  private constructor(
    store: ByteStore,
    header: Header,
    isReadOnly: boolean,
    l1: Uint8Array,
    refcountTable: Uint8Array,
    storeByteCount: number,
  ) {
    this.store = store;
    this.header = header;
    this.geometry = geometryOf(header);
    this.isReadOnly = isReadOnly;
    this.#l1 = new DataView(l1.buffer, l1.byteOffset, l1.byteLength);
    this.l2 = new BlockCache(store, this.geometry.blockBytes, Math.max(64, L2_CACHE_BYTES / this.geometry.blockBytes));
    this.refcounts = new Refcounts(this, refcountTable, storeByteCount);
    this.#indexL2Tables();
  }

  /** AnilloError BAD_IMAGE. */
  static async open(store: ByteStore, header: Header, isReadOnly: boolean): Promise<Tables> {
    checkTables(header, store.name);
    const l1 = new Uint8Array(Math.ceil((header.l1Entries * 8) / SECTOR) * SECTOR);
    const refcountTable = new Uint8Array(isReadOnly ? 0 : header.refcountTableClusters * 2 ** header.clusterBits);
    if (l1.length > 0) await store.read(header.l1Offset, [l1.subarray(0, header.l1Entries * 8)]);
    if (!isReadOnly) await store.read(header.refcountTableOffset, [refcountTable]);
    return new Tables(store, header, isReadOnly, l1, refcountTable, await store.size());
  }

  #indexL2Tables(): void {
    this.#l2Tables.clear();
    for (let index = 0; index < this.header.l1Entries; index++) {
      const offset = this.l1Offset(index);
      if (offset !== 0) this.#l2Tables.add(Math.floor(offset / this.geometry.clusterBytes));
    }
  }

  // ---- L1

  get l1Bytes(): Uint8Array {
    return new Uint8Array(this.#l1.buffer, this.#l1.byteOffset, this.header.l1Entries * 8);
  }

  l1Offset(index: number): number {
    return entryOffset(this.#l1.getUint32(index * 8), this.#l1.getUint32(index * 8 + 4));
  }

  /** Is the L2 table this one's alone? */
  isOwnTable(index: number): boolean {
    return (this.#l1.getUint32(index * 8) & COPIED_HI) !== 0;
  }

  /** Is there one, and this image's alone? */
  hasOwnTable(index: number): boolean {
    return this.isOwnTable(index) && this.l1Offset(index) !== 0;
  }

  setL1(index: number, offset: number, isOwn: boolean): void {
    this.#l1.setUint32(index * 8, (hiOf(offset) | (isOwn ? COPIED_HI : 0)) >>> 0);
    this.#l1.setUint32(index * 8 + 4, loOf(offset));
    this.#l1Dirty.add(Math.floor((index * 8) / SECTOR));
    if (offset !== 0) this.#l2Tables.add(Math.floor(offset / this.geometry.clusterBytes));
  }

  /** Another L1 table, which is on the disk already where the header says. */
  replaceL1(l1: Uint8Array): void {
    const padded = new Uint8Array(Math.ceil(l1.length / SECTOR) * SECTOR);
    padded.set(l1);
    this.#l1 = new DataView(padded.buffer);
    this.#l1Dirty.clear();
    this.l2.forgetAll();
    this.#indexL2Tables();
  }

  /** Offset of the L2 table of a guest address, 0: none. AnilloError BAD_IMAGE. */
  l2TableOf(l1Index: number): number {
    const offset = this.l1Offset(l1Index);
    if (offset % this.geometry.clusterBytes !== 0 || offset >= 2 ** 53)
      throw this.corrupt(`L2 table ${l1Index} is not at the start of a cluster`);
    return offset;
  }

  // ---- L2 tables to write to

  /** Undefined: the table is there and this image's own. AnilloError BAD_IMAGE. */
  ownTable(l1Index: number): Promise<void> | undefined {
    if (this.hasOwnTable(l1Index)) return undefined;
    let made = this.#newTables.get(l1Index);
    if (made === undefined) {
      made = this.#makeTable(l1Index).finally(() => this.#newTables.delete(l1Index));
      this.#newTables.set(l1Index, made);
    }
    return made;
  }

  async #makeTable(l1Index: number): Promise<void> {
    const { clusterBytes, blockBytes } = this.geometry;
    const old = this.l2TableOf(l1Index);
    const bytes = new Uint8Array(clusterBytes);
    if (old !== 0) await this.store.read(old, [bytes]);
    const { cluster } = await this.refcounts.allocate(1);
    const offset = cluster * clusterBytes;
    try {
      await this.store.write(offset, [bytes]);
    } catch (error) {
      await this.refcounts.change(cluster, 1, -1);
      throw error;
    }
    for (let at = 0; at < clusterBytes; at += blockBytes) this.l2.add(offset + at, bytes.slice(at, at + blockBytes));
    this.setL1(l1Index, offset, true);
    if (old !== 0) this.freeLater(Math.floor(old / clusterBytes), 1);
  }

  /** The block of an L2 table, which is there and stays while it is used without waiting. */
  async l2Block(offset: number): Promise<Block> {
    for (;;) {
      const block = this.l2.peek(offset);
      if (block !== undefined) return block;
      await this.l2.load(offset);
    }
  }

  // ---- What must not be overwritten

  tableAt(cluster: number): string | undefined {
    const { clusterBytes } = this.geometry;
    const isIn = (offset: number, byteCount: number): boolean =>
      offset !== 0 && cluster >= Math.floor(offset / clusterBytes) && cluster * clusterBytes < offset + byteCount;
    if (cluster === 0) return 'the header';
    if (this.#l2Tables.has(cluster)) return 'an L2 table';
    if (this.refcounts.blocks.has(cluster)) return 'a refcount block';
    if (isIn(this.header.l1Offset, this.header.l1Entries * 8)) return 'the L1 table';
    if (isIn(this.header.refcountTableOffset, this.header.refcountTableClusters * clusterBytes)) return 'the refcount table';
    if (this.header.snapshotCount > 0 && isIn(this.header.snapshotsOffset, 1)) return 'the snapshot table';
    return undefined;
  }

  /** AnilloError BAD_IMAGE where data would be written over a table. */
  checkDataPlace(offset: number, byteCount: number): void {
    const { clusterBytes } = this.geometry;
    for (let cluster = Math.floor(offset / clusterBytes); cluster * clusterBytes < offset + byteCount; cluster++) {
      const table = this.tableAt(cluster);
      if (table !== undefined) throw this.corrupt(`data is to be written to cluster ${cluster}, which holds ${table}`);
    }
  }

  // ---- Header

  get isCorrupt(): boolean {
    return (this.header.incompatible & INCOMPATIBLE.corrupt) !== 0n;
  }

  corrupt(what: string): AnilloError {
    if (!this.isReadOnly && this.header.version === 3 && !this.isCorrupt) {
      this.header.incompatible |= INCOMPATIBLE.corrupt;
      this.#marking = this.writeHeader().catch(() => {});
    }
    return new AnilloError(
      'BAD_IMAGE',
      `${this.store.name} is damaged: ${what}; run 'anillo image check -r all' on it, or restore it from a copy.`,
    );
  }

  writeHeader(): Promise<void> {
    return this.#headerWrites.run(async () => {
      await this.store.write(0, [serializeHeader(this.header)]);
      await this.store.flush();
    });
  }

  /** From now until it is cleared, counts may be wrong: whoever opens the image counts anew. Only version 3 can say so. */
  async setDirtyBit(isDirty: boolean): Promise<void> {
    if (this.header.version < 3 || ((this.header.incompatible & INCOMPATIBLE.dirty) !== 0n) === isDirty) return;
    this.header.incompatible ^= INCOMPATIBLE.dirty;
    try {
      await this.writeHeader();
    } catch (error) {
      this.header.incompatible ^= INCOMPATIBLE.dirty;
      throw error;
    }
  }

  // ---- Write-back

  freeLater(cluster: number, count: number, isDiscard = false): void {
    const last = this.#frees.at(-1);
    if (last !== undefined && last.isDiscard === isDiscard && last.cluster + last.count === cluster)
      this.#frees[this.#frees.length - 1] = { cluster: last.cluster, count: last.count + count, isDiscard };
    else this.#frees.push({ cluster, count, isDiscard });
  }

  get #isLazy(): boolean {
    return this.header.version === 3 && (this.header.compatible & COMPATIBLE.lazyRefcounts) !== 0n;
  }

  /** Also while what was dirty is on its way: a flush has to wait for it. */
  get isDirty(): boolean {
    return this.#isWritingBack || this.l2.dirtyCount > 0 || this.#l1Dirty.size > 0 || this.#frees.length > 0 || this.refcounts.isDirty;
  }

  get hasManyDirty(): boolean {
    return this.l2.hasManyDirty || this.refcounts.cache.hasManyDirty || this.#frees.length > 65536;
  }

  /** All changes of before this call reach the store in order; whoever needs them stable flushes it afterwards. */
  writeBack(): Promise<void> {
    this.#waiting ??= this.#writing.run(async () => {
      this.#waiting = undefined;
      this.#isWritingBack = true;
      try {
        await this.#writeBack();
      } finally {
        this.#isWritingBack = false;
      }
    });
    return this.#waiting;
  }

  /** Everything on stable storage, counts that might wait too. */
  async settle(): Promise<void> {
    while (this.isDirty) {
      await this.writeBack();
      await this.refcounts.writeBack();
    }
    await this.store.flush();
  }

  async #writeBack(): Promise<void> {
    const frees = this.#frees;
    this.#frees = [];
    const l2 = this.l2.takeDirty();
    const sectors = [...this.#l1Dirty];
    const { l1Offset } = this.header;
    const l1 = sectors.map((sector) => new Uint8Array(this.#l1.buffer, sector * SECTOR, SECTOR).slice());
    this.#l1Dirty.clear();
    const hasEntries = l2.length > 0 || sectors.length > 0;
    try {
      if (this.refcounts.isDirty && this.#isLazy && !this.refcounts.cache.hasManyDirty) await this.setDirtyBit(true);
      else await this.refcounts.writeBack();
      if (hasEntries) {
        await this.store.flush();
        await settleAll([this.l2.write(l2), ...sectors.map((sector, index) => this.store.write(l1Offset + sector * SECTOR, [l1[index]]))]);
        if (frees.length > 0) await this.store.flush();
      }
    } catch (error) {
      this.l2.failed(l2);
      for (const sector of sectors) this.#l1Dirty.add(sector);
      this.#frees = [...frees, ...this.#frees];
      throw error;
    }
    this.l2.written(l2);
    if (frees.length === 0) return;
    await this.#release(frees);
    // Else what was let go counts until somebody flushes again: a leak where the process ends before.
    if (!this.#isLazy) await this.refcounts.writeBack();
  }

  /** Nothing on the disk refers to these any more; requests that looked them up before may still be on their way. */
  async #release(frees: readonly Free[]): Promise<void> {
    const { clusterBytes } = this.geometry;
    await this.requests.pass();
    this.onRelease?.();
    for (const { cluster, count, isDiscard } of frees) {
      for (let at = cluster; at < cluster + count; at++) if (this.#l2Tables.delete(at)) this.l2.forget(at * clusterBytes, clusterBytes);
      if (isDiscard) await this.#punch(cluster, count);
      await this.refcounts.change(cluster, count, -1);
    }
  }

  /** Clusters that nothing else refers to give their room back. */
  async #punch(cluster: number, count: number): Promise<void> {
    const { clusterBytes } = this.geometry;
    for (let at = cluster; at < cluster + count; ) {
      let end = at;
      while (end < cluster + count && (await this.refcounts.count(end)) === 1) end++;
      if (end > at) await this.store.writeZeroes(at * clusterBytes, (end - at) * clusterBytes);
      at = end + 1;
    }
  }

  async close(): Promise<void> {
    await this.#marking;
    if (this.isReadOnly || this.isCorrupt) return;
    await this.settle();
    await this.setDirtyBit(false);
  }
}
