// The host's own CPU as a contender: the programs of a guest's image run without a guest (native-run.ts). The scale, not a rival.

import { spawnSync } from 'node:child_process';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Contender } from './contender.ts';

const ENTRY = join(import.meta.dirname, 'native-run.ts');
export const NATIVE = 'native';
/** A root of its own for a process, with or without the rights of the system's root. */
export const UNSHARE = ['unshare', '--map-root-user', '--mount'] as const;

/** What native-run.ts does, on a folder ($0) that is there. */
const PROBE = 'mount --rbind /dev "$0" && mount --rbind /proc "$0" && mount -t tmpfs tmpfs "$0" && exec chroot / true';

/** None where the host is no x86-64 Linux or does not let a process have a root of its own. */
export function findNative(say: (line: string) => void): readonly Contender[] {
  const [program, ...options] = UNSHARE;
  const probe = (): number | null => spawnSync(program, [...options, 'sh', '-c', PROBE, tmpdir()], { stdio: 'ignore' }).status;
  if (process.platform !== 'linux' || process.arch !== 'x64' || probe() !== 0) {
    say('The programs are not measured on the host itself: it must be Linux on x86-64 with user namespaces (unshare --map-root-user).');
    return [];
  }
  const command: Contender['command'] = ({ image, hostScript }) =>
    image.kind === 'linux' && hostScript !== undefined ? [process.execPath, ENTRY, image.initrdPath, hostScript] : undefined;
  return [{ name: NATIVE, version: `Linux ${release()}`, command }];
}
