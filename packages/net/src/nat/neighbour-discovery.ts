// IPv6's neighbour discovery (RFC 4861) as a router does it, with a prefix for addresses of the machines' own making (RFC 4862) and the name server (RFC 8106).

import { ICMPV6_TYPES, readLinkOption, writeAdvertisement, writeIcmpv6 } from '../ip/address-resolution.ts';
import type { IpInterface } from '../ip/ip-interface.ts';
import type { IpPacket } from '../ip/ip-packet.ts';
import { checksumOf, sumBytes } from '../checksum.ts';
import { IpAddress } from '../ip-address.ts';
import { isGroupMac, readMac, writeMac } from '../mac-address.ts';
import { write16, write32 } from '../network-order.ts';
import { IP_PROTOCOLS } from '../protocol-numbers.ts';
import { type NatAddresses, ROUTER_LINK_LOCAL } from './nat-addresses.ts';

const ALL_NODES = new IpAddress(Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1));
const ALL_NODES_MAC = 0x3333_0000_0001;
const ROUTER_LIFE_SECONDS = 1800;
const PREFIX_LIFE_SECONDS = 86_400;
const PREFERRED_LIFE_SECONDS = 14_400;
const ON_LINK_AND_AUTONOMOUS = 0xc0;
/** Ask DHCPv6 for what is not an address. */
const OTHER_CONFIGURATION = 0x40;

export class NeighbourDiscovery {
  readonly #link: IpInterface;
  readonly #addresses: NatAddresses;

  constructor(link: IpInterface, addresses: NatAddresses) {
    this.#link = link;
    this.#addresses = addresses;
  }

  /** An ICMPv6 message of types 133 to 136. */
  receive(packet: IpPacket): void {
    // What came over a router is not a neighbour's.
    if (packet.hopLimit !== 255 || packet.end - packet.start < 8) return;
    const sum = IP_PROTOCOLS.icmpv6 + packet.end - packet.start + sumBytes(packet.bytes, packet.sourceAt, packet.destinationAt + 16);
    if (packet.bytes[packet.start + 1] !== 0 || checksumOf(sum + sumBytes(packet.bytes, packet.start, packet.end)) !== 0) return;
    const message = packet.bytes.subarray(packet.start, packet.end);
    switch (message[0]) {
      case ICMPV6_TYPES.routerSolicitation:
        this.#learn(packet.source, message, 8, 'source');
        return this.advertiseRouter();
      case ICMPV6_TYPES.solicitation:
        return this.#answer(packet.source, message, packet.sourceMac);
      case ICMPV6_TYPES.advertisement:
        if (message.length >= 24) this.#learn(IpAddress.at(message, 8, 6), message, 24, 'target');
        return;
    }
  }

  #learn(address: IpAddress, message: Uint8Array, optionsAt: number, kind: 'source' | 'target'): void {
    const at = readLinkOption(message, optionsAt, kind);
    if (at === undefined || !this.#isNeighbour(address)) return;
    const mac = readMac(message, at);
    if (!isGroupMac(mac)) this.#link.learn(address, mac);
  }

  #isNeighbour(address: IpAddress): boolean {
    return !this.#addresses.isOwn(address) && (address.isLinkLocal || this.#addresses.isOnLink(address));
  }

  #answer(source: IpAddress, message: Uint8Array, sourceMac: number): void {
    if (message.length < 24) return;
    const target = IpAddress.at(message, 8, 6);
    if (!source.isUnspecified) this.#learn(source, message, 24, 'source');
    if (!this.#addresses.isOwn(target) || isGroupMac(sourceMac)) return;
    // Whoever tries an address out has none to be answered at.
    const destination = source.isUnspecified ? ALL_NODES : source;
    const toMac = source.isUnspecified ? ALL_NODES_MAC : sourceMac;
    this.#link.sendFrame(
      writeAdvertisement({ mac: this.#link.mac, toMac, target, destination, isSolicited: !source.isUnspecified, isRouter: true }),
    );
  }

  /** To all machines. */
  advertiseRouter(): void {
    const subnet = this.#addresses.v6;
    if (subnet === undefined) return;
    const message = new Uint8Array(16 + 8 + 8 + 32 + 24);
    message[0] = ICMPV6_TYPES.routerAdvertisement;
    message[4] = 64;
    message[5] = OTHER_CONFIGURATION;
    write16(message, 6, ROUTER_LIFE_SECONDS);
    message.set([1, 1], 16);
    writeMac(message, 18, this.#link.mac);
    message.set([5, 1], 24);
    write32(message, 28, this.#link.mtu);
    message.set([3, 4, subnet.prefix.bitCount, ON_LINK_AND_AUTONOMOUS], 32);
    write32(message, 36, PREFIX_LIFE_SECONDS);
    write32(message, 40, PREFERRED_LIFE_SECONDS);
    message.set(subnet.prefix.address.bytes, 48);
    message.set([25, 3], 64);
    write32(message, 68, ROUTER_LIFE_SECONDS);
    message.set(subnet.nameServer.bytes, 72);
    this.#link.sendFrame(
      writeIcmpv6({ mac: this.#link.mac, toMac: ALL_NODES_MAC, source: ROUTER_LINK_LOCAL, destination: ALL_NODES, message }),
    );
  }
}
