import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BufferedBackend, DeviceRig } from '../testing/device-rig.ts';
import { DebugConsole } from './debug-console.ts';

test('both ports write and say that they are there', () => {
  const rig = new DeviceRig();
  const backend = new BufferedBackend();
  rig.plug(new DebugConsole({ backend }));
  rig.out8(0xe9, 0x68);
  rig.out8(0x402, 0x69);
  assert.equal(backend.text, 'hi');
  assert.deepEqual([rig.in8(0xe9), rig.in8(0x402)], [0xe9, 0xe9]);
});

test('what the host cannot take waits, also over a snapshot', () => {
  const rig = new DeviceRig();
  const backend = new BufferedBackend();
  const device = rig.plug(new DebugConsole({ backend }));
  backend.room = 1;
  for (const byte of [1, 2, 3]) rig.out8(0xe9, byte);
  assert.deepEqual(backend.sent, [1]);
  const state = device.save();
  backend.room = 10;
  backend.onDrain?.();
  assert.deepEqual(backend.sent, [1, 2, 3]);
  device.restore(state);
  assert.deepEqual(backend.sent, [1, 2, 3, 2, 3]);
});

test('a guest that writes without end loses bytes, nothing else', () => {
  const rig = new DeviceRig();
  const backend = new BufferedBackend();
  rig.plug(new DebugConsole({ backend }));
  backend.room = 0;
  for (let i = 0; i < 10000; i++) rig.out8(0xe9, 1);
  backend.room = Infinity;
  backend.onDrain?.();
  assert.equal(backend.sent.length, 4096);
});
