// A disk whose format tells, for a place, where the bytes from there on lie: in a store as they are, compressed, nowhere (zeros), or in the image behind it. VDI, VHD, VHDX and VMDK
// differ in how they find that out.

import { AnilloError } from '@anillo/base/anillo-error';
import { BufferCursor } from './buffer-cursor.ts';
import type { ByteStore } from './byte-store.ts';
import type { Disk, Extent } from './disk.ts';
import { checkRange, copyIntoList, listByteCount, zeroList } from './request.ts';
import { Started } from './settle-all.ts';

/** Bytes that lie alike, from the place asked for on; at least one sector. */
export type Run =
  | { readonly kind: 'data'; readonly byteCount: number; readonly store: ByteStore; readonly storeOffset: number }
  /** `unpack` gives bytes of which the run is the part from `skip` on. */
  | { readonly kind: 'packed'; readonly byteCount: number; readonly skip: number; unpack(): Promise<Uint8Array> }
  | { readonly kind: 'zero' | 'absent'; readonly byteCount: number };

export interface ImageMap {
  /** Of at most `byteCount` bytes, which lie within the disk. AnilloError BAD_IMAGE. */
  locate(offset: number, byteCount: number): Promise<Run>;
  /** Takes bytes where `locate` found no data. */
  fill(offset: number, from: readonly Uint8Array[]): Promise<void>;
  /** Called before each change, whatever it is. */
  beforeChange?(): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface MappedDiskOptions {
  readonly format: string;
  readonly byteCount: number;
  readonly map: ImageMap;
  /** Why it cannot be written; undefined: it can. */
  readonly readOnlyReason?: string;
  /** The image behind it. Images that have one are not written. */
  readonly parent?: Disk;
  /** What the image says of it. */
  readonly parentName?: string;
  readonly clusterByteCount?: number;
  readonly facts?: Readonly<Record<string, unknown>>;
}

/** Of which extents are made in one call. */
const MAX_RUNS = 16384;

/** What lies behind the parent's end is absent. */
async function readParent(parent: Disk, offset: number, into: readonly Uint8Array[]): Promise<void> {
  const inside = Math.max(0, Math.min(listByteCount(into), parent.byteCount - offset));
  const cursor = new BufferCursor(into);
  const there = cursor.take(inside);
  if (inside > 0) await parent.read(offset, there);
  zeroList(cursor.take(Number.MAX_SAFE_INTEGER));
}

export class MappedDisk implements Disk {
  readonly format: string;
  readonly byteCount: number;
  readonly clusterByteCount: number | undefined;
  readonly facts: Readonly<Record<string, unknown>> | undefined;
  readonly backing: Disk['backing'];
  readonly #map: ImageMap;
  readonly #readOnlyReason: string | undefined;
  readonly #parent: Disk | undefined;

  constructor({ format, byteCount, map, readOnlyReason, parent, parentName, clusterByteCount, facts }: MappedDiskOptions) {
    this.clusterByteCount = clusterByteCount;
    this.facts = facts;
    this.backing = parentName === undefined ? undefined : { fileName: parentName, format, disk: parent };
    this.format = format;
    this.byteCount = byteCount;
    this.#map = map;
    this.#readOnlyReason = readOnlyReason;
    this.#parent = parent;
  }

  get isReadOnly(): boolean {
    return this.#readOnlyReason !== undefined;
  }

  async *#runs(offset: number, byteCount: number): AsyncGenerator<readonly [number, Run]> {
    const end = offset + byteCount;
    for (let at = offset; at < end; ) {
      const run = await this.#map.locate(at, end - at);
      yield [at, run];
      at += run.byteCount;
    }
  }

