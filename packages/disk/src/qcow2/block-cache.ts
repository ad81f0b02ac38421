// Pieces of an image's tables in memory: a bounded number of clean ones, and what has changed until it is written back. Who writes them back, and in which order to
// others, is the owner's business.

import type { ByteStore } from '../byte-store.ts';
import { settleAll } from '../settle-all.ts';

/** Blocks that the hand looks at for one that is added. */
const LONGEST_SEARCH = 64;

export interface Block {
  readonly offset: number;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  isDirty: boolean;
  /** Spared by the next eviction. */
  isUsed: boolean;
  /** Its place in the ring of those that are in memory. */
  place: number;
  /** How many still need exactly this object. */
  pins: number;
}

export interface DirtyCopy {
  readonly block: Block;
  readonly bytes: Uint8Array;
}

export class BlockCache {
  readonly #store: ByteStore;
  readonly #blockBytes: number;
  readonly #capacity: number;
  readonly #blocks = new Map<number, Block>();
  /** The same, where the hand goes round that looks for one to drop. */
  readonly #ring: Block[] = [];
  #hand = 0;
  readonly #loading = new Map<number, Promise<Block>>();
  readonly #dirty = new Set<Block>();

  constructor(store: ByteStore, blockBytes: number, capacity: number) {
    this.#store = store;
    this.#blockBytes = blockBytes;
    this.#capacity = capacity;
  }

  get dirtyCount(): number {
    return this.#dirty.size;
  }

  get hasManyDirty(): boolean {
    return this.#dirty.size >= this.#capacity / 2;
  }

  /** The block that begins at `offset`, if it is in memory. */
  peek(offset: number): Block | undefined {
    const block = this.#blocks.get(offset);
    if (block !== undefined) block.isUsed = true;
    return block;
  }

  load(offset: number): Promise<Block> {
    const known = this.peek(offset);
    if (known !== undefined) return Promise.resolve(known);
    let loading = this.#loading.get(offset);
    if (loading === undefined) {
      loading = this.#load(offset).finally(() => this.#loading.delete(offset));
      this.#loading.set(offset, loading);
    }
    return loading;
  }

  async #load(offset: number): Promise<Block> {
    const bytes = new Uint8Array(this.#blockBytes);
    await this.#store.read(offset, [bytes]);
    // Put there by `add` meanwhile: that one is newer.
    return this.#blocks.get(offset) ?? this.add(offset, bytes);
  }

  /** What the store holds, or is about to, without reading it. */
  add(offset: number, bytes: Uint8Array): Block {
    const old = this.#blocks.get(offset);
    if (old !== undefined) this.#drop(old);
    if (this.#blocks.size >= this.#capacity) this.#evict();
    const block: Block = {
      offset,
      bytes,
      view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
      isDirty: false,
      isUsed: true,
      pins: 0,
      place: this.#ring.length,
    };
    this.#blocks.set(offset, block);
    this.#ring.push(block);
    return block;
  }

  markDirty(block: Block): void {
    if (block.isDirty) return;
    block.isDirty = true;
    this.#dirty.add(block);
  }

  /** Drops the blocks of a range that is no table any more. */
  forget(offset: number, byteCount: number): void {
    for (let at = offset; at < offset + byteCount; at += this.#blockBytes) {
      const block = this.#blocks.get(at);
      if (block !== undefined) this.#drop(block);
    }
  }

  forgetAll(): void {
    this.#blocks.clear();
    this.#dirty.clear();
    this.#ring.length = 0;
  }

  #drop(block: Block): void {
    this.#dirty.delete(block);
    block.isDirty = false;
    this.#blocks.delete(block.offset);
    const last = this.#ring.pop()!;
    if (last === block) return;
    this.#ring[block.place] = last;
    last.place = block.place;
  }

  /** What has changed as it is now, by offset; it counts as clean from now on, and stays in memory until `written` or `failed`. */
  takeDirty(): readonly DirtyCopy[] {
    const copies: DirtyCopy[] = [];
    for (const block of this.#dirty) {
      block.isDirty = false;
      block.pins++;
      copies.push({ block, bytes: block.bytes.slice() });
    }
    this.#dirty.clear();
    return copies.sort((a, b) => a.block.offset - b.block.offset);
  }

  written(copies: readonly DirtyCopy[]): void {
    for (const { block } of copies) block.pins--;
  }

  failed(copies: readonly DirtyCopy[]): void {
    for (const { block } of copies) {
      block.pins--;
      if (this.#blocks.get(block.offset) === block) this.markDirty(block);
    }
  }

  /** One request for each row of neighbours. */
  async write(copies: readonly DirtyCopy[]): Promise<void> {
    const writes: Promise<void>[] = [];
    for (let first = 0; first < copies.length; ) {
      let end = first + 1;
      while (end < copies.length && copies[end].block.offset === copies[end - 1].block.offset + this.#blockBytes && end - first < 256)
        end++;
      writes.push(
        this.#store.write(
          copies[first].block.offset,
          copies.slice(first, end).map(({ bytes }) => bytes),
        ),
      );
      first = end;
    }
    await settleAll(writes);
  }

  /** A clock: a block that was used since the hand came by last is spared once. Where all are needed, there are more than the capacity for a while. */
  #evict(): void {
    for (let tries = LONGEST_SEARCH; tries > 0 && this.#blocks.size >= this.#capacity; tries--) {
      if (this.#hand >= this.#ring.length) this.#hand = 0;
      const block = this.#ring[this.#hand];
      if (block.isDirty || block.pins > 0 || block.isUsed) {
        block.isUsed = false;
        this.#hand++;
      } else this.#drop(block);
    }
  }
}
