// How often each cluster of the image is referred to, and which are free (QEMU, docs/interop/qcow2.txt, "Host cluster management").
//
// A count in memory is never below what L2 tables, in memory or on the disk, need: it goes up before a reference is made, and down only when the place that held
// the reference is on stable storage without it. So a block of counts may be written at any moment.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from '../byte-store.ts';
import { Mutex } from '../mutex.ts';
import { settleAll } from '../settle-all.ts';
import { type Block, BlockCache } from './block-cache.ts';
import { entryOffset, type Geometry, hiOf, loOf, refcountIn, setRefcountIn } from './geometry.ts';
import { type Header, MAX_REFCOUNT_TABLE_BYTES } from './header.ts';

const SECTOR = 512;
const CACHE_BYTES = 4 << 20;

/** What of the image the counts need. */
export interface CountedImage {
  readonly store: ByteStore;
  readonly header: Header;
  readonly geometry: Geometry;
  /** The error for a damaged image, which is marked as damaged. */
  corrupt(what: string): AnilloError;
  /** Which table lies in a cluster, so that nothing else is put there. */
  tableAt(cluster: number): string | undefined;
  /** Puts the header on stable storage. */
  writeHeader(): Promise<void>;
  freeLater(cluster: number, count: number): void;
}

export interface Allocation {
  readonly cluster: number;
  readonly count: number;
  /** Lies behind all that was ever written: reads as zeros. */
  readonly isVirgin: boolean;
}

export class Refcounts {
  readonly cache: BlockCache;
  readonly #image: CountedImage;
  readonly #allocating = new Mutex();
  readonly #writing = new Mutex();
  readonly #hasSharedBlocks: boolean;
  #table: DataView;
  readonly #dirtySectors = new Set<number>();
  readonly blocks = new Set<number>();
  /** No cluster below is free. */
  #cursor = 0;
  /** Clusters from here on have never been written. */
  #virginFrom: number;
  /** Where the next compressed cluster goes; 0: into a new cluster. */
  #nextByte = 0;

  constructor(image: CountedImage, table: Uint8Array, storeByteCount: number) {
    this.#image = image;
    this.#table = new DataView(table.buffer, table.byteOffset, table.byteLength);
    const { clusterBytes, blockBytes } = image.geometry;
    this.cache = new BlockCache(image.store, blockBytes, Math.max(64, CACHE_BYTES / blockBytes));
    this.#virginFrom = Math.ceil(storeByteCount / clusterBytes);
    let blockCount = 0;
    for (let at = 0; at < table.length; at += 8) {
      const offset = this.#tableEntry(at / 8);
      if (offset === 0) continue;
      blockCount++;
      this.blocks.add(Math.floor(offset / clusterBytes));
    }
    this.#hasSharedBlocks = this.blocks.size < blockCount;
  }

  get table(): Uint8Array {
    return new Uint8Array(this.#table.buffer, this.#table.byteOffset, this.#table.byteLength);
  }

  get isDirty(): boolean {
    return this.cache.dirtyCount > 0 || this.#dirtySectors.size > 0;
  }

  #tableEntry(index: number): number {
    return index * 8 < this.#table.byteLength ? entryOffset(this.#table.getUint32(index * 8), this.#table.getUint32(index * 8 + 4)) : 0;
  }

