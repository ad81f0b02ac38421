import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceRig } from '../testing/device-rig.ts';
import { LocalApicBus } from './apic-bus.ts';
import { IoApic } from './io-apic.ts';
import { LocalApic } from './local-apic.ts';

const EDGE = 0;
const LEVEL = 0x8000;
const MASKED = 0x10000;

class Rig extends DeviceRig {
  readonly bus = new LocalApicBus();
  readonly apic = new LocalApic({ id: 0, clock: this.clock, bus: this.bus });
  readonly ioApic = this.plug(new IoApic({ bus: this.bus, id: 2 }));

  constructor() {
    super();
    this.bus.attach(this.apic);
    this.bus.attachIoApic(this.ioApic);
    this.apic.window.write(0xf0, 4, 0x1ff);
  }

  get(reg: number): number {
    this.memory.write(0xfec00000, 4, reg);
    return this.memory.read(0xfec00010, 4);
  }

  set(reg: number, value: number): void {
    this.memory.write(0xfec00000, 4, reg);
    this.memory.write(0xfec00010, 4, value);
  }

  redirect(pin: number, low: number): void {
    this.set(0x10 + pin * 2, low);
  }

  take(): number {
    return this.apic.isPending() ? this.apic.acknowledge() : -1;
  }

  eoi(): void {
    this.apic.window.write(0xb0, 4, 0);
  }
}

test('version is read-only, ID has four bits, arbitration follows it', () => {
  const rig = new Rig();
  assert.equal(rig.get(1), 0x00170020);
  rig.set(1, 0);
  assert.equal(rig.get(1), 0x00170020);
  assert.equal(rig.get(0), 0x02000000);
  rig.set(0, 0xffffffff);
  assert.equal(rig.get(0), 0x0f000000);
  assert.equal(rig.get(2), 0x0f000000);
});

test('entries: masked after reset, status bits read-only, registers beyond are 0', () => {
  const rig = new Rig();
  assert.equal(rig.get(0x10), MASKED);
  rig.redirect(0, 0xffffffff);
  assert.equal(rig.get(0x10), 0x1afff);
  rig.set(0x11, 0xffffffff);
  assert.equal(rig.get(0x11), 0xffff0000);
  assert.equal(rig.get(0x40), 0);
});

test('edge: once per rise, lost while masked', () => {
  const rig = new Rig();
  rig.redirect(14, EDGE | 0x76);
  rig.ioApic.setPin(14, true);
  rig.ioApic.setPin(14, true);
  assert.equal(rig.take(), 0x76);
  rig.eoi();
  rig.ioApic.setPin(14, true);
  rig.ioApic.setPin(14, false);
  assert.equal(rig.take(), -1);
  rig.redirect(14, MASKED | 0x76);
  rig.ioApic.setPin(14, true);
  rig.redirect(14, EDGE | 0x76);
  assert.equal(rig.take(), -1);
});

test('level: waits while masked, comes again while high, a switch to edge clears remote IRR', () => {
  const rig = new Rig();
  rig.redirect(14, MASKED | LEVEL | 0x82);
  rig.ioApic.setPin(14, true);
  assert.equal(rig.take(), -1);
  rig.redirect(14, LEVEL | 0x82);
  assert.equal(rig.take(), 0x82);
  rig.redirect(14, MASKED | LEVEL | 0x82);
  rig.eoi();
  assert.equal(rig.take(), -1);
  rig.redirect(14, LEVEL | 0x82);
  assert.equal(rig.take(), 0x82);
  assert.equal(rig.get(0x10 + 28) & 0x4000, 0x4000);
  rig.redirect(14, MASKED | EDGE | 0x82);
  assert.equal(rig.get(0x10 + 28) & 0x4000, 0);
});

test('remote IRR is not set when nobody accepts', () => {
  const rig = new Rig();
  rig.set(0x11 + 28, 0x33000000);
  rig.redirect(14, LEVEL | 0x82);
  rig.ioApic.setPin(14, true);
  assert.equal(rig.get(0x10 + 28) & 0x4000, 0);
});

test('an NMI and an ExtINT entry reach the processor as such', () => {
  const rig = new Rig();
  rig.redirect(3, 0x400);
  rig.ioApic.setPin(3, true);
  assert.equal(rig.apic.takeNmi(), true);
  rig.redirect(0, 0x700);
  rig.ioApic.setPin(0, true);
  assert.equal(rig.apic.isPending(), true);
});

test('a snapshot keeps entries and levels', () => {
  const rig = new Rig();
  rig.redirect(14, LEVEL | MASKED | 0x82);
  rig.ioApic.setPin(14, true);
  const state = rig.ioApic.save();
  rig.ioApic.setPin(14, false);
  rig.ioApic.reset();
  rig.ioApic.restore(state);
  rig.redirect(14, LEVEL | 0x82);
  assert.equal(rig.take(), 0x82);
});

test('an entry is a message, which an IOMMU may send elsewhere or nowhere', () => {
  const rig = new Rig();
  const asked: number[][] = [];
  let isBlocked = false;
  rig.bus.remapper = {
    remapInterrupt: (address, data, source) => {
      asked.push([address, data, source ?? -1]);
      return isBlocked ? undefined : { command: 0x4077, destination: 0 };
    },
  };
  // Remappable form: handle 0x8123, bit 15 of it in bit 11 of the entry.
  rig.set(0x11, (0x123 << 17) | (1 << 16));
  rig.redirect(0, 0x8841);
  rig.ioApic.setPin(0, true);
  assert.equal(rig.take(), 0x77);
  assert.deepEqual(asked, [[0xfee00000 + (0x123 << 5) + 0x10 + 4, 0x8041, -1]]);
  rig.ioApic.setPin(0, false);
  isBlocked = true;
  rig.redirect(1, LEVEL | 0x42);
  rig.ioApic.setPin(1, true);
  assert.equal(rig.get(0x12) & 0x4000, 0, 'nobody took it, so it asks again');
});
