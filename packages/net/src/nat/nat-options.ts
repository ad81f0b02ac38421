// What a user says about a NAT. All of it has a default: that of QEMU's user network.

import { AnilloError } from '@anillo/base/anillo-error';
import type { Clock } from '../clock.ts';
import type { FramePort } from '../frame-port.ts';
import type { HostEndpoint, HostNetwork } from '../host-network.ts';
import { IpAddress } from '../ip-address.ts';
import { parseMac } from '../mac-address.ts';
import type { EgressPolicy } from './egress-rules.ts';
import type { NatAddressOptions } from './nat-addresses.ts';

export interface NatMachineOptions {
  readonly mac: string;
  readonly name?: string;
  /** IPv4; one that no other machine gets. */
  readonly address?: string;
}

/** An address on the machines' network that stands for a server of the host's world, whatever the rules say. */
export interface GuestForwardOptions {
  readonly address: string;
  readonly port: number;
  readonly hostAddress: string;
  readonly hostPort: number;
}

export interface GuestForward {
  readonly address: IpAddress;
  readonly port: number;
  readonly to: HostEndpoint;
}

export interface NatOptions {
  readonly port: FramePort;
  readonly network: HostNetwork;
  readonly clock: Clock;
  readonly ipv4?: NatAddressOptions;
  readonly ipv6?: NatAddressOptions;
  /** The router's own Ethernet address. */
  readonly mac?: string;
  readonly mtu?: number;
  /** The name by which machines find the host. */
  readonly hostName?: string;
  readonly domain?: string;
  readonly searchDomains?: readonly string[];
  readonly leaseSeconds?: number;
  readonly machines?: readonly NatMachineOptions[];
  /** For booting over the network: the server's address and what to fetch from it. */
  readonly boot?: { readonly nextServer?: string; readonly file?: string };
  /** Nothing outside may be reached, the host neither; ports that are forwarded still answer. */
  readonly isRestricted?: boolean;
  readonly egress?: EgressPolicy;
  readonly guestForwards?: readonly GuestForwardOptions[];
  /** Bytes a second, from all machines and to them. */
  readonly upLimit?: number;
  readonly downLimit?: number;
  readonly connectionLimit?: number;
  /** For what TCP keeps. */
  readonly memoryBytes?: number;
  readonly random32?: () => number;
}

export interface NatMachine {
  readonly mac: number;
  readonly name: string | undefined;
  readonly address: IpAddress | undefined;
}

const SMALLEST_MTU = 1280;
const LARGEST_MTU = 65_521;
const DEFAULT_MTU = 1500;
const DEFAULT_MAC = 0x5255_0a00_0202;

function address(text: string, what: string): IpAddress {
  const parsed = IpAddress.parse(text);
  if (parsed?.family !== 4) throw new AnilloError('BAD_OPTION', `The ${what} '${text}' is no IPv4 address; write one like 10.0.2.20.`);
  return parsed;
}

export function macOption(text: string): number {
  const mac = parseMac(text);
  if (mac === undefined) throw new AnilloError('BAD_OPTION', `'${text}' is no Ethernet address; write one like 52:54:00:12:34:56.`);
  return mac;
}

export const routerMac = (options: NatOptions): number => (options.mac === undefined ? DEFAULT_MAC : macOption(options.mac));

export function mtuOption(options: NatOptions): number {
  const { mtu = DEFAULT_MTU } = options;
  if (!(Number.isInteger(mtu) && mtu >= SMALLEST_MTU && mtu <= LARGEST_MTU)) {
    throw new AnilloError('BAD_OPTION', `An MTU of ${mtu} cannot be; give ${SMALLEST_MTU} to ${LARGEST_MTU}.`);
  }
  return mtu;
}

export function rateOption(bytesPerSecond: number | undefined): number | undefined {
  if (bytesPerSecond !== undefined && !(bytesPerSecond >= 1000)) {
    throw new AnilloError('BAD_OPTION', `A limit of ${bytesPerSecond} bytes a second cannot be kept; give 1000 or more.`);
  }
  return bytesPerSecond;
}

export function machineOptions(options: NatOptions): readonly NatMachine[] {
  return (options.machines ?? []).map((machine) => ({
    mac: macOption(machine.mac),
    name: machine.name?.toLowerCase(),
    address: machine.address === undefined ? undefined : address(machine.address, "machine's address"),
  }));
}

export const nextServerOption = (options: NatOptions): IpAddress | undefined =>
  options.boot?.nextServer === undefined ? undefined : address(options.boot.nextServer, 'boot server');

function portOption(port: number): number {
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new AnilloError('BAD_OPTION', `${port} is no port to forward; give a number from 1 to 65535.`);
}

export function guestForwardOptions(options: NatOptions): readonly GuestForward[] {
  return (options.guestForwards ?? []).map(({ address: text, port, hostAddress, hostPort }) => {
    const [own, host] = [IpAddress.parse(text), IpAddress.parse(hostAddress)];
    if (own === undefined) throw new AnilloError('BAD_OPTION', `'${text}' is no address to forward from; write one like 10.0.2.100.`);
    if (host === undefined)
      throw new AnilloError('BAD_OPTION', `'${hostAddress}' is no address of the host's world; write one like 127.0.0.1.`);
    return { address: own, port: portOption(port), to: { address: host.text, port: portOption(hostPort) } };
  });
}
