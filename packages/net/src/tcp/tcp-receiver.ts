// The receiving half of a connection: puts bytes in order, gives them to whoever takes them, and announces how much more there is room for.

import { ByteRing } from './byte-ring.ts';
import { ReassemblyQueue } from './reassembly-queue.ts';
import { seqAdd, seqAfter, seqAtOrAfter, seqDistance } from './sequence.ts';
import type { TcpSegment } from './tcp-segment.ts';
import { TCP_FLAGS } from './tcp-segment.ts';

/** An empty queue of this size or less is kept. */
const KEPT_BYTES = 16_384;

export interface ReceiverHost {
  /** Bytes in order, lent for the call. */
  deliver(bytes: Uint8Array): void;
}

export class TcpReceiver {
  readonly #host: ReceiverHost;
  readonly #reassembly = new ReassemblyQueue();
  /** In order, but nobody takes them now. */
  readonly #queue = new ByteRing();
  /** RCV.NXT. */
  next = 0;
  /** Right edge of the window that has been announced; it never moves back. */
  #edge = 0;
  #finSequence: number | undefined;
  isPaused = false;
  mss = 536;
  scale = 0;
  /** All has come, the FIN too. */
  isEnded = false;
  /** The end has been told. */
  isEndTold = false;
  /** An acknowledgment must go now; or it may wait for so many bytes. */
  isAckDue = false;
  unacknowledgedBytes = 0;

  constructor(host: ReceiverHost) {
    this.#host = host;
  }

  start(sequence: number): void {
    this.next = sequence;
    this.#edge = sequence;
  }

  get queuedBytes(): number {
    return this.#queue.length;
  }

  get hasGaps(): boolean {
    return !this.#reassembly.isEmpty;
  }

  /** What stands in the header's field, not scaled yet; `limit`: how much this connection may keep. */
  announce(limit: number, isSyn: boolean): number {
    const scale = isSyn ? 0 : this.scale;
    const old = Math.max(0, seqDistance(this.#edge, this.next));
    const room = Math.max(0, limit - this.#queue.length);
    // Silly windows (RFC 9293, 3.8.6.2.2): the edge moves by whole segments, and never back.
    const window = room - old >= Math.min(limit >> 1, this.mss) ? room : old;
    const field = Math.min(0xffff, window >>> scale);
    this.#edge = seqAdd(this.next, Math.max(old, field << scale));
    return field;
  }

  /** Would an announcement now tell of much more room? */
  isWindowNews(limit: number): boolean {
    const old = Math.max(0, seqDistance(this.#edge, this.next));
    const room = Math.min(Math.max(0, limit - this.#queue.length), 0xffff << this.scale);
    return room - old >= Math.min(limit >> 1, Math.max(2 * this.mss, limit >> 2));
  }

  /** RFC 9293, 3.10.7.4, first check. */
  isAcceptable(segment: TcpSegment): boolean {
    const { sequence, length } = segment;
    const window = seqDistance(this.#edge, this.next);
    if (length === 0) return window <= 0 ? sequence === this.next : this.#isInside(sequence);
    if (window <= 0) return false;
    return this.#isInside(sequence) || this.#isInside(seqAdd(sequence, length - 1));
  }

  #isInside(sequence: number): boolean {
    return seqAtOrAfter(sequence, this.next) && seqAfter(this.#edge, sequence);
  }

  sackBlocks(limit: number, into: number[]): void {
    this.#reassembly.sackBlocks(limit, into);
  }

  /** The text and the FIN of an acceptable segment. */
  take(segment: TcpSegment, costLimit: number): void {
    let { sequence, payloadStart } = segment;
    const old = seqDistance(this.next, sequence);
    if (old > 0) {
      payloadStart += old;
      sequence = this.next;
      this.isAckDue = true;
    }
    const room = seqDistance(this.#edge, sequence);
    const isCut = segment.payloadEnd - payloadStart > room;
    const payloadEnd = isCut ? payloadStart + Math.max(0, room) : segment.payloadEnd;
    if (segment.has(TCP_FLAGS.fin) && !isCut) this.#finSequence ??= seqAdd(segment.sequence, segment.payloadBytes);
    const byteCount = payloadEnd - payloadStart;
    if (byteCount > 0) this.#takeText(sequence, segment.bytes.subarray(payloadStart, payloadEnd), costLimit);
    if (this.#finSequence === this.next && !this.isEnded) {
      this.isEnded = true;
      this.next = seqAdd(this.next, 1);
      this.isAckDue = true;
      this.#reassembly.clear();
    }
  }

  #takeText(sequence: number, bytes: Uint8Array, costLimit: number): void {
    if (sequence !== this.next) {
      this.#reassembly.add(sequence, bytes, costLimit);
      this.isAckDue = true;
      return;
    }
    const before = this.next;
    this.next = seqAdd(this.next, bytes.length);
    this.#give(bytes);
    if (!this.#reassembly.isEmpty) {
      this.next = this.#reassembly.takeFrom(this.next, (piece) => this.#give(piece));
      // A gap has been filled, in whole or in part (RFC 5681, 4.2).
      this.isAckDue = true;
    }
    this.unacknowledgedBytes += seqDistance(this.next, before);
    if (this.unacknowledgedBytes >= 2 * this.mss) this.isAckDue = true;
  }

  #give(bytes: Uint8Array): void {
    if (this.isPaused || this.#queue.length > 0) this.#queue.push(bytes);
    else this.#host.deliver(bytes);
  }

  /** Gives what has waited, until whoever takes it pauses again. */
  drain(): void {
    while (!this.isPaused && this.#queue.length > 0) {
      const front = this.#queue.front();
      // Dropped first: the ring stays as it is until something is pushed, which nothing does within the call.
      this.#queue.drop(front.length, KEPT_BYTES);
      this.#host.deliver(front);
    }
  }

  clear(): void {
    this.#queue.clear();
    this.#reassembly.clear();
  }
}
