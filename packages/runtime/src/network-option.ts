// Networks as the library's user gives them, and what becomes of them: back ends by name, and devices for those that nobody named.

import { host } from '#host';
import { AnilloError } from '@anillo/base/anillo-error';
import type { DeviceOptions } from '@anillo/devices/device-declaration';
import type { NetBackend } from '@anillo/devices/virtio/net-backend';
import type { PortForwardOptions } from '@anillo/net/nat/port-forwards';

/** A network of its own for the machine, with the host's for an outside: DHCP, DNS, and connections by the host's sockets. */
export interface UserNetwork {
  readonly kind: 'user';
  /** Ports of the host that lead to the machine. */
  readonly forwards?: readonly PortForwardOptions[];
  /** Nothing outside may be reached; ports that are forwarded still answer. */
  readonly isRestricted?: boolean;
}

/** "user", with options, or an end of a cable of one's own. */
export type NetworkOption = 'user' | UserNetwork | NetBackend;

export interface Networks {
  readonly netdevs: Readonly<Record<string, NetBackend>>;
  readonly devices: readonly DeviceOptions[];
  close(): void;
}

export interface NetworkOptions {
  readonly networks?: readonly NetworkOption[];
  readonly netdevs?: Readonly<Record<string, NetworkOption>>;
}

const isOwn = (option: NetworkOption): option is NetBackend => typeof option === 'object' && 'send' in option;

async function openUserNetwork({ forwards = [], isRestricted }: UserNetwork): Promise<{ port: NetBackend; close(): void }> {
  if (host.openSockets === undefined)
    throw new AnilloError('UNSUPPORTED', 'This host has no sockets for a network; give a back end of your own.');
  const [{ network, clock }, { Nat }, { Switch }] = await Promise.all([
    host.openSockets(),
    import('@anillo/net/nat/nat'),
    import('@anillo/net/switch'),
  ]);
  const between = new Switch({ clock });
  const nat = new Nat({ port: between.addPort({ name: 'nat', waitsForRoom: true }).outer, network, clock, isRestricted });
  try {
    for (const forward of forwards) await nat.forward(forward);
  } catch (error) {
    nat.close();
    throw error;
  }
  return { port: between.addPort({ name: 'machine' }).outer, close: () => nat.close() };
}

/** AnilloError NETWORK, BAD_OPTION, UNSUPPORTED; then nothing stays open. */
export async function plugNetworks({ networks = [], netdevs = {} }: NetworkOptions): Promise<Networks> {
  const unnamed = networks.map((network, i) => [`net${i}`, network] as const);
  const opened: { close(): void }[] = [];
  const close = (): void => {
    for (const one of opened.splice(0)) one.close();
  };
  const found: Record<string, NetBackend> = {};
  try {
    for (const [name, option] of [...Object.entries(netdevs), ...unnamed]) {
      if (isOwn(option)) found[name] = option;
      else {
        const user = await openUserNetwork(option === 'user' ? { kind: 'user' } : option);
        opened.push(user);
        found[name] = user.port;
      }
    }
  } catch (error) {
    close();
    throw error;
  }
  return { netdevs: found, devices: unnamed.map(([netdev]) => ({ model: 'virtio-net-pci', netdev })), close };
}
