import assert from 'node:assert/strict';
import { test } from 'node:test';
import { struct } from '@anillo/base/struct';
import { DeviceState } from './device-state.ts';

const LAYOUT = struct({ a: 'u8', b: ['u32', 2], c: 'f64' });

test('a snapshot is a copy; shared memory works; another size is refused', () => {
  const state = new DeviceState(LAYOUT, new SharedArrayBuffer(LAYOUT.bytes));
  state.view.a = 1;
  state.view.b[1] = 2;
  const saved = state.save();
  state.clear();
  assert.equal(state.view.b[1], 0);
  state.restore(saved);
  assert.deepEqual([state.view.a, state.view.b[1]], [1, 2]);
  assert.throws(() => state.restore(saved.subarray(1)), /restore it with the version that saved it/);
});
