import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzNetwork } from './testing/network-fuzz.ts';

test('hostile frames harm nobody', async () => {
  const { failures } = await fuzzNetwork({ cases: 10_000, seed: 4 });
  assert.deepEqual(failures, []);
});
