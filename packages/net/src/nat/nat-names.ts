// Names of a NAT's network: the host's, those that machines were given, and those that they call themselves.

import type { IpAddress } from '../ip-address.ts';
import type { DhcpServer } from './dhcp-server.ts';
import type { NatAddresses } from './nat-addresses.ts';
import type { NatMachine } from './nat-options.ts';

export class NatNames {
  readonly #addresses: NatAddresses;
  readonly #machines: readonly NatMachine[];
  readonly #dhcp: DhcpServer | undefined;
  readonly #hostNames: ReadonlySet<string>;
  readonly #suffix: string;

  constructor(options: {
    addresses: NatAddresses;
    machines: readonly NatMachine[];
    dhcp: DhcpServer | undefined;
    hostName: string;
    domain: string | undefined;
  }) {
    this.#addresses = options.addresses;
    this.#machines = options.machines;
    this.#dhcp = options.dhcp;
    this.#suffix = options.domain === undefined ? '' : `.${options.domain.toLowerCase()}`;
    this.#hostNames = new Set([options.hostName.toLowerCase(), '_gateway']);
  }

  /** `name`: lower case. Undefined: it is none of this network's. */
  addressesOf(name: string): readonly IpAddress[] | undefined {
    const short = this.#suffix !== '' && name.endsWith(this.#suffix) ? name.slice(0, -this.#suffix.length) : name;
    const { v4, v6 } = this.#addresses;
    if (this.#hostNames.has(short)) return [v4?.gateway, v6?.gateway].filter((address) => address !== undefined);
    const machine = this.#machines.find((each) => each.name === short);
    const address = machine === undefined ? undefined : (machine.address ?? this.#leaseOf(machine.mac));
    if (machine !== undefined) return address === undefined ? [] : [address];
    // What a machine calls itself may not hide names of the world: only names without a dot.
    if (short.includes('.') || this.#dhcp === undefined) return undefined;
    for (const lease of this.#dhcp.leases) if (lease.hostName?.toLowerCase() === short) return [lease.address];
    return undefined;
  }

  nameOf(address: IpAddress): string | undefined {
    if (this.#addresses.isGateway(address)) return `${[...this.#hostNames][0]}${this.#suffix}`;
    for (const machine of this.#machines) {
      const own = machine.address ?? this.#leaseOf(machine.mac);
      if (machine.name !== undefined && own?.equals(address)) return `${machine.name}${this.#suffix}`;
    }
    for (const lease of this.#dhcp?.leases ?? []) {
      if (lease.address.equals(address) && lease.hostName !== undefined) return `${lease.hostName.toLowerCase()}${this.#suffix}`;
    }
    return undefined;
  }

  #leaseOf(mac: number): IpAddress | undefined {
    for (const lease of this.#dhcp?.leases ?? []) if (lease.mac === mac) return lease.address;
    return undefined;
  }
}
