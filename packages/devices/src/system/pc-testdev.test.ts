import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceRig } from '../testing/device-rig.ts';
import { PcTestdev } from './pc-testdev.ts';

test('ports hold what was written, in every width', () => {
  const rig = new DeviceRig();
  rig.plug(new PcTestdev({ irq: rig.irq }));
  rig.io.write(0xe0, 4, 0x12345678);
  assert.equal(rig.io.read(0xe0, 4), 0x12345678);
  assert.equal(rig.io.read(0xe0, 2), 0x5678);
  rig.io.write(0xe0, 1, 0xff);
  assert.equal(rig.io.read(0xe0, 4), 0x123456ff);
  rig.io.write(0xe4, 4, 0x1000);
});

test('interrupt lines have the level that was written', () => {
  const rig = new DeviceRig();
  const device = rig.plug(new PcTestdev({ irq: rig.irq }));
  rig.out8(0x200e, 1);
  assert.equal(rig.lines[14].level, true);
  rig.out8(0x200e, 0);
  assert.equal(rig.lines[14].level, false);
  rig.out8(0x2017, 1);
  device.reset();
  assert.equal(rig.lines[23].level, false);
});

test('device memory keeps bytes, over a snapshot too', () => {
  const rig = new DeviceRig();
  const device = rig.plug(new PcTestdev({ irq: rig.irq }));
  rig.memory.write(0xff000ffe, 4, 0xaabbccdd);
  assert.equal(rig.memory.read(0xff000fff, 2), 0xbbcc);
  const state = device.save();
  rig.memory.write(0xff00fffc, 4, 1);
  device.restore(state);
  assert.equal(rig.memory.read(0xff00fffc, 4), 0);
  assert.equal(rig.memory.read(0xff000ffe, 4), 0xaabbccdd);
});
