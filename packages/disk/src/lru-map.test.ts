import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LruMap } from './lru-map.ts';
import { Random } from './testing/random.ts';

test('the oldest goes, and who is asked for is the newest', () => {
  const map = new LruMap<string, number>(3);
  for (const [index, key] of ['a', 'b', 'c'].entries()) map.set(key, index);
  assert.equal(map.get('a'), 0);
  assert.equal(map.peek('b'), 1);
  map.set('d', 3);
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((key) => map.peek(key)),
    [0, undefined, 2, 3],
  );
  map.set('c', 9);
  map.set('e', 4);
  assert.deepEqual(
    ['a', 'c', 'd', 'e'].map((key) => map.peek(key)),
    [undefined, 9, 3, 4],
  );
  map.delete('d');
  map.delete('d');
  assert.equal(map.size, 2);
  map.clear();
  assert.deepEqual([map.size, map.get('c')], [0, undefined]);
  map.set('f', 5);
  assert.equal(map.get('f'), 5);
});

test('it keeps what a list in the order of use keeps', () => {
  const random = new Random(7);
  const map = new LruMap<number, number>(16);
  /** The newest last. */
  let order: (readonly [number, number])[] = [];
  for (let step = 0; step < 20_000; step++) {
    const key = random.below(40);
    const known = order.find(([one]) => one === key);
    const rest = order.filter(([one]) => one !== key);
    const kind = random.below(10);
    if (kind < 6) {
      assert.equal(map.get(key), known?.[1]);
      if (known !== undefined) order = [...rest, known];
    } else if (kind < 9) {
      map.set(key, step);
      order = [...rest, [key, step] as const].slice(-16);
    } else {
      map.delete(key);
      order = rest;
    }
    assert.equal(map.size, order.length);
  }
});
