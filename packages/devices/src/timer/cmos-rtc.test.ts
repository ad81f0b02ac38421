import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceRig } from '../testing/device-rig.ts';
import { CmosRtc } from './cmos-rtc.ts';

class Rig extends DeviceRig {
  readonly line = this.lines[8];
  alarms = 0;
  readonly rtc = this.plug(new CmosRtc({ clock: this.clock, irq: this.line, onAlarm: () => this.alarms++ }));

  get(index: number): number {
    this.out8(0x70, index);
    return this.in8(0x71);
  }

  set(index: number, value: number): void {
    this.out8(0x70, index);
    this.out8(0x71, value);
  }

  /** Century, year, month, day, hours, minutes, seconds, weekday. */
  get time(): string {
    return [0x32, 9, 8, 7, 4, 2, 0, 6].map((index) => this.get(index).toString(16).padStart(2, '0')).join(' ');
  }
}

test('the time in BCD and 24 hours, over a leap day', () => {
  const rig = new Rig();
  assert.equal(rig.time, '20 24 02 28 23 59 58 04');
  rig.advance(2e9);
  assert.equal(rig.time, '20 24 02 29 00 00 00 05');
});

test('binary and 12 hours', () => {
  const rig = new Rig();
  rig.set(11, 0x06);
  assert.equal(rig.get(4), 23);
  assert.equal(rig.get(0x32), 20);
  rig.set(11, 0x00);
  assert.equal(rig.get(4), 0x91);
  rig.advance(10e9);
  assert.equal(rig.get(4), 0x12, 'midnight is 12 AM');
});

test('the time is set with SET, and stands still until then', () => {
  const rig = new Rig();
  rig.set(11, 0x82);
  for (const [i, value] of [0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59].entries()) rig.set([0x32, 9, 8, 7, 4, 2, 0][i], value);
  rig.advance(5e9);
  assert.equal(rig.get(0), 0x59);
  rig.set(11, 0x02);
  assert.equal(rig.time.slice(0, 20), '19 99 12 31 23 59 59');
  rig.advance(1e9);
  assert.equal(rig.time, '20 00 01 01 00 00 00 07');
});

test('a single field may be written while the clock runs', () => {
  const rig = new Rig();
  rig.set(4, 0x05);
  rig.advance(1e9);
  assert.equal(rig.time.slice(12, 20), '05 59 59');
});

test('update in progress shows shortly before the second ends', () => {
  const rig = new Rig();
  assert.equal(rig.get(10), 0x26);
  rig.advance(999.9e6);
  assert.equal(rig.get(10), 0xa6);
  rig.advance(0.2e6);
  assert.equal(rig.get(10), 0x26);
});

test('update interrupt each second, cleared by reading C', () => {
  const rig = new Rig();
  rig.get(12);
  rig.set(11, 0x12);
  rig.advance(1.1e9);
  assert.equal(rig.line.level, true);
  assert.equal(rig.get(12), 0xd0, 'the periodic flag too, which is not enabled');
  assert.equal(rig.line.level, false);
  assert.equal(rig.get(12), 0);
  rig.advance(1e9);
  assert.equal(rig.line.rises, 2);
});

test('periodic interrupt at its rate; the flag can be polled without it', () => {
  const rig = new Rig();
  rig.set(10, 0x26);
  rig.set(11, 0x42);
  for (let i = 0; i < 1024; i++) {
    rig.advance(1e9 / 1024);
    rig.get(12);
  }
  assert.ok(Math.abs(rig.line.rises - 1024) <= 1, `${rig.line.rises}`);
  rig.set(11, 0x02);
  rig.get(12);
  assert.equal(rig.get(12) & 0x40, 0);
  rig.advance(1e6);
  assert.equal(rig.get(12) & 0x40, 0x40);
});

test('alarm: exact, with wildcards, and not missed when the host is late', () => {
  const rig = new Rig();
  for (const [index, value] of [
    [1, 0x01],
    [3, 0x00],
    [5, 0x00],
  ])
    rig.set(index, value);
  rig.set(11, 0x22);
  rig.advance(2.5e9);
  assert.equal(rig.line.level, false);
  rig.advance(1e9);
  assert.equal(rig.line.level, true);
  assert.equal(rig.alarms, 1);
  assert.equal(rig.get(12) & 0xa0, 0xa0);
  for (const index of [1, 3, 5]) rig.set(index, 0xc0);
  rig.advance(1e9);
  assert.equal(rig.get(12) & 0x20, 0x20);
  for (const [index, value] of [
    [1, 0x30],
    [3, 0x10],
    [5, 0x00],
  ])
    rig.set(index, value);
  rig.hostNs += 3600e9;
  rig.clock.runDue();
  assert.equal(rig.line.level, true);
});

test('CMOS cells: shutdown status survives a reset, memory sizes are told, D says valid', () => {
  const rig = new Rig();
  rig.set(0x0f, 0x0a);
  rig.rtc.setMemorySize(0x40000000, 0x180000000);
  rig.out8(0x70, 0x8f);
  assert.equal(rig.rtc.nmiMasked, true);
  rig.rtc.reset();
  assert.equal(rig.rtc.nmiMasked, false);
  assert.equal(rig.get(0x0f), 0x0a);
  assert.equal(rig.get(0x34) | (rig.get(0x35) << 8), 0x3f00);
  assert.equal(rig.get(0x5b) | (rig.get(0x5c) << 8) | (rig.get(0x5d) << 16), 0x18000);
  assert.equal(rig.get(0x30) | (rig.get(0x31) << 8), 0xffff);
  assert.equal(rig.get(13), 0x80);
});

test('a snapshot keeps a time that the guest set, and its interrupts', () => {
  const rig = new Rig();
  rig.set(4, 0x05);
  rig.set(11, 0x12);
  const state = rig.rtc.save();
  rig.set(4, 0x09);
  rig.set(11, 0x02);
  rig.rtc.restore(state);
  assert.equal(rig.get(4), 0x05);
  rig.advance(1.1e9);
  assert.equal(rig.line.level, true);
});
