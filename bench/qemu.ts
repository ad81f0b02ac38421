// QEMU's translator TCG as a contender: Debian's package, installed where it is missing and may be installed.

import { spawnSync } from 'node:child_process';
import { type Contender, EXIT_DEVICE, type GuestImage, GUEST_MEMORY_MIB, KERNEL_APPEND } from './contender.ts';

const PROGRAM = 'qemu-system-x86_64';
const PACKAGE = 'qemu-system-x86';

const installedVersion = (): string | undefined =>
  /version (\S+)/.exec(spawnSync(PROGRAM, ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1];

function install(): boolean {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args: readonly string[]): boolean => spawnSync('apt-get', ['-qq', ...args], { stdio: 'ignore', env }).status === 0;
  const fetch = ['install', '-y', '--no-install-recommends', PACKAGE];
  return apt(...fetch) || (apt('update') && apt(...fetch));
}

/** Undefined where there is none; what is missing is said. */
export function findQemu(say: (line: string) => void): Contender | undefined {
  let version = installedVersion();
  if (version === undefined && process.getuid?.() === 0) {
    say(`Installing ${PACKAGE}, to measure beside it...`);
    install();
    version = installedVersion();
  }
  if (version === undefined) {
    say(`There is no ${PROGRAM} to measure beside; install Debian's package ${PACKAGE}. Anillo is measured alone.`);
    return undefined;
  }
  const boot = (image: GuestImage): readonly string[] =>
    image.kind === 'linux'
      ? ['-kernel', image.kernelPath, '-initrd', image.initrdPath, '-append', KERNEL_APPEND]
      : ['-bios', image.path, '-device', EXIT_DEVICE];
  const machine = ['-accel', 'tcg', '-cpu', 'max', '-smp', '1', '-m', `${GUEST_MEMORY_MIB}M`];
  const bare = ['-nodefaults', '-no-user-config', '-display', 'none', '-serial', 'stdio', '-no-reboot'];
  return { name: 'QEMU TCG', version, command: (image) => [PROGRAM, ...machine, ...bare, ...boot(image)] };
}
