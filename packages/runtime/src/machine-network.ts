// A network of a machine while it runs: the card's port of a switch, and what is at the switch's other port (a NAT, a shared switch, a tap, a socket).

import { AnilloError } from '@anillo/base/anillo-error';
import type { NetBackend } from '@anillo/devices/virtio/net-backend';
import type { FrameFilterOptions } from '@anillo/net/frame-filter';
import type { FrameTap } from '@anillo/net/frame-tap';
import { derivedMac, isGroupMac, MAC_BYTES, parseMac, formatMac, writeMac } from '@anillo/net/mac-address';
import type { EgressPolicy } from '@anillo/net/nat/egress-rules';
import type { Nat } from '@anillo/net/nat/nat';
import { rateOption } from '@anillo/net/nat/nat-options';
import type { PortForward, PortForwardOptions } from '@anillo/net/nat/port-forwards';
import type { Switch } from '@anillo/net/switch';
import { MOST_WANTED } from '@anillo/net/switch-hub';
import type { SwitchPort, SwitchPortCounts } from '@anillo/net/switch-port';
import type { OpenableNetwork, UserNetwork } from './network-option.ts';
import type { HostLinks } from './runtime-host.ts';

const NO_NAME = 'anillo';

interface Opened {
  readonly nat?: Nat;
  /** The network's own choice for the card. */
  readonly mac?: number;
  close(): void;
}

/** What is known while it is opened. */
interface Opening {
  readonly name: string;
  readonly option: OpenableNetwork;
  /** The machine's name. */
  readonly machine: string | undefined;
  readonly links: HostLinks;
}

export class MachineNetwork {
  readonly name: string;
  readonly option: OpenableNetwork;
  readonly #port: SwitchPort;
  readonly #opened: Opened;
  readonly #mac: number | undefined;

