// What is left to do to a frame, as bytes beside it: virtio's header without the count of buffers (Virtio 1.2, 5.1.6). What comes from elsewhere is checked against its frame.

import type { FrameWork } from './frame-port.ts';
import { read16, write16 } from './network-order.ts';
import { ETHERNET_BYTES } from './protocol-numbers.ts';

export const WORK_HEADER_BYTES = 10;
const KINDS = { tcp4: 1, tcp6: 4, udp: 5 } as const;
const ECN = 0x80;
/** Beyond are headers that no frame has. */
const LONGEST_HEADERS = 512;

export function writeWork(bytes: Uint8Array, at: number, { checksum, segments }: FrameWork): void {
  bytes[at] = checksum === undefined ? 0 : 1;
  bytes[at + 1] = segments === undefined ? 0 : KINDS[segments.kind] | (segments.hasEcn ? ECN : 0);
  write16(bytes, at + 2, segments?.headerBytes ?? 0);
  write16(bytes, at + 4, segments?.segmentBytes ?? 0);
  write16(bytes, at + 6, checksum?.start ?? 0);
  write16(bytes, at + 8, checksum?.offset ?? 0);
}

/** 'bad': it does not fit a frame of that length. */
export function readWork(bytes: Uint8Array, at: number, frameBytes: number): FrameWork | undefined | 'bad' {
  const kind = bytes[at + 1] & ~ECN;
  if (bytes[at] !== 1) return kind === 0 && bytes[at] === 0 ? undefined : 'bad';
  const start = read16(bytes, at + 6);
  const offset = read16(bytes, at + 8);
  if (start < ETHERNET_BYTES || start + offset + 2 > frameBytes) return 'bad';
  const checksum = { start, offset };
  if (kind === 0) return { checksum };
  const name = kind === KINDS.tcp4 ? 'tcp4' : kind === KINDS.tcp6 ? 'tcp6' : kind === KINDS.udp ? 'udp' : undefined;
  const headerBytes = read16(bytes, at + 2);
  const segmentBytes = read16(bytes, at + 4);
  if (name === undefined || segmentBytes === 0 || headerBytes <= start || headerBytes > Math.min(frameBytes, LONGEST_HEADERS)) return 'bad';
  return { checksum, segments: { kind: name, segmentBytes, headerBytes, hasEcn: (bytes[at + 1] & ECN) !== 0 } };
}
