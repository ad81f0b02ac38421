// Gives a block of an image its place when it is first written: at the end of the store, the bytes first and the table's entry afterwards, so that what is cut short leaves nothing worse than
// room that nobody uses.

import { BufferCursor } from './buffer-cursor.ts';
import type { ByteStore } from './byte-store.ts';
import { KeyedLock } from './keyed-lock.ts';
import { listByteCount } from './request.ts';
import { settleAll } from './settle-all.ts';

export interface BlockTable {
  readonly store: ByteStore;
  readonly blockBytes: number;
  /** Where a block lies; undefined: nowhere yet. */
  placeOf(block: number): Promise<number | undefined>;
  /** Writes the table's entry, and whatever else is written once for a block. */
  link(block: number, storeOffset: number): Promise<void>;
  /** Bytes before each block that belong to it (sector bitmaps); they are counted in `link`'s offset. */
  readonly headBytes: number;
  /** Blocks start at multiples of this. */
  readonly alignment: number;
  /** Bytes that stand behind the last block and are moved along (a footer). */
  readonly tailBytes: number;
}

export class BlockFiller {
  readonly #table: BlockTable;
  /** Where the next block comes. */
  #end: number;
  readonly #blocks = new KeyedLock<number>();
  readonly #growth = new KeyedLock<'end'>();

  constructor(table: BlockTable, end: number) {
    this.#table = table;
    this.#end = Math.ceil(end / table.alignment) * table.alignment;
  }

  /** Where the next block comes. */
  get end(): number {
    return this.#end;
  }

  /** Any number of blocks. */
  async fill(offset: number, from: readonly Uint8Array[]): Promise<void> {
    const { blockBytes } = this.#table;
    const cursor = new BufferCursor(from);
    const end = offset + listByteCount(from);
    const writes: Promise<void>[] = [];
    for (let at = offset; at < end; ) {
      const count = Math.min(end - at, blockBytes - (at % blockBytes));
      writes.push(this.#fillBlock(Math.floor(at / blockBytes), at % blockBytes, cursor.take(count)));
      at += count;
    }
    await settleAll(writes);
  }

  #fillBlock(block: number, skip: number, from: readonly Uint8Array[]): Promise<void> {
    return this.#blocks.run(block, async () => {
      const { store, headBytes, blockBytes } = this.#table;
      const known = await this.#table.placeOf(block);
      if (known !== undefined) return store.write(known + headBytes + skip, from);
      const place = await this.#take(listByteCount(from) < blockBytes);
      await store.write(place + headBytes + skip, from);
      await this.#table.link(block, place);
    });
  }

  /** `isPart`: the store has to grow over what will not be written now. */
  #take(isPart: boolean): Promise<number> {
    return this.#growth.run('end', async () => {
      const { headBytes, blockBytes, alignment, tailBytes, store } = this.#table;
      const place = this.#end;
      const end = Math.ceil((place + headBytes + blockBytes) / alignment) * alignment;
      // A tail's old bytes would be the block's first.
      if (tailBytes > 0) await store.writeZeroes(place, tailBytes);
      if (isPart || tailBytes > 0) await store.resize(Math.max(end + tailBytes, await store.size()));
      this.#end = end;
      return place;
    });
  }
}
