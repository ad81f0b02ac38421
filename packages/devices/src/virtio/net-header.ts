// The header before each frame (Virtio 1.2, 5.1.6): what is left to do to the frame. Read from a driver it is hostile, and checked against the frame here.

import type { FrameWork } from './net-backend.ts';

export const NET_HEADER_BYTES = 12;
const FLAG = { needsChecksum: 1 } as const;
const SEGMENTS = { none: 0, tcp4: 1, tcp6: 4, udp: 5, ecn: 0x80 } as const;
const AT = { flags: 0, segments: 1, headerBytes: 2, segmentBytes: 4, checksumStart: 6, checksumOffset: 8, bufferCount: 10 } as const;
const TCP_HEADER_BYTES = 20;
const TCP_DATA_OFFSET_AT = 12;
const UDP_HEADER_BYTES = 8;

const read16 = (bytes: Uint8Array, at: number): number => bytes[at] | (bytes[at + 1] << 8);

/** What a driver left undone: undefined, nothing; 'bad': what it says does not fit the frame. */
export function readNetHeader(header: Uint8Array, frame: Uint8Array): FrameWork | undefined | 'bad' {
  const kind = header[AT.segments] & ~SEGMENTS.ecn;
  if ((header[AT.flags] & FLAG.needsChecksum) === 0) return kind === SEGMENTS.none ? undefined : 'bad';
  const start = read16(header, AT.checksumStart);
  const offset = read16(header, AT.checksumOffset);
  if (start + offset + 2 > frame.length) return 'bad';
  const checksum = { start, offset };
  if (kind === SEGMENTS.none) return { checksum };
  const segmentBytes = read16(header, AT.segmentBytes);
  const name = kind === SEGMENTS.tcp4 ? 'tcp4' : kind === SEGMENTS.tcp6 ? 'tcp6' : kind === SEGMENTS.udp ? 'udp' : undefined;
  const headerBytes = name === undefined ? 0 : start + transportBytes(name, frame, start);
  if (name === undefined || segmentBytes === 0 || headerBytes === start || headerBytes > frame.length) return 'bad';
  return { checksum, segments: { kind: name, segmentBytes, headerBytes, hasEcn: (header[AT.segments] & SEGMENTS.ecn) !== 0 } };
}

/** Bytes of the TCP or UDP header there; 0: there is none. The driver's own figure is but a hint (5.1.6.2). */
function transportBytes(kind: 'tcp4' | 'tcp6' | 'udp', frame: Uint8Array, start: number): number {
  if (kind === 'udp') return UDP_HEADER_BYTES;
  if (start + TCP_HEADER_BYTES > frame.length) return 0;
  const byteCount = (frame[start + TCP_DATA_OFFSET_AT] >> 4) * 4;
  return byteCount < TCP_HEADER_BYTES ? 0 : byteCount;
}

export function writeNetHeader(work: FrameWork | undefined, bufferCount: number): Uint8Array {
  const header = new Uint8Array(NET_HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint16(AT.bufferCount, bufferCount, true);
  const { checksum, segments } = work ?? {};
  if (checksum !== undefined) {
    header[AT.flags] = FLAG.needsChecksum;
    view.setUint16(AT.checksumStart, checksum.start, true);
    view.setUint16(AT.checksumOffset, checksum.offset, true);
  }
  if (segments !== undefined) {
    header[AT.segments] = SEGMENTS[segments.kind] | (segments.hasEcn ? SEGMENTS.ecn : 0);
    view.setUint16(AT.headerBytes, segments.headerBytes, true);
    view.setUint16(AT.segmentBytes, segments.segmentBytes, true);
  }
  return header;
}
