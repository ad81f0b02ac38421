// The addresses of a NAT's network, as QEMU's user network has them unless told otherwise.

import { AnilloError } from '@anillo/base/anillo-error';
import type { IpFamily } from '../host-network.ts';
import { IpAddress, IpPrefix } from '../ip-address.ts';

export interface NatAddressOptions {
  /** Undefined: that of QEMU's user network; false: none of this family. */
  readonly prefix?: string | false;
  /** Reaches the host's loopback. The second address of the prefix when absent. */
  readonly gateway?: string;
  /** Answers questions for names. The third when absent. */
  readonly nameServer?: string;
  /** IPv4: the first that is given to a machine; the fifteenth when absent. */
  readonly firstLease?: string;
}

export interface NatSubnet {
  readonly prefix: IpPrefix;
  readonly gateway: IpAddress;
  readonly nameServer: IpAddress;
  readonly firstLease: IpAddress;
}

const DEFAULT_PREFIX = { 4: '10.0.2.0/24', 6: 'fec0::/64' } as const;
/** Link-local address of the router (RFC 4861 wants one); no Ethernet address needs to be in it. */
export const ROUTER_LINK_LOCAL = new IpAddress(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2));

function addressIn(prefix: IpPrefix, text: string | undefined, position: number, what: string): IpAddress {
  const address = text === undefined ? prefix.address.plus(position) : IpAddress.parse(text);
  if (address === undefined || !prefix.contains(address)) {
    throw new AnilloError('BAD_OPTION', `The network's ${what} '${text ?? position}' is no address within ${prefix.text}; give one.`);
  }
  return address;
}

export function subnetOf(family: IpFamily, options: NatAddressOptions = {}): NatSubnet | undefined {
  if (options.prefix === false) return undefined;
  const text = options.prefix ?? DEFAULT_PREFIX[family];
  const prefix = IpPrefix.parse(text);
  const longest = family === 4 ? 28 : 64;
  if (prefix === undefined || prefix.address.family !== family || prefix.bitCount > longest) {
    throw new AnilloError(
      'BAD_OPTION',
      `'${text}' is no IPv${family} network of at most ${longest} bits; write one like ${DEFAULT_PREFIX[family]}.`,
    );
  }
  return {
    prefix,
    gateway: addressIn(prefix, options.gateway, 2, 'gateway'),
    nameServer: addressIn(prefix, options.nameServer, 3, 'name server'),
    firstLease: addressIn(prefix, options.firstLease, 15, 'first lease'),
  };
}

export class NatAddresses {
  readonly v4: NatSubnet | undefined;
  readonly v6: NatSubnet | undefined;

  /** Addresses that stand for servers elsewhere. */
  readonly #lent: readonly IpAddress[];

  constructor(v4: NatAddressOptions | undefined, v6: NatAddressOptions | undefined, lent: readonly IpAddress[] = []) {
    this.v4 = subnetOf(4, v4);
    this.v6 = subnetOf(6, v6);
    for (const address of lent) {
      const prefix = this.subnet(address.family)?.prefix;
      if (prefix === undefined || !this.isOnLink(address) || this.isGateway(address) || this.isNameServer(address))
        throw new AnilloError(
          'BAD_OPTION',
          `The address ${address.text} cannot be lent; give one within ${prefix?.text ?? 'the network'} that nobody has.`,
        );
    }
    this.#lent = lent;
  }

  subnet(family: IpFamily): NatSubnet | undefined {
    return family === 4 ? this.v4 : this.v6;
  }

  /** Is it one of the NAT's own? */
  isOwn(address: IpAddress): boolean {
    const subnet = this.subnet(address.family);
    if (subnet === undefined) return false;
    return (
      address.equals(subnet.gateway) ||
      address.equals(subnet.nameServer) ||
      (address.family === 6 && address.equals(ROUTER_LINK_LOCAL)) ||
      this.#lent.some((lent) => lent.equals(address))
    );
  }

  isGateway(address: IpAddress): boolean {
    return this.subnet(address.family)?.gateway.equals(address) === true;
  }

  isNameServer(address: IpAddress): boolean {
    return this.subnet(address.family)?.nameServer.equals(address) === true;
  }

  isOnLink(address: IpAddress): boolean {
    return this.subnet(address.family)?.prefix.contains(address) === true;
  }

  /** Where the host finds what a guest means; undefined: nowhere that it may go. */
  hostAddressOf(address: IpAddress): string | undefined {
    if (this.isGateway(address)) return address.family === 4 ? '127.0.0.1' : '::1';
    if (this.isOnLink(address) || address.isMulticast || address.isLoopback || address.isUnspecified || address.isLinkLocal)
      return undefined;
    const { bytes, family } = address;
    // This network and broadcasts; IPv4 addresses in the dress of IPv6 would go past all rules, to the host's loopback too.
    if (family === 4) return bytes[0] === 0 || bytes[0] >= 240 ? undefined : address.text;
    return bytes.subarray(0, 10).every((byte) => byte === 0) ? undefined : address.text;
  }

  /** As whom a guest sees an address of the host's world. */
  guestAddressOf(text: string, family: IpFamily): IpAddress | undefined {
    const parsed = IpAddress.parse(text);
    const address = parsed === undefined || parsed.family === family ? parsed : unmapped(parsed);
    const subnet = this.subnet(family);
    if (subnet === undefined) return undefined;
    if (
      address === undefined ||
      address.family !== family ||
      address.isLoopback ||
      address.isUnspecified ||
      address.isLinkLocal ||
      this.isOnLink(address)
    ) {
      return subnet.gateway;
    }
    return address;
  }
}

/** The IPv4 address in ::ffff:0:0/96. */
function unmapped(address: IpAddress): IpAddress {
  const { bytes } = address;
  const isMapped = address.family === 6 && bytes[10] === 0xff && bytes[11] === 0xff && bytes.subarray(0, 10).every((byte) => byte === 0);
  return isMapped ? new IpAddress(bytes.slice(12)) : address;
}
