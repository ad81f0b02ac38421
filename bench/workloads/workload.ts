// A workload: shell text that runs in a guest, twice in one boot, cold and warm, and as often on the host itself.

/** Workloads of a group run in one boot, in the order of the list. Titles as the report has them. */
export const GROUPS = {
  busybox: 'BusyBox',
  fp: 'floating point',
  simd: 'SIMD',
  int: 'integer',
  mem: 'memory',
  system: 'system',
  smp: 'two threads',
  crypto: 'crypto (OpenSSL)',
  compression: 'compression',
  language: 'languages and compilers',
  disk: 'disks (fio)',
  network: 'network',
} as const;

export type GroupName = keyof typeof GROUPS;

/** The first time in its boot, compilation included; then the second. */
export const PHASES = ['cold', 'warm'] as const;
export type Phase = (typeof PHASES)[number];

export interface Workload {
  readonly title: string;
  readonly group: GroupName;
  /** Done before the first phase, not measured. */
  readonly prepare?: string;
  /** What is measured. Every phase must do the same; the current folder is one to write in. */
  readonly shell: string;
  /** `shell` does more than is to be measured: `$mark begin` and `$mark -` are printed by it, around that, to file descriptor 3. */
  readonly marksItself?: boolean;
  /** Not measured; `shell` or this leaves in $check, up to its first blank, what proves that the work was done. */
  readonly verify?: string;
  /** Of $check, where it is known beforehand. In any case all phases and contenders must agree: a wrong answer is never a fast one. */
  readonly expected?: string;
  /** Of the warm time by QEMU's; the group's goal when absent. */
  readonly ratioAtMost?: number;
}

/** $check of a program that needs a CPU feature which is not there; no figure then, and no failure. */
export const NOT_SUPPORTED = 'not-supported';

/** Where the guest has the programs and inputs of the workloads. */
export const BENCH_FOLDER = 'bench';
