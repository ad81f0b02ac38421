import assert from 'node:assert/strict';
import { test } from 'node:test';
import { geometricMean, median } from './statistics.ts';

test('the median does not care for order or outliers', () => {
  assert.equal(median([10, 2, 900]), 10);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.ok(Number.isNaN(median([])));
});

test('the geometric mean of ratios', () => {
  assert.ok(Math.abs(geometricMean([2, 8]) - 4) < 1e-12);
  assert.ok(Math.abs(geometricMean([3]) - 3) < 1e-12);
});
