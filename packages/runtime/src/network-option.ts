// Networks as the library's user gives them, and what becomes of them: back ends by name, and devices for those that nobody named.

import { host } from '#host';
import { AnilloError } from '@anillo/base/anillo-error';
import type { DeviceOptions } from '@anillo/devices/device-declaration';
import type { NetBackend } from '@anillo/devices/virtio/net-backend';
import type { FrameFilterOptions } from '@anillo/net/frame-filter';
import type { FrameTap } from '@anillo/net/frame-tap';
import type { EgressPolicy } from '@anillo/net/nat/egress-rules';
import type { NatAddressOptions } from '@anillo/net/nat/nat-addresses';
import type { GuestForwardOptions } from '@anillo/net/nat/nat-options';
import type { PortForwardOptions } from '@anillo/net/nat/port-forwards';
import { type MachineNetwork, openNetwork } from './machine-network.ts';
import type { HostLinks, SocketPlace } from './runtime-host.ts';

/** Of networks of any kind. */
export interface NetworkSettings {
  /** The card's address, where its device is not given one. By default the same at every start; on networks that machines share it is made from the machine's `name`. */
  readonly mac?: string;
  /** Bytes a second, from the machine and to it. */
  readonly upLimit?: number;
  readonly downLimit?: number;
  /** Is the cable plugged in at the start? Default: true. */
  readonly isConnected?: boolean;
  /** A file for all that passes the card, as pcapng. Several networks may share one. */
  readonly capture?: string;
  /** What the machine may send and get. */
  readonly filter?: FrameFilterOptions;
  /** The machine may send from the card's own address only. */
  readonly isStrict?: boolean;
}

/** A network of its own for the machine, with the host's for an outside: DHCP, DNS, and connections by the host's sockets. */
export interface UserNetwork extends NetworkSettings {
  readonly kind: 'user';
  /** Ports of the host that lead to the machine. */
  readonly forwards?: readonly PortForwardOptions[];
  /** Addresses of the network that stand for servers of the host's world, whatever the rules say. */
  readonly guestForwards?: readonly GuestForwardOptions[];
  /** Nothing outside may be reached; ports that are forwarded still answer. */
  readonly isRestricted?: boolean;
  /** What may be reached: by name, address, port. */
  readonly egress?: EgressPolicy;
  readonly ipv4?: NatAddressOptions;
  readonly ipv6?: NatAddressOptions;
  /** What the machine is called by DHCP; what the host is called is `host`. */
  readonly hostName?: string;
  readonly domain?: string;
  readonly searchDomains?: readonly string[];
  /** For booting over the network. */
  readonly bootFile?: string;
}

/** A switch that machines of several processes share: all that name the same path of a Unix socket. */
export interface SwitchNetwork extends NetworkSettings {
  readonly kind: 'switch';
  readonly path: string;
}

/** An interface of the host's (Linux). */
export interface TapNetwork extends NetworkSettings {
  readonly kind: 'tap';
  readonly interfaceName: string;
}

/** Frames over a socket, as QEMU's `-netdev stream` has them. */
export interface StreamNetwork extends NetworkSettings {
  readonly kind: 'stream';
  readonly place: SocketPlace;
  /** Waits for others there, any number, instead of going there. */
  readonly isServer?: boolean;
}

/** A frame a datagram, as QEMU's `-netdev dgram` has them. */
export interface DatagramNetwork extends NetworkSettings {
  readonly kind: 'dgram';
  readonly local: { readonly address: string; readonly port: number };
  readonly remote: { readonly address: string; readonly port: number };
}

export type OpenableNetwork = UserNetwork | SwitchNetwork | TapNetwork | StreamNetwork | DatagramNetwork;

/** "user", with options, another kind, or an end of a cable of one's own. */
export type NetworkOption = 'user' | OpenableNetwork | NetBackend;

export interface Networks {
  readonly netdevs: Readonly<Record<string, NetBackend>>;
  readonly devices: readonly DeviceOptions[];
  /** Those that were opened here. */
  readonly networks: ReadonlyMap<string, MachineNetwork>;
  /** The network of that name, or all that are still open. */
  close(name?: string): void;
}

export interface NetworkOptions {
  /** What the machine is called. */
  readonly name?: string;
  readonly networks?: readonly NetworkOption[];
  readonly netdevs?: Readonly<Record<string, NetworkOption>>;
  /** A file for all that passes the machine's network cards, as pcapng. */
  readonly capture?: string;
  readonly onHostFailure?: (sentence: string, isPaused: boolean) => void;
}

const isOwn = (option: NetworkOption): option is NetBackend => typeof option === 'object' && 'send' in option;

/** Capture files by path, each opened once. */
class Captures {
  readonly #open = new Map<string, ReturnType<HostLinks['openCapture']>>();
  readonly #links: HostLinks;
  readonly #onError: (sentence: string) => void;

  constructor(links: HostLinks, onError: (sentence: string) => void) {
    this.#links = links;
    this.#onError = onError;
  }

  tap(path: string, name: string): FrameTap {
    const file = this.#open.get(path) ?? this.#links.openCapture(path, this.#onError);
    this.#open.set(path, file);
    return file.addInterface(name);
  }

  close(): void {
    for (const file of this.#open.values()) file.close();
  }
}

async function openLinks(): Promise<HostLinks> {
  if (host.openSockets === undefined)
    throw new AnilloError('UNSUPPORTED', 'This host has no sockets for a network; give a back end of your own.');
  return host.openSockets();
}

/** AnilloError NETWORK, FILE, BAD_OPTION, UNSUPPORTED; then nothing stays open. */
export async function plugNetworks(options: NetworkOptions): Promise<Networks> {
  const { networks = [], netdevs = {}, capture, onHostFailure } = options;
  const unnamed = networks.map((network, i) => [`net${i}`, network] as const);
  const opened = new Map<string, MachineNetwork>();
  const found: Record<string, NetBackend> = {};
  let captures: Captures | undefined;
  const close = (name?: string): void => {
    for (const one of name === undefined ? [...opened.keys()] : [name]) {
      opened.get(one)?.close();
      opened.delete(one);
    }
    if (opened.size === 0) captures?.close();
  };
  try {
    for (const [name, option] of [...Object.entries(netdevs), ...unnamed]) {
      if (isOwn(option)) {
        found[name] = option;
        continue;
      }
      const links = await openLinks();
      captures ??= new Captures(links, (sentence) => onHostFailure?.(sentence, false));
      const network = await openNetwork({ name, option: option === 'user' ? { kind: 'user' } : option, machine: options.name, links });
      opened.set(name, network);
      found[name] = network.backend;
      for (const path of new Set([capture, network.option.capture])) if (path !== undefined) network.taps.add(captures.tap(path, name));
    }
  } catch (error) {
    close();
    throw error;
  }
  return { netdevs: found, devices: unnamed.map(([netdev]) => ({ model: 'virtio-net-pci', netdev })), networks: opened, close };
}
