// node tools/fuzz-boot.ts [--cases N] [--seed S]
// Damaged and hostile disks to boot from (tests/disk/fuzz-linux.ts). Status 0: nothing found, 1: failures.

import { parseArgs } from 'node:util';
import { fuzzLinux } from '../tests/disk/fuzz-linux.ts';

const { values } = parseArgs({ options: { cases: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } } });
const { cases, opened, failures, slowestMs } = await fuzzLinux(Number(values.cases), Number(values.seed), (done) =>
  process.stderr.write(`\r${done}`),
);
for (const { seed, error } of failures.slice(0, 20)) console.error(`\ncase ${seed}:`, error);
const memory = Math.round(process.memoryUsage().rss / 1048576);
console.log(`\n${cases} disks, ${opened} with a kernel, ${failures.length} failures; slowest ${Math.round(slowestMs)} ms, ${memory} MiB.`);
process.exitCode = failures.length > 0 ? 1 : 0;
