// The end of a link that speaks IP: takes Ethernet frames apart into IP packets (RFC 791, RFC 8200) and sends such, finding out Ethernet addresses by ARP (RFC 826) and neighbour
// solicitations (RFC 4861). Packets are written into one buffer, headers and all; nothing is allocated for one.

import { checksumOf, foldSum, sumBytes } from '../checksum.ts';
import type { FramePort, FrameSink, FrameWork } from '../frame-port.ts';
import type { IpFamily } from '../host-network.ts';
import type { IpAddress } from '../ip-address.ts';
import { IpLayers } from '../ip-layers.ts';
import { BROADCAST_MAC, isGroupMac, readMac, writeMac } from '../mac-address.ts';
import { read16, read32, write16, write32 } from '../network-order.ts';
import { ETHER_TYPES, ETHERNET_BYTES, IP_PROTOCOLS, IPV4_BYTES, IPV6_BYTES } from '../protocol-numbers.ts';
import { FragmentStore } from './fragment-store.ts';
import { IpPacket } from './ip-packet.ts';
import { NeighbourTable } from './neighbour-table.ts';
import { writeArp, writeSolicitation } from './address-resolution.ts';

const HOP_LIMIT = 64;
const FRAGMENT_HEADER_BYTES = 8;
/** The largest packet, its Ethernet header, and an IPv6 header that its length does not count. */
const BUFFER_BYTES = ETHERNET_BYTES + IPV6_BYTES + 0xffff + 32;

export interface IpInterfaceOptions {
  readonly port: FramePort;
  readonly mac: number;
  readonly mtu: number;
  readonly nowMs: () => number;
  /** A whole packet; lent for the call. */
  readonly onPacket: (packet: IpPacket) => void;
  /** An ARP packet, from its hardware type on, checked for its size. */
  readonly onArp: (frame: Uint8Array, start: number) => void;
  /** An address of this interface to ask with. */
  readonly sourceFor: (destination: IpAddress) => IpAddress | undefined;
}

/** How a packet is to be sent. */
export interface Transmission {
  source: IpAddress;
  destination: IpAddress;
  protocol: number;
  /** Where the transport header's checksum is, from its start; -1: it has none, or it is there. */
  checksumOffset: number;
  hopLimit?: number;
  /** TCP: payload behind so many bytes of header is to be cut into pieces of `segmentBytes` if it is longer. */
  headerBytes?: number;
  segmentBytes?: number;
  /** In place of what the neighbour table says. */
  mac?: number;
}

interface MutableWork {
  checksum: { start: number; offset: number } | undefined;
  segments: { kind: 'tcp4' | 'tcp6'; segmentBytes: number; headerBytes: number; hasEcn: boolean } | undefined;
}

export class IpInterface {
  /** For whoever writes packets: from what `begin` says on. */
  readonly buffer = new Uint8Array(BUFFER_BYTES);
  readonly neighbours = new NeighbourTable();
  readonly fragments = new FragmentStore();
  readonly mac: number;
  readonly mtu: number;
  readonly #options: IpInterfaceOptions;
  readonly #port: FramePort;
  readonly #layers = new IpLayers();
  readonly #packet = new IpPacket();
  readonly #checksumWork = { start: 0, offset: 0 };
  readonly #segmentWork = { kind: 'tcp4' as 'tcp4' | 'tcp6', segmentBytes: 0, headerBytes: 0, hasEcn: false };
  readonly #work: MutableWork = { checksum: this.#checksumWork, segments: undefined };
  #identification = 1;

  constructor(options: IpInterfaceOptions) {
    this.#options = options;
    this.#port = options.port;
    this.mac = options.mac;
    this.mtu = options.mtu;
    const sink: FrameSink = {
      takesWork: true,
      takesUdpSegments: true,
      send: (frame, work) => {
        this.#receive(frame, work);
        return true;
      },
    };
    this.#port.receiver = sink;
  }

  /** TCP segments beyond the MTU may be sent. */
  get takesSegments(): boolean {
    return this.#port.takesWork;
  }

  close(): void {
    this.#port.receiver = undefined;
    this.#port.onRoom = undefined;
  }

  // Receiving

  #receive(frame: Uint8Array, work: FrameWork | undefined): void {
    if (frame.length < ETHERNET_BYTES) return;
    const destination = readMac(frame, 0);
    const isGroup = isGroupMac(destination);
    if (destination !== this.mac && !isGroup) return;
    const layers = this.#layers;
    const isIp = layers.read(frame);
    if (layers.etherType === ETHER_TYPES.arp && frame.length >= layers.ip + 28) return this.#options.onArp(frame, layers.ip);
    // A network of VLANs is not this one.
    if (!isIp || layers.ip !== ETHERNET_BYTES) return;
    if (layers.family === 4 && checksumOf(sumBytes(frame, layers.ip, layers.ip + (frame[layers.ip] & 15) * 4)) !== 0) return;
    const packet = this.#packet;
    packet.bytes = frame;
    packet.family = layers.family;
    packet.header = layers.ip;
    packet.start = layers.transport;
    packet.end = layers.end;
    packet.protocol = layers.protocol;
    packet.hopLimit = frame[layers.ip + (layers.family === 4 ? 8 : 7)];
    packet.sourceMac = readMac(frame, 6);
    packet.isGroupcast = isGroup;
    packet.work = work;
    if (layers.isFragment && !this.#gather(packet)) return;
    this.#options.onPacket(packet);
  }

