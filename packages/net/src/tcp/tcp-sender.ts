// The sending half of a connection (RFC 9293, 3.8): what is waiting, what is on its way, what is lost. Congestion control is NewReno (RFC 5681, RFC 6582) with loss recovery by SACK
// (RFC 6675) and a probe of the tail (RFC 8985), with a large first window: the link is memory, and what congests is a receiver that drops.

import { ByteRing } from './byte-ring.ts';
import { RttEstimator } from './rtt-estimator.ts';
import { SackScoreboard } from './sack-scoreboard.ts';
import { seqAdd, seqAfter, seqAtOrAfter, seqDistance } from './sequence.ts';
import { TCP_FLAGS, type TcpSegment } from './tcp-segment.ts';

const INITIAL_WINDOW_BYTES = 128 * 1024;
const LARGEST_WINDOW_BYTES = 16 * 1024 * 1024;
const DUPLICATES = 3;

/** The connection, as its sending half sees it. */
export interface SenderHost {
  /** Sends a segment with bytes of the buffer; false: no room now. */
  emit(sequence: number, flags: number, offset: number, byteCount: number): boolean;
  /** So many bytes may be sent at once; whoever carries them cuts them. */
  readonly largestPayload: number;
  /** So large a buffer is kept when it is empty. */
  readonly keptBytes: number;
}

export class TcpSender {
  readonly buffer = new ByteRing();
  readonly rtt = new RttEstimator();
  readonly #host: SenderHost;
  readonly #sacked = new SackScoreboard();
  /** Oldest that is not acknowledged; next to send; behind the highest ever sent (the same but after a timeout). */
  una: number;
  nxt: number;
  max: number;
  mss = 536;
  /** The peer's, in bytes, and the largest that it ever was. */
  window = 0;
  largestWindow = 0;
  /** A FIN follows the buffer's last byte. */
  isEnded = false;
  usesSack = false;
  #windowSequence = 0;
  #windowAcknowledgment = 0;
  #congestionWindow = INITIAL_WINDOW_BYTES;
  #threshold = LARGEST_WINDOW_BYTES;
  #duplicates = 0;
  #isRecovering = false;
  /** Recovery ends with the acknowledgment of this. */
  #recover: number;
  /** In recovery: behind what has been sent again. */
  #retransmitted: number;
  /** What has been sent again is lost as well if much of what was first sent behind this arrives before it. */
  #resentMark: number;
  /** The tail has been sent once more to provoke an answer (RFC 8985, 7). */
  #isProbed = false;
  /** So many bytes count as a segment where losses are told; 0 after a probe: whatever is missing is lost. */
  #lossUnit = 0;
  /** Of the round trip that is measured without timestamps. */
  #timed: { readonly sequence: number; readonly sentMs: number } | undefined;

  constructor(host: SenderHost, initialSequence: number) {
    this.#host = host;
    this.una = initialSequence;
    this.nxt = initialSequence;
    this.max = initialSequence;
    this.#recover = initialSequence;
    this.#retransmitted = initialSequence;
    this.#resentMark = initialSequence;
  }

  get isInFlight(): boolean {
    return this.una !== this.max;
  }

  /** Sequence number behind the data: the FIN's. */
  get dataEnd(): number {
    return seqAdd(this.una, this.buffer.length);
  }

  isFinAcknowledged = false;
  #isFinSent = false;

