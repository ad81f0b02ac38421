// Anillo as a contender: its command line, started as a user's shell would start it.

import { join } from 'node:path';
import { VERSION } from '@anillo/cli/version';
import { type Contender, EXIT_DEVICE, type GuestDevices, type GuestImage, GUEST_MEMORY_MIB, KERNEL_APPEND } from './contender.ts';

const COMMAND = join(import.meta.dirname, '../apps/cli/bin/anillo');
export const ANILLO = 'Anillo';

const deviceOptions = ({ disks, hasNetwork }: GuestDevices): readonly string[] => [
  ...disks.flatMap(({ path, format }) => ['--disk', `${path},format=${format}`]),
  ...(hasNetwork ? ['--net', 'user'] : []),
];

/** `cpus` undefined: the default, one. */
export function anilloContender(cpus?: number): Contender {
  const boot = (image: GuestImage): readonly string[] =>
    image.kind === 'linux'
      ? [
          ...['--kernel', image.kernelPath, '--initrd', image.initrdPath, '--append', KERNEL_APPEND],
          ...(image.devices === undefined ? [] : deviceOptions(image.devices)),
        ]
      : ['--bios', image.path, '--device', EXIT_DEVICE];
  const smp = cpus === undefined ? [] : ['--cpus', String(cpus)];
  return {
    name: ANILLO,
    version: VERSION,
    command: ({ image, accel, keepsIn }) => [
      ...(keepsIn === undefined ? [] : ['env', `XDG_CACHE_HOME=${keepsIn}`]),
      ...[COMMAND, 'run', ...boot(image), '--memory', `${GUEST_MEMORY_MIB}M`],
      ...['--accel', accel, ...smp, '--no-reboot', '--stats', ...(keepsIn === undefined ? ['--no-translation-cache'] : [])],
    ],
  };
}
