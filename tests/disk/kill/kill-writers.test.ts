// A slice of `npm run test:kill`.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratchFolder } from '../qemu-image.ts';
import { seededRandom } from '../random.ts';
import { killWriters } from './kill-writers.ts';

for (const [format, options] of [
  ['raw', {}],
  ['qcow2', { cluster_size: '4096' }],
] as const)
  test(`${format}: killed while it is written to`, async () => {
    using folder = scratchFolder();
    const { kills, wrong } = await killWriters({
      ...{ path: join(folder.path, 'image'), format, options, count: 1, random: seededRandom(1) },
    });
    assert.deepEqual(wrong, []);
    assert.equal(kills, 1);
  });

test('who says too early that it has written is found out', async () => {
  using folder = scratchFolder();
  const { wrong } = await killWriters({
    ...{ path: join(folder.path, 'image'), format: 'raw', options: {}, count: 10, random: seededRandom(1), hasteMs: 20 },
  });
  assert.match(wrong[0] ?? 'nothing', /and was flushed with|it holds/);
});
