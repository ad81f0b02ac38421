// What a guest reads: each run from the image, from what lies behind it, or as zeros; all of them at once.

import { AnilloError } from '@anillo/base/anillo-error';
import type { Codec } from '../codecs.ts';
import type { Disk, Extent } from '../disk.ts';
import { LruMap } from '../lru-map.ts';
import { copyIntoList, listByteCount, listSlice, zeroList } from '../request.ts';
import { zstdFrameLength } from '../zstd-frame.ts';
import { settleAll } from '../settle-all.ts';
import { compressedPlace } from './geometry.ts';
import { ABSENT, COMPRESSED, DATA, lookUp, type Run, runsOf, ZERO } from './lookup.ts';
import type { Tables } from './tables.ts';

const KEPT_BYTES = 4 << 20;
const MAX_EXTENTS = 8192;

export class ClusterReader {
  readonly #tables: Tables;
  readonly #codec: Codec | undefined;
  readonly backing: Disk | undefined;
  /** Decompressed clusters by their entry. */
  readonly #kept: LruMap<string, Promise<Uint8Array>>;

  constructor(tables: Tables, backing: Disk | undefined, codec: Codec | undefined) {
    this.#tables = tables;
    this.backing = backing;
    this.#codec = codec;
    this.#kept = new LruMap(Math.max(1, KEPT_BYTES / tables.geometry.clusterBytes));
  }

  /** A place in the image may hold other bytes from now on. */
  forgetDecompressed(): void {
    this.#kept.clear();
  }

