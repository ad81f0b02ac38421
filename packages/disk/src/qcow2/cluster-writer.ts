// What a guest writes: over a cluster that is this image's alone, or into a new one. A new cluster is counted first, then filled (what the request leaves untouched of it
// comes from where the guest has seen it so far), and named by its L2 entry only then. Requests to one cluster that is about to move wait for each other; all else goes
// side by side.

import type { Codec } from '../codecs.ts';
import { listByteCount, listSlice } from '../request.ts';
import { settleAll } from '../settle-all.ts';
import type { Block } from './block-cache.ts';
import type { ClusterReader } from './cluster-reader.ts';
import { COMPRESSED_HI, COPIED_HI, compressedHi, compressedPlace, entryOffset, hiOf, loOf, ZERO_LO } from './geometry.ts';
import { ABSENT, COMPRESSED, DATA, entryAt, l1IndexOf, l2BlockOf, mappedByBlock, runIn } from './lookup.ts';
import type { Allocation } from './refcounts.ts';
import type { Tables } from './tables.ts';

const ZERO_CHUNK = 1 << 20;

/** Clusters that are being moved: first and last + 1, in clusters of the guest. */
interface Move {
  readonly first: number;
  readonly end: number;
  readonly done: Promise<unknown>;
}

/** A request's part within clusters that get a place of their own. */
interface Filling {
  readonly offset: number;
  readonly data: readonly Uint8Array[];
  readonly byteCount: number;
  readonly host: number;
  readonly isVirgin: boolean;
  /** The clusters had a place of this image's own already. */
  readonly isReuse: boolean;
}

export class ClusterWriter {
  readonly #tables: Tables;
  readonly #reader: ClusterReader;
  readonly #codec: Codec | undefined;
  readonly #moves = new Set<Move>();

  constructor(tables: Tables, reader: ClusterReader, codec: Codec | undefined) {
    this.#tables = tables;
    this.#reader = reader;
    this.#codec = codec;
  }

  async write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    const byteCount = listByteCount(from);
    const parts: Promise<void>[] = [];
    try {
      for (let at = 0; at < byteCount; ) {
        if (this.#tables.hasManyDirty) await this.#tables.writeBack();
        const part = await this.#startWrite(offset + at, listSlice(from, at, byteCount - at), byteCount - at);
        part.done.catch(() => {});
        parts.push(part.done);
        at += part.byteCount;
      }
    } catch (error) {
      await Promise.allSettled(parts);
      throw error;
    }
    if (parts.length === 1) await parts[0];
    else await settleAll(parts);
  }

