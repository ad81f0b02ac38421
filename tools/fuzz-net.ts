// node tools/fuzz-net.ts --cases N --seed S
// Hostile frames into the NAT and a switch (packages/net/src/testing/network-fuzz.ts). Status 0: nothing was thrown, and nothing grew beyond its bound; 1: something was; 2: cannot run.

import { parseArgs } from 'node:util';
import { fuzzNetwork } from '../packages/net/src/testing/network-fuzz.ts';

const { values } = parseArgs({ options: { cases: { type: 'string', default: '100000' }, seed: { type: 'string' } } });

function integer(name: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`--${name} ${text}: give a whole number.`);
  return Number(text);
}

async function main(): Promise<number> {
  const seed = values.seed === undefined ? Date.now() % 1_000_000_007 : integer('seed', values.seed);
  const cases = integer('cases', values.cases);
  const before = process.memoryUsage().rss;
  const { failures, slowestMs } = await fuzzNetwork({
    cases,
    seed,
    nowMs: () => performance.now(),
    onProgress: process.stderr.isTTY ? (done) => process.stderr.write(`\r${done} cases `) : undefined,
  });
  for (const failure of failures) console.log(failure);
  const grownMib = (process.memoryUsage().rss - before) / 2 ** 20;
  console.log(
    `${cases} cases, ${failures.length} failures, seed ${seed}, slowest ${slowestMs.toFixed(0)} ms, memory ${grownMib.toFixed(0)} MiB more`,
  );
  return failures.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`fuzz-net: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}
