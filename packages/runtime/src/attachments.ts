// What a machine's devices are attached to: opened together, let go together.

import { host } from '#host';
import type { BackendsByName } from '@anillo/devices/backends';
import type { CharBackend } from '@anillo/devices/device';
import type { DeviceOptions } from '@anillo/devices/device-declaration';
import type { BalloonControl } from '@anillo/devices/virtio/balloon-control';
import type { Display } from './display.ts';
import type { BootDisk } from './disk-boot.ts';
import { type DiskOptions, openDrives } from './disk-option.ts';
import { type FolderOptions, openFolders } from './folder-option.ts';
import { type DisplayOptions, makeDisplay } from './display-option.ts';
import type { MachineNetwork } from './machine-network.ts';
import { type NetworkOptions, plugNetworks } from './network-option.ts';
import { openVsocks, type VsockOptions } from './vsock-option.ts';

export interface AttachmentOptions extends DiskOptions, NetworkOptions, FolderOptions, VsockOptions, DisplayOptions {
  readonly balloons?: Readonly<Record<string, BalloonControl>>;
  readonly consoles?: Readonly<Record<string, CharBackend>>;
  readonly kernel?: string | Uint8Array;
}

export interface Attachments {
  readonly backends: BackendsByName;
  /** For what nobody named. */
  readonly devices: readonly DeviceOptions[];
  /** What `display` asked for. */
  readonly display: Display | undefined;
  readonly networks: ReadonlyMap<string, MachineNetwork>;
  /** What a machine without kernel and firmware boots from. */
  readonly bootDisk: BootDisk | undefined;
  /** What networks that machines share know it by. */
  readonly machineName: string | undefined;
  /** A disk or network that no device is attached to any more. */
  closeOne(kind: 'drive' | 'network', name: string): Promise<void>;
  close(): Promise<void>;
}

/** What stays the same from start to start: the first disk's file, or the kernel's. */
function usualName({ disks = [], drives = {}, kernel }: AttachmentOptions): string | undefined {
  for (const disk of [...Object.values(drives), ...disks]) {
    if (typeof disk === 'string') return disk;
    if ('file' in disk) return disk.file;
  }
  return typeof kernel === 'string' ? kernel : undefined;
}

/** AnilloError for what cannot be had; then nothing stays open. */
export async function attach(options: AttachmentOptions): Promise<Attachments> {
  const opened: { close(): void | Promise<void> }[] = [];
  const close = async (): Promise<void> => {
    for (const one of opened.splice(0).reverse()) await one.close();
  };
  const keep = <T extends { close(): void | Promise<void> }>(one: T): T => {
    opened.push(one);
    return one;
  };
  try {
    const drives = keep(await openDrives(options));
    const folders = keep(await openFolders(options));
    const machineName = options.name ?? usualName(options);
    const networks = keep(await plugNetworks({ ...options, name: machineName }));
    const vsocks = keep(await openVsocks(options));
    const { display, displays, inputs, devices } = makeDisplay(options);
    return {
      backends: {
        drives: drives.drives,
        networks: networks.netdevs,
        folders: folders.folders,
        vsocks: vsocks.vsocks,
        displays,
        inputs,
        balloons: options.balloons,
        consoles: options.consoles,
        fillRandom: (bytes) => host.fillRandom(bytes),
      },
      devices: [...drives.devices, ...networks.devices, ...folders.devices, ...vsocks.devices, ...devices],
      networks: networks.networks,
      machineName,
      display,
      async closeOne(kind, name) {
        if (kind === 'network') networks.close(name);
        else await drives.close(name);
      },
      close,
      bootDisk: drives.first,
    };
  } catch (error) {
    await close().catch(() => {});
    throw error;
  }
}