  /** Something that the window does not let go. */
  get isHeldByWindow(): boolean {
    return !this.isInFlight && (this.buffer.length > 0 || (this.isEnded && !this.#isFinSent));
  }

  setWindow(window: number, sequence: number, acknowledgment: number): void {
    this.window = window;
    this.largestWindow = Math.max(this.largestWindow, window);
    this.#windowSequence = sequence;
    this.#windowAcknowledgment = acknowledgment;
  }

  /** RFC 9293, 3.10.7.4: old segments do not set the window back. */
  updateWindow(window: number, sequence: number, acknowledgment: number): void {
    const isNewer =
      seqAfter(sequence, this.#windowSequence) ||
      (sequence === this.#windowSequence && seqAtOrAfter(acknowledgment, this.#windowAcknowledgment));
    if (isNewer) this.setWindow(window, sequence, acknowledgment);
  }

  /** The SYN, which has no place in the buffer, has been sent, or acknowledged. */
  sendSyn(): void {
    this.nxt = this.max = seqAdd(this.una, 1);
  }

  acknowledgeSyn(): void {
    this.una = this.nxt = this.max = seqAdd(this.una, 1);
    this.#recover = this.una;
    this.#retransmitted = this.una;
  }

  /** Sends what may be sent now. False: there was no room, and more to send. `isForced`: however little the window takes. */
  flush(nowMs: number, isForced = false): boolean {
    if (this.#isRecovering && this.usesSack && !this.#retransmitLost()) return false;
    for (;;) {
      if (seqAfter(this.max, this.nxt) && !this.#sacked.isEmpty) this.nxt = this.#sacked.gapFrom(this.nxt, this.max)?.start ?? this.max;
      const unsent = seqDistance(this.dataEnd, this.nxt);
      const byteCount = this.#allowance(unsent, isForced);
      const isWithFin = this.#mayFin(byteCount, unsent);
      if (byteCount <= 0 && !isWithFin) return true;
      if (!this.#sendAt(this.nxt, byteCount, isWithFin)) return false;
      this.nxt = seqAdd(this.nxt, byteCount + (isWithFin ? 1 : 0));
      if (seqAfter(this.nxt, this.max)) {
        this.max = this.nxt;
        this.#timed ??= { sequence: this.nxt, sentMs: nowMs };
      }
    }
  }

  /** How many bytes from `nxt` on may go in one segment. */
  #allowance(unsent: number, isForced: boolean): number {
    if (unsent <= 0) return 0;
    const flight =
      this.#isRecovering && this.usesSack
        ? this.#sacked.pipe(this.una, this.max, this.#retransmitted, this.#lossUnit)
        : seqDistance(this.nxt, this.una);
    const byCongestion = this.#congestionWindow - flight;
    const byWindow = seqDistance(seqAdd(this.una, this.window), this.nxt);
    const usable = Math.min(unsent, byWindow, byCongestion, this.#host.largestPayload);
    if (usable <= 0) return 0;
    if (usable >= this.mss && usable < unsent) return usable - (usable % this.mss);
    // Silly windows (RFC 9293, 3.8.6.2.1): small segments only where they are all there is, or the peer has never offered much more.
    if (usable === unsent || isForced || usable >= this.mss || usable * 2 >= this.largestWindow) return usable;
    return 0;
  }

  #mayFin(byteCount: number, unsent: number): boolean {
    if (!this.isEnded || this.isFinAcknowledged || unsent < 0 || byteCount < unsent) return false;
    // The FIN takes a place in the window like any byte.
    return seqDistance(seqAdd(this.una, this.window), this.nxt) > byteCount;
  }

  #sendAt(sequence: number, byteCount: number, isWithFin: boolean): boolean {
    const offset = seqDistance(sequence, this.una);
    const isLast = offset + byteCount === this.buffer.length;
    const flags = TCP_FLAGS.ack | (isLast && byteCount > 0 ? TCP_FLAGS.psh : 0) | (isWithFin ? TCP_FLAGS.fin : 0);
    if (!this.#host.emit(sequence, flags, offset, byteCount)) return false;
    if (isWithFin) this.#isFinSent = true;
    return true;
  }

  /** Sends up to `limit` bytes again, and the FIN if it comes next. Returns how far it came in sequence numbers; 0: no room. */
  #resend(sequence: number, limit: number): number {
    const left = seqDistance(this.dataEnd, sequence);
    const byteCount = Math.max(0, Math.min(left, limit));
    const isWithFin = this.#isFinSent && byteCount === left;
    if (byteCount === 0 && !isWithFin) return 0;
    if (!this.#sendAt(sequence, byteCount, isWithFin)) return 0;
    this.#timed = undefined;
    return byteCount + (isWithFin ? 1 : 0);
  }

  /** RFC 6675, 5 (C): what is lost, as far as the congestion window lets it. */
  #retransmitLost(): boolean {
    let pipe = this.#sacked.pipe(this.una, this.max, this.#retransmitted, this.#lossUnit);
    while (this.#congestionWindow - pipe >= this.mss && !this.#sacked.isEmpty) {
      const from = seqAfter(this.#retransmitted, this.una) ? this.#retransmitted : this.una;
      const gap = this.#sacked.gapFrom(from, this.max);
      if (gap === undefined || !seqAfter(this.#sacked.highest, gap.start) || !this.#sacked.isLost(gap.start, this.#lossUnit)) return true;
      const room = this.#congestionWindow - pipe;
      const sent = this.#resend(gap.start, Math.min(seqDistance(gap.end, gap.start), room - (room % this.mss), this.#host.largestPayload));
      if (sent === 0) return false;
      this.#retransmitted = seqAdd(gap.start, sent);
      pipe += sent;
    }
    return true;
  }

  /** An acknowledgment within what has been sent. Returns how many bytes of the buffer it frees. */
  acknowledge(segment: TcpSegment, nowMs: number): number {
    const { acknowledgment } = segment;
    const isSackNews = this.usesSack && this.#takeSack(segment);
    const advance = seqDistance(acknowledgment, this.una);
    let freed = 0;
    if (advance > 0) {
      freed = this.#advance(advance, segment, nowMs);
    } else if (advance === 0 && this.isInFlight && segment.payloadBytes === 0 && (isSackNews || !this.usesSack)) {
      this.#duplicates++;
      if (this.#isRecovering && !this.usesSack) this.#congestionWindow += this.mss;
    }
    if (this.#isRecovering) this.#findLostAgain();
    else if (this.isInFlight && seqAtOrAfter(this.una, this.#recover)) this.#findLoss();
    return freed;
  }

  #findLoss(): void {
    const sacked = this.#sacked;
    const isTailThere = this.#isProbed && !sacked.isEmpty && sacked.highest === this.max;
    const isLost = this.#duplicates >= DUPLICATES || isTailThere || (!sacked.isEmpty && sacked.isLost(this.una, this.mss));
    if (isLost) this.#enterRecovery(isTailThere ? 0 : this.mss);
  }

  /** What was sent for the first time after the retransmissions has arrived, and they have not. */
  #findLostAgain(): void {
    const sacked = this.#sacked;
    if (sacked.isEmpty || seqDistance(sacked.highest, this.#resentMark) <= (DUPLICATES - 1) * this.mss) return;
    this.#retransmitted = this.una;
    this.#resentMark = this.max;
  }

  /** Is it worth provoking an answer before all is sent again? */
  get mayProbe(): boolean {
    return this.usesSack && !this.#isRecovering && !this.#isProbed && this.rtt.backoff === 0 && this.rtt.smoothedMs > 0;
  }

  /** The last segment once more. */
  probeTail(): void {
    this.#isProbed = true;
    const byteCount = Math.min(this.mss, seqDistance(this.max, this.una));
    this.#resend(seqAdd(this.max, -byteCount), byteCount);
  }

  #takeSack(segment: TcpSegment): boolean {
    let isNews = false;
    const { sack } = segment;
    for (let i = 0; i + 1 < sack.length; i += 2) if (this.#sacked.add(sack[i], sack[i + 1], this.una, this.max)) isNews = true;
    return isNews;
  }

  #advance(advance: number, segment: TcpSegment, nowMs: number): number {
    const freed = Math.min(advance, this.buffer.length);
    this.buffer.drop(freed, this.#host.keptBytes);
    if (this.#isFinSent && advance > freed) this.isFinAcknowledged = true;
    this.una = segment.acknowledgment;
    if (seqAfter(this.una, this.nxt)) this.nxt = this.una;
    this.#sacked.acknowledge(this.una);
    this.#measure(segment, nowMs);
    this.rtt.endBackoff();
    this.#duplicates = 0;
    this.#isProbed = false;
    if (!this.#isRecovering) {
      this.#grow(advance);
    } else if (seqAtOrAfter(this.una, this.#recover)) {
      this.#isRecovering = false;
      this.#congestionWindow = Math.max(2 * this.mss, Math.min(this.#threshold, seqDistance(this.max, this.una) + this.mss));
    } else if (!this.usesSack) {
      // A partial acknowledgment (RFC 6582, 3.2): the next one is lost as well.
      this.#congestionWindow = Math.max(this.mss, this.#congestionWindow - advance + this.mss);
      this.#resend(this.una, this.mss);
    }
    return freed;
  }

  #measure(segment: TcpSegment, nowMs: number): void {
    if (segment.hasTimestamps && segment.timestampEcho !== 0) {
      const rttMs = seqDistance(Math.floor(nowMs) >>> 0, segment.timestampEcho);
      if (rttMs >= 0 && rttMs < 120_000) this.rtt.sample(rttMs);
      this.#timed = undefined;
    } else if (this.#timed !== undefined && seqAtOrAfter(this.una, this.#timed.sequence)) {
      this.rtt.sample(nowMs - this.#timed.sentMs);
      this.#timed = undefined;
    }
  }

  #grow(advance: number): void {
    const isSlowStart = this.#congestionWindow < this.#threshold;
    const step = isSlowStart ? advance : Math.max(1, Math.floor((this.mss * advance) / this.#congestionWindow));
    this.#congestionWindow = Math.min(LARGEST_WINDOW_BYTES, this.#congestionWindow + step);
  }

  #enterRecovery(lossUnit: number): void {
    this.#isRecovering = true;
    this.#lossUnit = lossUnit;
    this.#resentMark = this.max;
    this.#recover = this.max;
    this.#threshold = Math.max(2 * this.mss, Math.floor(seqDistance(this.max, this.una) / 2));
    this.#congestionWindow = this.#threshold + (this.usesSack ? 0 : DUPLICATES * this.mss);
    this.#retransmitted = seqAdd(this.una, this.#resend(this.una, this.mss));
  }

  /** The retransmission timeout has passed (RFC 6298, 5.4 to 5.7; RFC 5681, 3.1): all is sent again as the window opens. */
  timeOut(): void {
    if (this.rtt.backoff === 0) this.#threshold = Math.max(2 * this.mss, Math.floor(seqDistance(this.max, this.una) / 2));
    this.#congestionWindow = this.mss;
    this.#isRecovering = false;
    this.#isProbed = false;
    this.#recover = this.max;
    this.#duplicates = 0;
    // The peer may have thrown away what it had only named (RFC 2018, 8).
    this.#sacked.clear();
    this.#timed = undefined;
    this.nxt = this.una;
    this.rtt.back();
  }

  /** After a timeout, whatever the window says: one segment, so that an answer comes. */
  resendFirst(): boolean {
    const sent = this.#resend(this.una, this.mss);
    if (sent > 0) this.nxt = seqAdd(this.una, sent);
    return sent > 0;
  }
}
