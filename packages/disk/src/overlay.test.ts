import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from './memory-store.ts';
import { openOverlay } from './overlay.ts';
import { RAW } from './raw.ts';

test('what is written over a disk stays above it', async () => {
  const host = { codecs: {}, openStore: async () => new MemoryStore() };
  const image = new Uint8Array(1 << 20).fill(1);
  const below = new MemoryStore('below', image);
  const above = new MemoryStore('above');
  const disk = await openOverlay(await RAW.open(below, { isReadOnly: true }, host), above, {});
  await Promise.all([
    disk.write(512, [new Uint8Array(512).fill(2)]),
    disk.write(4096, [new Uint8Array(512).fill(3)]),
    disk.writeZeroes(1 << 19, 65536, true),
  ]);
  const read = new Uint8Array(1 << 20);
  await disk.read(0, [read]);
  assert.deepEqual([read[0], read[512], read[1024], read[4096], read[4608], read[1 << 19], read[(1 << 19) + 65536]], [1, 2, 1, 3, 1, 0, 1]);
  const kept = new Uint8Array(1 << 20);
  await below.read(0, [kept]);
  assert.deepEqual(kept, image);
  // A sector costs a subcluster.
  assert.ok(above.keptByteCount < 1 << 20);
  await disk.close();
});
