import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceRig } from '../testing/device-rig.ts';
import { PvPanic } from './pvpanic.ts';

test('tells its events; only bit 0 is a panic', () => {
  const rig = new DeviceRig();
  rig.plug(new PvPanic({ control: rig.control }));
  assert.equal(rig.in8(0x505), 3);
  rig.out8(0x505, 2);
  assert.deepEqual(rig.control.log, []);
  rig.out8(0x505, 1);
  assert.deepEqual(rig.control.log, ['panicked']);
});
