// Shared folders as the library's user gives them, and what becomes of them: file trees by name, and devices for those that nobody named.

import { host } from '#host';
import { AnilloError } from '@anillo/base/anillo-error';
import type { DeviceOptions } from '@anillo/devices/device-declaration';
import type { FileTree } from '@anillo/devices/virtio/9p/file-tree';

export interface HostFolderOption {
  /** A folder of the host's, out of which the guest cannot get. */
  readonly folder: string;
  readonly readOnly?: boolean;
  /** Where owners and modes that the guest sets are: kept beside the files (default), or nowhere. */
  readonly ownership?: 'mapped' | 'none';
}

export type FolderOption = HostFolderOption | FileTree;

export interface FolderOptions {
  /** Shared folders by mount tag, each as a virtio-9p-pci device. */
  readonly shares?: Readonly<Record<string, FolderOption>>;
  /** Folders by name, for devices that say `fsdev: NAME`. */
  readonly folders?: Readonly<Record<string, FolderOption>>;
}

export interface Folders {
  readonly folders: Readonly<Record<string, FileTree>>;
  readonly devices: readonly DeviceOptions[];
  close(): void;
}

const isHostFolder = (option: FolderOption): option is HostFolderOption => 'folder' in option;

/** AnilloError FILE or UNSUPPORTED; then nothing stays open. */
export async function openFolders({ shares = {}, folders = {} }: FolderOptions): Promise<Folders> {
  const found: Record<string, FileTree> = {};
  const opened: Disposable[] = [];
  const close = (): void => {
    for (const one of opened.splice(0)) one[Symbol.dispose]();
  };
  const unnamed = Object.entries(shares).map(([tag, option], i) => ({ tag, name: `share${i}`, option }));
  try {
    for (const [name, option] of [...Object.entries(folders), ...unnamed.map(({ name, option }) => [name, option] as const)]) {
      if (!isHostFolder(option)) found[name] = option;
      else {
        if (host.openFolder === undefined)
          throw new AnilloError('UNSUPPORTED', 'This host has no folders to share; give a file tree of your own.');
        const tree = await host.openFolder({ path: option.folder, isReadOnly: option.readOnly, ownership: option.ownership });
        opened.push(tree);
        found[name] = tree;
      }
    }
  } catch (error) {
    close();
    throw error;
  }
  const devices = unnamed.map(({ tag, name }) => ({ model: 'virtio-9p-pci', fsdev: name, mount_tag: tag }));
  return { folders: found, devices, close };
}
