// Writes the segments of a connection, headers, options and all, and hands them to its carrier.

import { write16, write32 } from '../network-order.ts';
import { OWN_WINDOW_SCALE, TcpOptions, TIMESTAMP_BYTES } from './tcp-options.ts';
import type { TcpCarrier, TcpEnvironment } from './tcp-ports.ts';
import type { TcpReceiver } from './tcp-receiver.ts';
import { TCP_FLAGS, type TcpSegment } from './tcp-segment.ts';
import type { TcpSender } from './tcp-sender.ts';

const SMALLEST_MSS = 88;
const DEFAULT_MSS = 536;
const WINDOW_WITHOUT_SCALE = 0xffff;

export class TcpEmitter {
  readonly options = new TcpOptions();
  /** RCV.NXT as the peer knows it. */
  lastAckSent = 0;
  readonly #environment: TcpEnvironment;
  readonly #carrier: TcpCarrier;
  readonly #sender: TcpSender;
  readonly #receiver: TcpReceiver;

  constructor(environment: TcpEnvironment, carrier: TcpCarrier, sender: TcpSender, receiver: TcpReceiver) {
    this.#environment = environment;
    this.#carrier = carrier;
    this.#sender = sender;
    this.#receiver = receiver;
  }

  /** How much the receiving half may keep. */
  get bufferLimit(): number {
    const { bufferBytes } = this.#environment;
    return this.options.usesScale ? bufferBytes : Math.min(WINDOW_WITHOUT_SCALE, bufferBytes);
  }

  /** By the peer's SYN both know what they may use (RFC 9293, 3.7.1; RFC 7323; RFC 2018). */
  agree(syn: TcpSegment): void {
    const { options } = this;
    const { mss } = this.#carrier;
    this.lastAckSent = this.#receiver.next;
    options.usesScale = syn.windowScale >= 0;
    options.peerScale = Math.max(0, syn.windowScale);
    this.#receiver.scale = options.usesScale ? OWN_WINDOW_SCALE : 0;
    options.usesTimestamps = syn.hasTimestamps;
    options.recentTimestamp = syn.timestamp;
    options.usesSack = syn.isSackPermitted;
    this.#sender.usesSack = options.usesSack;
    const optionBytes = options.usesTimestamps ? TIMESTAMP_BYTES : 0;
    const peerMss = syn.mss === 0 ? DEFAULT_MSS : Math.max(SMALLEST_MSS, syn.mss);
    this.#sender.mss = Math.min(peerMss, mss) - optionBytes;
    this.#receiver.mss = mss - optionBytes;
  }

  /** With bytes of the send buffer from `offset` on. False: no room now. */
  emit(sequence: number, flags: number, offset: number, byteCount: number): boolean {
    const carrier = this.#carrier;
    const receiver = this.#receiver;
    const { buffer: bytes, mss } = carrier;
    const start = carrier.begin();
    const isAck = (flags & TCP_FLAGS.ack) !== 0;
    const headerEnd = this.options.write(bytes, start + 20, flags, { nowMs: this.#environment.nowMs(), mss, receiver });
    write32(bytes, start + 4, sequence);
    write32(bytes, start + 8, isAck ? receiver.next : 0);
    bytes[start + 12] = ((headerEnd - start) >> 2) << 4;
    bytes[start + 13] = flags;
    write16(bytes, start + 14, (flags & TCP_FLAGS.rst) !== 0 ? 0 : receiver.announce(this.bufferLimit, (flags & TCP_FLAGS.syn) !== 0));
    write16(bytes, start + 18, 0);
    if (byteCount > 0) this.#sender.buffer.copy(offset, byteCount, bytes, headerEnd);
    if (!carrier.send(headerEnd + byteCount, headerEnd - start, this.#sender.mss)) return false;
    if (isAck) {
      this.lastAckSent = receiver.next;
      receiver.isAckDue = false;
      receiver.unacknowledgedBytes = 0;
    }
    return true;
  }
}
