// Damaged images are looked at, mended and used: nothing but AnilloError may come of it, and what has been mended is sound.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { MemoryStore } from '../memory-store.ts';
import { Random } from '../testing/random.ts';
import { checkImage } from './check.ts';
import { readHeader } from './header.ts';
import { openQcow2, QCOW2 } from './qcow2.ts';

const host = {
  codecs: {},
  openStore: async () => {
    throw new AnilloError('FILE', 'There is no other file.');
  },
};

async function goodImage(options: Record<string, string>): Promise<Uint8Array> {
  const store = new MemoryStore('good');
  await QCOW2.create!(store, 1 << 20, options, host);
  const disk = await openQcow2(store, { isReadOnly: false }, host);
  await disk.write(0, [new Uint8Array(40_960).fill(1)]);
  await disk.createSnapshot('s', new Date(0));
  await disk.write(8192, [new Uint8Array(8192).fill(2)]);
  await disk.close();
  const bytes = new Uint8Array(await store.size());
  await store.read(0, [bytes]);
  return bytes;
}

async function useDamaged(bytes: Uint8Array): Promise<void> {
  const store = new MemoryStore('damaged', bytes);
  const result = await checkImage(store, await readHeader(store), 'all');
  if (result.corruptions === 0) {
    const again = await checkImage(store, await readHeader(store), 'none');
    assert.deepEqual([again.corruptions, again.leaks], [0, 0], 'what was mended is sound');
  }
  const disk = await openQcow2(store, { isReadOnly: false }, host);
  try {
    const size = Math.min(disk.byteCount, 1 << 20);
    await disk.read(0, [new Uint8Array(size)]);
    await disk.write(0, [new Uint8Array(Math.min(65536, size)).fill(9)]);
    await disk.deleteSnapshot('s');
    await disk.flush();
  } finally {
    await disk.close();
  }
}

test('damaged tables are told or mended', { timeout: 120_000 }, async () => {
  const options: Record<string, string>[] = [
    { cluster_size: '4096' },
    { cluster_size: '512' },
    { cluster_size: '16384', extended_l2: 'on' },
  ];
  const images = await Promise.all(options.map(goodImage));
  let mended = 0;
  for (let seed = 0; seed < 120; seed++) {
    const random = new Random(seed);
    const bytes = random.pick(images).slice();
    for (let count = 1 + random.below(6); count > 0; count--) {
      const at = random.below(random.pick([112, bytes.length]));
      bytes[at] = random.pick([0, 1, 0xff, random.below(256)]);
    }
    try {
      await useDamaged(bytes);
      mended++;
    } catch (error) {
      assert.ok(error instanceof AnilloError, `seed ${seed}: ${error instanceof Error ? error.stack : error}`);
    }
  }
  assert.ok(mended > 20);
});
