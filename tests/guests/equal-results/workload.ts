// What the workload (workload.sh beside this) takes, on both sides.

import { join } from 'node:path';

export interface Workload {
  readonly seed: string;
  readonly operations: string;
  /** Only OpenSSL's first and last code path. */
  readonly quick: boolean;
  /** GLIBC_TUNABLES. */
  readonly tunables: string;
}

export const SCRIPT_FOLDER = import.meta.dirname;
export const SCRIPT_PATHS: readonly string[] = ['workload.sh', 'make-data.py', 'floating-point.py'].map((name) =>
  join(SCRIPT_FOLDER, name),
);

/** `root`: folder of the packages; `work`: an empty folder; `scripts`: where SCRIPT_PATHS are. */
export function workloadEnvironment(workload: Workload, root: string, work: string, scripts: string): Readonly<Record<string, string>> {
  return {
    ROOT: root,
    WORK: work,
    SCRIPTS: scripts,
    SEED: workload.seed,
    OPERATIONS: workload.operations,
    QUICK: workload.quick ? '1' : '',
    GLIBC_TUNABLES: workload.tunables,
  };
}
