// What may pass a switch's port: ordered rules, the first that fits decides; and a check that a machine speaks for itself only.

import { AnilloError } from '@anillo/base/anillo-error';
import { IpPrefix } from './ip-address.ts';
import { IpLayers } from './ip-layers.ts';
import { parseMac, readMac } from './mac-address.ts';
import { read16 } from './network-order.ts';
import { ETHER_TYPES, ETHERNET_BYTES, IP_PROTOCOLS } from './protocol-numbers.ts';

export interface FrameRule {
  readonly action: 'allow' | 'deny';
  /** Of the port's side: 'in' comes from the machine into the switch. Both when absent. */
  readonly direction?: 'in' | 'out';
  readonly sourceMac?: string;
  readonly destinationMac?: string;
  readonly etherType?: number;
  /** Addresses or prefixes (`10.0.0.0/8`). */
  readonly source?: string;
  readonly destination?: string;
  /** `tcp`, `udp`, `icmp`, `icmpv6` or a number. */
  readonly protocol?: 'tcp' | 'udp' | 'icmp' | 'icmpv6' | number;
  /** Of the destination; first and last of a range. */
  readonly ports?: readonly [number, number];
}

export interface FrameFilterOptions {
  readonly rules?: readonly FrameRule[];
  /** What becomes of frames that no rule fits; `allow` when absent. */
  readonly otherwise?: 'allow' | 'deny';
  /** The machine may send from these Ethernet addresses only. */
  readonly macs?: readonly string[];
  /** The machine may send from these IP addresses or prefixes only, and speak for no others by ARP; what has no address yet (DHCP, neighbour discovery) passes. */
  readonly addresses?: readonly string[];
}

interface Rule {
  readonly isAllowed: boolean;
  readonly direction: 'in' | 'out' | undefined;
  readonly sourceMac: number | undefined;
  readonly destinationMac: number | undefined;
  readonly etherType: number | undefined;
  readonly source: IpPrefix | undefined;
  readonly destination: IpPrefix | undefined;
  readonly protocol: number | undefined;
  readonly ports: readonly [number, number] | undefined;
  readonly needsIp: boolean;
}

function macOf(text: string): number {
  const mac = parseMac(text);
  if (mac === undefined) throw new AnilloError('BAD_OPTION', `'${text}' is no Ethernet address; write one like 52:54:00:12:34:56.`);
  return mac;
}

function prefixOf(text: string): IpPrefix {
  const prefix = IpPrefix.parse(text);
  if (prefix === undefined)
    throw new AnilloError('BAD_OPTION', `'${text}' is no IP address or prefix; write one like 10.0.0.0/8 or fd00::/8.`);
  return prefix;
}

function compile(rule: FrameRule): Rule {
  const { protocol } = rule;
  return {
    isAllowed: rule.action === 'allow',
    direction: rule.direction,
    sourceMac: rule.sourceMac === undefined ? undefined : macOf(rule.sourceMac),
    destinationMac: rule.destinationMac === undefined ? undefined : macOf(rule.destinationMac),
    etherType: rule.etherType,
    source: rule.source === undefined ? undefined : prefixOf(rule.source),
    destination: rule.destination === undefined ? undefined : prefixOf(rule.destination),
    protocol: typeof protocol === 'string' ? IP_PROTOCOLS[protocol] : protocol,
    ports: rule.ports,
    needsIp: rule.source !== undefined || rule.destination !== undefined || protocol !== undefined || rule.ports !== undefined,
  };
}

export class FrameFilter {
  readonly #rules: readonly Rule[];
  readonly #isAllowedOtherwise: boolean;
  readonly #macs: ReadonlySet<number> | undefined;
  readonly #addresses: readonly IpPrefix[] | undefined;
  readonly #layers = new IpLayers();

  constructor(options: FrameFilterOptions) {
    this.#rules = (options.rules ?? []).map(compile);
    this.#isAllowedOtherwise = options.otherwise !== 'deny';
    this.#macs = options.macs === undefined ? undefined : new Set(options.macs.map(macOf));
    this.#addresses = options.addresses?.map(prefixOf);
  }

  /** `direction`: 'in' from the machine into the switch. */
  allows(frame: Uint8Array, direction: 'in' | 'out'): boolean {
    const isIp = this.#layers.read(frame);
    if (direction === 'in' && !this.#isOwn(frame, isIp)) return false;
    for (const rule of this.#rules) if (this.#fits(rule, frame, direction, isIp)) return rule.isAllowed;
    return this.#isAllowedOtherwise;
  }

  #isOwn(frame: Uint8Array, isIp: boolean): boolean {
    if (this.#macs !== undefined && !this.#macs.has(readMac(frame, 6))) return false;
    if (this.#addresses === undefined) return true;
    const { etherType, ip, family, sourceAt, addressBytes } = this.#layers;
    if (etherType === ETHER_TYPES.arp) {
      if (frame.length < ip + 28) return false;
      if (this.#macs !== undefined && !this.#macs.has(readMac(frame, ip + 8))) return false;
      return this.#isOwnAddress(frame, ip + 14, 4);
    }
    // What pretends to be IP and is not understood has no address that could be checked.
    if (!isIp) return etherType !== ETHER_TYPES.ipv4 && etherType !== ETHER_TYPES.ipv6;
    if (family === 6 && frame[sourceAt] === 0xfe && frame[sourceAt + 1] >> 6 === 2) return true;
    return this.#isOwnAddress(frame, sourceAt, addressBytes);
  }

  /** Or none yet. */
  #isOwnAddress(frame: Uint8Array, at: number, byteCount: number): boolean {
    if (frame.subarray(at, at + byteCount).every((byte) => byte === 0)) return true;
    return this.#addresses!.some((prefix) => prefix.address.bytes.length === byteCount && prefix.containsAt(frame, at));
  }

  #fits(rule: Rule, frame: Uint8Array, direction: 'in' | 'out', isIp: boolean): boolean {
    if (rule.direction !== undefined && rule.direction !== direction) return false;
    if (rule.sourceMac !== undefined && rule.sourceMac !== readMac(frame, 6)) return false;
    if (rule.destinationMac !== undefined && rule.destinationMac !== readMac(frame, 0)) return false;
    if (rule.etherType !== undefined && rule.etherType !== this.#layers.etherType) return false;
    if (!rule.needsIp) return true;
    if (!isIp || frame.length < ETHERNET_BYTES) return false;
    const { family, protocol, transport, end, sourceAt, destinationAt, isFragment } = this.#layers;
    if (rule.protocol !== undefined && rule.protocol !== protocol) return false;
    if (rule.source !== undefined && !(rule.source.address.family === family && rule.source.containsAt(frame, sourceAt))) return false;
    if (
      rule.destination !== undefined &&
      !(rule.destination.address.family === family && rule.destination.containsAt(frame, destinationAt))
    )
      return false;
    if (rule.ports === undefined) return true;
    if (protocol !== IP_PROTOCOLS.tcp && protocol !== IP_PROTOCOLS.udp) return false;
    // Where the ports cannot be seen, what would allow does not fit and what would deny does.
    if (isFragment || transport + 4 > end) return !rule.isAllowed;
    const port = read16(frame, transport + 2);
    return port >= rule.ports[0] && port <= rule.ports[1];
  }
}
