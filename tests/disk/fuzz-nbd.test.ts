import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzNbd } from './fuzz-nbd.ts';

test('NBD: hostile peers do no harm', async () => {
  const { failures, connected, cases } = await fuzzNbd(400, 5);
  assert.deepEqual(failures, []);
  assert.ok(connected > cases / 10, `${connected} of ${cases} got so far as to have a disk`);
});
