// npm run test:guests -- [--cpu MODEL]... [--accel NAME] [--operations N] [--seed N] [--quick] [--kernel FILE] [--minutes N] [--keep FOLDER]
// The same programs of Debian with the same input on the host's CPU and in a guest of Anillo must print the same bytes: BusyBox's applets, OpenSSL's
// digests and ciphers by every code path that CPUID can choose, and random floating-point operations in Python.
// Status 0: all equal, 1: a difference, 2: cannot run.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fetchGuest } from '@anillo/cli/default-guest/fetch-guest';
import { DEFAULT_CPU_MODEL, parseCpuModel } from '@anillo/isa-x86/cpu-model';
import { hostFeatures } from '../differential/host-features.ts';
import { commonTunables } from './equal-results/code-choice.ts';
import { compareOutputs, type ItemResult } from './equal-results/compare-outputs.ts';
import { guestOutput } from './equal-results/guest-output.ts';
import { hostOutput } from './equal-results/host-output.ts';
import { packageTree, VERSIONS_FILE } from './equal-results/package-tree.ts';

const SHOWN_CHARS = 200;
const NAME_COLUMN = 58;
const CONSOLE_CHARS = 3000;

const { values } = parseArgs({
  options: {
    cpu: { type: 'string', multiple: true, default: [DEFAULT_CPU_MODEL] },
    accel: { type: 'string', default: 'jit' },
    operations: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    quick: { type: 'boolean', default: false },
    kernel: { type: 'string' },
    minutes: { type: 'string', default: '20' },
    /** Folder for both sides' output. */
    keep: { type: 'string' },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function sayItem({ name, lineCount, differing, first }: ItemResult): void {
  const count = `${String(lineCount).padStart(6)} lines${differing === 0 ? '' : `, ${differing} differ`}`;
  say(`${differing === 0 ? 'equal ' : 'DIFFER'}  ${name.padEnd(NAME_COLUMN)} ${count}`);
  if (first === undefined) return;
  say(`        line ${first.line}`);
  say(`        host  ${first.host.slice(0, SHOWN_CHARS)}`);
  say(`        guest ${first.guest.slice(0, SHOWN_CHARS)}`);
}

/** True when everything was equal. */
async function compareOnce(cpu: string, kernel: string, tree: string): Promise<boolean> {
  const { accel, operations, seed, quick } = values;
  const tunables = commonTunables(parseCpuModel(cpu), hostFeatures());
  say(`\n--cpu ${cpu} --accel ${accel}, seed ${seed}, ${operations} floating-point operations, ${tunables}`);
  const workload = { seed, operations, quick, tunables };
  const host = hostOutput(workload, tree);
  const started = performance.now();
  const guest = await guestOutput(workload, tree, { kernel, cpu, accel, timeoutMs: Number(values.minutes) * 60_000 });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (values.keep !== undefined) {
    writeFileSync(join(values.keep, `${cpu}-${accel}.host`), host, 'latin1');
    writeFileSync(join(values.keep, `${cpu}-${accel}.guest`), guest.output, 'latin1');
  }
  const results = compareOutputs(host, guest.output);
  for (const item of results) sayItem(item);
  const equal = results.filter(({ differing }) => differing === 0).length;
  say(`${equal} of ${results.length} items equal (guest ran ${seconds} s)`);
  if (results.at(-1)?.differing !== 0) say(`The guest did not come to the end; its console:\n${guest.console.slice(-CONSOLE_CHARS)}`);
  return equal === results.length;
}

async function main(): Promise<number> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error('This test runs the same programs on the host: it needs Linux on x86-64.');
  for (const name of ['seed', 'operations', 'minutes'] as const)
    if (!/^\d{1,9}$/.test(values[name])) throw new Error(`--${name} takes a whole number, not "${values[name]}".`);
  for (const cpu of values.cpu) parseCpuModel(cpu);
  const tree = await packageTree(say);
  say(`Packages: ${readFileSync(join(tree, VERSIONS_FILE), 'latin1').trim().split('\n').join(' ')}`);
  const kernel = values.kernel ?? (await fetchGuest({ onProgress: (line, percent) => percent === undefined && say(line) })).kernelPath;
  let allEqual = true;
  for (const cpu of values.cpu) allEqual = (await compareOnce(cpu, kernel, tree)) && allEqual;
  return allEqual ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 2;
}
