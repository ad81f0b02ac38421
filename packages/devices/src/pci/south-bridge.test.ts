import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceRig } from '../testing/device-rig.ts';
import { HostBridge } from './host-bridge.ts';
import { SouthBridge } from './south-bridge.ts';

class Rig extends DeviceRig {
  readonly ports: (number | undefined)[] = [];
  readonly south = new SouthBridge({ bridge: this.plug(new HostBridge()), onPowerPort: (port) => this.ports.push(port) });

  read(fn: number, register: number): number {
    this.io.write(0xcf8, 4, 0x80000800 + (fn << 8) + register);
    return this.io.read(0xcfc, 4);
  }

  write(fn: number, register: number, value: number): void {
    this.io.write(0xcf8, 4, 0x80000800 + (fn << 8) + register);
    this.io.write(0xcfc, 4, value);
  }
}

test('ISA bridge and power management are functions 0 and 3 of slot 1', () => {
  const rig = new Rig();
  assert.deepEqual([rig.read(0, 0), rig.read(0, 8) >>> 8], [0x70008086, 0x060100]);
  assert.equal((rig.read(0, 0x0c) >>> 16) & 0x80, 0x80, 'says that there are more functions');
  assert.deepEqual([rig.read(3, 0), rig.read(3, 8) >>> 8], [0x71138086, 0x068000]);
  assert.equal(rig.read(1, 0), 0xffffffff);
});

test('the power management block is where firmware puts it, and nowhere after a reset; a snapshot keeps its place', () => {
  const rig = new Rig();
  rig.write(3, 0x40, 0xffffb001);
  assert.equal(rig.read(3, 0x40), 0xb001);
  assert.deepEqual(rig.ports, []);
  rig.write(3, 0x80, 1);
  rig.write(3, 0x40, 0x600);
  const state = rig.south.save();
  rig.south.reset();
  assert.deepEqual([rig.read(3, 0x40), rig.read(3, 0x80)], [1, 0]);
  rig.south.restore(state);
  assert.deepEqual(rig.ports, [0xb000, 0x600, undefined, 0x600]);
});

test('firmware does not wait for a system management interrupt: APMC_EN is set already', () => {
  assert.equal((new Rig().read(3, 0x58) >>> 25) & 1, 1);
});

test('PIRQ routing holds what firmware writes, is lost by a reset and kept by a snapshot', () => {
  const rig = new Rig();
  assert.equal(rig.read(0, 0x60), 0x80808080);
  rig.write(0, 0x60, 0x7b0a0b0a);
  assert.equal(rig.read(0, 0x60), 0x0b0a0b0a);
  const state = rig.south.save();
  rig.south.reset();
  assert.equal(rig.read(0, 0x60), 0x80808080);
  rig.south.restore(state);
  assert.equal(rig.read(0, 0x60), 0x0b0a0b0a);
});
