import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceRig } from '../testing/device-rig.ts';
import { Port92 } from './port92.ts';

test('A20 reads back, bit 0 resets when it rises', () => {
  const rig = new DeviceRig();
  const a20: boolean[] = [];
  const device = rig.plug(new Port92({ control: rig.control, onA20: (on) => a20.push(on) }));
  assert.equal(rig.in8(0x92), 2);
  rig.out8(0x92, 0);
  assert.equal(rig.in8(0x92), 0);
  const state = device.save();
  rig.out8(0x92, 3);
  rig.out8(0x92, 3);
  assert.deepEqual(a20, [false, true]);
  assert.deepEqual(rig.control.log, ['reset']);
  device.restore(state);
  assert.equal(rig.in8(0x92), 0);
  device.reset();
  assert.equal(rig.in8(0x92), 2);
});