  /** Makes the packet whole, in memory of its own. */
  #gather(packet: IpPacket): boolean {
    const { bytes, header, family } = packet;
    const isV4 = family === 4;
    const addresses = bytes.subarray(packet.sourceAt, packet.destinationAt + (isV4 ? 4 : 16)).join();
    const field = isV4 ? read16(bytes, header + 6) : read16(bytes, packet.start + 2);
    const protocol = isV4 ? packet.protocol : bytes[packet.start];
    const identification = isV4 ? read16(bytes, header + 4) : read32(bytes, packet.start + 4);
    const start = packet.start + (isV4 ? 0 : FRAGMENT_HEADER_BYTES);
    const piece = {
      offset: isV4 ? (field & 0x1fff) * 8 : field & 0xfff8,
      bytes: bytes.subarray(start, packet.end),
      isLast: isV4 ? (field & 0x2000) === 0 : (field & 1) === 0,
    };
    const payload = this.fragments.add(`${addresses} ${protocol} ${identification}`, piece, this.#options.nowMs());
    if (payload === undefined) return false;
    const headerBytes = isV4 ? IPV4_BYTES : IPV6_BYTES;
    const whole = new Uint8Array(headerBytes + payload.length);
    whole.set(bytes.subarray(header, header + headerBytes));
    whole.set(payload, headerBytes);
    packet.bytes = whole;
    packet.header = 0;
    packet.start = headerBytes;
    packet.end = whole.length;
    packet.protocol = protocol;
    packet.work = undefined;
    return true;
  }

  // Sending

  /** Where a transport header is to be written. */
  begin(family: IpFamily): number {
    return ETHERNET_BYTES + (family === 4 ? IPV4_BYTES : IPV6_BYTES);
  }

  /** The largest payload of a packet that may be sent uncut. */
  room(family: IpFamily): number {
    return this.mtu - (family === 4 ? IPV4_BYTES : IPV6_BYTES);
  }

  /** What has been written from `begin` to `end` becomes a packet. False: no room now. */
  send(end: number, to: Transmission): boolean {
    const { buffer } = this;
    const { family } = to.destination;
    const start = this.begin(family);
    this.#writeHeader(start, end, to);
    const isCut = to.segmentBytes !== undefined && end - start - to.headerBytes! > to.segmentBytes;
    const isTooLong = !isCut && end - ETHERNET_BYTES > this.mtu;
    // Programs that read whole packets (DHCP clients, ping) would see what is left undone: only TCP leaves it.
    const isPartial = to.protocol === IP_PROTOCOLS.tcp && !isTooLong && this.#port.takesWork;
    if (to.checksumOffset >= 0) this.#writeChecksum(start, end, to, isPartial);
    const mac = to.mac ?? this.#macOf(to.destination);
    writeMac(buffer, 6, this.mac);
    if (mac === undefined) return this.#wait(to.destination, end);
    writeMac(buffer, 0, mac);
    if (isTooLong) return this.#sendFragments(start, end, family);
    return this.#port.send(buffer.subarray(0, end), isPartial ? this.#workFor(start, to, isCut) : undefined);
  }