  async read(offset: number, into: readonly Uint8Array[]): Promise<void> {
    checkRange(this, offset, listByteCount(into));
    const cursor = new BufferCursor(into);
    const reads = new Started();
    try {
      for await (const [at, run] of this.#runs(offset, listByteCount(into))) {
        const part = cursor.take(run.byteCount);
        if (run.kind === 'data') reads.add(run.store.read(run.storeOffset, part));
        else if (run.kind === 'packed') copyIntoList(part, (await run.unpack()).subarray(run.skip));
        else if (run.kind === 'absent' && this.#parent !== undefined) reads.add(readParent(this.#parent, at, part));
        else zeroList(part);
      }
    } finally {
      await reads.settle();
    }
  }

  async #beginChange(offset: number, byteCount: number): Promise<void> {
    checkRange(this, offset, byteCount);
    if (this.#readOnlyReason !== undefined) throw new AnilloError('STATE', this.#readOnlyReason);
    if (byteCount > 0) await this.#map.beforeChange?.();
  }

  async write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    await this.#beginChange(offset, listByteCount(from));
    const cursor = new BufferCursor(from);
    const writes = new Started();
    try {
      for await (const [at, run] of this.#runs(offset, listByteCount(from))) {
        const part = cursor.take(run.byteCount);
        writes.add(run.kind === 'data' ? run.store.write(run.storeOffset, part) : this.#map.fill(at, part));
      }
    } finally {
      await writes.settle();
    }
  }

  async writeZeroes(offset: number, byteCount: number, _mayUnmap: boolean): Promise<void> {
    await this.#beginChange(offset, byteCount);
    for await (const [, run] of this.#runs(offset, byteCount))
      if (run.kind === 'data') await run.store.writeZeroes(run.storeOffset, run.byteCount);
  }

  discard(offset: number, byteCount: number): Promise<void> {
    return this.writeZeroes(offset, byteCount, true);
  }

  flush(): Promise<void> {
    return this.#map.flush();
  }

  async extents(offset: number, byteCount: number): Promise<readonly Extent[]> {
    checkRange(this, offset, byteCount);
    const found: Extent[] = [];
    let count = 0;
    for await (const [at, run] of this.#runs(offset, byteCount)) {
      if (++count > MAX_RUNS) break;
      if (run.kind === 'absent' && this.#parent !== undefined) {
        const behind = await this.#parentExtents(this.#parent, at, run.byteCount);
        for (const extent of behind) addExtent(found, extent);
        const last = behind[behind.length - 1];
        if (last.offset + last.byteCount < at + run.byteCount) break;
        continue;
      }
      addExtent(found, {
        ...{ offset: at, byteCount: run.byteCount, depth: 0, isCompressed: run.kind === 'packed' },
        kind: run.kind === 'packed' ? 'data' : run.kind,
        storeOffset: run.kind === 'data' ? run.storeOffset : undefined,
      });
    }
    return found;
  }

  async #parentExtents(parent: Disk, offset: number, byteCount: number): Promise<readonly Extent[]> {
    const inside = Math.max(0, Math.min(byteCount, parent.byteCount - offset));
    const found = inside === 0 ? [] : (await parent.extents(offset, inside)).map((extent) => ({ ...extent, depth: extent.depth + 1 }));
    const told = found.length === 0 ? offset : found[found.length - 1].offset + found[found.length - 1].byteCount;
    if (inside === byteCount || told < offset + inside) return found;
    const behind = { offset: offset + inside, byteCount: byteCount - inside, depth: 0, kind: 'absent' } as const;
    return [...found, { ...behind, isCompressed: false, storeOffset: undefined }];
  }

  async close(): Promise<void> {
    try {
      await this.#map.close();
    } finally {
      await this.#parent?.close();
    }
  }
}

/** Joins what goes on as the last one ends. */
function addExtent(list: Extent[], next: Extent): void {
  const last = list.at(-1);
  const goesOn =
    last !== undefined &&
    last.kind === next.kind &&
    last.depth === next.depth &&
    last.isCompressed === next.isCompressed &&
    (last.storeOffset === undefined ? next.storeOffset === undefined : last.storeOffset + last.byteCount === next.storeOffset);
  if (goesOn) list[list.length - 1] = { ...last, byteCount: last.byteCount + next.byteCount };
  else list.push(next);
}
