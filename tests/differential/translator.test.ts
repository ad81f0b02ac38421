// A slice of `tools/fuzz-cpu.ts`: the translator's tiers against the host CPU.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Generator } from './generator.ts';
import { createHostExecutor } from './host-executor.ts';
import { hostFeatures } from './host-features.ts';
import { runDifferential } from './run-differential.ts';

const SEED = 1;
const CASES = { 64: 3000, 32: 1000 } as const;
const SHOWN = 5;

const host = await createHostExecutor();
const skip = typeof host === 'string' ? host : false;
after(() => {
  if (typeof host !== 'string') host[Symbol.dispose]();
});

for (const mode of [64, 32] as const) {
  test(`the translator's tiers agree with the host CPU on ${CASES[mode]} ${mode}-bit cases`, { skip }, async () => {
    assert.ok(typeof host !== 'string');
    const { createAnilloExecutors } = await import('./anillo-executor.ts');
    const tested = createAnilloExecutors({ forceCompile: false });
    const found: string[] = [];
    try {
      const generator = new Generator({ mode, features: hostFeatures() });
      const outcome = runDifferential({
        generator,
        host,
        tested,
        seed: SEED,
        first: 0,
        count: CASES[mode],
        limit: SHOWN,
        onMismatch: (m) => found.push(m),
      });
      assert.deepEqual(found, []);
      assert.equal(outcome.cases, CASES[mode]);
    } finally {
      for (const executor of tested) executor[Symbol.dispose]();
    }
  });
}
