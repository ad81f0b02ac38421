// /init of the guests that are measured, and the script of the work itself. They print marks, see marks.ts.

import { BENCH_FOLDER, PHASES, type Phase, type Workload } from '../workloads/workload.ts';

const PATH = 'export PATH=/usr/sbin:/usr/bin:/sbin:/bin';
const PREAMBLE = `#!/bin/sh
${PATH}
[ -e /bin/mount ] || /bin/busybox --install -s
mount -t proc proc /proc
`;

/** Says how long the kernel took, by its own clock. */
export const BOOT_INIT = `${PREAMBLE}read -r uptime rest </proc/uptime
echo "ANILLO-BENCH boot $uptime -"
poweroff -f
`;

export const WORK_PATH = `/${BENCH_FOLDER}/work`;

export const WORK_INIT = `${PREAMBLE}mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do [ ! -e "$module" ] || insmod "$module"; done
if ip link set eth0 up 2>/dev/null; then ip addr add 10.0.2.15/24 dev eth0; fi
mount -t tmpfs tmpfs /tmp
${WORK_PATH}
poweroff -f
`;

export const markName = (name: string, phase: Phase): string => `${name}:${phase}`;

/** EPOCHREALTIME has microseconds and costs no process; nothing sets a guest's clock while it runs. */
function phaseScript(mark: string, { shell, verify, marksItself }: Workload): string {
  if (marksItself === true)
    return `mark='ANILLO-BENCH ${mark}'
${shell}
${verify ?? ':'}
echo "ANILLO-BENCH ${mark} check \${check%% *}"
check=
`;
  return `echo "ANILLO-BENCH ${mark} begin"
begin=$EPOCHREALTIME
${shell}
end=$EPOCHREALTIME
micros=$((\${end/./} - \${begin/./}))
printf 'ANILLO-BENCH ${mark} %d.%06d\\n' $((micros / 1000000)) $((micros % 1000000))
${verify ?? ':'}
echo "ANILLO-BENCH ${mark} check \${check%% *}"
check=
`;
}

/** Runs in the guest and, with the same root, on the host: it must not touch what is outside of /tmp. */
export function workScript(workloads: Iterable<readonly [string, Workload]>, environment = ''): string {
  const steps = Array.from(workloads, ([name, workload]) => {
    const phases = PHASES.map((phase) => phaseScript(markName(name, phase), workload));
    return [workload.prepare ?? ':', '\n', ...phases].join('');
  });
  return `#!/bin/sh
${PATH} LC_ALL=C HOME=/tmp PYTHONHASHSEED=0 OPENSSL_CONF=/dev/null
${environment}cd /tmp
exec 3>&1
${steps.join('')}`;
}
