// The initial RAM disk of the guest: the unpacked packages, the workload's scripts and an /init that runs the workload into the second serial port.

import { cpio, type CpioEntry } from '@anillo/cli/default-guest/cpio';
import { folderEntries } from '@anillo/cli/default-guest/folder-entries';

const FOLDERS = ['dev', 'proc', 'sys', 'tmp', 'workload'];

/** `environment`: lines of shell that set the workload's variables. The guest powers itself off. */
const initScript = (environment: string): string => `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t tmpfs tmpfs /tmp
${environment}
/bin/busybox stty raw -echo -F /dev/ttyS1
/bin/busybox sh /workload/workload.sh >/dev/ttyS1
/bin/busybox poweroff -f
`;

/** `tree`: the packages. `scripts`: the workload's files by name. */
export function guestInitrd(tree: string, scripts: Readonly<Record<string, string>>, environment: string): Uint8Array {
  return cpio([
    ...FOLDERS.map((path): CpioEntry => ({ kind: 'directory', path, mode: 0o755 })),
    { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    ...folderEntries(tree),
    ...Object.entries(scripts).map(([name, content]): CpioEntry => ({ kind: 'file', path: `workload/${name}`, mode: 0o755, content })),
    { kind: 'file', path: 'init', mode: 0o755, content: initScript(environment) },
  ]);
}