  constructor({ name, option }: Opening, port: SwitchPort, opened: Opened) {
    this.name = name;
    this.option = option;
    this.#port = port;
    this.#opened = opened;
    this.#mac = macOption(option.mac) ?? opened.mac;
    if (this.#mac !== undefined) {
      port.outer.mac = new Uint8Array(MAC_BYTES);
      writeMac(port.outer.mac, 0, this.#mac);
    }
    this.setFilter(option.filter);
  }

  get kind(): OpenableNetwork['kind'] {
    return this.option.kind;
  }

  /** For the card. */
  get backend(): NetBackend {
    return this.#port.outer;
  }

  /** Who looks on. */
  get taps(): Set<FrameTap> {
    return this.#port.taps;
  }

  /** 'in' is from the machine. */
  get counts(): Readonly<SwitchPortCounts> {
    return this.#port.counts;
  }

  /** Is the cable plugged in? The guest sees it come and go. */
  get isConnected(): boolean {
    return this.#port.isConnected;
  }

  set isConnected(isConnected: boolean) {
    this.#port.isConnected = isConnected;
  }

  /** Bytes a second, from the machine and to it; undefined: as fast as it goes. */
  setLimits({ up, down }: { readonly up: number | undefined; readonly down: number | undefined }): void {
    this.#port.inBucket.setRate(rateOption(up));
    this.#port.outBucket.setRate(rateOption(down));
  }

  /** From now on; `isStrict` of the options still holds. */
  setFilter(filter: FrameFilterOptions | undefined): void {
    const { isStrict } = this.option;
    if (isStrict === true && this.#mac === undefined)
      throw new AnilloError('BAD_OPTION', `The network ${this.name} has no address to be strict about; give it one with mac=.`);
    const own = isStrict === true && this.#mac !== undefined ? { macs: [formatMac(this.#mac)] } : undefined;
    this.#port.setFilter(filter === undefined && own === undefined ? undefined : { ...filter, ...own });
  }

  /** Ports of the host that lead to the machine now; each can be closed. */
  get forwards(): ReadonlySet<PortForward> {
    return this.#nat.forwards;
  }

  /** A port of the host leads to the machine from now on. AnilloError NETWORK if it cannot be had. */
  forward(options: PortForwardOptions): Promise<PortForward> {
    return this.#nat.forward(options);
  }

  /** Holds for connections that stand, too. */
  setEgress(policy: EgressPolicy): void {
    this.#nat.setEgress(policy);
  }

  /** Bytes, connections, and what was denied. */
  get natCounts(): Nat['counts'] {
    return this.#nat.counts;
  }

  get #nat(): Nat {
    if (this.#opened.nat === undefined)
      throw new AnilloError(
        'UNSUPPORTED',
        `The network ${this.name} is no user network; forwards, egress rules and their counts are only there.`,
      );
    return this.#opened.nat;
  }

  close(): void {
    this.#opened.close();
  }
}

function macOption(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const mac = parseMac(text);
  if (mac === undefined || mac === 0 || isGroupMac(mac))
    throw new AnilloError('BAD_OPTION', `"${text}" is no address of a network card; give one such as 52:54:00:12:34:56.`);
  return mac;
}

/** AnilloError for what cannot be had; then nothing stays open. */
export async function openNetwork(opening: Opening): Promise<MachineNetwork> {
  const { option, links } = opening;
  macOption(option.mac);
  const { Switch } = await import('@anillo/net/switch');
  const between = new Switch({ clock: links.clock });
  const isTrunk = option.kind === 'switch' || (option.kind === 'stream' && option.isServer !== true);
  const port = between.addPort({
    name: 'machine',
    isConnected: option.isConnected,
    inLimit: rateOption(option.upLimit),
    outLimit: rateOption(option.downLimit),
    // Nobody else sends here, so nobody is held up by this machine's waiting.
    waitsForRoom: isTrunk,
  });
  const opened = await openOther(opening, between);
  try {
    return new MachineNetwork(opening, port, opened);
  } catch (error) {
    opened.close();
    throw error;
  }
}

/** What is at the switch's other port. */
async function openOther({ name, option, machine, links }: Opening, between: Switch): Promise<Opened> {
  const seed = `${machine ?? NO_NAME}/${name}`;
  const mac = derivedMac(seed, 0);
  switch (option.kind) {
    case 'user':
      return openUser(option, links, between);
    case 'switch': {
      const wanted = Array.from({ length: MOST_WANTED }, (_, attempt) => derivedMac(seed, attempt));
      const own = macOption(option.mac);
      return links.joinSwitch(option.path, between.addPort().outer, own === undefined ? wanted : [own]);
    }
    case 'tap': {
      const tap = links.openTap(option.interfaceName, between.addPort().outer);
      return { mac, close: () => tap.close() };
    }
    case 'dgram': {
      const socket = await links.bindFrames(option.local, option.remote, between.addPort().outer);
      return { mac, close: () => socket.close() };
    }
    case 'stream': {
      const socket =
        option.isServer === true
          ? await listen(option.place, links, between)
          : await links.connectFrames(option.place, between.addPort().outer);
      return { mac, close: () => socket.close() };
    }
  }
}

/** A port for each that comes. */
function listen(place: Parameters<HostLinks['listenForFrames']>[0], links: HostLinks, between: Switch): Promise<{ close(): void }> {
  const ports = new Map<unknown, SwitchPort>();
  return links.listenForFrames(
    place,
    () => {
      const port = between.addPort();
      ports.set(port.outer, port);
      return port.outer;
    },
    (outer) => {
      const port = ports.get(outer);
      if (port !== undefined) between.removePort(port);
      ports.delete(outer);
    },
  );
}

async function openUser(option: UserNetwork, { network, clock }: HostLinks, between: Switch): Promise<Opened> {
  const { forwards = [], isRestricted, egress } = option;
  if (isRestricted === true && egress !== undefined)
    throw new AnilloError('BAD_OPTION', 'A network that is restricted has no rules about what it reaches; leave one of the two out.');
  const { Nat } = await import('@anillo/net/nat/nat');
  const { ipv4, ipv6, hostName, domain, searchDomains, guestForwards, bootFile } = option;
  const port = between.addPort({ name: 'nat', waitsForRoom: true }).outer;
  const nat = new Nat({
    ...{ port, network, clock, isRestricted, egress, ipv4, ipv6, hostName, domain, searchDomains, guestForwards },
    boot: bootFile === undefined ? undefined : { file: bootFile },
  });
  try {
    for (const forward of forwards) await nat.forward(forward);
  } catch (error) {
    nat.close();
    throw error;
  }
  return { nat, close: () => nat.close() };
}
