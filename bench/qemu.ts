// QEMU's translator TCG as a contender: Debian's package, installed where it is missing and may be installed.

import { spawnSync } from 'node:child_process';
import { type Contender, EXIT_DEVICE, type GuestDevices, type GuestImage, GUEST_MEMORY_MIB, KERNEL_APPEND } from './contender.ts';
import { installPackages } from './install-packages.ts';

const PROGRAM = 'qemu-system-x86_64';
const PACKAGE = 'qemu-system-x86';

const installedVersion = (): string | undefined =>
  /version (\S+)/.exec(spawnSync(PROGRAM, ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[1];

/** Its caches and threads are QEMU's defaults: the host's page cache, a pool of threads. */
const deviceOptions = ({ disks, hasNetwork }: GuestDevices): readonly string[] => [
  ...disks.flatMap(({ path, format }, index) => [
    ...['-drive', `file=${path},format=${format},if=none,id=disk${index}`],
    ...['-device', `virtio-blk-pci,drive=disk${index}`],
  ]),
  ...(hasNetwork ? ['-netdev', 'user,id=net0', '-device', 'virtio-net-pci,netdev=net0,romfile='] : []),
];

function contender(name: string, version: string, accel: string, cpus: number): Contender {
  const boot = (image: GuestImage): readonly string[] =>
    image.kind === 'linux'
      ? [
          ...['-kernel', image.kernelPath, '-initrd', image.initrdPath, '-append', KERNEL_APPEND],
          ...(image.devices === undefined ? [] : deviceOptions(image.devices)),
        ]
      : ['-bios', image.path, '-device', EXIT_DEVICE];
  const machine = ['-accel', accel, '-cpu', 'max', '-smp', String(cpus), '-m', `${GUEST_MEMORY_MIB}M`];
  const bare = ['-nodefaults', '-no-user-config', '-display', 'none', '-serial', 'stdio', '-no-reboot'];
  return { name, version, command: ({ image }) => [PROGRAM, ...machine, ...bare, ...boot(image)] };
}

/** With several CPUs on one host thread each, and on one for all. None where there is no QEMU; what is missing is said. */
export function findQemu(cpus: number | undefined, say: (line: string) => void): readonly Contender[] {
  let version = installedVersion();
  if (version === undefined && installPackages([PACKAGE], say)) version = installedVersion();
  if (version === undefined) {
    say(`There is no ${PROGRAM} to measure beside; install Debian's package ${PACKAGE}. Anillo is measured without it.`);
    return [];
  }
  if (cpus === undefined || cpus === 1) return [contender('QEMU TCG', version, 'tcg', 1)];
  return [contender('QEMU TCG', version, 'tcg,thread=multi', cpus), contender('TCG, one thread', version, 'tcg,thread=single', cpus)];
}
