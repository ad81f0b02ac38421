import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { test } from 'node:test';
import { randomWords } from './random-words.ts';

test('words are 32 bits, do not repeat from pool to pool, and have every bit in both states', () => {
  const random = randomWords((pool) => void randomFillSync(pool));
  const words = Array.from({ length: 5000 }, random);
  assert.ok(words.every((w) => Number.isInteger(w) && w >= 0 && w <= 0xffff_ffff));
  // Two equal among 5000 are met once in 340 runs; ten never.
  assert.ok(new Set(words).size > words.length - 10);
  assert.equal(
    words.reduce((sum, w) => sum | w, 0),
    -1,
  );
  assert.equal(
    words.reduce((sum, w) => sum & w, -1),
    0,
  );
});
