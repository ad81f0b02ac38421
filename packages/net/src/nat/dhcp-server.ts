// Gives IPv4 addresses to the machines of a network (RFC 2131): always the same one to the same Ethernet address, as long as there are enough.

import { IpAddress } from '../ip-address.ts';
import { write16, write32 } from '../network-order.ts';
import { DHCP_OPTIONS, DHCP_TYPES, type DhcpRequest, readDhcp, writeDhcp } from './dhcp-message.ts';
import { writeName } from './dns-message.ts';
import type { NatSubnet } from './nat-addresses.ts';

export interface DhcpOptions {
  readonly subnet: NatSubnet;
  readonly nowMs: () => number;
  readonly mtu: number;
  readonly leaseSeconds: number;
  readonly domain: string | undefined;
  readonly searchDomains: readonly string[];
  /** For machines that boot over the network. */
  readonly nextServer: IpAddress | undefined;
  readonly bootFile: string | undefined;
  /** Machines that are known by name or have an address of their own. */
  readonly machines: readonly { readonly mac: number; readonly name: string | undefined; readonly address: IpAddress | undefined }[];
}

export interface Lease {
  readonly mac: number;
  readonly address: IpAddress;
  /** What the machine calls itself. */
  hostName: string | undefined;
  untilMs: number;
}

export interface DhcpAnswer {
  readonly bytes: Uint8Array;
  readonly destination: IpAddress;
  /** To the machine itself, which may have no address yet; otherwise to all. */
  readonly isUnicast: boolean;
}

const LEASE_LIMIT = 1024;
const BROADCAST = new IpAddress(Uint8Array.of(255, 255, 255, 255));
/** An offer holds so long. */
const OFFER_MS = 60_000;

const number32 = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  write32(bytes, 0, value);
  return bytes;
};

const ascii = (text: string): Uint8Array => Uint8Array.from(text.slice(0, 255), (character) => character.charCodeAt(0) & 0x7f);

export class DhcpServer {
  readonly #options: DhcpOptions;
  /** By Ethernet address, those used longest ago first. */
  readonly #leases = new Map<number, Lease>();
  readonly #taken = new Map<string, number>();

  constructor(options: DhcpOptions) {
    this.#options = options;
    for (const { mac, address } of options.machines) if (address !== undefined) this.#taken.set(address.text, mac);
  }

  get leases(): Iterable<Lease> {
    return this.#leases.values();
  }

  /** Undefined: nothing is to be answered. */
  answer(bytes: Uint8Array): DhcpAnswer | undefined {
    const request = readDhcp(bytes);
    if (request === undefined || !request.relayAddress.isUnspecified) return undefined;
    const { subnet } = this.#options;
    // Another server has been chosen.
    if (request.server !== undefined && !request.server.equals(subnet.gateway)) return undefined;
    switch (request.type) {
      case DHCP_TYPES.discover: {
        const lease = this.#leaseFor(request, OFFER_MS);
        return lease === undefined ? undefined : this.#reply(request, DHCP_TYPES.offer, lease.address);
      }
      case DHCP_TYPES.request:
        return this.#answerRequest(request);
      case DHCP_TYPES.inform:
        return this.#reply(request, DHCP_TYPES.ack, new IpAddress(new Uint8Array(4)));
      case DHCP_TYPES.release:
        this.#release(request.mac);
        return undefined;
      default:
        return undefined;
    }
  }

