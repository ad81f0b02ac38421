// A TCP segment as it lies in a packet (RFC 9293, 3.1; RFC 7323; RFC 2018). One object is filled again and again.

import { read16, read32 } from '../network-order.ts';
import { TCP_BYTES } from '../protocol-numbers.ts';

export const TCP_FLAGS = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const;
export const TCP_OPTIONS = { end: 0, nop: 1, mss: 2, windowScale: 3, sackPermitted: 4, sack: 5, timestamps: 8 } as const;

export class TcpSegment {
  bytes: Uint8Array = new Uint8Array(0);
  sourcePort = 0;
  destinationPort = 0;
  sequence = 0;
  acknowledgment = 0;
  flags = 0;
  /** As it stands there, not scaled. */
  window = 0;
  payloadStart = 0;
  payloadEnd = 0;
  /** 0: the option is not there. */
  mss = 0;
  /** -1: the option is not there. */
  windowScale = -1;
  isSackPermitted = false;
  hasTimestamps = false;
  timestamp = 0;
  timestampEcho = 0;
  /** Pairs of edges, in the order given. */
  readonly sack: number[] = [];

  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }

  get payloadBytes(): number {
    return this.payloadEnd - this.payloadStart;
  }

  /** What it takes of the sequence space. */
  get length(): number {
    return this.payloadEnd - this.payloadStart + (this.flags & TCP_FLAGS.syn ? 1 : 0) + (this.flags & TCP_FLAGS.fin ? 1 : 0);
  }

  /** False: it is cut off or contradicts itself. */
  read(bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start < TCP_BYTES) return false;
    const headerEnd = start + (bytes[start + 12] >> 4) * 4;
    if (headerEnd < start + TCP_BYTES || headerEnd > end) return false;
    this.bytes = bytes;
    this.sourcePort = read16(bytes, start);
    this.destinationPort = read16(bytes, start + 2);
    this.sequence = read32(bytes, start + 4);
    this.acknowledgment = read32(bytes, start + 8);
    this.flags = bytes[start + 13];
    this.window = read16(bytes, start + 14);
    this.payloadStart = headerEnd;
    this.payloadEnd = end;
    this.mss = 0;
    this.windowScale = -1;
    this.isSackPermitted = false;
    this.hasTimestamps = false;
    this.sack.length = 0;
    if (headerEnd > start + TCP_BYTES) this.#readOptions(start + TCP_BYTES, headerEnd);
    return true;
  }

  #readOptions(start: number, end: number): void {
    const { bytes } = this;
    for (let at = start; at < end; ) {
      const kind = bytes[at];
      if (kind === TCP_OPTIONS.end) return;
      if (kind === TCP_OPTIONS.nop) {
        at++;
        continue;
      }
      const length = at + 1 < end ? bytes[at + 1] : 0;
      if (length < 2 || at + length > end) return;
      this.#readOption(kind, at, length);
      at += length;
    }
  }

  #readOption(kind: number, at: number, length: number): void {
    const { bytes } = this;
    if (kind === TCP_OPTIONS.timestamps && length === 10) {
      this.hasTimestamps = true;
      this.timestamp = read32(bytes, at + 2);
      this.timestampEcho = read32(bytes, at + 6);
    } else if (kind === TCP_OPTIONS.mss && length === 4) this.mss = read16(bytes, at + 2);
    else if (kind === TCP_OPTIONS.windowScale && length === 3) this.windowScale = Math.min(14, bytes[at + 2]);
    else if (kind === TCP_OPTIONS.sackPermitted && length === 2) this.isSackPermitted = true;
    else if (kind === TCP_OPTIONS.sack && (length & 7) === 2) {
      for (let i = at + 2; i < at + length; i += 4) this.sack.push(read32(bytes, i));
    }
  }
}
