// Networks as the library's user gives them, and what becomes of them: back ends by name, and devices for those that nobody named.

import type { DeviceOptions } from '@anillo/devices/device-declaration';
import type { NetBackend } from '@anillo/devices/virtio/net-backend';

export interface Networks {
  readonly netdevs: Readonly<Record<string, NetBackend>>;
  readonly devices: readonly DeviceOptions[];
}

export function plugNetworks(options: {
  readonly networks?: readonly NetBackend[];
  readonly netdevs?: Readonly<Record<string, NetBackend>>;
}): Networks {
  const { networks = [], netdevs = {} } = options;
  const own = Object.fromEntries(networks.map((network, i) => [`net${i}`, network]));
  return { netdevs: { ...netdevs, ...own }, devices: Object.keys(own).map((netdev) => ({ model: 'virtio-net-pci', netdev })) };
}
