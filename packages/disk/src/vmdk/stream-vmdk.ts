// Makes stream-optimised VMDK images (Virtual Disk Format 5.0, "Stream-Optimized Compressed Sparse Extents"): compressed grains one after the other, then their tables, directory and footer.
// It is a disk that is written once, each grain whole or in pieces, and not read.

import { AnilloError } from '@anillo/base/anillo-error';
import { BufferCursor } from '../buffer-cursor.ts';
import type { ByteStore } from '../byte-store.ts';
import type { Codec } from '../codecs.ts';
import type { Disk, Extent } from '../disk.ts';
import { checkDiskSize } from '../disk-size.ts';
import { viewOf } from '../packed-layout.ts';
import { checkRange, listByteCount } from '../request.ts';
import { utf8Bytes } from '../text-bytes.ts';
import { type CreateVmdkOptions, DESCRIPTOR_SECTORS, ENTRIES_PER_TABLE, GRAIN_SECTORS, MAX_VMDK_BYTES } from './create-vmdk.ts';
import {
  COMPRESSION_DEFLATE,
  GD_AT_END,
  GRAIN_MARKER_BYTES,
  LINE_ENDS,
  MARKER,
  MARKER_TYPE,
  SECTOR_BYTES,
  SPARSE_FLAG,
  SPARSE_HEADER,
  SPARSE_MAGIC,
} from './sparse-header.ts';
import { vmdkDescriptorText } from './vmdk-descriptor.ts';

const GRAIN_BYTES = GRAIN_SECTORS * SECTOR_BYTES;
/** Grains of which a part has come. */
const MAX_PARTIAL_GRAINS = 256;

interface PartialGrain {
  readonly bytes: Uint8Array;
  /** Sectors that have not come yet. */
  left: number;
}

const padded = (byteCount: number): number => Math.ceil(byteCount / SECTOR_BYTES) * SECTOR_BYTES;
const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

/** The size of the disk if the image is one that has been created and not been written yet. */
export async function freshStreamBytes(store: ByteStore): Promise<number | undefined> {
  if ((await store.size()) !== GRAIN_BYTES) return undefined;
  const head = new Uint8Array(SPARSE_HEADER.byteCount);
  await store.read(0, [head]);
  const { magic, directorySector, capacity } = SPARSE_HEADER.decode(head);
  const isFresh = magic === SPARSE_MAGIC && directorySector === GD_AT_END && capacity <= MAX_VMDK_BYTES / SECTOR_BYTES;
  return isFresh ? capacity * SECTOR_BYTES : undefined;
}

export class StreamVmdkWriter implements Disk {
  readonly format = 'vmdk';
  readonly isReadOnly = false;
  readonly byteCount: number;
  readonly #store: ByteStore;
  readonly #zlib: Codec;
  #end: number;
  readonly #tables = new Map<number, Uint32Array>();
  readonly #partial = new Map<number, PartialGrain>();
  /** Grains are appended in the order in which they became whole. */
  #appended: Promise<void> = Promise.resolve();

  readonly clusterByteCount = GRAIN_BYTES;

  /** Of an image that `create` has made and nobody has written to. */
  constructor(store: ByteStore, byteCount: number, zlib: Codec) {
    this.#store = store;
    this.byteCount = byteCount;
    this.#zlib = zlib;
    this.#end = GRAIN_BYTES;
  }

  /** Into an empty store. AnilloError BAD_OPTION. */
  static async create(store: ByteStore, { byteCount, cid }: CreateVmdkOptions): Promise<void> {
    checkDiskSize('VMDK', byteCount, MAX_VMDK_BYTES);
    const header = StreamVmdkWriter.#header(byteCount, GD_AT_END);
    const fileName = store.name;
    const text = vmdkDescriptorText({ createType: 'streamOptimized', cid, sectorCount: byteCount / SECTOR_BYTES, fileName });
    await store.write(0, [header, utf8Bytes(text)]);
    await store.resize(GRAIN_BYTES);
  }

