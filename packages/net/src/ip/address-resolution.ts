// Frames that ask for an Ethernet address, and that tell one (RFC 826; RFC 4861, 4.3 and 4.4).

import { checksumOf, sumBytes } from '../checksum.ts';
import { IpAddress } from '../ip-address.ts';
import { BROADCAST_MAC, writeMac } from '../mac-address.ts';
import { write16, write32 } from '../network-order.ts';
import { ETHER_TYPES, ETHERNET_BYTES, IP_PROTOCOLS, IPV6_BYTES } from '../protocol-numbers.ts';

export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;
export const ICMPV6_TYPES = {
  unreachable: 1,
  tooBig: 2,
  timeExceeded: 3,
  echo: 128,
  echoReply: 129,
  routerSolicitation: 133,
  routerAdvertisement: 134,
  solicitation: 135,
  advertisement: 136,
} as const;
const SOURCE_LINK_OPTION = 1;
const TARGET_LINK_OPTION = 2;

export function writeArp(arp: { isReply: boolean; mac: number; address: IpAddress; toMac: number; toAddress: IpAddress }): Uint8Array {
  const frame = new Uint8Array(ETHERNET_BYTES + 28);
  writeMac(frame, 0, arp.isReply ? arp.toMac : BROADCAST_MAC);
  writeMac(frame, 6, arp.mac);
  write16(frame, 12, ETHER_TYPES.arp);
  write16(frame, 14, 1);
  write16(frame, 16, ETHER_TYPES.ipv4);
  write16(frame, 18, 0x0604);
  write16(frame, 20, arp.isReply ? ARP_REPLY : ARP_REQUEST);
  writeMac(frame, 22, arp.mac);
  frame.set(arp.address.bytes, 28);
  writeMac(frame, 32, arp.toMac);
  frame.set(arp.toAddress.bytes, 38);
  return frame;
}

/** A frame with an ICMPv6 message of a neighbour's, with the hop limit that shows it has passed no router. */
export function writeIcmpv6(options: {
  mac: number;
  toMac: number;
  source: IpAddress;
  destination: IpAddress;
  message: Uint8Array;
}): Uint8Array {
  const { message } = options;
  const start = ETHERNET_BYTES + IPV6_BYTES;
  const frame = new Uint8Array(start + message.length);
  writeMac(frame, 0, options.toMac);
  writeMac(frame, 6, options.mac);
  write16(frame, 12, ETHER_TYPES.ipv6);
  write32(frame, 14, 0x6000_0000);
  write16(frame, 18, message.length);
  frame[20] = IP_PROTOCOLS.icmpv6;
  frame[21] = 255;
  frame.set(options.source.bytes, 22);
  frame.set(options.destination.bytes, 38);
  frame.set(message, start);
  write16(frame, start + 2, 0);
  write16(
    frame,
    start + 2,
    checksumOf(IP_PROTOCOLS.icmpv6 + message.length + sumBytes(frame, 22, start) + sumBytes(frame, start, frame.length)),
  );
  return frame;
}

/** To the group of those whose addresses end like the target (RFC 4291, 2.7.1). */
export function writeSolicitation(options: { mac: number; source: IpAddress; target: IpAddress }): Uint8Array {
  const message = new Uint8Array(32);
  message[0] = ICMPV6_TYPES.solicitation;
  message.set(options.target.bytes, 8);
  message[24] = SOURCE_LINK_OPTION;
  message[25] = 1;
  writeMac(message, 26, options.mac);
  const tail = options.target.bytes.subarray(13);
  const destination = new IpAddress(Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, ...tail));
  const toMac = 0x3333_ff00_0000 + ((tail[0] << 16) | (tail[1] << 8) | tail[2]);
  return writeIcmpv6({ mac: options.mac, toMac, source: options.source, destination, message });
}

/** An answer: the target is here. */
export function writeAdvertisement(options: {
  mac: number;
  toMac: number;
  target: IpAddress;
  destination: IpAddress;
  isSolicited: boolean;
  isRouter: boolean;
}): Uint8Array {
  const message = new Uint8Array(32);
  message[0] = ICMPV6_TYPES.advertisement;
  message[4] = (options.isRouter ? 0x80 : 0) | (options.isSolicited ? 0x40 : 0) | 0x20;
  message.set(options.target.bytes, 8);
  message[24] = TARGET_LINK_OPTION;
  message[25] = 1;
  writeMac(message, 26, options.mac);
  return writeIcmpv6({ mac: options.mac, toMac: options.toMac, source: options.target, destination: options.destination, message });
}

/** The link-layer address in the options of a neighbour message; undefined: none, or they are no options. */
export function readLinkOption(message: Uint8Array, start: number, kind: 'source' | 'target'): number | undefined {
  const wanted = kind === 'source' ? SOURCE_LINK_OPTION : TARGET_LINK_OPTION;
  for (let at = start; at + 8 <= message.length; ) {
    const byteCount = message[at + 1] * 8;
    if (byteCount === 0) return undefined;
    if (message[at] === wanted) return at + 2;
    at += byteCount;
  }
  return undefined;
}
