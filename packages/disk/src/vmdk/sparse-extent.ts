// A hosted sparse extent: a directory of grain tables says where each grain (64 KiB as a rule) lies, as it is or compressed (Virtual Disk Format 5.0).

import { AnilloError } from '@anillo/base/anillo-error';
import { BlockFiller } from '../block-filler.ts';
import type { ByteStore } from '../byte-store.ts';
import type { Codecs } from '../codecs.ts';
import type { ImageMap, Run } from '../mapped-disk.ts';
import { LruMap } from '../lru-map.ts';
import { PageCache } from '../page-cache.ts';
import {
  GRAIN_MARKER_BYTES,
  MARKER,
  SECTOR_BYTES,
  SPARSE_FLAG,
  SPARSE_HEADER,
  type SparseHeader,
  readSparseHeader,
} from './sparse-header.ts';

/** Of grains that have been unpacked. */
const KEPT_BYTES = 4 << 20;

export class SparseExtent implements ImageMap {
  readonly header: SparseHeader;
  readonly #store: ByteStore;
  readonly #codecs: Codecs;
  readonly #pages: PageCache;
  readonly #filler: BlockFiller;
  readonly #unpacked: LruMap<number, Promise<Uint8Array>>;
  #storeBytes: number;
  #isMarkedUnclean = false;

  private constructor(store: ByteStore, header: SparseHeader, codecs: Codecs, storeBytes: number) {
    this.#store = store;
    this.header = header;
    this.#codecs = codecs;
    this.#storeBytes = storeBytes;
    this.#pages = new PageCache(store);
    this.#unpacked = new LruMap(Math.max(1, Math.floor(KEPT_BYTES / header.grainBytes)));
    const table = {
      ...{ store, blockBytes: header.grainBytes, headBytes: 0, alignment: header.grainBytes, tailBytes: 0 },
      placeOf: async (grain: number) => {
        const entry = await this.#entry(grain);
        return entry > 1 || (entry === 1 && !this.#hasZeroedGrains) ? entry * SECTOR_BYTES : undefined;
      },
      link: (grain: number, at: number) => this.#link(grain, at),
    };
    this.#filler = new BlockFiller(table, storeBytes);
  }

  /** AnilloError BAD_IMAGE, UNSUPPORTED. */
  static async open(store: ByteStore, codecs: Codecs): Promise<SparseExtent> {
    const header = await readSparseHeader(store);
    if ((header.flags & SPARSE_FLAG.compressed) !== 0 && codecs.zlib === undefined)
      throw new AnilloError('UNSUPPORTED', `${store.name} is compressed, and this host has no zlib; convert it elsewhere.`);
    return new SparseExtent(store, header, codecs, await store.size());
  }

  get #hasZeroedGrains(): boolean {
    return (this.header.flags & SPARSE_FLAG.zeroedGrains) !== 0;
  }

