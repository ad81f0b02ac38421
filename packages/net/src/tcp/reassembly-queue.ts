// Bytes that came before those that precede them. All of them lie within the window that was announced, so they are bounded by it; their number is bounded as well.

import { seqAdd, seqDistance } from './sequence.ts';

const RANGE_LIMIT = 128;
/** What keeping a piece costs beside its bytes. */
const PIECE_COST_BYTES = 256;

interface Range {
  start: number;
  end: number;
  /** Copies of the segments, in order, without gaps. */
  readonly pieces: Uint8Array[];
}

export class ReassemblyQueue {
  /** In order, with gaps between them. */
  readonly #ranges: Range[] = [];
  #cost = 0;
  /** Start of the range that grew last: SACK tells it first (RFC 2018, 4). */
  #latest = 0;

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  /** Keeps what is new of the bytes from `sequence` on. What would make too many ranges, or cost more than `costLimit` bytes, is not kept: it will be sent again. */
  add(sequence: number, bytes: Uint8Array, costLimit: number): void {
    if (this.#cost + bytes.length > costLimit) return;
    let start = sequence;
    let from = 0;
    let index = 0;
    const ranges = this.#ranges;
    // Fills the gaps one after another; what is there already stays as it came first.
    while (from < bytes.length) {
      while (index < ranges.length && seqDistance(ranges[index].end, start) <= 0) index++;
      const next = ranges[index];
      if (next !== undefined && seqDistance(next.start, start) <= 0) {
        const skipped = Math.min(bytes.length - from, seqDistance(next.end, start));
        start = seqAdd(start, skipped);
        from += skipped;
        this.#latest = next.start;
        continue;
      }
      const room = next === undefined ? bytes.length - from : Math.min(bytes.length - from, seqDistance(next.start, start));
      if (!this.#insert(index, start, bytes.slice(from, from + room))) return;
      start = seqAdd(start, room);
      from += room;
      // It may have become one with the range before it, and with the one behind.
      index = Math.max(0, index - 1);
    }
  }

  /** Gives what follows `sequence` without a gap to `take`. Returns what comes next. */
  takeFrom(sequence: number, take: (bytes: Uint8Array) => void): number {
    let next = sequence;
    while (this.#ranges.length > 0 && seqDistance(this.#ranges[0].start, next) <= 0) {
      const range = this.#ranges.shift()!;
      this.#cost -= seqDistance(range.end, range.start) + range.pieces.length * PIECE_COST_BYTES;
      let at = range.start;
      for (const piece of range.pieces) {
        const old = seqDistance(next, at);
        if (old < piece.length) take(old > 0 ? piece.subarray(old) : piece);
        at = seqAdd(at, piece.length);
      }
      if (seqDistance(range.end, next) > 0) next = range.end;
    }
    return next;
  }

  /** Edges of up to `limit` ranges, the latest first. */
  sackBlocks(limit: number, into: number[]): void {
    into.length = 0;
    const latest = this.#ranges.find((range) => range.start === this.#latest);
    if (latest !== undefined) into.push(latest.start, latest.end);
    for (const range of this.#ranges) {
      if (into.length >= 2 * limit) return;
      if (range !== latest) into.push(range.start, range.end);
    }
  }

  clear(): void {
    this.#ranges.length = 0;
    this.#cost = 0;
  }

  /** `index`: of the range behind it. */
  #insert(index: number, start: number, bytes: Uint8Array): boolean {
    const ranges = this.#ranges;
    const before = index > 0 && ranges[index - 1].end === start ? ranges[index - 1] : undefined;
    const end = seqAdd(start, bytes.length);
    const after = index < ranges.length && ranges[index].start === end ? ranges[index] : undefined;
    if (before === undefined && after === undefined && ranges.length >= RANGE_LIMIT) return false;
    this.#cost += bytes.length + PIECE_COST_BYTES;
    if (before !== undefined) {
      before.pieces.push(bytes);
      before.end = end;
      this.#latest = before.start;
      if (after !== undefined) {
        for (const piece of after.pieces) before.pieces.push(piece);
        before.end = after.end;
        ranges.splice(index, 1);
      }
    } else if (after !== undefined) {
      after.pieces.unshift(bytes);
      after.start = start;
      this.#latest = start;
    } else {
      ranges.splice(index, 0, { start, end, pieces: [bytes] });
      this.#latest = start;
    }
    return true;
  }
}