  #workFor(start: number, to: Transmission, isCut: boolean): FrameWork {
    this.#checksumWork.start = start;
    this.#checksumWork.offset = to.checksumOffset;
    this.#work.segments = isCut ? this.#segmentWork : undefined;
    if (isCut) {
      this.#segmentWork.kind = to.destination.family === 4 ? 'tcp4' : 'tcp6';
      this.#segmentWork.segmentBytes = to.segmentBytes!;
      this.#segmentWork.headerBytes = start + to.headerBytes!;
    }
    return this.#work;
  }

  #writeHeader(start: number, end: number, to: Transmission): void {
    const { buffer } = this;
    const ip = ETHERNET_BYTES;
    const hopLimit = to.hopLimit ?? HOP_LIMIT;
    if (to.destination.family === 4) {
      write16(buffer, 12, ETHER_TYPES.ipv4);
      write16(buffer, ip, 0x4500);
      write16(buffer, ip + 2, end - ip);
      write16(buffer, ip + 4, this.#identification);
      this.#identification = (this.#identification + 1) & 0xffff;
      // Only TCP finds its way around a smaller MTU.
      write16(buffer, ip + 6, to.protocol === IP_PROTOCOLS.tcp ? 0x4000 : 0);
      buffer[ip + 8] = hopLimit;
      buffer[ip + 9] = to.protocol;
      write16(buffer, ip + 10, 0);
      buffer.set(to.source.bytes, ip + 12);
      buffer.set(to.destination.bytes, ip + 16);
      write16(buffer, ip + 10, checksumOf(sumBytes(buffer, ip, ip + IPV4_BYTES)));
    } else {
      write16(buffer, 12, ETHER_TYPES.ipv6);
      write32(buffer, ip, 0x6000_0000);
      write16(buffer, ip + 4, end - start);
      buffer[ip + 6] = to.protocol;
      buffer[ip + 7] = hopLimit;
      buffer.set(to.source.bytes, ip + 8);
      buffer.set(to.destination.bytes, ip + 24);
    }
  }

  #writeChecksum(start: number, end: number, to: Transmission, isPartial: boolean): void {
    const { buffer } = this;
    const at = start + to.checksumOffset;
    const addressesAt = ETHERNET_BYTES + (to.destination.family === 4 ? 12 : 8);
    // ICMP has no pseudo header.
    const pseudo = to.protocol === IP_PROTOCOLS.icmp ? 0 : to.protocol + end - start + sumBytes(buffer, addressesAt, start);
    write16(buffer, at, 0);
    if (isPartial) return write16(buffer, at, foldSum(pseudo));
    const sum = checksumOf(pseudo + sumBytes(buffer, start, end));
    write16(buffer, at, sum === 0 && to.protocol === IP_PROTOCOLS.udp ? 0xffff : sum);
  }

  #macOf(destination: IpAddress): number | undefined {
    if (destination.isMulticast) {
      return destination.family === 4
        ? 0x0100_5e00_0000 + (read32(destination.bytes, 0) & 0x7f_ffff)
        : 0x3333_0000_0000 + read32(destination.bytes, 12);
    }
    return destination.text === '255.255.255.255' ? BROADCAST_MAC : this.neighbours.macOf(destination.text);
  }

  /** The frame is kept if it is small; what is lost is sent again by who cares. */
  #wait(destination: IpAddress, end: number): boolean {
    // A checksum left to do would be forgotten: it is done now, if there is one.
    const isDue = this.neighbours.wait(destination.text, this.#finished(end), this.#options.nowMs());
    const source = isDue ? this.#options.sourceFor(destination) : undefined;
    if (source === undefined) return true;
    if (destination.family === 4)
      this.#port.send(writeArp({ isReply: false, mac: this.mac, address: source, toMac: 0, toAddress: destination }), undefined);
    else this.#port.send(writeSolicitation({ mac: this.mac, source, target: destination }), undefined);
    return true;
  }

  #finished(end: number): Uint8Array {
    const { buffer } = this;
    const isV4 = read16(buffer, 12) === ETHER_TYPES.ipv4;
    const protocol = buffer[ETHERNET_BYTES + (isV4 ? 9 : 6)];
    const offset = protocol === IP_PROTOCOLS.tcp ? 16 : protocol === IP_PROTOCOLS.udp ? 6 : -1;
    const start = this.begin(isV4 ? 4 : 6);
    if (offset >= 0) {
      write16(buffer, start + offset, 0);
      const sum = protocol + end - start + sumBytes(buffer, ETHERNET_BYTES + (isV4 ? 12 : 8), start) + sumBytes(buffer, start, end);
      write16(buffer, start + offset, checksumOf(sum) || 0xffff);
    }
    return buffer.subarray(0, end);
  }

  /** The address of a neighbour has become known. */
  learn(address: IpAddress, mac: number): void {
    for (const frame of this.neighbours.learn(address.text, mac)) {
      writeMac(frame, 0, mac);
      this.#port.send(frame, undefined);
    }
  }

  /** Sends a frame that is whole already. */
  sendFrame(frame: Uint8Array): void {
    this.#port.send(frame, undefined);
  }

  #sendFragments(start: number, end: number, family: IpFamily): boolean {
    const { buffer } = this;
    const isV4 = family === 4;
    const extra = isV4 ? 0 : FRAGMENT_HEADER_BYTES;
    const pieceBytes = (this.mtu - (start - ETHERNET_BYTES) - extra) & ~7;
    const identification = this.#identification++ & 0xffff;
    for (let at = start; at < end; at += pieceBytes) {
      const count = Math.min(pieceBytes, end - at);
      const isLast = at + count === end;
      const frame = new Uint8Array(start + extra + count);
      frame.set(buffer.subarray(0, start));
      frame.set(buffer.subarray(at, at + count), start + extra);
      const ip = ETHERNET_BYTES;
      if (isV4) {
        write16(frame, ip + 2, frame.length - ip);
        write16(frame, ip + 6, ((at - start) >> 3) | (isLast ? 0 : 0x2000));
        write16(frame, ip + 10, 0);
        write16(frame, ip + 10, checksumOf(sumBytes(frame, ip, start)));
      } else {
        write16(frame, ip + 4, frame.length - start);
        frame[start] = frame[ip + 6];
        frame[ip + 6] = IP_PROTOCOLS.fragment;
        write16(frame, start + 2, (at - start) | (isLast ? 0 : 1));
        write32(frame, start + 4, identification);
      }
      this.#port.send(frame, undefined);
    }
    return true;
  }
}
