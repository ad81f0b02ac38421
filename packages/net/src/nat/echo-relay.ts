// ICMP echo requests: answered here for the router's own addresses, by the host's ping for others. Bounded in how many wait.

import type { HostNetwork } from '../host-network.ts';
import { ICMPV6_TYPES } from '../ip/address-resolution.ts';
import type { IpPacket } from '../ip/ip-packet.ts';
import { checksumOf, sumBytes } from '../checksum.ts';
import type { IpAddress } from '../ip-address.ts';
import { read32 } from '../network-order.ts';
import { IP_PROTOCOLS } from '../protocol-numbers.ts';
import { ICMP_ECHO, type IcmpMessages, quote } from './icmp-messages.ts';
import type { NatAddresses } from './nat-addresses.ts';
import type { NatCounts } from './nat-counts.ts';

export interface EchoRelayOptions {
  readonly network: HostNetwork;
  readonly icmp: IcmpMessages;
  readonly addresses: NatAddresses;
  readonly counts: NatCounts;
  readonly allows: (destination: IpAddress) => boolean;
}

const PENDING_LIMIT = 64;
const TIMEOUT_MS = 5000;
const HEADER_BYTES = 8;

export class EchoRelay {
  readonly #options: EchoRelayOptions;
  #pending = 0;

  constructor(options: EchoRelayOptions) {
    this.#options = options;
  }

  /** An ICMP or ICMPv6 message. */
  receive(packet: IpPacket): void {
    const { bytes, start, end, family } = packet;
    const isEcho = end - start >= HEADER_BYTES && bytes[start] === (family === 4 ? ICMP_ECHO : ICMPV6_TYPES.echo);
    if (!isEcho || bytes[start + 1] !== 0 || !this.#isWhole(packet)) return;
    const { addresses, icmp, counts } = this.#options;
    const { source, destination } = packet;
    const rest = read32(bytes, start + 4);
    const body = bytes.slice(start + HEADER_BYTES, end);
    counts.echoes++;
    if (addresses.isOwn(destination)) return icmp.answerEcho(destination, source, rest, body);
    const hostAddress = addresses.hostAddressOf(destination);
    const about = quote(packet);
    if (hostAddress === undefined) return icmp.tell('host', about);
    if (!this.#options.allows(destination)) {
      counts.denied++;
      return icmp.tell('prohibited', about);
    }
    if (this.#pending >= PENDING_LIMIT) return;
    this.#pending++;
    this.#options.network.ping(hostAddress, body, TIMEOUT_MS).then(
      (isAnswered) => {
        this.#pending--;
        if (isAnswered === true) icmp.answerEcho(destination, source, rest, body);
        else if (isAnswered === undefined) icmp.tell('prohibited', about);
      },
      () => {
        this.#pending--;
      },
    );
  }

  #isWhole(packet: IpPacket): boolean {
    const { bytes, start, end, family } = packet;
    const pseudo = family === 4 ? 0 : IP_PROTOCOLS.icmpv6 + end - start + sumBytes(bytes, packet.sourceAt, packet.destinationAt + 16);
    return checksumOf(pseudo + sumBytes(bytes, start, end)) === 0;
  }
}
