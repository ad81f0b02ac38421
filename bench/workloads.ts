// The BusyBox workloads. Each is shell text that leaves in $check what proves that the work was done.

export interface Workload {
  readonly title: string;
  readonly shell: string;
  /** Of $check; another one fails the run, so that a wrong answer is never a fast one. */
  readonly expected: string;
}

export const WORKLOADS = {
  loop: {
    title: 'shell loop, 100,000 turns',
    shell: 'check=0; while [ $check -lt 100000 ]; do check=$((check + 1)); done',
    expected: '100000',
  },
  sha256: {
    title: 'sha256sum of 64 MiB of zeros',
    shell: 'check=$(head -c 67108864 /dev/zero | sha256sum)',
    expected: '3b6a07d0d404fab4e23b6d34bc6696a6a312dd92821332385e5af7c01c421351',
  },
  gzip: {
    title: 'gzip of 32 MiB of zeros',
    shell: 'check=$(head -c 33554432 /dev/zero | gzip | md5sum)',
    expected: 'e3cbdfec3b2928bd829cbd78ff75fd15',
  },
  fork: {
    title: 'fork and exec, 30 times',
    shell: 'check=0; while [ $check -lt 30 ]; do /bin/busybox true; check=$((check + 1)); done',
    expected: '30',
  },
} as const satisfies Readonly<Record<string, Workload>>;

export type WorkloadName = keyof typeof WORKLOADS;