  #answerRequest(request: DhcpRequest): DhcpAnswer {
    const wanted = request.requestedAddress ?? request.clientAddress;
    const lease = this.#leaseFor(request, this.#options.leaseSeconds * 1000);
    if (lease === undefined || !lease.address.equals(wanted)) return this.#reply(request, DHCP_TYPES.nak, wanted);
    if (request.hostName !== undefined) lease.hostName = request.hostName;
    return this.#reply(request, DHCP_TYPES.ack, lease.address);
  }

  #release(mac: number): void {
    const lease = this.#leases.get(mac);
    // The address stays with the machine until another needs it.
    if (lease !== undefined) lease.untilMs = 0;
  }

  #leaseFor(request: DhcpRequest, lifeMs: number): Lease | undefined {
    const { mac } = request;
    const untilMs = this.#options.nowMs() + lifeMs;
    const known = this.#leases.get(mac);
    if (known !== undefined) {
      this.#leases.delete(mac);
      this.#leases.set(mac, known);
      known.untilMs = Math.max(known.untilMs, untilMs);
      return known;
    }
    const machine = this.#options.machines.find((other) => other.mac === mac);
    const address = machine?.address ?? this.#freeAddress(request.requestedAddress);
    if (address === undefined) return undefined;
    const lease: Lease = { mac, address, hostName: undefined, untilMs };
    this.#leases.set(mac, lease);
    this.#taken.set(address.text, mac);
    return lease;
  }

  #freeAddress(wanted: IpAddress | undefined): IpAddress | undefined {
    const { subnet } = this.#options;
    const size = 2 ** (32 - subnet.prefix.bitCount);
    const isUsable = (address: IpAddress): boolean =>
      subnet.prefix.contains(address) && !address.equals(subnet.gateway) && !address.equals(subnet.nameServer);
    const broadcast = subnet.prefix.address.plus(size - 1);
    const isFree = (address: IpAddress): boolean =>
      isUsable(address) && !address.equals(broadcast) && !address.equals(subnet.prefix.address) && !this.#taken.has(address.text);
    if (this.#leases.size < LEASE_LIMIT) {
      // What a machine had before a restart of ours it may have again.
      if (wanted !== undefined && isFree(wanted)) return wanted;
      let address = subnet.firstLease;
      for (let count = 0; count < Math.min(size, 2 * LEASE_LIMIT) && subnet.prefix.contains(address); count++, address = address.plus(1)) {
        if (isFree(address)) return address;
      }
    }
    return this.#takeOver();
  }

  /** The address of a machine that has not been heard of since its lease ended. */
  #takeOver(): IpAddress | undefined {
    const nowMs = this.#options.nowMs();
    for (const lease of this.#leases.values()) {
      const isFixed = this.#options.machines.some((machine) => machine.address?.equals(lease.address));
      if (lease.untilMs >= nowMs || isFixed) continue;
      this.#leases.delete(lease.mac);
      return lease.address;
    }
    return undefined;
  }

  #reply(request: DhcpRequest, type: number, address: IpAddress): DhcpAnswer {
    const { subnet, nextServer, bootFile } = this.#options;
    const isNak = type === DHCP_TYPES.nak;
    const options = isNak ? [] : this.#optionsFor(request, request.type !== DHCP_TYPES.inform);
    const bytes = writeDhcp(request, {
      type,
      address,
      server: subnet.gateway,
      nextServer,
      bootFile: isNak ? undefined : bootFile,
      options,
    });
    // RFC 2131, 4.1.
    if (isNak) return { bytes, destination: BROADCAST, isUnicast: false };
    if (!request.clientAddress.isUnspecified) return { bytes, destination: request.clientAddress, isUnicast: true };
    return request.isBroadcast ? { bytes, destination: BROADCAST, isUnicast: false } : { bytes, destination: address, isUnicast: true };
  }

  #optionsFor(request: DhcpRequest, isLease: boolean): (readonly [number, Uint8Array])[] {
    const { subnet, mtu, leaseSeconds, domain, searchDomains, nextServer, bootFile, machines } = this.#options;
    const mtuBytes = new Uint8Array(2);
    write16(mtuBytes, 0, mtu);
    const options: (readonly [number, Uint8Array])[] = [
      [DHCP_OPTIONS.mask, subnet.prefix.mask.bytes],
      [DHCP_OPTIONS.router, subnet.gateway.bytes],
      [DHCP_OPTIONS.nameServer, subnet.nameServer.bytes],
      [DHCP_OPTIONS.mtu, mtuBytes],
    ];
    if (isLease) {
      options.push([DHCP_OPTIONS.leaseTime, number32(leaseSeconds)]);
      options.push([DHCP_OPTIONS.renewal, number32(leaseSeconds >>> 1)]);
      options.push([DHCP_OPTIONS.rebinding, number32(Math.floor(leaseSeconds * 0.875))]);
    }
    const name = machines.find((machine) => machine.mac === request.mac)?.name;
    if (name !== undefined) options.push([DHCP_OPTIONS.hostName, ascii(name)]);
    if (domain !== undefined) options.push([DHCP_OPTIONS.domain, ascii(domain)]);
    const search = searchDomains.flatMap((each) => [...writeName(each)]);
    if (search.length > 0 && search.length < 256) options.push([DHCP_OPTIONS.searchList, Uint8Array.from(search)]);
    if (nextServer !== undefined) options.push([DHCP_OPTIONS.tftpServer, ascii(nextServer.text)]);
    if (bootFile !== undefined) options.push([DHCP_OPTIONS.bootFile, ascii(bootFile)]);
    return options;
  }
}
