// node tools/kill-test.ts [--count N] [--writers N] [--seed S]
// `kill -9` at random moments of a write load: --count machines whose guest writes to five disks (tests/disk/kill/kill-guest.ts), and --writers processes that write to an
// image without a guest (kill-writers.ts). Status 0: nothing lost, 1: something is wrong, 2: it cannot be run.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type GuestKillResult, killGuests } from '../tests/disk/kill/kill-guest.ts';
import { type KillResult, killWriters } from '../tests/disk/kill/kill-writers.ts';
import { seededRandom } from '../tests/disk/random.ts';

const { values } = parseArgs({
  options: { count: { type: 'string', default: '20' }, writers: { type: 'string', default: '20' }, seed: { type: 'string', default: '1' } },
});
const random = seededRandom(Number(values.seed));
const [guests, writers] = [Number(values.count), Number(values.writers)];
const folder = mkdtempSync(join(tmpdir(), 'anillo-kill-'));

function tell(what: string, { wrong, ...figures }: KillResult | GuestKillResult): boolean {
  const told = Object.entries(figures).map(([name, figure]) => `${figure} ${name}`);
  console.log(`\n${what}: ${told.join(', ')}, ${wrong.length === 0 ? 'nothing lost' : 'WRONG'}.`);
  for (const line of wrong.slice(0, 20)) console.log(`  ${line}`);
  return wrong.length === 0;
}

const progress = (line: string): void => void process.stderr.write(`\r${line} `);

async function main(): Promise<boolean> {
  let isGood = true;
  for (const [format, options] of [
    ['raw', {}],
    ['qcow2', { cluster_size: '4096' }],
    ['qcow2', { lazy_refcounts: 'on' }],
    ['qcow2', { extended_l2: 'on', cluster_size: '16384' }],
  ] as const) {
    if (writers === 0 || !isGood) break;
    const path = join(folder, 'image');
    const onKill = (done: number): void => progress(`${done} kills`);
    isGood = tell(
      `${format} ${JSON.stringify(options)}`,
      await killWriters({ path, format, options, random, onKill, count: Math.ceil(writers / 4) }),
    );
    rmSync(path);
  }
  if (guests > 0 && isGood) isGood = tell('guests', await killGuests({ ...{ folder, random }, count: guests, say: progress }));
  return isGood;
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  console.error(`kill-test: ${(error as Error).message}`);
  process.exitCode = 2;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
