// A machine without kernel and firmware boots what its first disk holds: read through the disk that the guest has, so that a reset finds what the guest has written since.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ReadableDisk } from '@anillo/disk/volume';
import type { BootImages } from '@anillo/machine/machine-spec';
import { readInitrd } from './boot-files.ts';
import { type DiskOption, isOwn, openFile } from './disk-option.ts';

export interface BootDisk {
  readonly name: string;
  readonly disk: ReadableDisk;
}

async function search(disk: ReadableDisk) {
  const { findLinux } = await import('@anillo/disk/linux-on-disk');
  return findLinux(disk);
}

/** `initrd`: instead of the disk's own. AnilloError BAD_IMAGE where the disk holds no kernel, FILE. */
export async function readDiskImages(from: BootDisk, initrd?: string | Uint8Array): Promise<BootImages> {
  const found = await search(from.disk);
  if (found.linux === undefined)
    throw new AnilloError(
      'BAD_IMAGE',
      `There is nothing to boot on ${from.name}; give a kernel or a firmware image, or another disk. ${found.why}`,
    );
  const { kernel, initrd: own, commandLine } = found.linux;
  const modules = initrd === undefined ? own && [{ bytes: await own.read(), commandLine: own.name }] : await readInitrd(initrd, false);
  return {
    kernel: { bytes: await kernel.read(), name: kernel.name },
    initrd: modules,
    append: commandLine,
    readAgain: () => readDiskImages(from, initrd),
  };
}

/** Undefined: it holds a kernel; else a sentence that says why it does not. AnilloError FILE, BAD_IMAGE, UNSUPPORTED for an image that cannot be opened. */
export async function whyNoBoot(option: DiskOption): Promise<string | undefined> {
  const why = async (disk: ReadableDisk): Promise<string | undefined> => {
    const found = await search(disk);
    return found.linux === undefined ? found.why : undefined;
  };
  if (isOwn(option)) return why(option);
  const disk = await openFile({ ...(typeof option === 'string' ? { file: option } : option), readOnly: true });
  try {
    return await why(disk);
  } finally {
    await disk.close();
  }
}
