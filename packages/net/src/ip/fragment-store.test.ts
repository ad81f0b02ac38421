import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FragmentStore } from './fragment-store.ts';

const piece = (offset: number, byteCount: number, isLast = false) => ({
  offset,
  bytes: new Uint8Array(byteCount).fill(offset >> 3),
  isLast,
});

test('fragments in any order, repeated, become a packet', () => {
  const store = new FragmentStore();
  assert.equal(store.add('a', piece(16, 5, true), 0), undefined);
  assert.equal(store.add('a', piece(0, 8), 0), undefined);
  assert.equal(store.add('a', piece(0, 8), 0), undefined);
  assert.equal(store.add('b', piece(8, 8), 0), undefined);
  assert.deepEqual(store.add('a', piece(8, 8), 0), Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2));
});

test('what overlaps, reaches too far or comes behind the end spoils a packet', () => {
  for (const pieces of [
    [piece(0, 16), piece(8, 16)],
    [piece(0xfff8, 16)],
    [piece(8, 8, true), piece(16, 8)],
    [piece(16, 8), piece(8, 4, true)],
    [piece(0, 7)],
    [piece(0, 0)],
  ]) {
    const store = new FragmentStore();
    for (const each of pieces) assert.equal(store.add('a', each, 0), undefined);
    for (const each of [piece(0, 8), piece(8, 8), piece(16, 8, true)]) assert.equal(store.add('a', each, 0), undefined);
  }
});

test('it is bounded in packets and in time', () => {
  const store = new FragmentStore();
  for (let i = 0; i < 100; i++) store.add(`${i}`, piece(0, 8), i);
  assert.equal(store.size, 16);
  store.add('late', piece(0, 8), 40_000);
  assert.equal(store.size, 1);
});
