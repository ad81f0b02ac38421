// node tools/fuzz-disk.ts --format vmdk|vdi|... [--cases N] [--seed S]
// Damaged and hostile disk images (tests/disk/fuzz-image.ts). Status 0: nothing found, 1: failures, 2: cannot run.

import { parseArgs } from 'node:util';
import { FORMATS, formatNamed } from '@anillo/disk/formats';
import { fuzzImages } from '../tests/disk/fuzz-image.ts';
import { FUZZ_CREATIONS } from '../tests/disk/fuzz-creations.ts';

const { values } = parseArgs({
  options: { format: { type: 'string' }, cases: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } },
});

async function main(): Promise<number> {
  const format = formatNamed(values.format ?? '');
  if (format?.create === undefined) {
    console.error(`fuzz-disk: give --format, one of ${FORMATS.map(({ name }) => name).join(', ')}.`);
    return 2;
  }
  const { cases, opened, failures, slowestMs } = await fuzzImages({
    ...{ format, cases: Number(values.cases), seed: Number(values.seed), creations: FUZZ_CREATIONS[format.name] ?? [{}] },
    onProgress: (done) => process.stderr.write(`\r${done}`),
  });
  for (const { seed, error } of failures.slice(0, 20)) console.error(`\ncase ${seed}:`, error);
  const memory = Math.round(process.memoryUsage().rss / 1048576);
  console.log(
    `\n${format.name}: ${cases} images, ${opened} of them opened, ${failures.length} failures; slowest ${Math.round(slowestMs)} ms, ${memory} MiB.`,
  );
  return failures.length > 0 ? 1 : 0;
}

process.exitCode = await main();
