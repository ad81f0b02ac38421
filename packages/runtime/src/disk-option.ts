// Disks as the library's user gives them, and what becomes of them: back ends by name, and devices for those that nobody named.

import type { DeviceOptions } from '@anillo/devices/device-declaration';
import type { BlockBackend } from '@anillo/devices/virtio/block-backend';

/** A back end of one's own. */
export type DiskOption = BlockBackend;

export interface Drives {
  readonly drives: Readonly<Record<string, BlockBackend>>;
  readonly devices: readonly DeviceOptions[];
}

export async function openDrives(options: {
  readonly disks?: readonly DiskOption[];
  readonly drives?: Readonly<Record<string, DiskOption>>;
}): Promise<Drives> {
  const { disks = [], drives = {} } = options;
  const own = Object.fromEntries(disks.map((disk, i) => [`disk${i}`, disk]));
  return { drives: { ...drives, ...own }, devices: Object.keys(own).map((drive) => ({ model: 'virtio-blk-pci', drive })) };
}
