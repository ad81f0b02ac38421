// The disks of the guest that runs fio, filled, so that no contender has to find room for what it writes.

import { join } from 'node:path';
import { openImage, requireFormat } from '@anillo/disk/open-image';
import { createFileStore, imageFiles } from '@anillo/host-node/image-files';
import { DISK_MIB } from '../workloads/disk-workloads.ts';
import type { TreeContent } from './debian-tree.ts';

/** fio alone: no storage clusters' daemons, no Python. */
export const DISK_PROGRAMS: TreeContent = {
  packages: ['fio'],
  unused: [
    'usr/share',
    'var',
    'etc',
    'usr/sbin',
    'usr/bin/[!f]*',
    'usr/bin/f[!i]*',
    'usr/bin/fio?*',
    'usr/lib/*/{perl,perl5,libperl,libdb-,libsqlite3}*',
    'usr/lib/python3*',
    'usr/lib/*/{gconv,perl-base,engines-3}',
    'usr/lib/{udev,systemd}',
  ],
};

const MIB = 1 << 20;

/** /dev/vda and so on. */
export async function diskImages(folder: string): Promise<readonly { readonly path: string; readonly format: string }[]> {
  const host = imageFiles();
  const piece = new Uint8Array(MIB).map((_, index) => index * 31 + (index >> 9));
  const images = ['raw', 'qcow2'].map((format) => ({ path: join(folder, `disk.${format}`), format }));
  for (const { path, format } of images) {
    const store = await createFileStore(path);
    await requireFormat(format).create!(store, DISK_MIB * MIB, {}, host);
    await store.close();
    const disk = await openImage(path, { isReadOnly: false, format }, host);
    for (let at = 0; at < DISK_MIB * MIB; at += MIB) await disk.write(at, [piece]);
    await disk.close();
  }
  return images;
}
