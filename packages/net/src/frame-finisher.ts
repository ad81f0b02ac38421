// Does the work that a frame brings along (checksum, segmentation) before it goes to somebody who does not: what a network card does in hardware.
// Offsets that a guest gave are checked; a frame whose work makes no sense is dropped, as hardware would send rubbish.

import { checksumOf, sumBytes } from './checksum.ts';
import type { FrameSink, FrameWork } from './frame-port.ts';
import { IpLayers } from './ip-layers.ts';
import { read16, read32, write16, write32 } from './network-order.ts';
import { ETHERNET_BYTES, IP_PROTOCOLS, TCP_BYTES, UDP_BYTES } from './protocol-numbers.ts';

/** With smaller pieces one frame would become more than a thousand. */
const SMALLEST_SEGMENT_BYTES = 64;
const TCP_FLAGS = 13;
const FLAG_FIN = 0x01;
const FLAG_PSH = 0x08;
const FLAG_CWR = 0x80;
const NOTHING = new Uint8Array(0);

/** Does a sink take a frame as it is? */
export function canTake(sink: FrameSink, work: FrameWork | undefined): boolean {
  return work === undefined || (sink.takesWork && (work.segments?.kind !== 'udp' || sink.takesUdpSegments === true));
}

export class FrameFinisher {
  readonly #layers = new IpLayers();
  #scratch = NOTHING;

  /** Gives the finished frames to `emit`, each lent for the call; it returns false to stop. Returns false when it was stopped before the first. */
  finish(frame: Uint8Array, work: FrameWork, emit: (frame: Uint8Array) => boolean): boolean {
    if (work.segments === undefined && work.checksum === undefined) return emit(frame);
    // Who receives may send within the call, and come back here: that call gets a buffer of its own.
    const scratch = this.#scratch.length < frame.length ? new Uint8Array(Math.max(2048, frame.length)) : this.#scratch;
    this.#scratch = NOTHING;
    try {
      return work.segments === undefined ? this.#sum(scratch, frame, work.checksum!, emit) : this.#cut(scratch, frame, work.segments, emit);
    } finally {
      this.#scratch = scratch;
    }
  }

  #sum(
    scratch: Uint8Array,
    frame: Uint8Array,
    checksum: NonNullable<FrameWork['checksum']>,
    emit: (frame: Uint8Array) => boolean,
  ): boolean {
    const { start, offset } = checksum;
    if (!(start >= ETHERNET_BYTES && offset >= 0 && start + offset + 2 <= frame.length)) return true;
    const copy = scratch.subarray(0, frame.length);
    copy.set(frame);
    const sum = checksumOf(sumBytes(copy, start, copy.length));
    // For UDP none is 0 (RFC 768), and 0xffff means the same for all the others.
    write16(copy, start + offset, sum === 0 ? 0xffff : sum);
    return emit(copy);
  }

  #cut(
    scratch: Uint8Array,
    frame: Uint8Array,
    segments: NonNullable<FrameWork['segments']>,
    emit: (frame: Uint8Array) => boolean,
  ): boolean {
    const layers = this.#layers;
    const { segmentBytes, kind } = segments;
    const isTcp = kind !== 'udp';
    if (!(segmentBytes >= SMALLEST_SEGMENT_BYTES) || !layers.read(frame) || layers.isFragment) return true;
    if (layers.protocol !== (isTcp ? IP_PROTOCOLS.tcp : IP_PROTOCOLS.udp) || (isTcp && (kind === 'tcp4') !== (layers.family === 4)))
      return true;
    const { transport, end } = layers;
    if (end < transport + (isTcp ? TCP_BYTES : UDP_BYTES)) return true;
    const payload = transport + (isTcp ? (frame[transport + 12] >> 4) * 4 : UDP_BYTES);
    if (payload < transport + UDP_BYTES || payload > end) return true;
    let isFirst = true;
    for (let at = payload; isFirst || at < end; at += segmentBytes) {
      const pieceEnd = Math.min(end, at + segmentBytes);
      const piece = scratch.subarray(0, payload + pieceEnd - at);
      piece.set(frame.subarray(0, payload));
      piece.set(frame.subarray(at, pieceEnd), payload);
      this.#fixHeaders(piece, { index: (at - payload) / segmentBytes, position: at - payload, isLast: pieceEnd === end, isTcp });
      if (!emit(piece)) return !isFirst;
      isFirst = false;
    }
    return true;
  }

  #fixHeaders(piece: Uint8Array, at: { index: number; position: number; isLast: boolean; isTcp: boolean }): void {
    const { ip, transport, family, protocol, sourceAt, addressBytes } = this.#layers;
    if (family === 4) {
      write16(piece, ip + 2, piece.length - ip);
      write16(piece, ip + 4, (read16(piece, ip + 4) + at.index) & 0xffff);
      write16(piece, ip + 10, 0);
      write16(piece, ip + 10, checksumOf(sumBytes(piece, ip, transport)));
    } else {
      write16(piece, ip + 4, piece.length - ip - 40);
    }
    if (at.isTcp) {
      write32(piece, transport + 4, (read32(piece, transport + 4) + at.position) >>> 0);
      if (!at.isLast) piece[transport + TCP_FLAGS] &= ~(FLAG_FIN | FLAG_PSH);
      if (at.index > 0) piece[transport + TCP_FLAGS] &= ~FLAG_CWR;
    } else {
      write16(piece, transport + 4, piece.length - transport);
    }
    const sumAt = transport + (at.isTcp ? 16 : 6);
    write16(piece, sumAt, 0);
    const sum = checksumOf(
      protocol +
        piece.length -
        transport +
        sumBytes(piece, sourceAt, sourceAt + 2 * addressBytes) +
        sumBytes(piece, transport, piece.length),
    );
    write16(piece, sumAt, sum === 0 && !at.isTcp ? 0xffff : sum);
  }
}