  /** Offset of the cached block with a cluster's count, 0: none. AnilloError BAD_IMAGE. */
  #blockOffset(cluster: number): number {
    const { refcountsPerBlock, clusterBytes, blockBytes, refcountOrder } = this.#image.geometry;
    const index = Math.floor(cluster / refcountsPerBlock);
    const offset = this.#tableEntry(index);
    if (offset === 0) return 0;
    if (offset % clusterBytes !== 0)
      throw this.#image.corrupt(`the refcount block for cluster ${cluster} is not at the start of a cluster`);
    const byte = Math.floor(((cluster % refcountsPerBlock) * 2 ** refcountOrder) / 8);
    return offset + byte - (byte % blockBytes);
  }

  get #countsPerBlock(): number {
    return (this.#image.geometry.blockBytes * 8) / 2 ** this.#image.geometry.refcountOrder;
  }

  async #block(offset: number): Promise<Block> {
    for (;;) {
      const block = this.cache.peek(offset);
      if (block !== undefined) return block;
      await this.cache.load(offset);
    }
  }

  async count(cluster: number): Promise<number> {
    const offset = this.#blockOffset(cluster);
    if (offset === 0) return 0;
    const block = await this.#block(offset);
    return refcountIn(block.view, cluster % this.#countsPerBlock, this.#image.geometry.refcountOrder);
  }

  /** Adds to the counts of a row of clusters. AnilloError BAD_IMAGE where one would fall below 0, UNSUPPORTED where one would be too large. */
  async change(cluster: number, count: number, by: number): Promise<void> {
    const { refcountOrder, maxRefcount, clusterBytes } = this.#image.geometry;
    for (let at = cluster; at < cluster + count; at++) {
      const offset = this.#blockOffset(at);
      if (offset === 0) {
        if (by > 0) await this.#allocating.run(() => this.#ensureBlock(Math.floor(at / this.#image.geometry.refcountsPerBlock)));
        else throw this.#image.corrupt(`cluster ${at} is in use and not counted`);
        at--;
        continue;
      }
      const block = await this.#block(offset);
      const index = at % this.#countsPerBlock;
      const now = refcountIn(block.view, index, refcountOrder) + by;
      if (now < 0) throw this.#image.corrupt(`cluster ${at} is in use and not counted`);
      if (now > maxRefcount)
        throw new AnilloError(
          'UNSUPPORTED',
          `${this.#image.store.name} counts references in ${2 ** refcountOrder} bits, which is too few for this; convert it with refcount_bits=16.`,
        );
      setRefcountIn(block.view, index, refcountOrder, now);
      this.cache.markDirty(block);
      if (now === 0) {
        this.#cursor = Math.min(this.#cursor, at);
        if (this.#nextByte !== 0 && Math.floor(this.#nextByte / clusterBytes) === at) this.#nextByte = 0;
      }
    }
  }

  /** Up to `wanted` clusters in a row, counted once; all of them if `isExact`. */
  allocate(wanted: number, isExact = false): Promise<Allocation> {
    return this.#allocating.run(() => this.#allocate(wanted, isExact));
  }

  async #allocate(wanted: number, isExact: boolean): Promise<Allocation> {
    const { refcountsPerBlock, refcountOrder } = this.#image.geometry;
    if (this.#hasSharedBlocks) throw this.#image.corrupt('its refcount table names a block twice');
    let start = -1;
    let length = 0;
    let hasSkipped = false;
    for (let at = this.#cursor; length < wanted; ) {
      let offset = this.#blockOffset(at);
      if (offset === 0) {
        await this.#ensureBlock(Math.floor(at / refcountsPerBlock));
        offset = this.#blockOffset(at);
      }
      const block = this.cache.peek(offset);
      if (block === undefined) {
        await this.cache.load(offset);
        continue;
      }
      const perBlock = this.#countsPerBlock;
      const end = at - (at % perBlock) + perBlock;
      let isBroken = false;
      for (; at < end && length < wanted; at++) {
        if (refcountIn(block.view, at % perBlock, refcountOrder) === 0) {
          if (length++ === 0) start = at;
        } else if (length > 0) {
          isBroken = true;
          if (!isExact) break;
          hasSkipped = true;
          length = 0;
        }
      }
      if (isBroken && !isExact) break;
    }
    for (let cluster = start; cluster < start + length; cluster++) {
      const table = this.#image.tableAt(cluster);
      if (table !== undefined) throw this.#image.corrupt(`cluster ${cluster} counts as free and holds ${table}`);
    }
    await this.#take(start, length);
    if (!hasSkipped) this.#cursor = start + length;
    const isVirgin = start >= this.#virginFrom;
    this.#virginFrom = Math.max(this.#virginFrom, start + length);
    return { cluster: start, count: length, isVirgin };
  }

  /** Counts free clusters once; their blocks are there. */
  async #take(cluster: number, count: number): Promise<void> {
    for (let at = cluster; at < cluster + count; at++) {
      const block = await this.#block(this.#blockOffset(at));
      setRefcountIn(block.view, at % this.#countsPerBlock, this.#image.geometry.refcountOrder, 1);
      this.cache.markDirty(block);
    }
  }

  /** A new block lies in the first cluster of those that it counts: as there was no block, all of them are free. */
  async #ensureBlock(index: number): Promise<void> {
    if (this.#tableEntry(index) !== 0) return;
    if (index * 8 >= this.#table.byteLength) return this.#growTable(index);
    const cluster = index * this.#image.geometry.refcountsPerBlock;
    const table = this.#image.tableAt(cluster);
    if (table !== undefined) throw this.#image.corrupt(`cluster ${cluster} counts as free and holds ${table}`);
    await this.#addBlock(index, cluster);
    await this.#take(cluster, 1);
    this.#virginFrom = Math.max(this.#virginFrom, cluster + 1);
  }

  /** Its content is on the way to the disk before the table can name it. */
  async #addBlock(index: number, cluster: number): Promise<void> {
    const { clusterBytes } = this.#image.geometry;
    const empty = new Uint8Array(clusterBytes);
    await this.#image.store.write(cluster * clusterBytes, [empty]);
    this.#addToCache(cluster, empty);
    setEntry(this.#table, index, cluster * clusterBytes);
    this.#dirtySectors.add(Math.floor((index * 8) / SECTOR));
  }

  #addToCache(cluster: number, block: Uint8Array): void {
    const { clusterBytes, blockBytes } = this.#image.geometry;
    for (let at = 0; at < clusterBytes; at += blockBytes) this.cache.add(cluster * clusterBytes + at, block.slice(at, at + blockBytes));
    this.blocks.add(cluster);
  }

  /**
   * The new table, and the blocks that count it, lie where the first of these blocks counts. All of it is on the disk before it counts here: where the host fails
   * meanwhile, the next try puts the same in the same place.
   */
  async #growTable(index: number): Promise<void> {
    const { clusterBytes, refcountsPerBlock } = this.#image.geometry;
    const { header, store } = this.#image;
    const first = index * refcountsPerBlock;
    const { blockCount, clusters } = this.#sizesToGrow(index);
    const table = new Uint8Array(clusters * clusterBytes);
    table.set(this.table);
    const view = new DataView(table.buffer);
    for (let block = 0; block < blockCount; block++) setEntry(view, index + block, (first + block) * clusterBytes);
    const blocks = this.#countsOf(blockCount, blockCount + clusters);
    const tableOffset = (first + blockCount) * clusterBytes;
    await this.#writeBlocks();
    await settleAll([store.write(first * clusterBytes, [blocks]), store.write(tableOffset, [table.slice()])]);
    await store.flush();
    const old = { refcountTableOffset: header.refcountTableOffset, refcountTableClusters: header.refcountTableClusters };
    Object.assign(header, { refcountTableOffset: tableOffset, refcountTableClusters: clusters });
    try {
      await this.#image.writeHeader();
    } catch (error) {
      Object.assign(header, old);
      throw error;
    }
    this.#table = view;
    this.#dirtySectors.clear();
    for (let block = 0; block < blockCount; block++)
      this.#addToCache(first + block, blocks.subarray(block * clusterBytes, (block + 1) * clusterBytes));
    this.#virginFrom = Math.max(this.#virginFrom, first + blockCount + clusters);
    this.#image.freeLater(Math.floor(old.refcountTableOffset / clusterBytes), old.refcountTableClusters);
  }

  /** Blocks that count themselves and the table's clusters, which have room for more than that. */
  #sizesToGrow(index: number): { readonly blockCount: number; readonly clusters: number } {
    const { clusterBytes, refcountsPerBlock } = this.#image.geometry;
    let blockCount = 1;
    let clusters = 0;
    for (let last = 0; last !== blockCount; ) {
      last = blockCount;
      clusters = Math.ceil((Math.ceil((index + blockCount) * 1.5) * 8) / clusterBytes);
      blockCount = Math.ceil((blockCount + clusters) / refcountsPerBlock);
    }
    if (clusters * clusterBytes > Math.max(MAX_REFCOUNT_TABLE_BYTES, clusterBytes))
      throw new AnilloError(
        'UNSUPPORTED',
        `${this.#image.store.name} has reached the size that its clusters allow; convert it with a larger cluster_size.`,
      );
    return { blockCount, clusters };
  }

  /** Blocks of which the first `ones` counts are 1. */
  #countsOf(blockCount: number, ones: number): Uint8Array {
    const { clusterBytes, refcountOrder } = this.#image.geometry;
    const bytes = new Uint8Array(blockCount * clusterBytes);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < ones; at++) setRefcountIn(view, at, refcountOrder, 1);
    return bytes;
  }

  /** Room for a compressed cluster of `byteCount` bytes; counts the clusters that it lies in once more. */
  allocateBytes(byteCount: number): Promise<number> {
    return this.#allocating.run(async () => {
      const { clusterBytes, maxRefcount } = this.#image.geometry;
      const current = Math.floor(this.#nextByte / clusterBytes);
      const left = this.#nextByte === 0 ? 0 : clusterBytes - (this.#nextByte % clusterBytes);
      const hasRoom = left > 0 && (await this.count(current)) < maxRefcount;
      let offset = this.#nextByte;
      if (hasRoom && left >= byteCount) await this.change(current, 1, 1);
      else {
        const { cluster } = await this.#allocate(1, false);
        if (hasRoom && cluster === current + 1 && this.#nextByte !== 0) await this.change(current, 1, 1);
        else offset = cluster * clusterBytes;
      }
      this.#nextByte = offset + byteCount;
      if (this.#nextByte % clusterBytes === 0) this.#nextByte = 0;
      return offset;
    });
  }

  /** Blocks first; the table that names new ones only when these are on stable storage. */
  async writeBack(): Promise<void> {
    const sectors = [...this.#dirtySectors];
    const table = this.#table;
    const copies = sectors.map((sector) => new Uint8Array(table.buffer, sector * SECTOR, SECTOR).slice());
    const { refcountTableOffset } = this.#image.header;
    this.#dirtySectors.clear();
    try {
      await this.#writeBlocks();
      if (sectors.length === 0) return;
      await this.#image.store.flush();
      // The table has moved meanwhile, with everything in it.
      if (table !== this.#table) return;
      await settleAll(sectors.map((sector, index) => this.#image.store.write(refcountTableOffset + sector * SECTOR, [copies[index]])));
    } catch (error) {
      for (const sector of sectors) this.#dirtySectors.add(sector);
      throw error;
    }
  }

  /** One at a time: an older copy of a block must not arrive behind a newer one. */
  #writeBlocks(): Promise<void> {
    return this.#writing.run(async () => {
      const copies = this.cache.takeDirty();
      try {
        await this.cache.write(copies);
      } catch (error) {
        this.cache.failed(copies);
        throw error;
      }
      this.cache.written(copies);
    });
  }
}

function setEntry(table: DataView, index: number, offset: number): void {
  table.setUint32(index * 8, hiOf(offset));
  table.setUint32(index * 8 + 4, loOf(offset));
}
