// One end of a TCP connection (RFC 9293), with window scale and timestamps (RFC 7323), SACK (RFC 2018) and RFC 5961's care.
//
// Urgent data is read like all other (RFC 6093, 6).

import { Deadline } from '../timer-queue.ts';
import { seqAdd, seqAfter, seqAtOrAfter, seqDistance } from './sequence.ts';
import type { TcpCarrier, TcpEnd, TcpEnvironment, TcpHandler } from './tcp-ports.ts';
import { TcpEmitter } from './tcp-emitter.ts';
import { OWN_WINDOW_SCALE } from './tcp-options.ts';
import { TcpReceiver } from './tcp-receiver.ts';
import { TCP_FLAGS, type TcpSegment } from './tcp-segment.ts';
import { TcpSender } from './tcp-sender.ts';
import { SENDING_STATES, type TcpState } from './tcp-state.ts';

const { syn: SYN, rst: RST, ack: ACK } = TCP_FLAGS;

const DELAYED_ACK_MS = 20;
/** So many of the first segments are acknowledged at once: a sender in slow start waits for it. */
const QUICK_ACKS = 16;
/** What a peer's delayed acknowledgment takes beyond two round trips. */
const PROBE_SLACK_MS = 50;
const TIME_WAIT_MS = 10_000;
/** The user is gone, and the peer does not end. */
const ORPHAN_MS = 60_000;
const SYN_TRIES = 7;
const DATA_TRIES = 10;
const KEEP_ALIVE_IDLE_MS = 120_000;
const KEEP_ALIVE_STEP_MS = 15_000;
const KEEP_ALIVE_TRIES = 8;
/** What is kept of early segments may cost this many times the window. */
const REASSEMBLY_COST = 2;

export class TcpConnection {
  /** For the stack: is it on its list of those to settle, or to tell of room? */
  isSettling = false;
  isBlocked = false;
  readonly #environment: TcpEnvironment;
  readonly #handler: TcpHandler;
  readonly #sender: TcpSender;
  readonly #receiver: TcpReceiver;
  readonly #emitter: TcpEmitter;
  readonly #retransmission: Deadline;
  readonly #delayedAck: Deadline;
  /** Keep-alive, TIME-WAIT, and what is left when the user has gone. */
  readonly #life: Deadline;
  readonly #initialSequence: number;
  #state: TcpState;
  #peerSynSequence = 0;
  #quickAcks = QUICK_ACKS;
  #tries = 0;
  #keepAlives = 0;
  /** The next timeout only asks. */
  #isProbing = false;
  #wantsRoom = false;
  #isClosedTold = false;

