// node tools/fuzz-nbd.ts [--cases N] [--seed S]
// Hostile clients and servers of NBD (tests/disk/fuzz-nbd.ts). Status 0: nothing found, 1: failures.

import { parseArgs } from 'node:util';
import { fuzzNbd } from '../tests/disk/fuzz-nbd.ts';

const { values } = parseArgs({ options: { cases: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } } });
const { cases, connected, failures, slowestMs } = await fuzzNbd(Number(values.cases), Number(values.seed), (done) =>
  process.stderr.write(`\r${done}`),
);
for (const { seed, error } of failures.slice(0, 20)) console.error(`\ncase ${seed}:`, error);
const memory = Math.round(process.memoryUsage().rss / 1048576);
console.log(
  `\nNBD: ${cases} connections, ${connected} of them with a disk, ${failures.length} failures; slowest ${Math.round(slowestMs)} ms, ${memory} MiB.`,
);
process.exitCode = failures.length > 0 ? 1 : 0;
