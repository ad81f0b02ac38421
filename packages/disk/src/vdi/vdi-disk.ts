// A VDI image as a disk: a map says for each block (1 MiB as a rule) which of those that follow it is its.

import { AnilloError } from '@anillo/base/anillo-error';
import { BlockFiller } from '../block-filler.ts';
import type { ByteStore } from '../byte-store.ts';
import type { Disk } from '../disk.ts';
import { type ImageMap, MappedDisk, type Run } from '../mapped-disk.ts';
import { viewOf } from '../packed-layout.ts';
import { PageCache } from '../page-cache.ts';
import { VDI_HEADER, VDI_NOT_ALLOCATED, VDI_ZERO, type VdiHeader, readVdiHeader } from './vdi-header.ts';

class VdiMap implements ImageMap {
  readonly #store: ByteStore;
  readonly #header: VdiHeader;
  readonly #pages: PageCache;
  readonly #filler: BlockFiller;
  #storeBytes: number;

  /** `usedCount`: places that are taken; the next ones follow them. */
  constructor(store: ByteStore, header: VdiHeader, storeBytes: number, usedCount: number) {
    this.#store = store;
    this.#header = header;
    this.#storeBytes = storeBytes;
    this.#pages = new PageCache(store);
    this.#filler = new BlockFiller(
      {
        ...{ store, blockBytes: header.blockBytes, headBytes: header.blockExtraBytes, alignment: 512, tailBytes: 0 },
        placeOf: async (block) => (await this.#place(block))?.at,
        link: (block, at) => this.#link(block, at),
      },
      header.dataOffset + usedCount * this.#stride,
    );
  }

  get #stride(): number {
    return this.#header.blockBytes + this.#header.blockExtraBytes;
  }

  async #place(block: number): Promise<{ readonly at: number } | undefined> {
    const entry = await this.#pages.u32(this.#header.blockMapOffset + 4 * block, true);
    if (entry === VDI_NOT_ALLOCATED || entry === VDI_ZERO) return undefined;
    const at = this.#header.dataOffset + entry * this.#stride;
    if (at >= this.#storeBytes)
      throw new AnilloError('BAD_IMAGE', `${this.#store.name} is damaged: block ${block} lies behind the end of the file.`);
    return { at };
  }

  async locate(offset: number, byteCount: number): Promise<Run> {
    const { blockBytes } = this.#header;
    const block = Math.floor(offset / blockBytes);
    const skip = offset % blockBytes;
    const count = Math.min(byteCount, blockBytes - skip);
    const place = await this.#place(block);
    if (place !== undefined)
      return { kind: 'data', byteCount: count, store: this.#store, storeOffset: place.at + this.#header.blockExtraBytes + skip };
    const entry = await this.#pages.u32(this.#header.blockMapOffset + 4 * block, true);
    return { kind: entry === VDI_ZERO ? 'zero' : 'absent', byteCount: count };
  }

  fill(offset: number, from: readonly Uint8Array[]): Promise<void> {
    return this.#filler.fill(offset, from);
  }

  /** The count first: QEMU puts its next block at the place that it tells. */
  async #link(block: number, at: number): Promise<void> {
    this.#storeBytes = Math.max(this.#storeBytes, at + this.#stride);
    await writeAllocatedCount(this.#store, (this.#filler.end - this.#header.dataOffset) / this.#stride);
    await this.#pages.writeU32(this.#header.blockMapOffset + 4 * block, (at - this.#header.dataOffset) / this.#stride, true);
  }

  flush(): Promise<void> {
    return this.#store.flush();
  }

  async close(): Promise<void> {
    try {
      if (!this.#store.isReadOnly) await this.#store.flush();
    } finally {
      await this.#store.close();
    }
  }
}

async function writeAllocatedCount(store: ByteStore, count: number): Promise<void> {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, count, true);
  await store.write(VDI_HEADER.offset.allocatedBlockCount, [bytes]);
}

const MAP_PIECE_BYTES = 1 << 18;

/** Places up to the last one that the map names. */
async function countPlaces(store: ByteStore, { blockMapOffset, blockCount }: VdiHeader): Promise<number> {
  let used = 0;
  for (let at = 0; at < 4 * blockCount; at += MAP_PIECE_BYTES) {
    const piece = new Uint8Array(Math.min(MAP_PIECE_BYTES, 4 * blockCount - at));
    await store.read(blockMapOffset + at, [piece]);
    const view = viewOf(piece);
    for (let i = 0; i < piece.length; i += 4) {
      const entry = view.getUint32(i, true);
      if (entry < VDI_ZERO) used = Math.max(used, entry + 1);
    }
  }
  return used;
}

/** A writer that was killed may have left a block that the map does not name yet, and a count of before or after. */
async function mend(store: ByteStore, header: VdiHeader, storeBytes: number, usedCount: number): Promise<number> {
  const end = header.dataOffset + usedCount * (header.blockBytes + header.blockExtraBytes);
  if (header.allocatedBlockCount !== usedCount) await writeAllocatedCount(store, usedCount);
  if (storeBytes <= end) return storeBytes;
  await store.resize(end);
  return end;
}

/** AnilloError BAD_IMAGE, UNSUPPORTED. */
export async function openVdi(store: ByteStore, isReadOnly: boolean): Promise<Disk> {
  const header = await readVdiHeader(store);
  let storeBytes = await store.size();
  if (header.blockMapOffset + 4 * header.blockCount > storeBytes)
    throw new AnilloError('BAD_IMAGE', `${store.name} is no usable VDI image: its block map lies behind the end of the file.`);
  let usedCount = 0;
  if (!isReadOnly) {
    usedCount = await countPlaces(store, header);
    if (header.dataOffset + (usedCount - 1) * (header.blockBytes + header.blockExtraBytes) >= storeBytes)
      throw new AnilloError('BAD_IMAGE', `${store.name} is damaged: a block lies behind the end of the file; open it for reading only.`);
    storeBytes = await mend(store, header, storeBytes, usedCount);
  }
  return new MappedDisk({
    ...{ format: 'vdi', byteCount: header.diskBytes, map: new VdiMap(store, header, storeBytes, usedCount) },
    clusterByteCount: header.blockBytes,
    readOnlyReason: isReadOnly ? `${store.name} is open for reading only.` : undefined,
  });
}
