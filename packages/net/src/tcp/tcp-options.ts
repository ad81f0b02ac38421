// The options that one side of a connection sends, and what both have agreed on (RFC 9293, 3.2; RFC 7323; RFC 2018).

import { write32 } from '../network-order.ts';
import type { TcpReceiver } from './tcp-receiver.ts';
import { TCP_FLAGS, TCP_OPTIONS } from './tcp-segment.ts';

/** Up to 8 MiB of window. */
export const OWN_WINDOW_SCALE = 7;
/** With the padding before it. */
export const TIMESTAMP_BYTES = 12;

const NOP_NOP = ((TCP_OPTIONS.nop << 24) | (TCP_OPTIONS.nop << 16)) >>> 0;

export class TcpOptions {
  /** What this side's SYN offers, and after the peer's what both have. */
  usesScale = true;
  usesTimestamps = true;
  usesSack = true;
  /** The shift of the windows that the peer announces. */
  peerScale = 0;
  /** TS.Recent. */
  recentTimestamp = 0;
  readonly #sackBlocks: number[] = [];

  /** Returns where they end, at a multiple of four. */
  write(bytes: Uint8Array, start: number, flags: number, of: { nowMs: number; mss: number; receiver: TcpReceiver }): number {
    const isSyn = (flags & TCP_FLAGS.syn) !== 0;
    const isReset = (flags & TCP_FLAGS.rst) !== 0;
    let at = isSyn ? this.#writeSyn(bytes, start, of.mss) : start;
    if (this.usesTimestamps && !isReset) {
      write32(bytes, at, NOP_NOP | (TCP_OPTIONS.timestamps << 8) | 10);
      write32(bytes, at + 4, Math.floor(of.nowMs) >>> 0);
      write32(bytes, at + 8, (flags & TCP_FLAGS.ack) !== 0 ? this.recentTimestamp : 0);
      at += TIMESTAMP_BYTES;
    }
    return isSyn || isReset || !this.usesSack || !of.receiver.hasGaps ? at : this.#writeSack(bytes, at, of.receiver);
  }

  #writeSyn(bytes: Uint8Array, start: number, mss: number): number {
    let at = start;
    write32(bytes, at, (TCP_OPTIONS.mss << 24) | (4 << 16) | mss);
    at += 4;
    if (this.usesSack) {
      write32(bytes, at, NOP_NOP | (TCP_OPTIONS.sackPermitted << 8) | 2);
      at += 4;
    }
    if (this.usesScale) {
      write32(bytes, at, (TCP_OPTIONS.nop << 24) | (TCP_OPTIONS.windowScale << 16) | (3 << 8) | OWN_WINDOW_SCALE);
      at += 4;
    }
    return at;
  }

  #writeSack(bytes: Uint8Array, start: number, receiver: TcpReceiver): number {
    const blocks = this.#sackBlocks;
    receiver.sackBlocks(this.usesTimestamps ? 3 : 4, blocks);
    write32(bytes, start, NOP_NOP | (TCP_OPTIONS.sack << 8) | (2 + blocks.length * 4));
    for (let i = 0; i < blocks.length; i++) write32(bytes, start + 4 + 4 * i, blocks[i]);
    return start + 4 + 4 * blocks.length;
  }
}
