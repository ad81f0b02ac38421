// Disks as the library's user gives them, and what becomes of them: back ends by name, and devices for those that nobody named.

import { host } from '#host';
import { AnilloError } from '@anillo/base/anillo-error';
import type { DeviceOptions } from '@anillo/devices/device-declaration';
import type { BlockBackend } from '@anillo/devices/virtio/block-backend';
import type { Disk } from '@anillo/disk/disk';
import type { ImageHost } from '@anillo/disk/disk-format';

/** An image in a file of the host. */
export interface DiskFile {
  readonly file: string;
  /** "raw", "qcow2"...; without: guessed by the first bytes, where a guest could have written what it likes. */
  readonly format?: string;
  readonly readOnly?: boolean;
  /** What the guest writes is kept beside the image, in a file without a name, and lost at the end. */
  readonly snapshot?: boolean;
}

/** A path, an image with options, or a back end of one's own. */
export type DiskOption = string | DiskFile | BlockBackend;

export interface Drives {
  readonly drives: Readonly<Record<string, BlockBackend>>;
  readonly devices: readonly DeviceOptions[];
  /** What a machine without kernel and firmware boots from. */
  readonly first: { readonly name: string; readonly disk: BlockBackend } | undefined;
  /** Flushes and closes what was opened here: the disk of that name, or all that are still open. */
  close(name?: string): Promise<void>;
}

export interface DiskOptions {
  readonly disks?: readonly DiskOption[];
  readonly drives?: Readonly<Record<string, DiskOption>>;
}

function imageHost(): Promise<ImageHost> {
  if (host.openImages === undefined) throw new AnilloError('UNSUPPORTED', 'This host has no files for disks; give a back end of your own.');
  return host.openImages();
}

/** AnilloError FILE, BAD_IMAGE, BAD_OPTION, UNSUPPORTED. */
export async function openFile({ file, format, readOnly = false, snapshot = false }: DiskFile): Promise<Disk> {
  const [images, { openImage }, { openOverlay }, { MemoryStore }] = await Promise.all([
    imageHost(),
    import('@anillo/disk/open-image'),
    import('@anillo/disk/overlay'),
    import('@anillo/disk/memory-store'),
  ]);
  const disk = await openImage(file, { isReadOnly: readOnly || snapshot, format, trustsProbe: true }, images);
  if (!snapshot || readOnly) return disk;
  try {
    const store = (await images.openTemporary?.()) ?? new MemoryStore(`changes of ${file}`);
    return await openOverlay(disk, store, images.codecs);
  } catch (error) {
    await disk.close();
    throw error;
  }
}

export const isOwn = (option: DiskOption): option is BlockBackend => typeof option === 'object' && 'read' in option;

/** AnilloError FILE, BAD_IMAGE, BAD_OPTION, UNSUPPORTED; then nothing stays open. */
export async function openDrives({ disks = [], drives = {} }: DiskOptions): Promise<Drives> {
  const unnamed = disks.map((disk, i) => [`disk${i}`, disk] as const);
  const opened = new Map<string, Disk>();
  const close = async (name?: string): Promise<void> => {
    for (const one of name === undefined ? [...opened.keys()] : [name]) {
      const disk = opened.get(one);
      opened.delete(one);
      await disk?.close();
    }
  };
  const found: Record<string, BlockBackend> = {};
  let first: Drives['first'];
  try {
    for (const [name, option] of [...Object.entries(drives), ...unnamed]) {
      if (isOwn(option)) found[name] = option;
      else {
        const disk = await openFile(typeof option === 'string' ? { file: option } : option);
        opened.set(name, disk);
        found[name] = disk;
      }
      first ??= { name: isOwn(option) ? name : typeof option === 'string' ? option : option.file, disk: found[name] };
    }
  } catch (error) {
    await close().catch(() => {});
    throw error;
  }
  return { drives: found, devices: unnamed.map(([drive]) => ({ model: 'virtio-blk-pci', drive })), first, close };
}
