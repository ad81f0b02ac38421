// node tests/guests/equal-results.ts [--cpu MODEL] [--accel NAME] [--operations N] [--seed N] [--kernel FILE] [--minutes N]
// The same programs of Debian with the same input on the host's CPU and in a guest of Anillo must print the same bytes: BusyBox's applets, OpenSSL's
// digests and ciphers by every code path that CPUID can choose, and random floating-point operations in Python. --cpu may be given several times.
// Status 0: all equal, 1: a difference, 2: cannot run.

import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fetchGuest } from '@anillo/cli/default-guest/fetch-guest';
import { DEFAULT_CPU_MODEL, parseCpuModel } from '@anillo/isa-x86/cpu-model';
import { hostFeatures } from '../differential/host-features.ts';
import { commonTunables } from './equal-results/code-choice.ts';
import { compareOutputs } from './equal-results/compare-outputs.ts';
import { guestInitrd } from './equal-results/guest-initrd.ts';
import { packageTree } from './equal-results/package-tree.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const SCRIPT_FOLDER = join(import.meta.dirname, 'equal-results');
const SCRIPTS = ['workload.sh', 'make-data.py', 'floating-point.py'];
const SHOWN_CHARS = 200;

const { values } = parseArgs({
  options: {
    cpu: { type: 'string', multiple: true, default: [DEFAULT_CPU_MODEL] },
    accel: { type: 'string', default: 'jit' },
    operations: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    kernel: { type: 'string' },
    minutes: { type: 'string', default: '20' },
    keep: { type: 'string' },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function onHost(tree: string, work: string, tunables: string): string {
  const scratch = join(work, 'host');
  mkdirSync(scratch);
  const { stdout, error } = spawnSync(join(tree, 'bin/busybox'), ['sh', join(SCRIPT_FOLDER, 'workload.sh')], {
    env: {
      PATH: '/nowhere',
      ROOT: tree,
      WORK: scratch,
      SCRIPTS: SCRIPT_FOLDER,
      SEED: values.seed,
      OPERATIONS: values.operations,
      GLIBC_TUNABLES: tunables,
    },
    maxBuffer: 1 << 28,
    encoding: 'latin1',
  });
  if (error !== undefined) throw error;
  rmSync(scratch, { recursive: true });
  return stdout;
}

/** What the guest wrote to its second serial port, and the console's text for a guest that failed. */
async function inGuest(cpu: string, kernel: string, tree: string, work: string, tunables: string): Promise<{ output: string; console: string }> {
  const scripts = Object.fromEntries(SCRIPTS.map((name) => [name, readFileSync(join(SCRIPT_FOLDER, name), 'utf8')]));
  const settings = { ROOT: '', WORK: '/tmp', SCRIPTS: '/workload', SEED: values.seed, OPERATIONS: values.operations, GLIBC_TUNABLES: tunables };
  const environment = Object.entries(settings)
    .map(([name, value]) => `export ${name}='${value}'`)
    .join('\n');
  const initrd = join(work, 'initrd.cpio');
  const output = join(work, 'guest-output');
  writeFileSync(initrd, guestInitrd(tree, scripts, environment));
  const options = ['--kernel', kernel, '--initrd', initrd, '--append', 'console=ttyS0 quiet panic=-1', '--cpu', cpu, '--accel', values.accel];
  const child = spawn(
    process.execPath,
    [join(ROOT, 'apps/cli/src/main.ts'), 'run', ...options, '--memory', '1G', '--no-reboot', '--serial', 'stdio', '--serial', `file:${output}`],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const deadline = setTimeout(() => child.kill(), Number(values.minutes) * 60_000);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('latin1').on('data', (more: string) => {
      text += more;
    });
  }
  const status = await new Promise((done) => child.on('close', done));
  clearTimeout(deadline);
  return { output: readFileSync(output, 'latin1'), console: `${text}\nexit status ${status}` };
}

/** True when everything was equal. */
async function compareOnce(cpu: string, kernel: string, tree: string): Promise<boolean> {
  const work = mkdtempSync(join(tmpdir(), 'anillo-equal-'));
  try {
    const tunables = commonTunables(parseCpuModel(cpu), hostFeatures());
    say(`\n--cpu ${cpu} --accel ${values.accel}, seed ${values.seed}, ${values.operations} floating-point operations, ${tunables}`);
    const host = onHost(tree, work, tunables);
    const started = performance.now();
    const guest = await inGuest(cpu, kernel, tree, work, tunables);
    if (values.keep !== undefined) {
      writeFileSync(join(values.keep, `${cpu}.host`), host, 'latin1');
      writeFileSync(join(values.keep, `${cpu}.guest`), guest.output, 'latin1');
    }
    const results = compareOutputs(host, guest.output);
    for (const { name, lineCount, differing, first } of results) {
      say(`${differing === 0 ? 'equal ' : 'DIFFER'}  ${name.padEnd(58)} ${String(lineCount).padStart(6)} lines${differing === 0 ? '' : `, ${differing} differ`}`);
      if (first === undefined) continue;
      say(`        line ${first.line}`);
      say(`        host  ${first.host.slice(0, SHOWN_CHARS)}`);
      say(`        guest ${first.guest.slice(0, SHOWN_CHARS)}`);
    }
    const equal = results.filter(({ differing }) => differing === 0).length;
    say(`${equal} of ${results.length} items equal (guest ran ${((performance.now() - started) / 1000).toFixed(1)} s)`);
    if (results.at(-1)?.differing !== 0) say(`The guest's console:\n${guest.console.slice(-3000)}`);
    return equal === results.length;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (process.platform !== 'linux' || process.arch !== 'x64') {
  process.stderr.write('This test runs the same programs on the host: it needs Linux on x86-64.\n');
  process.exitCode = 2;
} else {
  const tree = await packageTree(say);
  const kernel = values.kernel ?? (await fetchGuest({ onProgress: (line, percent) => percent === undefined && say(line) })).kernelPath;
  let allEqual = true;
  for (const cpu of values.cpu) allEqual = (await compareOnce(cpu, kernel, tree)) && allEqual;
  process.exitCode = allEqual ? 0 : 1;
}
