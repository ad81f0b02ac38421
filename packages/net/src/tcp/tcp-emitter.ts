// Writes the segments of a connection, headers, options and all, and hands them to its carrier.

import { write16, write32 } from '../network-order.ts';
import { TcpOptions } from './tcp-options.ts';
import type { TcpCarrier, TcpEnvironment } from './tcp-ports.ts';
import type { TcpReceiver } from './tcp-receiver.ts';
import { TCP_FLAGS } from './tcp-segment.ts';
import type { TcpSender } from './tcp-sender.ts';

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
