import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ModuleCensus } from './module-census.ts';

test('counts what is still there', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const census = new ModuleCensus();
  const kept = {};
  census.add(kept, 8);
  for (let i = 0; i < 20; i++) census.add({}, 8);
  assert.equal(census.alive, 21);
  for (let i = 0; i < 50 && census.alive > 1; i++) {
    collect();
    await sleep(10);
  }
  assert.equal(census.alive, 1);
  assert.equal(census.wasmBytes, 21 * 8);
  assert.ok(kept);
});
