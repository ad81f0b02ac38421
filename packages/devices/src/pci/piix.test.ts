import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PciRig } from '../testing/pci-rig.ts';
import { ConfigMechanism } from './config-mechanism.ts';
import { PciFunction } from './pci-function.ts';
import { Piix } from './piix.ts';

class Rig extends PciRig {
  readonly ports: (number | undefined)[] = [];
  readonly mechanism = this.plug(new ConfigMechanism(this.bus));
  readonly south = new Piix({ bus: this.bus, irq: this.irq, onPowerPort: (port) => this.ports.push(port) });

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

test('an input drives the interrupt that its register names, and follows the register', () => {
  const rig = new Rig();
  const asserted = (): number[] => rig.lines.flatMap((line, gsi) => (line.level ? [gsi] : []));
  // By their places, two devices at inputs 0 and 2.
  const [a, b] = [5, 3].map((device) => {
    const fn = new PciFunction({ identity: { vendor: 1, device: 1, revision: 0, classCode: 0 }, hasPin: true });
    rig.bus.attach(fn, device << 3);
    fn.setPin(true);
    return fn;
  });
  assert.deepEqual(asserted(), []);
  rig.write(0, 0x60, 0x8005_800b);
  assert.deepEqual(asserted(), [5, 11]);
  rig.write(0, 0x60, 0x800b_800b);
  a.setPin(false);
  assert.deepEqual(asserted(), [11], 'shared');
  rig.write(0, 0x60, 0x8002_8000);
  assert.deepEqual(asserted(), [], 'interrupts of the board cannot be had');
  b.setPin(false);
  assert.deepEqual(
    [0, 1, 2, 3].map((pin) => rig.bus.inputOf(2, pin)),
    [1, 2, 3, 0],
  );
});
