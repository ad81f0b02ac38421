// Debian's programs for the measured guests: packages and all that they depend on, unpacked into one folder and kept under the cache. A folder
// appears whole, by a rename, and is named after the list of packages, so that a changed list is fetched anew.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, lstatSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { cacheFolder } from '@anillo/cli/default-guest/guest-cache';
import { PrivateApt } from '@anillo/cli/default-guest/private-apt';
import type { Architecture } from '../contender.ts';

export interface TreeContent {
  readonly packages: readonly string[];
  /** What the programs never read, or what only installs: it would make the initial RAM disk larger. */
  readonly unused: readonly string[];
}

/** cpp holds the compiler proper of GCC, cc1. */
const PACKAGES = ['openssl', '7zip', 'xz-utils', 'python3-minimal', 'libpython3-stdlib', 'sqlite3', 'perl-base', 'tcc', 'cpp'];

const UNUSED = [
  'usr/share',
  'var',
  'usr/sbin',
  'usr/bin/dpkg*',
  'usr/lib/*/gconv',
  'usr/lib/*/engines-3',
  'usr/lib/*/perl-base/unicore',
  'usr/lib/python3*/{idlelib,lib2to3,distutils,unittest,pydoc_data,ensurepip,tkinter,test,asyncio}',
];

export const PROGRAMS: TreeContent = { packages: PACKAGES, unused: UNUSED };

/** In the folder: which versions it holds, one file name of a package a line. */
const VERSIONS_FILE = 'packages';

/** Where /lib and the like are links into /usr, no package but base-files makes the links. */
function linkMergedFolders(root: string): void {
  for (const name of ['lib', 'lib64'])
    if (existsSync(join(root, 'usr', name)) && lstatSync(join(root, name), { throwIfNoEntry: false }) === undefined)
      symlinkSync(`usr/${name}`, join(root, name));
}

/** Path of a folder that holds etc, lib, usr and so on. */
export async function debianTree(
  { packages, unused }: TreeContent,
  architecture: Architecture,
  say: (line: string) => void,
): Promise<string> {
  const home = join(cacheFolder(), 'bench');
  const list = createHash('sha256')
    .update(JSON.stringify([packages, unused]))
    .digest('hex');
  const folder = join(home, `debian-${architecture}-${list.slice(0, 12)}`);
  if (existsSync(folder)) return folder;
  mkdirSync(home, { recursive: true });
  const work = mkdtempSync(join(home, '.work-'));
  try {
    const apt = new PrivateApt(work, architecture, () => {});
    say("Guest: reading Debian's package lists");
    await apt.update();
    say(`Guest: fetching ${packages.join(', ')}`);
    const archives = await apt.downloadWithDependencies(packages);
    const root = join(work, 'root');
    mkdirSync(root);
    for (const path of archives) execFileSync('dpkg-deb', ['-x', path, root]);
    for (const path of globSync(unused, { cwd: root })) rmSync(join(root, path), { recursive: true, force: true });
    linkMergedFolders(root);
    writeFileSync(join(root, VERSIONS_FILE), archives.map((path) => `${decodeURIComponent(basename(path, '.deb'))}\n`).join(''));
    renameSync(root, folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return folder;
}
