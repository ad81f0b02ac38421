// /init of the guests that are measured. They print marks, see marks.ts, and power off.

import { WORKLOADS, type WorkloadName } from './workloads.ts';

const PREAMBLE = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
[ -e /bin/mount ] || /bin/busybox --install -s
mount -t proc proc /proc
`;

/** Says how long the kernel took, by its own clock. */
export const BOOT_SCRIPT = `${PREAMBLE}read -r uptime rest </proc/uptime
echo "ANILLO-BENCH boot $uptime -"
poweroff -f
`;

/** EPOCHREALTIME has microseconds and costs no process; nothing sets the guest's clock while it runs. */
export function workScript(names: readonly WorkloadName[]): string {
  const steps = names.map(
    (name) => `echo "ANILLO-BENCH ${name} begin"
begin=$EPOCHREALTIME
${WORKLOADS[name].shell}
end=$EPOCHREALTIME
micros=$((\${end/./} - \${begin/./}))
printf 'ANILLO-BENCH ${name} %d.%06d %s\\n' $((micros / 1000000)) $((micros % 1000000)) "\${check%% *}"
`,
  );
  return `${PREAMBLE}mount -t devtmpfs devtmpfs /dev
${steps.join('')}poweroff -f
`;
}