  /** At once, over what this image has alone and in one piece; false: `write` has to do it. */
  writeNow(offset: number, from: readonly Uint8Array[]): boolean {
    const tables = this.#tables;
    const byteCount = listByteCount(from);
    const block = byteCount > mappedByBlock(tables, offset) ? undefined : this.#ready(offset, byteCount);
    if (block instanceof Promise) block.catch(() => {}); // `write` waits for the same
    if (block === undefined || block instanceof Promise || !this.#isOwn(block.view, entryAt(tables, offset))) return false;
    const run = runIn(tables, block, offset, byteCount);
    if (run.kind !== DATA || run.byteCount < byteCount || this.#ownByteCount(block, offset, byteCount) < byteCount) return false;
    tables.checkDataPlace(run.host, byteCount);
    return tables.store.writeNow?.(run.host, from) ?? false;
  }

  /** The piece of the L2 table for an address, this image's own, with nobody moving clusters of the range; or what to wait for before asking again. */
  #ready(offset: number, byteCount: number): Block | Promise<unknown> {
    const { clusterBytes } = this.#tables.geometry;
    const making = this.#tables.ownTable(l1IndexOf(this.#tables, offset));
    if (making !== undefined) return making;
    const place = l2BlockOf(this.#tables, offset);
    const block = this.#tables.l2.peek(place);
    if (block === undefined) return this.#tables.l2.load(place);
    const range = Math.min(byteCount, mappedByBlock(this.#tables, offset));
    return this.#movingIn(Math.floor(offset / clusterBytes), Math.ceil((offset + range) / clusterBytes)) ?? block;
  }

  #movingIn(first: number, end: number): Promise<unknown> | undefined {
    for (const move of this.#moves) if (move.first < end && first < move.end) return move.done;
    return undefined;
  }

  /** Whether the cluster has a place that is this image's alone, whatever it shows. */
  #isOwn(view: DataView, at: number): boolean {
    const hi = view.getUint32(at);
    return (hi & COPIED_HI) !== 0 && (hi & COMPRESSED_HI) === 0 && entryOffset(hi, view.getUint32(at + 4)) !== 0;
  }

  async #startWrite(offset: number, from: readonly Uint8Array[], byteCount: number): Promise<{ byteCount: number; done: Promise<void> }> {
    const tables = this.#tables;
    const { clusterBytes, l2EntryBytes } = tables.geometry;
    const block = this.#ready(offset, byteCount);
    if (block instanceof Promise) {
      await block;
      return this.#startWrite(offset, from, byteCount);
    }
    const range = Math.min(byteCount, mappedByBlock(tables, offset));
    const run = runIn(tables, block, offset, range);
    const first = entryAt(tables, offset);
    const isOwn = this.#isOwn(block.view, first);
    if (isOwn && run.kind === DATA) return this.#writeInPlace(run.host, from, this.#ownByteCount(block, offset, run.byteCount));
    // As many clusters as are to move in the same way.
    const inFirst = offset % clusterBytes;
    const host = isOwn ? entryOffset(block.view.getUint32(first), block.view.getUint32(first + 4)) : 0;
    let clusters = 1;
    while (clusters * clusterBytes - inFirst < range) {
      const at = first + clusters * l2EntryBytes;
      if (this.#isOwn(block.view, at) !== isOwn) break;
      if (isOwn) {
        if (entryOffset(block.view.getUint32(at), block.view.getUint32(at + 4)) !== host + clusters * clusterBytes) break;
        if (runIn(tables, block, offset - inFirst + clusters * clusterBytes, 512).kind === DATA) break;
      }
      clusters++;
    }
    if (isOwn) tables.checkDataPlace(host, clusters * clusterBytes);
    // A subcluster that is kept already is written where it is.
    const limit = isOwn && run.kind !== DATA ? this.#beforeData(block, offset, Math.min(range, clusters * clusterBytes - inFirst)) : range;
    return this.#startMove(
      block,
      offset,
      from,
      Math.min(range, clusters * clusterBytes - inFirst, limit),
      isOwn ? host : undefined,
      clusters,
    );
  }

  /** How much of a run of data lies in clusters of this image's own. */
  #ownByteCount(block: Block, offset: number, byteCount: number): number {
    const { clusterBytes, l2EntryBytes } = this.#tables.geometry;
    let at = entryAt(this.#tables, offset);
    let count = clusterBytes - (offset % clusterBytes);
    while (count < byteCount) {
      at += l2EntryBytes;
      if (!this.#isOwn(block.view, at)) return count;
      count += clusterBytes;
    }
    return byteCount;
  }

  /** Bytes until the next that is kept already. */
  #beforeData(block: Block, offset: number, byteCount: number): number {
    for (let done = 0; done < byteCount; ) {
      const run = runIn(this.#tables, block, offset + done, byteCount - done);
      if (run.kind === DATA) return done;
      done += run.byteCount;
    }
    return byteCount;
  }

  #writeInPlace(host: number, from: readonly Uint8Array[], byteCount: number): { byteCount: number; done: Promise<void> } {
    this.#tables.checkDataPlace(host, byteCount);
    const { requests, store } = this.#tables;
    const epoch = requests.enter();
    const done = store.write(host, listSlice(from, 0, byteCount)).finally(() => requests.leave(epoch));
    return { byteCount, done };
  }

  /** Gives the clusters a place and fills it. Where the image has not so many free ones in a row, fewer. */
  async #startMove(
    block: Block,
    offset: number,
    from: readonly Uint8Array[],
    byteCount: number,
    ownHost: number | undefined,
    clusters: number,
  ): Promise<{ byteCount: number; done: Promise<void> }> {
    const tables = this.#tables;
    const { clusterBytes } = tables.geometry;
    const first = Math.floor(offset / clusterBytes);
    const { promise, resolve } = Promise.withResolvers<void>();
    const move: Move = { first, end: first + clusters, done: promise };
    const finish = (): void => {
      block.pins--;
      this.#moves.delete(move);
      resolve();
    };
    this.#moves.add(move);
    block.pins++;
    let allocation: Allocation;
    try {
      allocation =
        ownHost === undefined
          ? await tables.refcounts.allocate(clusters)
          : { cluster: ownHost / clusterBytes, count: clusters, isVirgin: false };
    } catch (error) {
      finish();
      throw error;
    }
    const count = Math.min(byteCount, allocation.count * clusterBytes - (offset % clusterBytes));
    const filling: Filling = {
      offset,
      data: listSlice(from, 0, count),
      byteCount: count,
      host: allocation.cluster * clusterBytes,
      isVirgin: allocation.isVirgin,
      isReuse: ownHost !== undefined,
    };
    return { byteCount: count, done: this.#fill(block, filling).finally(finish) };
  }

  async #fill(block: Block, filling: Filling): Promise<void> {
    const tables = this.#tables;
    const { clusterBytes } = tables.geometry;
    const { offset, byteCount, host } = filling;
    const base = offset - (offset % clusterBytes);
    const start = this.#fillStart(block, offset, filling.isReuse);
    const end = this.#fillEnd(block, offset + byteCount, filling.isReuse);
    try {
      const [head, tail] = await Promise.all([
        this.#reader.bytesUnlessZero(start, offset - start),
        this.#reader.bytesUnlessZero(offset + byteCount, end - offset - byteCount),
      ]);
      const list = [...filling.data];
      let from = offset;
      if (start < offset && (head !== undefined || !filling.isVirgin)) {
        list.unshift(head ?? new Uint8Array(offset - start));
        from = start;
      }
      if (offset + byteCount < end && (tail !== undefined || !filling.isVirgin))
        list.push(tail ?? new Uint8Array(end - offset - byteCount));
      await tables.store.write(host + from - base, list);
    } catch (error) {
      // Counts that cannot be taken back are a leak.
      if (!filling.isReuse)
        await tables.refcounts.change(host / clusterBytes, Math.ceil((offset + byteCount - base) / clusterBytes), -1).catch(() => {});
      throw error;
    }
    for (let at = base; at < end; at += clusterBytes)
      this.#name(block, at, host + at - base, Math.max(start - at, 0), Math.min(end - at, clusterBytes), filling.isReuse);
    tables.l2.markDirty(block);
  }

  /** Was there something in the old place that has to move along? */
  #movesAll(block: Block, offset: number, isReuse: boolean): boolean {
    if (isReuse) return false;
    const { view } = block;
    const at = entryAt(this.#tables, offset);
    return (view.getUint32(at) & COMPRESSED_HI) !== 0 || entryOffset(view.getUint32(at), view.getUint32(at + 4)) !== 0;
  }

  #fillStart(block: Block, offset: number, isReuse: boolean): number {
    const { clusterBytes, subclusterBytes } = this.#tables.geometry;
    return offset - (offset % (this.#movesAll(block, offset, isReuse) ? clusterBytes : subclusterBytes));
  }

  #fillEnd(block: Block, end: number, isReuse: boolean): number {
    const { clusterBytes, subclusterBytes } = this.#tables.geometry;
    const unit = this.#movesAll(block, end - 1, isReuse) ? clusterBytes : subclusterBytes;
    return Math.ceil(end / unit) * unit;
  }

  /** The entry of the cluster at a guest address: its new place, of which bytes `from` to `to` are filled. */
  #name(block: Block, offset: number, host: number, from: number, to: number, isReuse: boolean): void {
    const { isExtended, subclusterBytes } = this.#tables.geometry;
    const { view } = block;
    const at = entryAt(this.#tables, offset);
    if (!isReuse) this.#freeEntry(view, at, false);
    if (isExtended) {
      const wasCompressed = (view.getUint32(at) & COMPRESSED_HI) !== 0;
      const filled = bits(from / subclusterBytes, to / subclusterBytes);
      view.setUint32(at + 8, wasCompressed ? 0 : (view.getUint32(at + 8) & ~filled) >>> 0);
      view.setUint32(at + 12, isReuse ? (view.getUint32(at + 12) | filled) >>> 0 : filled);
    }
    view.setUint32(at, (hiOf(host) | COPIED_HI) >>> 0);
    view.setUint32(at + 4, loOf(host));
  }

  /** What an entry refers to is one reference less, once that is on the disk. */
  #freeEntry(view: DataView, at: number, isDiscard: boolean): void {
    const { clusterBytes, clusterBits } = this.#tables.geometry;
    const hi = view.getUint32(at);
    const lo = view.getUint32(at + 4);
    if (hi & COMPRESSED_HI) {
      const { offset, byteCount } = compressedPlace(hi, lo, clusterBits);
      const first = Math.floor(offset / clusterBytes);
      this.#tables.freeLater(first, Math.floor((offset + byteCount - 1) / clusterBytes) - first + 1);
    } else if (entryOffset(hi, lo) !== 0) this.#tables.freeLater(entryOffset(hi, lo) / clusterBytes, 1, isDiscard);
  }