  constructor(environment: TcpEnvironment, carrier: TcpCarrier, handler: TcpHandler) {
    this.#environment = environment;
    this.#handler = handler;
    this.#initialSequence = environment.random32();
    this.#state = 'waiting';
    this.#sender = new TcpSender(
      {
        emit: (sequence, flags, offset, byteCount) => this.#emit(sequence, flags, offset, byteCount),
        get largestPayload() {
          return carrier.largestPayload;
        },
        get keptBytes() {
          return environment.bufferBytes;
        },
      },
      this.#initialSequence,
    );
    this.#receiver = new TcpReceiver({ deliver: (bytes) => this.#deliver(bytes) });
    this.#emitter = new TcpEmitter(environment, carrier, this.#sender, this.#receiver);
    this.#retransmission = new Deadline(environment.timers, () => this.#onRetransmission());
    this.#delayedAck = new Deadline(environment.timers, () => {
      this.#receiver.isAckDue = true;
      this.settle();
    });
    this.#life = new Deadline(environment.timers, () => this.#onLife());
  }

  get state(): TcpState {
    return this.#state;
  }

  /** RCV.NXT. */
  get receiveNext(): number {
    return this.#receiver.next;
  }

  /** Bytes kept here, both ways. */
  get bufferedBytes(): number {
    return this.#sender.buffer.length + this.#receiver.queuedBytes;
  }

  /** Opens it from this side. */
  connect(): void {
    this.#state = 'syn-sent';
    this.#receiver.scale = OWN_WINDOW_SCALE;
    this.#sender.sendSyn();
    this.#emitSyn();
    this.#armRetransmission();
  }

  /** The peer opens it, by this SYN, which `answer` or `refuse` answers later. */
  listen(segment: TcpSegment): void {
    this.#takeSyn(segment);
  }

  answer(): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'syn-received';
    this.#sender.sendSyn();
    this.#emitSyn();
    this.#armRetransmission();
  }

  /** In place of `answer`. */
  refuse(): void {
    if (this.#state === 'waiting') this.#emit(0, RST | ACK, 0, 0);
    this.#close('refused');
  }

  /** Copies the bytes. False: taken, but no more until `onRoom`. */
  write(bytes: Uint8Array): boolean {
    const { buffer, isEnded } = this.#sender;
    if (this.#state === 'closed' || isEnded) return true;
    buffer.push(bytes);
    this.#settleSoon();
    if (buffer.length < this.#environment.bufferBytes) return true;
    this.#wantsRoom = true;
    return false;
  }

  /** Sends no more. */
  end(): void {
    if (this.#sender.isEnded || this.#state === 'closed') return;
    this.#sender.isEnded = true;
    if (this.#state === 'waiting' || this.#state === 'syn-sent') return this.#close('closed');
    if (this.#state === 'established') this.#state = 'fin-wait-1';
    else if (this.#state === 'close-wait') this.#state = 'last-ack';
    this.#settleSoon();
  }

  /** Ends both ways at once, with a reset. */
  abort(): void {
    if (this.#state !== 'closed' && this.#state !== 'waiting' && this.#state !== 'time-wait') {
      this.#emit(this.#state === 'syn-sent' ? this.#initialSequence : this.#sender.max, RST | ACK, 0, 0);
    }
    this.#close('closed');
  }

  /** Nobody will ever take another byte; what is to be sent still goes, and the peer is given a minute to end. */
  abandon(): void {
    if (this.#receiver.queuedBytes > 0) return this.abort();
    this.end();
    if (this.#state !== 'closed' && this.#state !== 'time-wait') this.#life.set(this.#environment.nowMs() + ORPHAN_MS);
    this.#isClosedTold = true;
  }

  /** The way to the peer is not there. */
  fail(reason: TcpEnd): void {
    this.#close(reason);
  }

  /** No more `onData` until `resume`; the window closes. */
  pause(): void {
    this.#receiver.isPaused = true;
  }

  resume(): void {
    if (!this.#receiver.isPaused || this.#state === 'closed') return;
    this.#receiver.isPaused = false;
    this.#receiver.drain();
    this.#tellEnd();
    if (this.#receiver.isWindowNews(this.#emitter.bufferLimit)) this.#receiver.isAckDue = true;
    this.#settleSoon();
  }

  onRoom(): void {
    this.isBlocked = false;
    this.settle();
  }

  /** A segment of this connection's. */
  receive(segment: TcpSegment): void {
    switch (this.#state) {
      case 'closed':
        return;
      case 'waiting':
        if (segment.has(RST) && segment.sequence === this.#receiver.next) this.#close('reset');
        return;
      case 'syn-sent':
        return this.#receiveInSynSent(segment);
      default:
        this.#receiveInOrder(segment);
    }
    if ((this.#state as TcpState) !== 'closed') this.#settleSoon();
  }

  /** Sends what the events since the last time have made due. */
  settle(): void {
    if (this.#state === 'closed' || this.isBlocked) return;
    const receiver = this.#receiver;
    const nowMs = this.#environment.nowMs();
    if (this.#maySendData && !this.#sender.flush(nowMs)) return;
    if (receiver.isAckDue) {
      // Not NXT, which a timeout takes back: what lies before the peer's window is not read (RFC 9293, 3.10.7.4).
      this.#emit(this.#sender.max, ACK, 0, 0);
    } else if (receiver.unacknowledgedBytes > 0 && !this.#delayedAck.isSet) {
      this.#delayedAck.set(nowMs + DELAYED_ACK_MS);
    }
    if (!this.#retransmission.isSet) this.#armRetransmission();
  }

  get #maySendData(): boolean {
    return SENDING_STATES.has(this.#state);
  }

  #settleSoon(): void {
    if (!this.isSettling) this.#environment.settleSoon(this);
  }

  // Receiving

  #takeSyn(segment: TcpSegment): void {
    this.#peerSynSequence = segment.sequence;
    this.#receiver.start(seqAdd(segment.sequence, 1));
    this.#emitter.agree(segment);
    // The window of a SYN is never scaled.
    this.#sender.setWindow(segment.window, segment.sequence, this.#initialSequence);
  }

  #receiveInSynSent(segment: TcpSegment): void {
    const sender = this.#sender;
    const isAck = segment.has(ACK);
    if (isAck && segment.acknowledgment !== sender.nxt) {
      if (!segment.has(RST)) this.#emit(segment.acknowledgment, RST, 0, 0);
      return;
    }
    if (segment.has(RST)) {
      if (isAck) this.#close('refused');
      return;
    }
    if (!segment.has(SYN)) return;
    this.#takeSyn(segment);
    if (isAck) {
      sender.acknowledgeSyn();
      this.#establish();
      this.#receiver.isAckDue = true;
      this.#takeText(segment);
    } else {
      this.#state = 'syn-received';
      this.#emitSyn();
    }
    this.#settleSoon();
  }

  #receiveInOrder(segment: TcpSegment): void {
    const receiver = this.#receiver;
    const isReset = segment.has(RST);
    if (
      this.#emitter.options.usesTimestamps &&
      segment.hasTimestamps &&
      !isReset &&
      seqDistance(segment.timestamp, this.#emitter.options.recentTimestamp) < 0
    ) {
      receiver.isAckDue = true;
      return;
    }
    if (!receiver.isAcceptable(segment)) return this.#receiveUnacceptable(segment);
    if (isReset) {
      if (segment.sequence === receiver.next) this.#close('reset');
      else this.#challenge();
      return;
    }
    if (segment.has(SYN)) return this.#challenge();
    if (!segment.has(ACK) || !this.#takeAcknowledgment(segment)) return;
    if (this.#emitter.options.usesTimestamps && segment.hasTimestamps && seqAtOrAfter(this.#emitter.lastAckSent, segment.sequence))
      this.#emitter.options.recentTimestamp = segment.timestamp;
    this.#takeText(segment);
  }

  #receiveUnacceptable(segment: TcpSegment): void {
    if (segment.has(RST)) return;
    if (this.#state === 'syn-received' && segment.has(SYN) && segment.sequence === this.#peerSynSequence) {
      // The answer of a peer that has opened at the same time, or its SYN once more.
      if (!segment.has(ACK)) this.#emitSyn();
      else if (this.#takeAcknowledgment(segment)) this.#receiver.isAckDue = true;
      return;
    }
    if (this.#state === 'time-wait') this.#life.set(this.#environment.nowMs() + TIME_WAIT_MS);
    this.#receiver.isAckDue = true;
    // A peer that probes our closed window may acknowledge all the same (RFC 9293, 3.10.7.4).
    if (segment.sequence === this.#receiver.next && segment.has(ACK) && !segment.has(SYN)) this.#takeAcknowledgment(segment);
  }

  #challenge(): void {
    if (this.#environment.mayChallenge()) this.#receiver.isAckDue = true;
  }

  /** False: the segment is not to be read any further. */
  #takeAcknowledgment(segment: TcpSegment): boolean {
    const sender = this.#sender;
    const { acknowledgment } = segment;
    if (this.#state === 'syn-received') {
      if (acknowledgment !== sender.nxt) {
        this.#emit(acknowledgment, RST, 0, 0);
        return false;
      }
      sender.acknowledgeSyn();
      sender.setWindow(segment.window << this.#emitter.options.peerScale, segment.sequence, acknowledgment);
      this.#establish();
    }
    // RFC 5961, 5.
    if (seqAfter(acknowledgment, sender.max) || seqDistance(sender.una, acknowledgment) > Math.max(sender.largestWindow, 0xffff)) {
      this.#challenge();
      return false;
    }
    const nowMs = this.#environment.nowMs();
    const wasAt = sender.una;
    this.#tries = 0;
    this.#keepAlives = 0;
    sender.acknowledge(segment, nowMs);
    sender.updateWindow(segment.window << this.#emitter.options.peerScale, segment.sequence, acknowledgment);
    if (sender.una !== wasAt) this.#onAdvance();
    else if (!sender.isInFlight && sender.window > 0) {
      // No more probes.
      sender.rtt.endBackoff();
      this.#retransmission.clear();
    }
    return (this.#state as TcpState) !== 'closed';
  }

  #onAdvance(): void {
    const sender = this.#sender;
    // Set anew once it is known what is on its way.
    this.#retransmission.clear();
    if (this.#wantsRoom && sender.buffer.length <= this.#environment.bufferBytes >> 1) {
      this.#wantsRoom = false;
      this.#handler.onRoom();
    }
    if (!sender.isFinAcknowledged) return;
    if (this.#state === 'fin-wait-1') this.#state = 'fin-wait-2';
    else if (this.#state === 'closing') this.#enterTimeWait();
    else if (this.#state === 'last-ack' && this.#receiver.isEndTold) this.#close('closed');
  }

  #establish(): void {
    this.#state = this.#sender.isEnded ? 'fin-wait-1' : 'established';
    this.#tries = 0;
    this.#retransmission.clear();
    this.#life.set(this.#environment.nowMs() + KEEP_ALIVE_IDLE_MS);
    if (!this.#isClosedTold) this.#handler.onConnected();
  }

  #takeText(segment: TcpSegment): void {
    const receiver = this.#receiver;
    switch (this.#state) {
      case 'established':
      case 'fin-wait-1':
      case 'fin-wait-2':
        break;
      default:
        // Behind its FIN the peer has nothing to say.
        if (segment.length > 0) receiver.isAckDue = true;
        return;
    }
    if (segment.length === 0) return;
    if (this.#isClosedTold && segment.payloadBytes > 0) return this.abort();
    receiver.take(segment, REASSEMBLY_COST * this.#emitter.bufferLimit);
    if (receiver.unacknowledgedBytes > 0 && this.#quickAcks > 0) {
      this.#quickAcks--;
      receiver.isAckDue = true;
    }
    if (!receiver.isEnded || (this.#state as TcpState) === 'closed') return;
    if (this.#state === 'established') this.#state = 'close-wait';
    else if (this.#state === 'fin-wait-2') this.#enterTimeWait();
    else if (this.#state === 'fin-wait-1') this.#state = 'closing';
    this.#tellEnd();
  }

  #deliver(bytes: Uint8Array): void {
    if (!this.#isClosedTold) this.#handler.onData(bytes);
  }

  /** Once all before it has been taken. */
  #tellEnd(): void {
    const receiver = this.#receiver;
    if (!receiver.isEnded || receiver.isEndTold || receiver.queuedBytes > 0) return;
    receiver.isEndTold = true;
    if (!this.#isClosedTold) this.#handler.onEnd();
    if (this.#state === 'time-wait') this.#tellClosed('closed');
    else if (this.#state === 'last-ack' && this.#sender.isFinAcknowledged) this.#close('closed');
  }

  #enterTimeWait(): void {
    this.#state = 'time-wait';
    this.#retransmission.clear();
    this.#life.set(this.#environment.nowMs() + TIME_WAIT_MS);
    if (this.#receiver.isEndTold) this.#tellClosed('closed');
  }

  #close(reason: TcpEnd): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#retransmission.clear();
    this.#delayedAck.clear();
    this.#life.clear();
    this.#sender.buffer.clear();
    this.#receiver.clear();
    this.#environment.forget(this);
    this.#tellClosed(reason);
  }

  #tellClosed(reason: TcpEnd): void {
    if (this.#isClosedTold) return;
    this.#isClosedTold = true;
    this.#handler.onClosed(reason);
  }

  // Time

  #armRetransmission(): void {
    const sender = this.#sender;
    if (this.#state === 'closed' || (!sender.isInFlight && !(this.#maySendData && sender.isHeldByWindow))) return;
    const { rtoMs, smoothedMs } = sender.rtt;
    this.#isProbing = this.#maySendData && sender.isInFlight && sender.mayProbe;
    const waitMs = this.#isProbing ? Math.min(rtoMs, 2 * smoothedMs + PROBE_SLACK_MS) : rtoMs;
    this.#retransmission.set(this.#environment.nowMs() + waitMs);
  }

  #onRetransmission(): void {
    const sender = this.#sender;
    const isOpening = this.#state === 'syn-sent' || this.#state === 'syn-received';
    // A machine that stands still is no peer that has gone.
    if (this.isBlocked) return this.#armRetransmission();
    if (this.#isProbing && sender.isInFlight && sender.mayProbe) {
      sender.probeTail();
      return this.#armRetransmission();
    }
    if (++this.#tries > (isOpening ? SYN_TRIES : DATA_TRIES)) {
      if (!isOpening) this.#emit(sender.max, RST | ACK, 0, 0);
      return this.#close('timeout');
    }
    if (isOpening) {
      sender.rtt.back();
      this.#emitSyn();
    } else if (sender.isInFlight) {
      sender.timeOut();
      sender.resendFirst();
      this.settle();
    } else if (sender.isHeldByWindow) {
      // A little window may be used now; a closed one is probed by what must be answered.
      sender.rtt.back();
      sender.flush(this.#environment.nowMs(), true);
      if (!sender.isInFlight) this.#probe();
    }
    if (!this.#retransmission.isSet) this.#armRetransmission();
  }

  /** A segment that the peer cannot accept, and therefore answers. */
  #probe(): void {
    this.#emit(seqAdd(this.#sender.una, -1), ACK, 0, 0);
  }

  #onLife(): void {
    if (this.#state === 'time-wait' && this.#receiver.isEndTold) return this.#close('closed');
    if (this.#state === 'time-wait') return this.#life.set(this.#environment.nowMs() + TIME_WAIT_MS);
    if (this.#isClosedTold) return this.abort();
    if (++this.#keepAlives > KEEP_ALIVE_TRIES) {
      this.#emit(this.#sender.max, RST | ACK, 0, 0);
      return this.#close('timeout');
    }
    // The first is only a look whether anything has come since.
    if (this.#keepAlives > 1) this.#probe();
    this.#life.set(this.#environment.nowMs() + (this.#keepAlives === 1 ? KEEP_ALIVE_IDLE_MS : KEEP_ALIVE_STEP_MS));
  }

  // Sending

  #emitSyn(): void {
    this.#emit(this.#initialSequence, this.#state === 'syn-sent' ? SYN : SYN | ACK, 0, 0);
  }

  /** False: no room now; the connection waits for it. */
  #emit(sequence: number, flags: number, offset: number, byteCount: number): boolean {
    if (this.#emitter.emit(sequence, flags, offset, byteCount)) {
      if ((flags & ACK) !== 0) this.#delayedAck.clear();
      return true;
    }
    if (!this.isBlocked) {
      this.isBlocked = true;
      this.#environment.waitForRoom(this);
    }
    return false;
  }
}
