// What a machine's devices are attached to: opened together, let go together.

import { host } from '#host';
import type { BackendsByName } from '@anillo/devices/backends';
import type { CharBackend } from '@anillo/devices/device';
import type { DeviceOptions } from '@anillo/devices/device-declaration';
import type { BalloonControl } from '@anillo/devices/virtio/balloon-control';
import { type DiskOptions, openDrives } from './disk-option.ts';
import { type FolderOptions, openFolders } from './folder-option.ts';
import { type NetworkOptions, plugNetworks } from './network-option.ts';

export interface AttachmentOptions extends DiskOptions, NetworkOptions, FolderOptions {
  readonly balloons?: Readonly<Record<string, BalloonControl>>;
  readonly consoles?: Readonly<Record<string, CharBackend>>;
}

export interface Attachments {
  readonly backends: BackendsByName;
  /** For what nobody named. */
  readonly devices: readonly DeviceOptions[];
  close(): Promise<void>;
}

/** AnilloError for what cannot be had; then nothing stays open. */
export async function attach(options: AttachmentOptions): Promise<Attachments> {
  const drives = await openDrives(options);
  try {
    const folders = await openFolders(options);
    const networks = await plugNetworks(options).catch((error: unknown) => {
      folders.close();
      throw error;
    });
    return {
      backends: {
        drives: drives.drives,
        networks: networks.netdevs,
        folders: folders.folders,
        balloons: options.balloons,
        consoles: options.consoles,
        fillRandom: (bytes) => host.fillRandom(bytes),
      },
      devices: [...drives.devices, ...networks.devices, ...folders.devices],
      async close() {
        networks.close();
        folders.close();
        await drives.close();
      },
    };
  } catch (error) {
    await drives.close().catch(() => {});
    throw error;
  }
}
