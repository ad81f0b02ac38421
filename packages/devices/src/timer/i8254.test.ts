import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceRig } from '../testing/device-rig.ts';
import { I8254, PIT_HZ } from './i8254.ts';

const TICK_NS = 1e9 / PIT_HZ;

class Rig extends DeviceRig {
  readonly line = this.lines[0];
  readonly pit = this.plug(new I8254({ clock: this.clock, irq: this.line }));

  /** Control word and a 16-bit count. */
  program(channel: number, mode: number, count: number): void {
    this.out8(0x43, (channel << 6) | 0x30 | (mode << 1));
    this.out8(0x40 + channel, count & 0xff);
    this.out8(0x40 + channel, count >> 8);
  }

  ticks(count: number): void {
    this.advance(count * TICK_NS);
  }

  count(channel: number): number {
    this.out8(0x43, channel << 6);
    return this.in8(0x40 + channel) | (this.in8(0x40 + channel) << 8);
  }
}

test('mode 2 interrupts at its rate and counts down to 1', () => {
  const rig = new Rig();
  rig.program(0, 2, 1000);
  const before = rig.line.rises;
  rig.ticks(10.5);
  assert.equal(rig.count(0), 990);
  rig.ticks(999);
  assert.equal(rig.count(0), 991);
  rig.ticks(9000);
  assert.equal(rig.line.rises - before, 10);
});

test('mode 0 interrupts once; mode 3 counts in twos', () => {
  const rig = new Rig();
  rig.program(0, 0, 500);
  assert.equal(rig.line.level, false);
  rig.ticks(499);
  assert.equal(rig.line.level, false);
  rig.ticks(1.5);
  assert.equal(rig.line.level, true);
  rig.ticks(5000);
  assert.equal(rig.line.rises, 1);
  rig.program(0, 3, 1000);
  rig.ticks(10.5);
  assert.equal(rig.count(0), 980);
  const before = rig.line.rises;
  rig.ticks(3000);
  assert.equal(rig.line.rises - before, 3);
});

test('mode 4 strobes once', () => {
  const rig = new Rig();
  rig.program(0, 4, 100);
  const before = rig.line.rises;
  rig.ticks(1000);
  assert.equal(rig.line.rises - before, 1);
});

test('count 0 is 65536, BCD counts in decimal', () => {
  const rig = new Rig();
  rig.program(0, 2, 0);
  assert.equal(rig.count(0), 0);
  rig.ticks(1.5);
  assert.equal(rig.count(0), 0xffff);
  rig.out8(0x43, 0x31 | 4);
  rig.out8(0x40, 0x00);
  rig.out8(0x40, 0x10);
  rig.ticks(1.5);
  assert.equal(rig.count(0), 0x0999);
});

test('a latched count stays until it is read; read-back latches status and count', () => {
  const rig = new Rig();
  rig.program(2, 0, 0x1234);
  rig.out8(0x61, 1);
  rig.out8(0x43, 0x80);
  rig.ticks(50);
  assert.equal(rig.in8(0x42), 0x34);
  assert.equal(rig.in8(0x42), 0x12);
  rig.out8(0x43, 0xc8);
  assert.equal(rig.in8(0x42), 0x30, 'status first: output low, word, mode 0');
  const low = rig.in8(0x42);
  assert.equal(low | (rig.in8(0x42) << 8), 0x1234 - 50);
});

test('access by low or high byte only', () => {
  const rig = new Rig();
  rig.out8(0x43, 0x20 | 4);
  rig.out8(0x40, 0x12);
  assert.equal(rig.in8(0x40), 0x12);
  rig.ticks(1.5);
  assert.equal(rig.in8(0x40), 0x11);
});

test('port 0x61: the gate stops mode 0, starts mode 1; output and refresh can be seen', () => {
  const rig = new Rig();
  rig.program(2, 0, 100);
  rig.ticks(500);
  assert.equal(rig.in8(0x61) & 0x21, 0, 'the gate is low: not counted');
  rig.out8(0x61, 1);
  rig.ticks(60);
  rig.out8(0x61, 0);
  rig.ticks(500);
  assert.equal(rig.in8(0x61) & 0x20, 0);
  rig.out8(0x61, 3);
  rig.ticks(41);
  assert.equal(rig.in8(0x61) & 0x23, 0x23);
  const refresh = rig.in8(0x61) & 0x10;
  rig.advance(15085);
  assert.notEqual(rig.in8(0x61) & 0x10, refresh);
  rig.program(2, 1, 100);
  assert.equal(rig.in8(0x61) & 0x20, 0x20);
  rig.out8(0x61, 0);
  rig.out8(0x61, 1);
  assert.equal(rig.in8(0x61) & 0x20, 0);
  rig.ticks(101);
  assert.equal(rig.in8(0x61) & 0x20, 0x20);
});

test('IRQ 0 is cut off while the HPET replaces it; a snapshot goes on ticking', () => {
  const rig = new Rig();
  rig.program(0, 2, 1000);
  rig.pit.setIrqEnabled(false);
  let before = rig.line.rises;
  rig.ticks(5000);
  assert.equal(rig.line.rises, before);
  rig.pit.setIrqEnabled(true);
  const state = rig.pit.save();
  rig.pit.reset();
  rig.pit.restore(state);
  before = rig.line.rises;
  rig.ticks(2000);
  assert.equal(rig.line.rises - before, 2);
});

test('the shortest periods a guest can ask for do not hang', () => {
  const rig = new Rig();
  for (const mode of [0, 1, 2, 3, 4, 5]) {
    rig.program(0, mode, 1);
    rig.ticks(20);
    rig.count(0);
  }
});

test('the output of mode 2 is low for the last tick only, that of mode 3 for half the period', () => {
  const rig = new Rig();
  rig.out8(0x61, 1);
  const sample = (i: number) => {
    rig.ticks(i === 0 ? 0.5 : 1);
    return (rig.in8(0x61) & 0x20) !== 0 ? 1 : 0;
  };
  rig.program(2, 2, 10);
  const mode2 = Array.from({ length: 20 }, (_, i) => sample(i));
  assert.equal(mode2.join(''), '11111111101111111110');
  rig.program(2, 3, 5);
  const mode3 = Array.from({ length: 10 }, (_, i) => sample(i));
  assert.equal(mode3.join(''), '1110011100');
});
