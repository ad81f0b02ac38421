// The instruction vectors of x86-*.txt: well-formed, and right in each tier of the translator.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkVector, parseVector, type Vector } from '../differential/vector-format.ts';

const SHOWN = 20;

function vectorsOf(file: string): Vector[] {
  const lines = readFileSync(join(import.meta.dirname, file), 'utf8').split('\n');
  return lines.filter((line) => line !== '' && !line.startsWith('#')).map(parseVector);
}

const files = globSync('x86-*.txt', { cwd: import.meta.dirname }).sort();

test('there are vectors for the base, SSE2, AVX2 and x87 groups, and all can be read', () => {
  for (const name of ['x86-base.txt', 'x86-sse2.txt', 'x86-avx2.txt', 'x86-x87.txt']) assert.ok(files.includes(name), name);
  for (const file of files) assert.ok(vectorsOf(file).length > 0, file);
});

test('every tier gives what the vectors say', async (t) => {
  const { createAnilloExecutors } = await import('../differential/anillo-executor.ts');
  const executors = createAnilloExecutors({ forceCompile: false });
  assert.ok(executors.length > 0, 'there is no tier to run the vectors in');
  for (const executor of executors) {
    using tier = executor;
    for (const file of files) {
      await t.test(`${tier.name} ${file}`, () => {
        const vectors = vectorsOf(file);
        const results = tier.run(vectors.map((v) => v.test));
        const wrong = vectors.flatMap((v, i) =>
          checkVector(v, results[i]).map(
            (d) =>
              `${v.test.mode} ${Buffer.from(v.test.code).toString('hex')} ${v.text}: ${d.field} expected ${d.expected}, got ${d.actual}`,
          ),
        );
        assert.deepEqual(wrong.slice(0, SHOWN), []);
      });
    }
  }
});
