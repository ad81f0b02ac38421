// Debian's packages for the host, where they are missing and may be installed.

import { spawnSync } from 'node:child_process';

/** False where this is no Debian, the user is not root, or the network is away. */
export function installPackages(names: readonly string[], say: (line: string) => void): boolean {
  if (process.getuid?.() !== 0) return false;
  say(`Installing ${names.join(', ')}...`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args: readonly string[]): boolean => spawnSync('apt-get', ['-qq', ...args], { stdio: 'ignore', env }).status === 0;
  const fetch = ['install', '-y', '--no-install-recommends', ...names];
  return apt(...fetch) || (apt('update') && apt(...fetch));
}
