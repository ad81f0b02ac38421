// The guest of a soak: the default guest's kernel and BusyBox with an /init that works for ever and prints, a line each,
//
//   SOAK answer NAME ANSWER
//   SOAK log TEXT             a line of the kernel's log that should not be there
//   SOAK round EPOCHREALTIME  all work done once more

import { cpio } from '@anillo/cli/default-guest/cpio';
import { PROGRAMS_PATH, type SoakWork } from './soak-work.ts';

export const GUEST_MEMORY_MIB = 192;
/** Written once to the guest's memory, so that what it touches later does not look like growth. */
const FILL_MIB = 120;

/** Of what has been logged since /init began. */
const TROUBLE = [
  ...[
    'Oops',
    'BUG:',
    'WARNING:',
    'Call Trace',
    'Kernel panic',
    'stall',
    'lockup',
    'blocked for more',
    'unstable',
    'backwards',
    'time jump',
  ],
  ...['segfault', 'general protection', 'traps:'],
].join('|');

function initScript(work: readonly SoakWork[]): string {
  const steps = work.map(({ name, shell }) => `answer=\n${shell}\necho "SOAK answer ${name} \${answer%% *}"\n`);
  return `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/tmp
[ -e /bin/mount ] || /bin/busybox --install -s
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
cd /tmp
dd if=/dev/zero of=fill bs=1M count=${FILL_MIB} 2>/dev/null
rm fill
dmesg -c >/dev/null
while :; do
${steps.join('')}dmesg -c | grep -E '${TROUBLE}' | while read -r line; do echo "SOAK log $line"; done
echo "SOAK round $EPOCHREALTIME"
done
`;
}

/** What follows the default guest's initial RAM disk. */
export function soakArchive(work: readonly SoakWork[], programs: Uint8Array | undefined): Uint8Array {
  const folder = PROGRAMS_PATH.slice(1, PROGRAMS_PATH.lastIndexOf('/'));
  return cpio([
    { kind: 'directory', path: folder, mode: 0o755 },
    ...(programs === undefined ? [] : [{ kind: 'file', path: PROGRAMS_PATH.slice(1), mode: 0o755, content: programs } as const]),
    { kind: 'file', path: 'init', mode: 0o755, content: initScript(work) },
  ]);
}