  /** Gives the clusters of a range that have none a place that is not filled. */
  async preallocate(offset: number, byteCount: number): Promise<void> {
    const tables = this.#tables;
    const { clusterBytes, l2EntryBytes } = tables.geometry;
    for (let at = offset; at < offset + byteCount; ) {
      if (tables.hasManyDirty) await tables.writeBack();
      const clusters = Math.ceil(Math.min(offset + byteCount - at, mappedByBlock(tables, at)) / clusterBytes);
      let block = this.#ready(at, clusters * clusterBytes);
      for (; block instanceof Promise; block = this.#ready(at, clusters * clusterBytes)) await block;
      block.pins++;
      const { cluster, count } = await tables.refcounts.allocate(clusters);
      block.pins--;
      for (let index = 0; index < count; index++) {
        const host = (cluster + index) * clusterBytes;
        this.#setEntry(
          block,
          entryAt(tables, at) + index * l2EntryBytes,
          hiOf(host) | COPIED_HI,
          loOf(host),
          0,
          tables.header.backingFile === undefined ? 0xffff_ffff : 0,
        );
      }
      at += count * clusterBytes;
    }
  }

  // ---- Compressed

  /** A whole cluster. */
  async writeCompressed(offset: number, bytes: Uint8Array): Promise<void> {
    const tables = this.#tables;
    const { clusterBytes, clusterBits } = tables.geometry;
    let whole = bytes;
    if (bytes.length < clusterBytes) {
      whole = new Uint8Array(clusterBytes);
      whole.set(bytes);
    }
    const packed = await this.#codec?.compress(whole);
    if (packed === undefined || packed.length >= clusterBytes) return this.write(offset, [bytes]);
    if (tables.hasManyDirty) await tables.writeBack();
    let block = this.#ready(offset, bytes.length);
    for (; block instanceof Promise; block = this.#ready(offset, bytes.length)) await block;
    const { promise, resolve } = Promise.withResolvers<void>();
    const move: Move = { first: offset / clusterBytes, end: offset / clusterBytes + 1, done: promise };
    this.#moves.add(move);
    block.pins++;
    try {
      const place = await tables.refcounts.allocateBytes(packed.length);
      try {
        await tables.store.write(place, [packed]);
      } catch (error) {
        const first = Math.floor(place / clusterBytes);
        await tables.refcounts.change(first, Math.floor((place + packed.length - 1) / clusterBytes) - first + 1, -1).catch(() => {});
        throw error;
      }
      const at = entryAt(tables, offset);
      this.#freeEntry(block.view, at, false);
      this.#setEntry(block, at, compressedHi(place, packed.length, clusterBits), loOf(place), 0, 0);
    } finally {
      block.pins--;
      this.#moves.delete(move);
      resolve();
    }
  }

  #setEntry(block: Block, at: number, hi: number, lo: number, zeroBits: number, dataBits: number): void {
    block.view.setUint32(at, hi >>> 0);
    block.view.setUint32(at + 4, lo);
    if (this.#tables.geometry.isExtended) {
      block.view.setUint32(at + 8, zeroBits >>> 0);
      block.view.setUint32(at + 12, dataBits >>> 0);
    }
    this.#tables.l2.markDirty(block);
  }

