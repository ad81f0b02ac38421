// node tools/fuzz-cpu.ts --cases N --seed S [--first CASE] [--only sse2,bmi1] [--force-compile] [--mode 64|32] [--limit N] [--host-only]
// Differential test of the translator against the host CPU (tests/differential). Status 0: no mismatch, 1: mismatches, 2: cannot run.

import { parseArgs } from 'node:util';
import type { Executor } from '../tests/differential/executor.ts';
import { Generator } from '../tests/differential/generator.ts';
import { createHostExecutor } from '../tests/differential/host-executor.ts';
import { hostFeatures } from '../tests/differential/host-features.ts';
import { runDifferential } from '../tests/differential/run-differential.ts';
import type { Mode } from '../tests/differential/test-case.ts';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '10000' },
    seed: { type: 'string' },
    first: { type: 'string', default: '0' },
    only: { type: 'string', default: '' },
    mode: { type: 'string' },
    limit: { type: 'string', default: '20' },
    'force-compile': { type: 'boolean', default: false },
    'host-only': { type: 'boolean', default: false },
  },
});

function integer(name: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`--${name} ${text}: give a whole number.`);
  return Number(text);
}

/** --host-only compares the host with itself and does not load the translator: it tests this harness. */
async function executorsUnderTest(): Promise<Executor[]> {
  if (values['host-only']) {
    const second = await createHostExecutor();
    if (typeof second === 'string') throw new Error(`the second host executor does not start: ${second}.`);
    return [second];
  }
  const { createAnilloExecutors } = await import('../tests/differential/anillo-executor.ts');
  return createAnilloExecutors({ forceCompile: values['force-compile'] });
}

async function main(): Promise<number> {
  const host = await createHostExecutor();
  if (typeof host === 'string') {
    console.error(`fuzz-cpu: ${host}.`);
    return 2;
  }
  using _host = host;
  const seed = values.seed === undefined ? Date.now() % 1_000_000_007 : integer('seed', values.seed);
  const cases = integer('cases', values.cases);
  if (values.mode !== undefined && values.mode !== '32' && values.mode !== '64') throw new Error(`--mode ${values.mode}: give 32 or 64.`);
  const modes: Mode[] = values.mode === '32' ? [32] : values.mode === '64' ? [64] : [64, 32];
  const tested = await executorsUnderTest();
  let mismatches = 0;
  let run = 0;
  try {
    for (const [i, mode] of modes.entries()) {
      const generator = new Generator({ mode, features: hostFeatures(), only: values.only.split(',').filter(Boolean) });
      const outcome = runDifferential({
        generator,
        host,
        tested,
        seed,
        first: integer('first', values.first),
        // Of both modes 64-bit gets three quarters.
        count: modes.length === 1 ? cases : i === 0 ? Math.ceil(cases * 0.75) : Math.floor(cases * 0.25),
        limit: integer('limit', values.limit),
        onMismatch: (text) => console.log(text),
        onProgress: process.stderr.isTTY ? (done) => process.stderr.write(`\r${mode}-bit: ${done} cases `) : undefined,
      });
      run += outcome.cases;
      mismatches += outcome.mismatches;
    }
  } finally {
    for (const executor of tested) executor[Symbol.dispose]();
  }
  console.log(`${run} cases, ${mismatches} mismatches, seed ${seed}, ${tested.map((t) => t.name).join(' and ')} against the host`);
  return mismatches === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`fuzz-cpu: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}
