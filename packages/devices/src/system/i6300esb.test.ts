import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDevice } from '../catalog.ts';
import type { Device } from '../device.ts';
import { PciRig } from '../testing/pci-rig.ts';

const WINDOW = 0x10000000;
const SECOND = 1e9;

class WatchdogRig extends PciRig {
  device!: Device;

  static make(action = 'reset'): WatchdogRig {
    const rig = new WatchdogRig();
    rig.device = createDevice({ model: 'i6300esb', action }, rig.context);
    rig.find();
    return rig;
  }

  find(): void {
    this.enable(this.number, WINDOW);
    this.configure(this.number, 0x60, 3, 2);
  }

  get number(): number {
    return this.bus.numbers[0];
  }

  open(offset: number, value: number): void {
    this.memory.write(WINDOW + 12, 2, 0x80);
    this.memory.write(WINDOW + 12, 2, 0x86);
    this.memory.write(WINDOW + offset, offset === 12 ? 2 : 4, value);
  }

  /** Both stages together take so many seconds, roughly. */
  setSeconds(seconds: number): void {
    this.open(0, seconds << 9);
    this.open(4, seconds << 9);
    this.open(12, 0x100);
  }

  lock(value: number): void {
    this.configure(this.number, 0x68, value, 1);
  }
}

test('a guest that does not feed it is reset, and learns of it afterwards', () => {
  const rig = WatchdogRig.make();
  rig.setSeconds(10);
  rig.advance(60 * SECOND);
  assert.deepEqual(rig.control.log, []);
  rig.lock(2);
  for (let i = 0; i < 5; i++) {
    rig.advance(8 * SECOND);
    rig.open(12, 0x100);
  }
  assert.deepEqual(rig.control.log, []);
  rig.advance(9.9 * SECOND);
  assert.deepEqual(rig.control.log, []);
  rig.advance(1 * SECOND);
  assert.deepEqual(rig.control.log, ['reset']);
  rig.device.reset();
  rig.find();
  assert.equal(rig.memory.read(WINDOW + 12, 2), 0x200);
  rig.open(12, 0x200);
  assert.equal(rig.memory.read(WINDOW + 12, 2), 0);
  rig.advance(60 * SECOND);
  assert.deepEqual(rig.control.log, ['reset']);
});

test('registers stay as they are without the unlocking sequence, and a lock cannot be undone', () => {
  const rig = WatchdogRig.make('poweroff');
  rig.setSeconds(10);
  rig.memory.write(WINDOW, 4, 1);
  rig.memory.write(WINDOW + 12, 2, 0x86);
  rig.memory.write(WINDOW, 4, 1);
  rig.lock(3);
  rig.lock(0);
  assert.equal(rig.config(rig.number, 0x68, 1), 3);
  rig.advance(9 * SECOND);
  assert.deepEqual(rig.control.log, []);
  const saved = rig.device.save();
  rig.device.restore(saved);
  rig.advance(2 * SECOND);
  assert.deepEqual(rig.control.log, ['off 1']);
  rig.device.reset();
  rig.find();
  rig.lock(2);
  rig.lock(0);
  assert.equal(rig.config(rig.number, 0x68, 1), 0, 'the reset has taken the lock away');
});

test('the first stage interrupts if it is to, and a stopped watchdog does nothing', () => {
  const rig = WatchdogRig.make();
  rig.configure(rig.number, 0x60, 0, 2);
  rig.setSeconds(4);
  rig.lock(2);
  rig.advance(3 * SECOND);
  assert.notEqual(rig.pirqs, 0);
  rig.memory.write(WINDOW + 8, 4, 1);
  assert.equal(rig.pirqs, 0);
  rig.lock(0);
  rig.advance(60 * SECOND);
  assert.deepEqual(rig.control.log, []);
});