  // ---- Zeros and discards

  async writeZeroes(offset: number, byteCount: number, mayUnmap: boolean): Promise<void> {
    const { clusterBytes, subclusterBytes } = this.#tables.geometry;
    const unit = this.#tables.header.version < 3 ? clusterBytes : subclusterBytes;
    const end = offset + byteCount;
    // The last cluster may be cut by the disk's end.
    const first = Math.min(Math.ceil(offset / unit) * unit, end);
    const last = end === this.#tables.header.byteCount ? end : Math.max(Math.floor(end / unit) * unit, first);
    await this.#writeZeroBytes(offset, first - offset);
    for (let at = first; at < last; ) at += await this.#zeroSome(at, last - at, mayUnmap);
    await this.#writeZeroBytes(last, end - last);
  }

  /** Zeros as data, unless they are there. */
  async #writeZeroBytes(offset: number, byteCount: number): Promise<void> {
    for (let at = offset; at < offset + byteCount; at += ZERO_CHUNK) {
      const count = Math.min(ZERO_CHUNK, offset + byteCount - at);
      if ((await this.#reader.bytesUnlessZero(at, count)) !== undefined) await this.write(at, [new Uint8Array(count)]);
    }
  }

  /** Bytes done, at least one cluster's or subcluster's. */
  async #zeroSome(offset: number, byteCount: number, mayUnmap: boolean): Promise<number> {
    const tables = this.#tables;
    const { clusterBytes, l2Span } = tables.geometry;
    const { version } = tables.header;
    const isBehind = this.#reader.showsBehind(offset);
    if (!isBehind && tables.l2TableOf(l1IndexOf(tables, offset)) === 0) return Math.min(byteCount, l2Span - (offset % l2Span));
    if (tables.hasManyDirty) await tables.writeBack();
    const count = Math.min(byteCount, mappedByBlock(tables, offset));
    let block = this.#ready(offset, count);
    for (; block instanceof Promise; block = this.#ready(offset, count)) await block;
    for (let done = 0; done < count; ) {
      const at = offset + done;
      const part = Math.min(clusterBytes - (at % clusterBytes), count - done);
      const isWhole = at % clusterBytes === 0 && (part === clusterBytes || at + part === tables.header.byteCount);
      const isEntryBehind = this.#reader.showsBehind(at);
      // What needs bytes to be written ends this turn, for the table may be gone from memory afterwards.
      if (isWhole && (version >= 3 || !isEntryBehind)) this.#zeroEntry(block, at, mayUnmap, isEntryBehind);
      else if (version < 3 || !this.#zeroSubclusters(block, at, part)) {
        await this.#writeZeroBytes(at, part);
        return done + part;
      }
      done += part;
    }
    return count;
  }

  #zeroEntry(block: Block, offset: number, mayUnmap: boolean, isBehind: boolean): void {
    const { isExtended } = this.#tables.geometry;
    const { view } = block;
    const at = entryAt(this.#tables, offset);
    const hi = view.getUint32(at);
    const lo = view.getUint32(at + 4);
    if (hi === 0 && lo === 0 && !isBehind && (!isExtended || view.getUint32(at + 12) === 0)) return;
    // Checks the entry.
    runIn(this.#tables, block, offset, 512);
    const hasZeroBit = !isExtended && this.#tables.header.version >= 3;
    const isKept = this.#isOwn(view, at) && !mayUnmap && this.#tables.header.version >= 3;
    if (!isKept) this.#freeEntry(view, at, mayUnmap);
    this.#setEntry(block, at, isKept ? hi : 0, ((isKept ? lo : 0) | (hasZeroBit ? ZERO_LO : 0)) >>> 0, 0xffff_ffff, 0);
  }

  /** False: they need bytes. */
  #zeroSubclusters(block: Block, offset: number, byteCount: number): boolean {
    const { isExtended, subclusterBytes, clusterBytes } = this.#tables.geometry;
    const { view } = block;
    const at = entryAt(this.#tables, offset);
    if (!isExtended || view.getUint32(at) & COMPRESSED_HI || byteCount % subclusterBytes !== 0) return false;
    const from = (offset % clusterBytes) / subclusterBytes;
    const mask = bits(from, from + byteCount / subclusterBytes);
    view.setUint32(at + 8, (view.getUint32(at + 8) | mask) >>> 0);
    view.setUint32(at + 12, (view.getUint32(at + 12) & ~mask) >>> 0);
    this.#tables.l2.markDirty(block);
    return true;
  }

  /** `isFull`: the addresses cease to exist, so what lies behind need not be hidden. */
  async discard(offset: number, byteCount: number, isFull = false): Promise<void> {
    const tables = this.#tables;
    const { clusterBytes, l2Span } = tables.geometry;
    const isAtEnd = offset + byteCount === tables.header.byteCount;
    const last = isAtEnd || isFull ? offset + byteCount : offset + byteCount - ((offset + byteCount) % clusterBytes);
    for (let at = Math.ceil(offset / clusterBytes) * clusterBytes; at < last; ) {
      if (tables.l2TableOf(l1IndexOf(tables, at)) === 0) {
        at += l2Span - (at % l2Span);
        continue;
      }
      if (tables.hasManyDirty) await tables.writeBack();
      const count = Math.min(last - at, mappedByBlock(tables, at));
      let block = this.#ready(at, count);
      for (; block instanceof Promise; block = this.#ready(at, count)) await block;
      for (const end = at + count; at < end; at += clusterBytes) this.#discardEntry(block, at, isFull);
    }
  }

  #discardEntry(block: Block, offset: number, isFull: boolean): void {
    const { version } = this.#tables.header;
    const { isExtended } = this.#tables.geometry;
    const { view } = block;
    const at = entryAt(this.#tables, offset);
    const isBehind = !isFull && this.#reader.showsBehind(offset);
    const { kind } = runIn(this.#tables, block, offset, 512);
    const isEmpty = view.getUint32(at) === 0 && view.getUint32(at + 4) === 0 && (!isExtended || view.getUint32(at + 12) === 0);
    // Version 2 cannot hide what lies behind but with data.
    if ((isEmpty && kind === ABSENT) || (isBehind && version < 3)) return;
    if (isEmpty && isBehind) return;
    this.#freeEntry(view, at, kind !== COMPRESSED);
    this.#setEntry(block, at, 0, isBehind && !isExtended ? ZERO_LO : 0, isBehind ? 0xffff_ffff : 0, 0);
  }
}

/** Bits `from` to `to`, without the last. */
function bits(from: number, to: number): number {
  return ((to === 32 ? 0xffff_ffff : 2 ** to - 1) & ~(2 ** from - 1)) >>> 0;
}
