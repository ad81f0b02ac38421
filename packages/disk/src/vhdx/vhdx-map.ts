// Where the bytes of a VHDX disk are: the block allocation table, and for differences the bitmaps that tell of each sector whose it is (MS-VHDX 2.5).

import { AnilloError } from '@anillo/base/anillo-error';
import { BlockFiller } from '../block-filler.ts';
import type { ByteStore } from '../byte-store.ts';
import { KeyedLock } from '../keyed-lock.ts';
import type { ImageMap, Run } from '../mapped-disk.ts';
import { viewOf } from '../packed-layout.ts';
import { PageCache } from '../page-cache.ts';
import { randomId } from '../random-id.ts';
import { type VhdxHeader, type VhdxMetadata, type VhdxRegion, writeVhdxHeader } from './vhdx-header.ts';
import { BLOCK_STATE, CHUNK_SECTORS, KIB_4, MIB } from './vhdx-layout.ts';
import { type LogChange, logEntry } from './vhdx-log.ts';

/** Blocks that have a place which the table does not know yet; what is not flushed may be lost. */
const MAX_UNLINKED = 1024;
const MAX_CHANGES = 64;
const NO_GUID = new Uint8Array(16);

export interface VhdxParts {
  readonly store: ByteStore;
  readonly header: VhdxHeader;
  readonly bat: VhdxRegion;
  readonly metadata: VhdxMetadata;
  readonly storeBytes: number;
}

export class VhdxMap implements ImageMap {
  readonly #store: ByteStore;
  readonly #bat: VhdxRegion;
  readonly #metadata: VhdxMetadata;
  readonly #chunkBlocks: number;
  readonly #pages: PageCache;
  readonly #filler: BlockFiller;
  readonly #unlinked = new Map<number, number>();
  readonly #committing = new KeyedLock<'log'>();
  #header: VhdxHeader;
  #storeBytes: number;
  #logPosition = 0;
  #logSequence = 1;
  #beginning: Promise<void> | undefined;

  constructor({ store, header, bat, metadata, storeBytes }: VhdxParts) {
    this.#store = store;
    this.#header = header;
    this.#bat = bat;
    this.#metadata = metadata;
    this.#storeBytes = storeBytes;
    this.#chunkBlocks = (CHUNK_SECTORS * metadata.logicalSectorBytes) / metadata.blockBytes;
    this.#pages = new PageCache(store);
    const table = {
      ...{ store, blockBytes: metadata.blockBytes, headBytes: 0, alignment: MIB, tailBytes: 0 },
      placeOf: async (block: number) => (await this.#block(block)).place,
      link: (block: number, at: number) => this.#link(block, at),
    };
    this.#filler = new BlockFiller(table, storeBytes);
  }

  #entryOffset(block: number): number {
    return this.#bat.offset + 8 * (block + Math.floor(block / this.#chunkBlocks));
  }

