// Rubbish for the 9P server, for as long as is wanted: npm run fuzz:9p -- --cases 1000000 --seed 7

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fuzzNineP } from '../packages/host-node/src/testing/fuzz-9p.ts';

const { values } = parseArgs({ options: { cases: { type: 'string', default: '20000' }, seed: { type: 'string', default: '1' } } });
const place = mkdtempSync(join(tmpdir(), 'anillo-fuzz-9p-'));
const startMs = performance.now();
try {
  const { answered, refused } = await fuzzNineP({ place, caseCount: Number(values.cases), seed: Number(values.seed) });
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  process.stdout.write(
    `fuzz:9p: ${values.cases} cases in ${seconds} s, seed ${values.seed}: ${answered} answered, ${refused} refused, nothing outside changed\n`,
  );
} finally {
  rmSync(place, { recursive: true });
}
