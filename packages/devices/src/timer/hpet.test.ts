import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceRig } from '../testing/device-rig.ts';
import { Hpet } from './hpet.ts';

const BASE = 0xfed00000;
const CONFIG = 0x10;
const STATUS = 0x20;
const COUNTER = 0xf0;
const T0 = 0x100;
const TN = { level: 2, enable: 4, periodic: 8, setValue: 0x40, mode32: 0x100, route: (gsi: number) => gsi << 9 };

class Rig extends DeviceRig {
  legacy: boolean[] = [];
  readonly hpet = this.plug(new Hpet({ clock: this.clock, irq: this.irq, onLegacyReplacement: (on) => this.legacy.push(on) }));

  get(offset: number): number {
    return this.memory.read(BASE + offset, 4);
  }

  set(offset: number, value: number): void {
    this.memory.write(BASE + offset, 4, value);
  }

  set64(offset: number, value: bigint): void {
    this.set(offset, Number(value & 0xffffffffn));
    this.set(offset + 4, Number(value >> 32n));
  }

  get counter(): bigint {
    return BigInt(this.get(COUNTER)) | (BigInt(this.get(COUNTER + 4)) << 32n);
  }
}

test('capabilities: 10 ns, 64 bits, legacy replacement, three comparators', () => {
  const rig = new Rig();
  assert.equal(rig.get(0), 0x8086a201);
  assert.equal(rig.get(4), 10_000_000);
  assert.equal(rig.get(T0) & 0x30, 0x30);
  assert.equal(rig.get(T0 + 4), 0x00ff0104);
});

test('the counter runs while enabled, can be set while stopped, and its halves belong together', () => {
  const rig = new Rig();
  rig.advance(1000);
  assert.equal(rig.counter, 0n);
  rig.set64(COUNTER, 0xfffffff0n);
  rig.set(CONFIG, 1);
  rig.advance(150);
  assert.equal(rig.counter, 0xffffffffn);
  const low = rig.get(COUNTER);
  rig.advance(1000);
  assert.equal(low, 0xffffffff);
  assert.equal(rig.get(COUNTER + 4), 0, 'high half of the time of the low half');
  assert.equal(rig.get(COUNTER + 4), 1);
  rig.set(CONFIG, 0);
  const stopped = rig.counter;
  rig.advance(1000);
  assert.equal(rig.counter, stopped);
});

test('one-shot edge on its route', () => {
  const rig = new Rig();
  rig.set(CONFIG, 1);
  rig.set(T0, TN.enable | TN.route(20));
  rig.set64(T0 + 8, 100n);
  rig.advance(999);
  assert.equal(rig.lines[20].rises, 0);
  rig.advance(1);
  assert.equal(rig.lines[20].rises, 1);
  rig.advance(1e6);
  assert.equal(rig.lines[20].rises, 1);
});

test('a 32-bit comparator matches again after the wrap', () => {
  const rig = new Rig();
  rig.set(CONFIG, 1);
  rig.set(T0, TN.enable | TN.mode32 | TN.route(20));
  rig.set(T0 + 8, 100);
  rig.advance(2000);
  rig.advance(2 ** 32 * 10);
  assert.equal(rig.lines[20].rises, 2);
});

test('level: held until the status bit is cleared, and not while disabled', () => {
  const rig = new Rig();
  rig.set(CONFIG, 1);
  rig.set(T0, TN.enable | TN.level | TN.route(16));
  rig.set64(T0 + 8, 10n);
  rig.advance(100);
  assert.equal(rig.lines[16].level, true);
  assert.equal(rig.get(STATUS), 1);
  rig.set(STATUS, 1);
  assert.equal(rig.lines[16].level, false);
  rig.set(T0, TN.level | TN.route(16));
  rig.set64(T0 + 8, 30n);
  rig.advance(1000);
  assert.equal(rig.get(STATUS), 1);
  assert.equal(rig.lines[16].level, false);
});

test('periodic with SETVAL as kernels program it: value, then period', () => {
  const rig = new Rig();
  rig.set(CONFIG, 3);
  assert.deepEqual(rig.legacy, [true]);
  rig.set(T0, TN.enable | TN.periodic | TN.setValue | TN.mode32);
  rig.set(T0 + 8, 500);
  rig.set(T0 + 8, 100);
  rig.advance(4999);
  assert.equal(rig.lines[0].rises, 0);
  rig.advance(1);
  assert.equal(rig.lines[0].rises, 1);
  rig.advance(3000);
  assert.equal(rig.lines[0].rises, 4);
  assert.equal(rig.get(T0 + 8), 900);
});

test('a 64-bit write with SETVAL sets both halves', () => {
  const rig = new Rig();
  rig.set(T0, TN.enable | TN.periodic | TN.setValue | TN.route(20));
  rig.set64(T0 + 8, 0x1_0000_0010n);
  assert.equal(rig.get(T0 + 8), 0x10);
  assert.equal(rig.get(T0 + 12), 1);
  rig.set(T0 + 12, 7);
  assert.equal(rig.get(T0 + 12), 1, 'SETVAL is used up');
});

test('legacy replacement: comparator 1 is IRQ 8; reset ends it', () => {
  const rig = new Rig();
  rig.set(CONFIG, 3);
  rig.set(T0 + 0x20, TN.enable);
  rig.set64(T0 + 0x28, 50n);
  rig.advance(1000);
  assert.equal(rig.lines[8].rises, 1);
  rig.hpet.reset();
  assert.deepEqual(rig.legacy, [true, false]);
});

test('a period of one tick does not hang, and a snapshot goes on', () => {
  const rig = new Rig();
  rig.set(CONFIG, 1);
  rig.set(T0, TN.enable | TN.periodic | TN.setValue | TN.route(20));
  rig.set64(T0 + 8, 1n);
  rig.hostNs += 1e9;
  rig.clock.runDue();
  assert.ok(rig.lines[20].rises > 0);
  rig.set(T0, TN.enable | TN.route(21));
  rig.set64(T0 + 8, rig.counter + 100n);
  const state = rig.hpet.save();
  rig.hpet.reset();
  rig.hpet.restore(state);
  rig.advance(1000);
  assert.equal(rig.lines[21].rises, 1);
});

test('a comparator that was set first matches after the counter is enabled or moved', () => {
  const rig = new Rig();
  rig.set(T0, TN.enable | TN.route(20));
  rig.set64(T0 + 8, 100n);
  rig.advance(5000);
  assert.equal(rig.lines[20].rises, 0);
  rig.set64(COUNTER, 50n);
  rig.set(CONFIG, 1);
  rig.advance(490);
  assert.equal(rig.lines[20].rises, 0);
  rig.advance(10);
  assert.equal(rig.lines[20].rises, 1);
});
