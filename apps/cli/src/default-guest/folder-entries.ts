// What a folder of the host holds, as entries of a cpio archive.

import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { CpioEntry } from './cpio.ts';

/** Everything below `root`, folders before what they hold, by name; sockets, pipes and devices are left out. */
export function folderEntries(root: string, folder = ''): readonly CpioEntry[] {
  return readdirSync(join(root, folder))
    .sort()
    .flatMap((name): readonly CpioEntry[] => {
      const path = folder === '' ? name : `${folder}/${name}`;
      const host = join(root, path);
      const status = lstatSync(host);
      const mode = status.mode & 0o7777;
      if (status.isSymbolicLink()) return [{ kind: 'symlink', path, target: readlinkSync(host) }];
      if (status.isDirectory()) return [{ kind: 'directory', path, mode }, ...folderEntries(root, path)];
      return status.isFile() ? [{ kind: 'file', path, mode, content: readFileSync(host) }] : [];
    });
}
