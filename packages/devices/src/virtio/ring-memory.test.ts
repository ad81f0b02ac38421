import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { RegionMemory } from '@anillo/memory/region-memory';
import { RingMemory } from './ring-memory.ts';

test('rings lie anywhere in a memory of more than 2 GiB', () => {
  const byteCount = 3584 * 2 ** 20;
  const memory = new RegionMemory(new SharedArrayBuffer(byteCount), [{ start: gpa(0), byteCount, offset: 0, kind: 'ram' }]);
  const rings = new RingMemory(
    memory,
    (address, count, isWrite) => memory.offsetOf(address, count, isWrite),
    () => false,
  );
  for (const address of [2 ** 31 - 2, 2 ** 31, byteCount - 2]) {
    assert.equal(rings.store16(address, 0xabcd), true);
    assert.equal(rings.load16(address), 0xabcd);
  }
});
