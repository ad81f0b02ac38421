import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceRig } from '../testing/device-rig.ts';
import { I8259 } from './i8259.ts';

class Rig extends DeviceRig {
  readonly pic = this.plug(new I8259());

  constructor(icw4 = 1) {
    super();
    for (const [base, vector, cascade] of [
      [0x20, 0x20, 4],
      [0xa0, 0x28, 2],
    ]) {
      this.out8(base, 0x11);
      for (const value of [vector, cascade, icw4, 0]) this.out8(base + 1, value);
    }
  }

  raise(...irqs: number[]): void {
    for (const irq of irqs) this.pic.setLine(irq, true);
  }

  /** All vectors that are delivered without an EOI. */
  drain(): number[] {
    const vectors: number[] = [];
    while (this.pic.output) vectors.push(this.pic.acknowledge());
    return vectors;
  }
}

test('fixed priority, cascade, EOI', () => {
  const rig = new Rig();
  rig.raise(12, 4, 1);
  assert.deepEqual(rig.drain(), [0x21]);
  rig.out8(0x20, 0x20);
  assert.deepEqual(rig.drain(), [0x2c]);
  rig.raise(9);
  assert.deepEqual(rig.drain(), [], 'the slave in service blocks its inputs at the master');
  rig.out8(0xa0, 0x20);
  rig.out8(0x20, 0x20);
  assert.deepEqual(rig.drain(), [0x29]);
  rig.out8(0xa0, 0x61);
  rig.out8(0x20, 0x62);
  assert.deepEqual(rig.drain(), [0x24]);
});

test('mask, request and service registers', () => {
  const rig = new Rig();
  rig.out8(0x21, 0xfb);
  rig.raise(3);
  assert.equal(rig.pic.output, false);
  assert.equal(rig.in8(0x21), 0xfb);
  assert.equal(rig.in8(0x20), 0x08);
  rig.out8(0x21, 0);
  rig.drain();
  rig.out8(0x20, 0x0b);
  assert.equal(rig.in8(0x20), 0x08);
  rig.out8(0x20, 0x0a);
  assert.equal(rig.in8(0x20), 0);
});

test('an edge is taken once, a level stays; a level that goes away is spurious', () => {
  const rig = new Rig();
  rig.raise(5);
  rig.raise(5);
  assert.deepEqual(rig.drain(), [0x25]);
  rig.out8(0x20, 0x20);
  rig.raise(5);
  assert.deepEqual(rig.drain(), []);
  rig.out8(0x4d0, 0xff);
  assert.equal(rig.in8(0x4d0), 0xf8);
  assert.equal(rig.pic.output, true, 'the line is still high');
  rig.pic.setLine(5, false);
  assert.equal(rig.pic.output, false);
  assert.equal(rig.pic.acknowledge(), 0x27);
  rig.out8(0x20, 0x0b);
  assert.equal(rig.in8(0x20), 0, 'spurious: not in service');
  rig.out8(0x4d1, 0xff);
  assert.equal(rig.in8(0x4d1), 0xde);
});

test('automatic EOI, with rotation', () => {
  const rig = new Rig(3);
  rig.raise(1, 3);
  assert.deepEqual(rig.drain(), [0x21, 0x23]);
  for (const irq of [1, 3]) rig.pic.setLine(irq, false);
  rig.out8(0x20, 0x80);
  rig.raise(3);
  assert.deepEqual(rig.drain(), [0x23]);
  rig.pic.setLine(3, false);
  rig.raise(3, 4);
  assert.deepEqual(rig.drain(), [0x24, 0x23], 'IRQ 3 became the lowest');
});

test('rotate on EOI and set priority', () => {
  const rig = new Rig();
  rig.raise(2, 3, 4);
  rig.drain();
  rig.out8(0x20, 0xa0);
  rig.pic.setLine(3, false);
  rig.raise(3);
  assert.deepEqual(rig.drain(), [0x24], 'after its EOI IRQ 3 is the lowest');
  rig.out8(0x20, 0x20);
  rig.drain();
  rig.out8(0x20, 0x20);
  rig.out8(0x20, 0xc0 | 5);
  rig.raise(1, 6);
  assert.deepEqual(rig.drain(), [0x26]);
});

test('special mask mode lets everything else in', () => {
  const rig = new Rig();
  rig.raise(1);
  rig.drain();
  rig.raise(4);
  assert.deepEqual(rig.drain(), []);
  rig.out8(0x20, 0x68);
  assert.deepEqual(rig.drain(), [0x24]);
});

test('special fully nested mode: the slave interrupts itself', () => {
  const rig = new Rig(0x11);
  rig.raise(12);
  assert.deepEqual(rig.drain(), [0x2c]);
  rig.raise(9);
  assert.deepEqual(rig.drain(), [0x29]);
});

test('poll', () => {
  const rig = new Rig();
  rig.out8(0x20, 0x0c);
  assert.equal(rig.in8(0x20), 0);
  rig.raise(6);
  rig.out8(0x20, 0x0c);
  assert.equal(rig.in8(0x20), 0x86);
  assert.equal(rig.pic.output, false);
});

test('the output tells its changes; a snapshot keeps requests', () => {
  const rig = new Rig();
  const log: boolean[] = [];
  rig.pic.onOutput = (level) => log.push(level);
  rig.raise(1);
  const state = rig.pic.save();
  rig.drain();
  assert.deepEqual(log, [true, false]);
  rig.pic.restore(state);
  assert.deepEqual(rig.drain(), [0x21]);
});