  get #isCompressed(): boolean {
    return (this.header.flags & SPARSE_FLAG.compressed) !== 0;
  }

  /** Grains can be added. */
  get isWritable(): boolean {
    return !this.#store.isReadOnly && !this.#isCompressed && !this.header.isDirectoryAtEnd;
  }

  /** Where a grain's entry is, by one of the directories; undefined: it has no table. */
  async #entryPlace(grain: number, directoryOffset: number): Promise<number | undefined> {
    const { entriesPerTable } = this.header;
    const sector = await this.#pages.u32(directoryOffset + 4 * Math.floor(grain / entriesPerTable), true);
    return sector === 0 ? undefined : sector * SECTOR_BYTES + 4 * (grain % entriesPerTable);
  }

  async #entry(grain: number): Promise<number> {
    const { directoryOffset, redundantDirectoryOffset } = this.header;
    const place = await this.#entryPlace(grain, directoryOffset);
    if (place === undefined) return 0;
    if (place + 4 <= this.#storeBytes) return this.#pages.u32(place, true);
    const second = redundantDirectoryOffset === undefined ? undefined : await this.#entryPlace(grain, redundantDirectoryOffset);
    if (second !== undefined && second + 4 <= this.#storeBytes) return this.#pages.u32(second, true);
    throw this.#damaged(`the table of grain ${grain} lies behind the end of the file`);
  }

  #damaged(what: string): AnilloError {
    return new AnilloError('BAD_IMAGE', `${this.#store.name} is damaged: ${what}.`);
  }

  async locate(offset: number, byteCount: number): Promise<Run> {
    const { grainBytes } = this.header;
    const grain = Math.floor(offset / grainBytes);
    const skip = offset % grainBytes;
    const count = Math.min(byteCount, grainBytes - skip);
    const entry = await this.#entry(grain);
    if (entry === 0) return { kind: 'absent', byteCount: count };
    if (entry === 1 && this.#hasZeroedGrains) return { kind: 'zero', byteCount: count };
    if (entry * SECTOR_BYTES >= this.#storeBytes) throw this.#damaged(`grain ${grain} lies behind the end of the file`);
    if (this.#isCompressed) return { kind: 'packed', byteCount: count, skip, unpack: () => this.#unpack(entry, grain, skip + count) };
    return { kind: 'data', byteCount: count, store: this.#store, storeOffset: entry * SECTOR_BYTES + skip };
  }

  async #unpack(sector: number, grain: number, neededBytes: number): Promise<Uint8Array> {
    const known = this.#unpacked.get(grain);
    const unpacking = known ?? this.#readGrain(sector, grain);
    if (known === undefined) {
      this.#unpacked.set(grain, unpacking);
      unpacking.catch(() => this.#unpacked.delete(grain));
    }
    const bytes = await unpacking;
    if (bytes.length < neededBytes) throw this.#damaged(`grain ${grain} has only ${bytes.length} bytes`);
    return bytes;
  }

  async #readGrain(sector: number, grain: number): Promise<Uint8Array> {
    const { grainBytes } = this.header;
    const head = new Uint8Array(MARKER.byteCount);
    await this.#store.read(sector * SECTOR_BYTES, [head]);
    const { byteCount, sector: lba } = MARKER.decode(head);
    if (byteCount === 0 || byteCount > 2 * grainBytes + 1024 || sector * SECTOR_BYTES + GRAIN_MARKER_BYTES + byteCount > this.#storeBytes)
      throw this.#damaged(`grain ${grain} has ${byteCount} compressed bytes`);
    if (lba !== (grain * grainBytes) / SECTOR_BYTES) throw this.#damaged(`where grain ${grain} should be is that of sector ${lba}`);
    const packed = new Uint8Array(byteCount);
    await this.#store.read(sector * SECTOR_BYTES + GRAIN_MARKER_BYTES, [packed]);
    try {
      return await this.#codecs.zlib!.decompress(packed, grainBytes);
    } catch (cause) {
      throw new AnilloError('BAD_IMAGE', `${this.#store.name} is damaged: grain ${grain} does not decompress.`, { cause });
    }
  }

  fill(offset: number, from: readonly Uint8Array[]): Promise<void> {
    return this.#filler.fill(offset, from);
  }

  async #link(grain: number, at: number): Promise<void> {
    const { directoryOffset, redundantDirectoryOffset } = this.header;
    if (at / SECTOR_BYTES >= 2 ** 32)
      throw new AnilloError('FILE', `${this.#store.name} has reached the 2 TiB that a VMDK extent can have.`);
    const directories = redundantDirectoryOffset === undefined ? [directoryOffset] : [redundantDirectoryOffset, directoryOffset];
    for (const directory of directories) {
      const place = await this.#entryPlace(grain, directory);
      if (place === undefined || place + 4 > this.#storeBytes)
        throw new AnilloError('UNSUPPORTED', `${this.#store.name} has no table for grain ${grain}; convert the image to write to it.`);
      await this.#pages.writeU32(place, at / SECTOR_BYTES, true);
    }
    this.#storeBytes = Math.max(this.#storeBytes, at + this.header.grainBytes);
  }

  async #markUnclean(value: 0 | 1): Promise<void> {
    this.#isMarkedUnclean = value === 1;
    await this.#store.write(SPARSE_HEADER.offset.uncleanShutdown, [Uint8Array.of(value)]);
  }

  async beforeChange(): Promise<void> {
    if (!this.#isMarkedUnclean) await this.#markUnclean(1);
  }

  flush(): Promise<void> {
    return this.#store.flush();
  }

  async close(): Promise<void> {
    try {
      if (!this.#isMarkedUnclean) return;
      await this.#store.flush();
      await this.#markUnclean(0);
      await this.#store.flush();
    } finally {
      await this.#store.close();
    }
  }
}
