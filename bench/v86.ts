// v86, the other x86 translator to WebAssembly, as a contender for 32-bit guests: the npm package, run by v86-run.ts. Its firmware is SeaBIOS, which
// QEMU's package brings along.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { cacheFolder } from '@anillo/cli/default-guest/guest-cache';
import { type Contender, GUEST_MEMORY_MIB, KERNEL_APPEND } from './contender.ts';

const VERSION = '0.5.462';
const ENTRY = join(import.meta.dirname, 'v86-run.ts');
export const SEABIOS_FOLDER = '/usr/share/seabios';

/** Folder of the package: the project's own, or one kept under the cache, fetched by npm when it is missing. */
function packageFolder(say: (line: string) => void): string | undefined {
  try {
    return join(createRequire(import.meta.url).resolve('v86'), '../..');
  } catch {}
  const home = join(cacheFolder(), 'bench', `v86-${VERSION}`);
  const folder = join(home, 'node_modules/v86');
  if (existsSync(join(folder, 'package.json'))) return folder;
  say(`Fetching v86 ${VERSION} by npm...`);
  mkdirSync(home, { recursive: true });
  const args = ['install', '--prefix', home, '--ignore-scripts', '--no-audit', '--no-fund', `v86@${VERSION}`];
  return spawnSync('npm', args, { stdio: 'ignore', cwd: home }).status === 0 ? folder : undefined;
}

/** None where it cannot be had; what is missing is said. */
export function findV86(say: (line: string) => void): readonly Contender[] {
  const folder = existsSync(join(SEABIOS_FOLDER, 'bios.bin')) ? packageFolder(say) : undefined;
  if (folder === undefined) {
    say('v86 is not measured: it takes its npm package, for which the network must be there, and the Debian package seabios.');
    return [];
  }
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { readonly version: string };
  const command: Contender['command'] = ({ image }) =>
    image.kind === 'linux' && image.devices === undefined
      ? [process.execPath, ENTRY, folder, image.kernelPath, image.initrdPath, KERNEL_APPEND, String(GUEST_MEMORY_MIB)]
      : undefined;
  return [{ name: 'v86', version, command }];
}
