import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzLinux } from './fuzz-linux.ts';

test('damaged disks to boot from do no harm', async () => {
  const { failures, opened } = await fuzzLinux(400, 3);
  assert.deepEqual(failures, []);
  assert.ok(opened > 50, 'some can still be booted');
});