  async #entry(offset: number): Promise<{ readonly state: number; readonly at: number }> {
    const { view, index } = await this.#pages.at(offset);
    const low = view.getUint32(index, true);
    return { state: low & 7, at: view.getUint32(index + 4, true) * 2 ** 32 + ((low & 0xfff0_0000) >>> 0) };
  }

  #damaged(what: string): AnilloError {
    return new AnilloError('BAD_IMAGE', `${this.#store.name} is damaged: ${what}.`);
  }

  /** `place`: its bytes are there, all of them unless `isPart`. */
  async #block(block: number): Promise<{ readonly place?: number; readonly isPart?: boolean; readonly isZero?: boolean }> {
    const unlinked = this.#unlinked.get(block);
    if (unlinked !== undefined) return { place: unlinked };
    const { state, at } = await this.#entry(this.#entryOffset(block));
    const hasParent = this.#metadata.parent !== undefined;
    if (state === BLOCK_STATE.notPresent) return {};
    if (state === BLOCK_STATE.undefined || state === BLOCK_STATE.zero || state === BLOCK_STATE.unmapped) return { isZero: true };
    if (state !== BLOCK_STATE.fullyPresent && !(state === BLOCK_STATE.partiallyPresent && hasParent))
      throw this.#damaged(`block ${block} is in state ${state}`);
    if (at < MIB || at >= this.#storeBytes) throw this.#damaged(`block ${block} lies behind the end of the file`);
    return { place: at, isPart: state === BLOCK_STATE.partiallyPresent };
  }

  async locate(offset: number, byteCount: number): Promise<Run> {
    const { blockBytes } = this.#metadata;
    const block = Math.floor(offset / blockBytes);
    const skip = offset % blockBytes;
    const count = Math.min(byteCount, blockBytes - skip);
    const { place, isPart, isZero } = await this.#block(block);
    if (place === undefined) return { kind: isZero === true ? 'zero' : 'absent', byteCount: count };
    if (isPart !== true) return { kind: 'data', byteCount: count, store: this.#store, storeOffset: place + skip };
    const [isHere, alike] = await this.#alikeSectors(block, skip, count);
    return isHere
      ? { kind: 'data', byteCount: alike, store: this.#store, storeOffset: place + skip }
      : { kind: 'absent', byteCount: alike };
  }

  /** Whether the sector there is this image's, and for how many bytes that stays so. */
  async #alikeSectors(block: number, skip: number, byteCount: number): Promise<readonly [boolean, number]> {
    const { logicalSectorBytes, blockBytes } = this.#metadata;
    const chunk = Math.floor(block / this.#chunkBlocks);
    const { state, at } = await this.#entry(this.#bat.offset + 8 * ((chunk + 1) * this.#chunkBlocks + chunk));
    if (state !== BLOCK_STATE.fullyPresent || at < MIB || at >= this.#storeBytes)
      throw this.#damaged(`the bitmap of block ${block} is missing`);
    const first = Math.floor(((block % this.#chunkBlocks) * blockBytes + skip) / logicalSectorBytes);
    const bit = async (sector: number): Promise<boolean> => {
      const { view, index } = await this.#pages.at(at + Math.floor(sector / 8));
      return ((view.getUint8(index) >> (sector % 8)) & 1) === 1;
    };
    const isHere = await bit(first);
    let alike = logicalSectorBytes - (skip % logicalSectorBytes);
    for (let sector = first + 1; alike < byteCount && (await bit(sector)) === isHere; sector++) alike += logicalSectorBytes;
    return [isHere, Math.min(alike, byteCount)];
  }

  fill(offset: number, from: readonly Uint8Array[]): Promise<void> {
    return this.#filler.fill(offset, from);
  }

  async #link(block: number, at: number): Promise<void> {
    this.#storeBytes = Math.max(this.#storeBytes, at + this.#metadata.blockBytes);
    this.#unlinked.set(block, at);
    if (this.#unlinked.size >= MAX_UNLINKED) await this.#commit();
  }

  /** The file is another from its first change on, and says where its log is. */
  beforeChange(): Promise<void> {
    this.#beginning ??= this.#begin();
    this.#beginning.catch(() => {
      this.#beginning = undefined;
    });
    return this.#beginning;
  }

  async #begin(): Promise<void> {
    const next = { ...this.#header, fileWriteGuid: randomId(), dataWriteGuid: randomId(), logGuid: randomId() };
    this.#header = await writeVhdxHeader(this.#store, next);
  }

  #commit(): Promise<void> {
    return this.#committing.run('log', async () => {
      while (this.#unlinked.size > 0) await this.#commitSome();
    });
  }

  async #commitSome(): Promise<void> {
    const sectors = new Map<number, Uint8Array>();
    const done: (readonly [number, number])[] = [];
    for (const [block, at] of this.#unlinked) {
      const offset = this.#entryOffset(block);
      const start = offset - (offset % KIB_4);
      if (!sectors.has(start)) {
        if (sectors.size === MAX_CHANGES) break;
        const bytes = new Uint8Array(KIB_4);
        await this.#store.read(start, [bytes]);
        sectors.set(start, bytes);
      }
      viewOf(sectors.get(start)!).setBigUint64(offset - start, BigInt(at) | BigInt(BLOCK_STATE.fullyPresent), true);
      done.push([block, at]);
    }
    await this.#writeLogged([...sectors].map(([offset, bytes]) => ({ offset, byteCount: KIB_4, bytes })));
    for (const [block] of done) this.#unlinked.delete(block);
  }

  /** The blocks' bytes and the last entry's changes are on stable storage before this one's entry is, and that before its changes. */
  async #writeLogged(changes: readonly (LogChange & { readonly bytes: Uint8Array })[]): Promise<void> {
    const { logBytes, logOffset, logGuid } = this.#header;
    await this.#store.flush();
    const size = await this.#store.size();
    const entryBytes = (count: number): number => (2 + count) * KIB_4;
    if (this.#logPosition + entryBytes(changes.length) > logBytes) this.#logPosition = 0;
    const entry = logEntry(logGuid, this.#logSequence++, this.#logPosition, changes, size - (size % MIB));
    await this.#store.write(logOffset + this.#logPosition, [entry]);
    this.#logPosition += entry.length;
    await this.#store.flush();
    for (const { offset, bytes } of changes) await this.#pages.write(offset, bytes);
  }

  async flush(): Promise<void> {
    await this.#commit();
    await this.#store.flush();
  }

  async close(): Promise<void> {
    try {
      if (this.#beginning === undefined) return;
      await this.#beginning;
      await this.flush();
      this.#header = await writeVhdxHeader(this.#store, { ...this.#header, logGuid: NO_GUID });
    } finally {
      await this.#store.close();
    }
  }
}
