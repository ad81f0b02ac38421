// The host fails at random requests, a write perhaps half done. What failed is asked for again, as a device does when its machine goes on: then every byte is as if nothing
// had happened, and the image is sound all the while.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { MemoryStore } from '../memory-store.ts';
import { badSector, FailingStore, fullDisk } from '../testing/failing-store.ts';
import { Random } from '../testing/random.ts';
import { checkImage } from './check.ts';
import { readHeader } from './header.ts';
import { openQcow2, QCOW2 } from './qcow2.ts';

const SECTORS = 6144;
const host = {
  codecs: { deflate: { compress: async (bytes: Uint8Array) => bytes.subarray(0, 100), decompress: async (bytes: Uint8Array) => bytes } },
  openStore: async () => {
    throw new Error('no other file');
  },
};

/** Until the host does it. */
async function insist<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++)
    try {
      return await work();
    } catch (error) {
      assert.ok(tries < 1000, `it fails for ever: ${error}`);
      assert.ok(error instanceof AnilloError && error.code === 'FILE', String(error));
    }
}

async function story(seed: number): Promise<number> {
  const random = new Random(seed);
  const below = new MemoryStore('image');
  const options = random.pick<Record<string, string>>([
    { cluster_size: '512' },
    // Its refcount table has to move.
    { cluster_size: '512', refcount_bits: '64' },
    { cluster_size: '512', compat: '0.10' },
    { cluster_size: '1024', lazy_refcounts: 'on' },
    { cluster_size: '4096', refcount_bits: '64' },
    { cluster_size: '16384', extended_l2: 'on' },
  ]);
  await QCOW2.create!(below, SECTORS * 512, options, host);
  const store = new FailingStore(below);
  const disk = await openQcow2(store, { isReadOnly: false }, host);
  const model = new Uint8Array(SECTORS * 512);
  const rate = random.pick([0.01, 0.03, 0.1]);
  let failures = 0;
  store.fails = (kind) => {
    if (random.next() >= rate) return undefined;
    failures++;
    return kind === 'read' ? badSector() : fullDisk();
  };
  store.doneShare = () => random.next();
  const change = async (start: number, sectors: number): Promise<void> => {
    const first = start + random.below(sectors);
    const count = 1 + random.below(Math.min(start + sectors - first, 128));
    const place = [first * 512, count * 512] as const;
    const kind = random.below(10);
    if (kind < 7) {
      const bytes = random.bytes(place[1]);
      model.set(bytes, place[0]);
      await insist(() => disk.write(place[0], [bytes]));
    } else if (kind < 9) {
      model.fill(0, place[0], place[0] + place[1]);
      await insist(() => disk.writeZeroes(...place, kind === 7));
    } else {
      await insist(() => disk.discard(...place));
      // A discard leaves what it does not reach.
      const seen = new Uint8Array(place[1]);
      await insist(() => disk.read(place[0], [seen]));
      for (let at = 0; at < place[1]; at += 512)
        if (seen.subarray(at, at + 512).every((byte) => byte === 0)) model.fill(0, place[0] + at, place[0] + at + 512);
    }
  };
  for (let step = 0; step < 40; step++) {
    const quarter = SECTORS / 4;
    await Promise.all([0, 1, 2, 3].map((part) => change(part * quarter, quarter)));
    if (random.below(4) === 0) await insist(() => disk.flush());
  }
  await insist(() => disk.flush());
  store.fails = () => undefined;
  const seen = new Uint8Array(model.length);
  await disk.read(0, [seen]);
  assert.equal(Buffer.compare(seen, model), 0, `seed ${seed}: what is read`);
  await disk.close();
  const lines: string[] = [];
  const result = await checkImage(below, await readHeader(below), 'none', (line) => lines.push(line));
  assert.equal(result.corruptions, 0, `seed ${seed} ${JSON.stringify(options)}: ${lines.join('\n')}`);
  const again = await openQcow2(below, { isReadOnly: false }, host);
  await again.read(0, [seen]);
  assert.equal(Buffer.compare(seen, model), 0, `seed ${seed}: what is read when it is opened again`);
  await again.close();
  return failures;
}

const [first, count] = (process.env.ANILLO_CRASH_SEEDS ?? '22,3').split(',').map(Number);
test('what the host fails at can be asked for again, and does no harm', { timeout: 200_000 }, async () => {
  let failures = 0;
  for (let seed = first; seed < first + count; seed++) failures += await story(seed);
  assert.ok(failures > count);
});
