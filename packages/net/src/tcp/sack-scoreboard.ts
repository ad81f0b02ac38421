// What the peer says to have received beyond what it acknowledges (RFC 2018, RFC 6675). Bounded: a peer that names more ranges is not told from one that names fewer.

import { seqAfter, seqAtOrAfter, seqDistance } from './sequence.ts';

const RANGE_LIMIT = 64;
/** RFC 6675's DupThresh. */
const DUPLICATES = 3;

interface Range {
  start: number;
  end: number;
}

export class SackScoreboard {
  /** In order, with gaps between them. */
  readonly #ranges: Range[] = [];

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  /** Behind the highest byte that has arrived. */
  get highest(): number {
    return this.#ranges[this.#ranges.length - 1].end;
  }

  get byteCount(): number {
    let count = 0;
    for (const range of this.#ranges) count += seqDistance(range.end, range.start);
    return count;
  }

  clear(): void {
    this.#ranges.length = 0;
  }

  /** Forgets what lies before what has been acknowledged. */
  acknowledge(una: number): void {
    const ranges = this.#ranges;
    while (ranges.length > 0 && seqAtOrAfter(una, ranges[0].end)) ranges.shift();
    if (ranges.length > 0 && seqAfter(una, ranges[0].start)) ranges[0].start = una;
  }

  /** True: it says something new. Blocks that cannot be are passed over. */
  add(start: number, end: number, una: number, max: number): boolean {
    if (!seqAfter(end, start) || !seqAfter(end, una) || seqAfter(end, max) || !seqAtOrAfter(start, una)) return false;
    const ranges = this.#ranges;
    let first = 0;
    while (first < ranges.length && seqAfter(start, ranges[first].end)) first++;
    let last = first;
    while (last < ranges.length && seqAtOrAfter(end, ranges[last].start)) last++;
    if (first === last) {
      if (ranges.length >= RANGE_LIMIT) return false;
      ranges.splice(first, 0, { start, end });
      return true;
    }
    const range = ranges[first];
    if (last === first + 1 && seqAtOrAfter(start, range.start) && seqAtOrAfter(range.end, end)) return false;
    const lastEnd = ranges[last - 1].end;
    if (seqAfter(range.start, start)) range.start = start;
    range.end = seqAfter(end, lastEnd) ? end : lastEnd;
    ranges.splice(first + 1, last - first - 1);
    return true;
  }

  /** IsLost of RFC 6675: so much beyond it has arrived that it will not come any more. */
  isLost(sequence: number, mss: number): boolean {
    let bytes = 0;
    let count = 0;
    for (let i = this.#ranges.length - 1; i >= 0 && seqAtOrAfter(this.#ranges[i].start, sequence); i--) {
      bytes += seqDistance(this.#ranges[i].end, this.#ranges[i].start);
      count++;
    }
    return count >= DUPLICATES || bytes > (DUPLICATES - 1) * mss;
  }

  /** The gap at or behind `sequence` and before `max`; its end is `max` if nothing arrived behind it. Undefined: all of it has arrived. */
  gapFrom(sequence: number, max: number): { start: number; end: number } | undefined {
    let start = sequence;
    for (const range of this.#ranges) {
      if (seqAfter(range.start, start)) return { start, end: seqAfter(range.start, max) ? max : range.start };
      if (seqAfter(range.end, start)) start = range.end;
    }
    return seqAfter(max, start) ? { start, end: max } : undefined;
  }

  /** Pipe of RFC 6675: bytes thought to be on their way. `retransmitted`: behind what has been sent again. */
  pipe(una: number, max: number, retransmitted: number, mss: number): number {
    let pipe = 0;
    let at = una;
    for (const range of this.#ranges) {
      pipe += this.#inGap(at, range.start, retransmitted, mss);
      at = range.end;
    }
    return pipe + this.#inGap(at, max, retransmitted, mss);
  }

  #inGap(start: number, end: number, retransmitted: number, mss: number): number {
    const byteCount = seqDistance(end, start);
    if (byteCount <= 0) return 0;
    const again = Math.min(byteCount, Math.max(0, seqDistance(retransmitted, start)));
    return again + (this.isLost(start, mss) ? 0 : byteCount);
  }
}