  async read(offset: number, into: readonly Uint8Array[]): Promise<void> {
    const { requests } = this.#tables;
    const epoch = requests.enter();
    try {
      const byteCount = listByteCount(into);
      const run = byteCount === 0 ? undefined : lookUp(this.#tables, offset, byteCount);
      if (run?.byteCount === byteCount) await this.#readRun(run, into);
      else {
        const runs = await runsOf(this.#tables, offset, byteCount);
        await settleAll(runs.map((part) => this.#readRun(part, listSlice(into, part.offset - offset, part.byteCount))));
      }
    } finally {
      requests.leave(epoch);
    }
  }

  /** At once, what lies in one piece; false: `read` has to do it. */
  readNow(offset: number, into: readonly Uint8Array[]): boolean {
    const byteCount = listByteCount(into);
    const run = lookUp(this.#tables, offset, byteCount);
    if (run === undefined || run.byteCount < byteCount || run.kind === COMPRESSED) return false;
    if (run.kind === DATA) return this.#tables.store.readNow?.(run.host, into) ?? false;
    if (run.kind === ABSENT && this.showsBehind(offset))
      return offset + byteCount <= this.backing!.byteCount && (this.backing!.readNow?.(offset, into) ?? false);
    zeroList(into);
    return true;
  }

  /** The bytes of a range; undefined where all of it reads as zeros without anything being read. */
  async bytesUnlessZero(offset: number, byteCount: number): Promise<Uint8Array | undefined> {
    if (byteCount === 0) return undefined;
    const { requests } = this.#tables;
    const epoch = requests.enter();
    try {
      const runs = await runsOf(this.#tables, offset, byteCount);
      if (runs.every((run) => run.kind === ZERO || (run.kind === ABSENT && !this.showsBehind(run.offset)))) return undefined;
      const bytes = new Uint8Array(byteCount);
      await settleAll(runs.map((run) => this.#readRun(run, [bytes.subarray(run.offset - offset, run.offset - offset + run.byteCount)])));
      return bytes;
    } finally {
      requests.leave(epoch);
    }
  }

  /** Is there an image behind that has this address? */
  showsBehind(offset: number): boolean {
    return this.backing !== undefined && offset < this.backing.byteCount;
  }

  #readRun(run: Run, into: readonly Uint8Array[]): Promise<void> {
    if (run.kind === DATA) return this.#tables.store.read(run.host, into);
    if (run.kind === COMPRESSED) return this.#readCompressed(run, into);
    if (run.kind === ABSENT && this.showsBehind(run.offset)) return this.#readBehind(run, into);
    zeroList(into);
    return Promise.resolve();
  }

  async #readBehind(run: Run, into: readonly Uint8Array[]): Promise<void> {
    const backing = this.backing!;
    const count = Math.min(run.byteCount, backing.byteCount - run.offset);
    if (count < run.byteCount) zeroList(listSlice(into, count, run.byteCount - count));
    await backing.read(run.offset, listSlice(into, 0, count));
  }

  async #readCompressed(run: Run, into: readonly Uint8Array[]): Promise<void> {
    const { clusterBytes } = this.#tables.geometry;
    const key = `${run.hi} ${run.lo}`;
    let cluster = this.#kept.get(key);
    if (cluster === undefined) {
      cluster = this.#decompress(run);
      cluster.catch(() => this.#kept.delete(key));
      this.#kept.set(key, cluster);
    }
    const from = run.offset % clusterBytes;
    copyIntoList(into, (await cluster).subarray(from, from + run.byteCount));
  }

  async #decompress(run: Run): Promise<Uint8Array> {
    const { header, store, geometry } = this.#tables;
    const place = compressedPlace(run.hi, run.lo, geometry.clusterBits);
    if (this.#codec === undefined)
      throw new AnilloError(
        'UNSUPPORTED',
        `${store.name} is compressed with ${header.compression}, which this host cannot read; convert it elsewhere.`,
      );
    const damaged = (cause?: unknown): AnilloError =>
      new AnilloError(
        'BAD_IMAGE',
        `${store.name} is damaged: its compressed cluster at ${place.offset} cannot be read; restore it from a copy.`,
        { cause },
      );
    if (place.offset >= 2 ** 53) throw damaged();
    const packed = new Uint8Array(place.byteCount);
    await store.read(place.offset, [packed]);
    let bytes: Uint8Array;
    try {
      // Behind the last byte there is what shares the sector.
      const length = header.compression === 'zstd' ? zstdFrameLength(packed) : packed.length;
      bytes = await this.#codec.decompress(packed.subarray(0, length), geometry.clusterBytes);
    } catch (cause) {
      throw damaged(cause);
    }
    if (bytes.length !== geometry.clusterBytes) throw damaged();
    return bytes;
  }

  async extents(offset: number, byteCount: number): Promise<readonly Extent[]> {
    const found: Extent[] = [];
    const put = (extent: Extent): void => {
      const last = found.at(-1);
      if (last !== undefined && continues(last, extent))
        found[found.length - 1] = { ...last, byteCount: last.byteCount + extent.byteCount };
      else found.push(extent);
    };
    for (const run of await runsOf(this.#tables, offset, byteCount, MAX_EXTENTS)) {
      if (found.length > MAX_EXTENTS) break;
      if (run.kind === ABSENT) {
        if (!(await this.#extentsBehind(run, put))) break;
      } else
        put({
          offset: run.offset,
          byteCount: run.byteCount,
          kind: run.kind === ZERO ? 'zero' : 'data',
          depth: 0,
          isCompressed: run.kind === COMPRESSED,
          storeOffset: run.kind === DATA ? run.host : undefined,
        });
    }
    return found;
  }

  /** False: not all of them. */
  async #extentsBehind(run: Run, put: (extent: Extent) => void): Promise<boolean> {
    const end = run.offset + run.byteCount;
    let at = run.offset;
    if (this.backing !== undefined && at < this.backing.byteCount) {
      const count = Math.min(end, this.backing.byteCount) - at;
      for (const extent of await this.backing.extents(at, count)) {
        put({ ...extent, depth: extent.depth + 1 });
        at = extent.offset + extent.byteCount;
      }
      if (at < run.offset + count) return false;
    }
    const depth = this.backing === undefined ? 0 : 1;
    if (at < end) put({ offset: at, byteCount: end - at, kind: 'absent', depth, isCompressed: false, storeOffset: undefined });
    return true;
  }
}

function continues(last: Extent, next: Extent): boolean {
  if (last.kind !== next.kind || last.depth !== next.depth || last.isCompressed !== next.isCompressed) return false;
  return last.storeOffset === undefined ? next.storeOffset === undefined : last.storeOffset + last.byteCount === next.storeOffset;
}
