// The workload on the host's CPU, by the unpacked packages' own programs, loader and libraries.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SCRIPT_FOLDER, type Workload, workloadEnvironment } from './workload.ts';

export function hostOutput(workload: Workload, tree: string): string {
  const work = mkdtempSync(join(tmpdir(), 'anillo-equal-host-'));
  try {
    const { stdout, error } = spawnSync(join(tree, 'bin/busybox'), ['sh', join(SCRIPT_FOLDER, 'workload.sh')], {
      env: { PATH: '/nowhere', ...workloadEnvironment(workload, tree, work, SCRIPT_FOLDER) },
      maxBuffer: 1 << 28,
      encoding: 'latin1',
    });
    if (error !== undefined) throw error;
    return stdout;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
