// Modules of the default guest's kernel that its initial RAM disk does not have: from Debian's package of that very version, kept in the cache.

import { execFileSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AnilloError } from '@anillo/base/anillo-error';
import type { CpioEntry } from './cpio.ts';
import { cacheFolder } from './guest-cache.ts';
import { PrivateApt } from './private-apt.ts';

/** What each needs comes before it. */
const VIRTIO_PCI = ['virtio_ring', 'virtio', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_pci'];
export const MODULES = {
  disk: [...VIRTIO_PCI, 'virtio_blk'],
  network: [...VIRTIO_PCI, 'failover', 'net_failover', 'virtio_net'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

const FOLDER = 'modules';

async function fetchModules(version: string, architecture: 'amd64' | 'i386', folder: string): Promise<void> {
  const home = join(cacheFolder(), 'modules');
  mkdirSync(home, { recursive: true });
  const work = mkdtempSync(join(home, '.work-'));
  try {
    const apt = new PrivateApt(work, architecture, () => {});
    await apt.update();
    const deb = await apt.download(`linux-image-${version.split('_')[0]}`);
    if (!basename(deb).includes(version.split('_')[1]))
      throw new AnilloError(
        'UNSUPPORTED',
        `Debian has a newer kernel than the cached guest's (${version}); remove ${cacheFolder()}/guests and start again.`,
      );
    const root = join(work, 'root');
    execFileSync('dpkg-deb', ['-x', deb, root]);
    const kept = join(work, 'kept');
    mkdirSync(kept);
    const names = new Set<string>(Object.values(MODULES).flat());
    for (const path of globSync('{lib,usr/lib}/modules/*/kernel/**/*.ko', { cwd: root }))
      if (names.has(basename(path, '.ko').replaceAll('-', '_'))) renameSync(join(root, path), join(kept, basename(path)));
    renameSync(kept, folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** `/modules/NN-NAME.ko`, in the order in which they are to be loaded. `version`: of the guest. AnilloError NETWORK, UNSUPPORTED. */
export async function kernelModules(
  version: string,
  kinds: readonly (keyof typeof MODULES)[],
  architecture: 'amd64' | 'i386' = 'amd64',
): Promise<readonly CpioEntry[]> {
  const folder = join(cacheFolder(), 'modules', version);
  if (globSync('*.ko', { cwd: folder }).length === 0) await fetchModules(version, architecture, folder);
  const names = [...new Set<string>(kinds.flatMap((kind) => MODULES[kind]))];
  return [
    { kind: 'directory', path: FOLDER, mode: 0o755 },
    ...names.flatMap((name, index): CpioEntry[] => {
      const path = join(folder, `${name}.ko`);
      const number = String(index).padStart(2, '0');
      return [{ kind: 'file', path: `${FOLDER}/${number}-${name}.ko`, mode: 0o644, content: readFileSync(path) }];
    }),
  ];
}
