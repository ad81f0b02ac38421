// Rubbish for virtio devices, for as long as is wanted: npm run fuzz:virtio -- --cases 1000000 --seed 7

import { parseArgs } from 'node:util';
import { fuzzVirtio } from '../packages/devices/src/testing/fuzz-virtio.ts';

const { values } = parseArgs({ options: { cases: { type: 'string', default: '20000' }, seed: { type: 'string', default: '1' } } });
const startMs = performance.now();
let nextMs = startMs;
const { broken, served } = await fuzzVirtio({
  caseCount: Number(values.cases),
  seed: Number(values.seed),
  onProgress: (cases) => {
    if (performance.now() < nextMs) return;
    nextMs = performance.now() + 10_000;
    process.stderr.write(`${cases} cases, ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB\n`);
  },
});
const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
process.stdout.write(
  `fuzz:virtio: ${values.cases} cases in ${seconds} s, seed ${values.seed}: ${broken} devices broken until reset, ${served} served\n`,
);
