import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PciRig } from '../testing/pci-rig.ts';
import { ConfigMechanism } from './config-mechanism.ts';
import { I440fx } from './i440fx.ts';
import { PciFunction } from './pci-function.ts';

class Rig extends PciRig {
  readonly mechanism = this.plug(new ConfigMechanism(this.bus));
  readonly bridge = new I440fx(this.bus);

  at(bus: number, device: number, fn: number, register: number): void {
    this.io.write(0xcf8, 4, 0x80000000 + (bus << 16) + (device << 11) + (fn << 8) + register);
  }
}

test('mechanism #1 is found: the address register reads back as a dword only, and is kept by a snapshot', () => {
  const rig = new Rig();
  rig.io.write(0xcf8, 4, 0xffffffff);
  assert.equal(rig.io.read(0xcf8, 4), 0x80ffffff);
  rig.io.write(0xcf8, 1, 0);
  assert.equal(rig.io.read(0xcf8, 4), 0x80ffffff);
  assert.equal(rig.io.read(0xcf8, 1), 0xff);
  const state = rig.mechanism.save();
  rig.mechanism.reset();
  assert.equal(rig.io.read(0xcf8, 4), 0);
  rig.mechanism.restore(state);
  assert.equal(rig.io.read(0xcf8, 4), 0x80ffffff);
});

test('the host bridge is at 0:0.0, everything else is empty', () => {
  const rig = new Rig();
  rig.at(0, 0, 0, 0);
  assert.equal(rig.io.read(0xcfc, 4), 0x12378086);
  assert.equal(rig.io.read(0xcfe, 2), 0x1237);
  rig.at(0, 0, 0, 2);
  assert.equal(rig.io.read(0xcfc, 2), 0x1237, 'low bits of the address count');
  rig.at(0, 0, 0, 8);
  assert.equal(rig.io.read(0xcfc, 4), 0x06000002);
  for (const [bus, device, fn] of [
    [0, 0, 1],
    [0, 1, 0],
    [1, 0, 0],
  ]) {
    rig.at(bus, device, fn, 0);
    assert.equal(rig.io.read(0xcfc, 4), 0xffffffff);
  }
  rig.io.write(0xcf8, 4, 0);
  assert.equal(rig.io.read(0xcfc, 4), 0xffffffff, 'not enabled');
});

test('PAM registers hold what firmware writes, identity does not; a snapshot keeps them', () => {
  const rig = new Rig();
  rig.at(0, 0, 0, 0x58);
  rig.io.write(0xcfd, 1, 0xff);
  rig.io.write(0xcfe, 2, 0x3333);
  assert.equal(rig.io.read(0xcfc, 4), 0x3333f000);
  const state = rig.bridge.save();
  rig.bridge.reset();
  assert.equal(rig.io.read(0xcfc, 4), 0);
  rig.bridge.restore(state);
  assert.equal(rig.io.read(0xcfc, 4), 0x3333f000);
  rig.at(0, 0, 0, 0);
  rig.io.write(0xcfc, 4, 0);
  assert.equal(rig.io.read(0xcfc, 4), 0x12378086);
});

test('functions can be attached', () => {
  const rig = new Rig();
  rig.bus.attach(new PciFunction({ identity: { vendor: 0x1af4, device: 0x1042, revision: 1, classCode: 0x010000 } }), (3 << 3) | 1);
  rig.at(0, 3, 1, 0);
  assert.equal(rig.io.read(0xcfc, 4), 0x10421af4);
});
