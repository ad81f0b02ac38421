// The workload in a guest that `anillo run` boots; its output comes through the second serial port.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { guestInitrd } from './guest-initrd.ts';
import { SCRIPT_PATHS, type Workload, workloadEnvironment } from './workload.ts';

const COMMAND = resolve(import.meta.dirname, '../../../apps/cli/src/main.ts');
const MEMORY = '1G';

export interface GuestChoice {
  readonly kernel: string;
  readonly cpu: string;
  readonly accel: string;
  /** A guest that takes longer is ended. */
  readonly timeoutMs: number;
}

/** Standard output and error together, and the exit status. */
async function runAnillo(options: readonly string[], timeoutMs: number): Promise<string> {
  const child = spawn(process.execPath, [COMMAND, 'run', ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
  const deadline = setTimeout(() => child.kill(), timeoutMs);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('latin1').on('data', (more: string) => {
      text += more;
    });
  }
  const status = await new Promise((done) => child.on('close', done));
  clearTimeout(deadline);
  return `${text}\nexit status ${status}`;
}

/** `console`: what the guest and Anillo said besides, for a guest that did not come to the end. */
export async function guestOutput(
  workload: Workload,
  tree: string,
  { kernel, cpu, accel, timeoutMs }: GuestChoice,
): Promise<{ readonly output: string; readonly console: string }> {
  const work = mkdtempSync(join(tmpdir(), 'anillo-equal-guest-'));
  try {
    const scripts = Object.fromEntries(SCRIPT_PATHS.map((path) => [basename(path), readFileSync(path, 'utf8')]));
    const environment = Object.entries(workloadEnvironment(workload, '', '/tmp', '/workload'))
      .map(([name, value]) => `export ${name}='${value}'`)
      .join('\n');
    const initrd = join(work, 'initrd.cpio');
    const serial = join(work, 'output');
    writeFileSync(initrd, guestInitrd(tree, scripts, environment));
    writeFileSync(serial, '');
    const boot = ['--kernel', kernel, '--initrd', initrd, '--append', 'console=ttyS0 quiet panic=-1', '--no-reboot'];
    const machine = ['--cpu', cpu, '--accel', accel, '--memory', MEMORY, '--serial', 'stdio', '--serial', `file:${serial}`];
    const text = await runAnillo([...boot, ...machine], timeoutMs);
    return { output: readFileSync(serial, 'latin1'), console: text };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
