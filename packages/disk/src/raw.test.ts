import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from './memory-store.ts';
import { RAW } from './raw.ts';

const host = { codecs: {}, openStore: async () => new MemoryStore() };

test('a raw disk is what its store holds, and its last sector is whole', async () => {
  const store = new MemoryStore('x', new Uint8Array(700).fill(7));
  const disk = await RAW.open(store, { isReadOnly: false }, host);
  assert.equal(disk.byteCount, 1024);
  const [a, b] = [new Uint8Array(512), new Uint8Array(512).fill(1)];
  await disk.read(0, [a, b]);
  assert.deepEqual([a[511], b[187], b[188], b[511]], [7, 7, 0, 0]);
  await assert.rejects(disk.read(512, [a, b]), { code: 'STATE' });
  await disk.resize?.(1 << 20);
  await disk.write(1 << 19, [new Uint8Array(512).fill(3)]);
  const extents = await disk.extents(0, disk.byteCount);
  assert.deepEqual(
    extents.map(({ offset, kind }) => [offset, kind]),
    [
      [0, 'data'],
      [65536, 'zero'],
      [1 << 19, 'data'],
      [(1 << 19) + 65536, 'zero'],
    ],
  );
});