  static #header(byteCount: number, directorySector: number): Uint8Array {
    return SPARSE_HEADER.encode({
      ...{ magic: SPARSE_MAGIC, version: 3, flags: SPARSE_FLAG.newLineTest | SPARSE_FLAG.compressed | SPARSE_FLAG.markers },
      ...{
        capacity: byteCount / SECTOR_BYTES,
        grainSectors: GRAIN_SECTORS,
        descriptorSector: 1,
        descriptorSectorCount: DESCRIPTOR_SECTORS,
      },
      ...{ entriesPerTable: ENTRIES_PER_TABLE, directorySector, overheadSectors: GRAIN_SECTORS, lineEnds: LINE_ENDS },
      compression: COMPRESSION_DEFLATE,
    });
  }

  read(): Promise<void> {
    return Promise.reject(new AnilloError('STATE', `${this.#store.name} is being written as a stream; close it before it is read.`));
  }

  async write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    checkRange(this, offset, listByteCount(from));
    const cursor = new BufferCursor(from);
    const end = offset + listByteCount(from);
    for (let at = offset; at < end; ) {
      const count = Math.min(end - at, GRAIN_BYTES - (at % GRAIN_BYTES));
      this.#take(Math.floor(at / GRAIN_BYTES), at % GRAIN_BYTES, cursor.take(count));
      at += count;
    }
    await this.#appended;
  }

  #take(grain: number, skip: number, from: readonly Uint8Array[]): void {
    const whole = Math.min(GRAIN_BYTES, this.byteCount - grain * GRAIN_BYTES) / SECTOR_BYTES;
    const partial = this.#partial.get(grain) ?? { bytes: new Uint8Array(GRAIN_BYTES), left: whole };
    let at = skip;
    for (const part of from) {
      partial.bytes.set(part, at);
      at += part.length;
    }
    partial.left -= (at - skip) / SECTOR_BYTES;
    if (partial.left <= 0) {
      this.#partial.delete(grain);
      this.#append(grain, partial.bytes);
    } else {
      this.#partial.set(grain, partial);
      if (this.#partial.size > MAX_PARTIAL_GRAINS) throw new AnilloError('STATE', 'A stream-optimised image has to be written in order.');
    }
  }

  #append(grain: number, bytes: Uint8Array): void {
    if (this.#tables.get(Math.floor(grain / ENTRIES_PER_TABLE))?.[grain % ENTRIES_PER_TABLE])
      throw new AnilloError('STATE', 'A stream-optimised image is written once; a place of it has been written twice.');
    if (isZero(bytes)) return;
    const packing = this.#zlib.compress(bytes);
    packing.catch(() => {});
    this.#appended = this.#appended.then(async () => {
      const packed = await packing;
      const marker = MARKER.encode({ sector: grain * GRAIN_SECTORS, byteCount: packed.length }).subarray(0, GRAIN_MARKER_BYTES);
      const table = this.#tables.get(Math.floor(grain / ENTRIES_PER_TABLE)) ?? new Uint32Array(ENTRIES_PER_TABLE);
      this.#tables.set(Math.floor(grain / ENTRIES_PER_TABLE), table);
      table[grain % ENTRIES_PER_TABLE] = await this.#put([marker, packed]);
    });
    this.#appended.catch(() => {});
  }

  /** Tells the sector. */
  async #put(buffers: readonly Uint8Array[]): Promise<number> {
    const sector = this.#end / SECTOR_BYTES;
    const byteCount = listByteCount(buffers);
    await this.#store.write(this.#end, [...buffers, new Uint8Array(padded(byteCount) - byteCount)]);
    this.#end += padded(byteCount);
    return sector;
  }

  /** Tells the sector of what follows the marker. */
  async #putMarked(type: number, bytes: Uint8Array): Promise<number> {
    const marker = new Uint8Array(SECTOR_BYTES);
    MARKER.encodeInto(marker, 0, { sector: padded(bytes.length) / SECTOR_BYTES, type });
    return 1 + (await this.#put([marker, bytes]));
  }

  async writeZeroes(offset: number, byteCount: number): Promise<void> {
    checkRange(this, offset, byteCount);
    const zeros = new Uint8Array(GRAIN_BYTES);
    for (let at = offset; at < offset + byteCount; ) {
      const count = Math.min(offset + byteCount - at, GRAIN_BYTES - (at % GRAIN_BYTES));
      // Whole grains are absent, which reads as zeros.
      if (count < GRAIN_BYTES) await this.write(at, [zeros.subarray(0, count)]);
      at += count;
    }
  }

  async discard(): Promise<void> {}

  async flush(): Promise<void> {
    await this.#appended;
    await this.#store.flush();
  }

  async extents(offset: number, byteCount: number): Promise<readonly Extent[]> {
    return [{ offset, byteCount, kind: 'data', depth: 0, isCompressed: true, storeOffset: undefined }];
  }

  async #finish(): Promise<void> {
    for (const [grain, { bytes }] of [...this.#partial].sort(([a], [b]) => a - b)) this.#append(grain, bytes);
    this.#partial.clear();
    await this.#appended;
    const directory = new Uint8Array(4 * Math.ceil(this.byteCount / (GRAIN_BYTES * ENTRIES_PER_TABLE)));
    for (const [number, table] of [...this.#tables].sort(([a], [b]) => a - b)) {
      const bytes = new Uint8Array(4 * ENTRIES_PER_TABLE);
      const view = viewOf(bytes);
      for (const [i, entry] of table.entries()) view.setUint32(4 * i, entry, true);
      viewOf(directory).setUint32(4 * number, await this.#putMarked(MARKER_TYPE.grainTable, bytes), true);
    }
    const sector = await this.#putMarked(MARKER_TYPE.grainDirectory, directory);
    await this.#putMarked(MARKER_TYPE.footer, StreamVmdkWriter.#header(this.byteCount, sector));
    await this.#put([new Uint8Array(SECTOR_BYTES)]);
    await this.#store.flush();
  }

  async close(): Promise<void> {
    try {
      await this.#finish();
    } finally {
      await this.#store.close();
    }
  }
}
