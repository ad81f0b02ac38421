// Where the parts of an IP packet in an Ethernet frame lie, as far as the headers can be believed. One object is filled again and again: nothing is allocated for a frame.

import type { IpFamily } from './host-network.ts';
import { read16 } from './network-order.ts';
import { ETHER_TYPE_OFFSET, ETHER_TYPES, ETHERNET_BYTES, IP_PROTOCOLS, IPV4_BYTES, IPV6_BYTES } from './protocol-numbers.ts';

/** Extension headers of IPv6 that are skipped; whoever sends more is not understood. */
const EXTENSION_LIMIT = 8;

export class IpLayers {
  family: IpFamily = 4;
  /** Of the frame, behind VLAN tags. */
  etherType = 0;
  /** Where the IP header starts. */
  ip = 0;
  /** Where the protocol's header starts. */
  transport = 0;
  /** Behind the last byte that belongs to the IP packet. */
  end = 0;
  protocol = 0;
  isFragment = false;

  get sourceAt(): number {
    return this.ip + (this.family === 4 ? 12 : 8);
  }

  get destinationAt(): number {
    return this.ip + (this.family === 4 ? 16 : 24);
  }

  get addressBytes(): number {
    return this.family === 4 ? 4 : 16;
  }

  /** False: not IP, or cut off; `etherType` is known all the same. */
  read(frame: Uint8Array): boolean {
    let typeAt = ETHER_TYPE_OFFSET;
    this.etherType = 0;
    if (frame.length < ETHERNET_BYTES) return false;
    for (let tags = 0; read16(frame, typeAt) === ETHER_TYPES.vlan && tags < 2 && typeAt + 6 <= frame.length; tags++) typeAt += 4;
    this.etherType = read16(frame, typeAt);
    this.ip = typeAt + 2;
    if (this.etherType === ETHER_TYPES.ipv4) return this.#readV4(frame);
    return this.etherType === ETHER_TYPES.ipv6 && this.#readV6(frame);
  }

  #readV4(frame: Uint8Array): boolean {
    const { ip } = this;
    if (frame.length < ip + IPV4_BYTES || frame[ip] >> 4 !== 4) return false;
    const headerBytes = (frame[ip] & 15) * 4;
    const totalBytes = read16(frame, ip + 2);
    if (headerBytes < IPV4_BYTES || totalBytes < headerBytes || ip + totalBytes > frame.length) return false;
    this.family = 4;
    this.transport = ip + headerBytes;
    this.end = ip + totalBytes;
    this.protocol = frame[ip + 9];
    this.isFragment = (read16(frame, ip + 6) & 0x3fff) !== 0;
    return true;
  }

  #readV6(frame: Uint8Array): boolean {
    const { ip } = this;
    if (frame.length < ip + IPV6_BYTES || frame[ip] >> 4 !== 6) return false;
    this.family = 6;
    this.end = ip + IPV6_BYTES + read16(frame, ip + 4);
    if (this.end > frame.length) return false;
    this.isFragment = false;
    let next = frame[ip + 6];
    let at = ip + IPV6_BYTES;
    for (let count = 0; count < EXTENSION_LIMIT; count++) {
      if (next !== IP_PROTOCOLS.hopByHop && next !== IP_PROTOCOLS.routing && next !== IP_PROTOCOLS.destination) {
        this.isFragment = next === IP_PROTOCOLS.fragment;
        this.protocol = next;
        this.transport = at;
        return !this.isFragment || at + 8 <= this.end;
      }
      if (at + 8 > this.end) return false;
      next = frame[at];
      at += 8 + frame[at + 1] * 8;
      if (at > this.end) return false;
    }
    return false;
  }
}
