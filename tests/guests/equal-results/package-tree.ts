// Debian's packages that the workload needs, unpacked into one folder and kept under the cache; a folder appears whole, by a rename. It is named
// after the list of packages, so that a changed list is fetched anew.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { cacheFolder } from '@anillo/cli/default-guest/guest-cache';
import { PrivateApt } from '@anillo/cli/default-guest/private-apt';

const PACKAGES = [
  'busybox-static',
  'libc6',
  'libgcc-s1',
  'openssl',
  'libssl3',
  'python3.11-minimal',
  'libpython3.11-minimal',
  'zlib1g',
  'libexpat1',
  'xz-utils',
  'liblzma5',
  'mawk',
];
/** What the programs never read: it would only make the initial RAM disk larger. */
const UNUSED = ['usr/share', 'usr/lib/x86_64-linux-gnu/gconv', 'usr/lib/x86_64-linux-gnu/engines-3', 'usr/lib/x86_64-linux-gnu/perl-base'];

/** In the folder: which versions it holds, one file name of a package a line. */
export const VERSIONS_FILE = 'packages';

/** Path of the folder, which holds bin, lib, lib64, usr as the packages have them. */
export async function packageTree(say: (line: string) => void): Promise<string> {
  const home = join(cacheFolder(), 'equal-results');
  const folder = join(
    home,
    createHash('sha256')
      .update(JSON.stringify([PACKAGES, UNUSED]))
      .digest('hex')
      .slice(0, 12),
  );
  if (existsSync(folder)) return folder;
  mkdirSync(home, { recursive: true });
  const work = mkdtempSync(join(home, '.work-'));
  try {
    const apt = new PrivateApt(work, 'amd64', () => {});
    say("reading Debian's package lists");
    await apt.update();
    const staging = join(work, 'root');
    mkdirSync(staging);
    let versions = '';
    for (const name of PACKAGES) {
      say(`fetching ${name}`);
      const deb = await apt.download(name);
      execFileSync('dpkg-deb', ['-x', deb, staging]);
      versions += `${decodeURIComponent(basename(deb, '.deb'))}\n`;
    }
    writeFileSync(join(staging, VERSIONS_FILE), versions);
    for (const path of UNUSED) rmSync(join(staging, path), { recursive: true, force: true });
    renameSync(staging, folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return folder;
}
