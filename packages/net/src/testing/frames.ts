// Frames for tests, with checksums as they must be.

import { checksumOf, sumBytes } from '../checksum.ts';
import { IpAddress } from '../ip-address.ts';
import { parseMac, writeMac } from '../mac-address.ts';
import { write16, write32 } from '../network-order.ts';

export const MAC_A = '52:54:00:00:00:0a';
export const MAC_B = '52:54:00:00:00:0b';
export const MAC_C = '52:54:00:00:00:0c';
export const BROADCAST = 'ff:ff:ff:ff:ff:ff';

export function ethernet(to: string, from: string, etherType: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(14 + payload.length);
  writeMac(frame, 0, parseMac(to)!);
  writeMac(frame, 6, parseMac(from)!);
  write16(frame, 12, etherType);
  frame.set(payload, 14);
  return frame;
}

/** An IP packet; a transport protocol's checksum (TCP, UDP, ICMPv6) is put in. */
export function ip(options: { from: string; to: string; protocol: number; payload: Uint8Array; hopLimit?: number }): Uint8Array {
  const from = IpAddress.parse(options.from)!;
  const to = IpAddress.parse(options.to)!;
  const { payload, protocol } = options;
  const headerBytes = from.family === 4 ? 20 : 40;
  const packet = new Uint8Array(headerBytes + payload.length);
  packet.set(payload, headerBytes);
  packet.set(from.bytes, from.family === 4 ? 12 : 8);
  packet.set(to.bytes, from.family === 4 ? 16 : 24);
  if (from.family === 4) {
    packet[0] = 0x45;
    write16(packet, 2, packet.length);
    packet[8] = options.hopLimit ?? 64;
    packet[9] = protocol;
    write16(packet, 10, checksumOf(sumBytes(packet, 0, 20)));
  } else {
    packet[0] = 0x60;
    write16(packet, 4, payload.length);
    packet[6] = protocol;
    packet[7] = options.hopLimit ?? 64;
  }
  const sumAt = protocol === 6 ? 16 : protocol === 17 ? 6 : protocol === 58 ? 2 : -1;
  if (sumAt >= 0 && payload.length >= sumAt + 2) {
    write16(packet, headerBytes + sumAt, 0);
    write16(packet, headerBytes + sumAt, transportChecksum(packet, headerBytes, protocol));
  }
  return packet;
}

/** Over a packet from its IP header on, with what stands in the checksum's place: 0 where that is right. */
export function transportChecksum(packet: Uint8Array, transport: number, protocol: number): number {
  const addresses = packet[0] >> 4 === 4 ? sumBytes(packet, 12, 20) : sumBytes(packet, 8, 40);
  return checksumOf(protocol + packet.length - transport + addresses + sumBytes(packet, transport, packet.length));
}

export function udp(fromPort: number, toPort: number, payload: Uint8Array): Uint8Array {
  const packet = new Uint8Array(8 + payload.length);
  write16(packet, 0, fromPort);
  write16(packet, 2, toPort);
  write16(packet, 4, packet.length);
  packet.set(payload, 8);
  return packet;
}

export function tcp(options: {
  fromPort: number;
  toPort: number;
  sequence: number;
  flags: number;
  payload: Uint8Array;
  acknowledgment?: number;
}): Uint8Array {
  const packet = new Uint8Array(20 + options.payload.length);
  write16(packet, 0, options.fromPort);
  write16(packet, 2, options.toPort);
  write32(packet, 4, options.sequence);
  write32(packet, 8, options.acknowledgment ?? 0);
  packet[12] = 5 << 4;
  packet[13] = options.flags;
  write16(packet, 14, 0xffff);
  packet.set(options.payload, 20);
  return packet;
}
