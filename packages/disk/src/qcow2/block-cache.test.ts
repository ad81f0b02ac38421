import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../memory-store.ts';
import { Random } from '../testing/random.ts';
import { type Block, BlockCache } from './block-cache.ts';

const BLOCK = 512;

function filledStore(blocks: number): MemoryStore {
  const bytes = new Uint8Array(blocks * BLOCK);
  for (let block = 0; block < blocks; block++) new DataView(bytes.buffer).setUint32(block * BLOCK, block);
  return new MemoryStore('tables', bytes);
}

test('what is used again and again stays, what is read once goes', async () => {
  const cache = new BlockCache(filledStore(2000), BLOCK, 64);
  for (let block = 10; block < 800; block++) {
    for (let hot = 0; hot < 10; hot++) await cache.load(hot * BLOCK);
    assert.equal((await cache.load(block * BLOCK)).view.getUint32(0), block);
  }
  for (let hot = 0; hot < 10; hot++) assert.notEqual(cache.peek(hot * BLOCK), undefined);
  let kept = 0;
  for (let block = 0; block < 2000; block++) if (cache.peek(block * BLOCK) !== undefined) kept++;
  assert.ok(kept <= 64 + 1, `${kept} are kept`);
});

test('what has changed or is pinned stays until it has been written, whatever else comes', async () => {
  const store = filledStore(4000);
  const cache = new BlockCache(store, BLOCK, 64);
  const random = new Random(3);
  const pinned = await cache.load(7 * BLOCK);
  pinned.pins++;
  const changed = new Map<number, number>();
  for (let step = 0; step < 4000; step++) {
    const place = random.below(4000);
    const block: Block = await cache.load(place * BLOCK);
    assert.equal(block.view.getUint32(0), changed.get(place) ?? place);
    const kind = random.below(40);
    if (kind === 0) cache.forget(place * BLOCK, place === 7 || changed.has(place) ? 0 : BLOCK);
    else if (kind < 4 && place !== 7) {
      block.view.setUint32(0, 1_000_000 + step);
      changed.set(place, 1_000_000 + step);
      cache.markDirty(block);
    }
    if (!cache.hasManyDirty) continue;
    const copies = cache.takeDirty();
    if (random.below(3) === 0) {
      cache.failed(copies);
      assert.equal(cache.dirtyCount, copies.length);
    } else {
      await cache.write(copies);
      cache.written(copies);
    }
  }
  assert.equal(cache.peek(7 * BLOCK), pinned);
});
