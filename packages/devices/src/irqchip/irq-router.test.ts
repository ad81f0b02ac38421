import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceRig } from '../testing/device-rig.ts';
import { I8259 } from './i8259.ts';
import { IoApic } from './io-apic.ts';
import { IrqRouter } from './irq-router.ts';

class Rig extends DeviceRig {
  readonly sent: number[] = [];
  readonly pic = this.plug(new I8259());
  readonly ioApic = this.plug(new IoApic({ bus: { sendMessage: (_, data) => this.sent.push(data & 0xff) > 0 } }));
  readonly router = new IrqRouter({ pic: this.pic, ioApic: this.ioApic });

  constructor() {
    super();
    for (let pin = 0; pin < 24; pin++) {
      this.memory.write(0xfec00000, 4, 0x10 + pin * 2);
      this.memory.write(0xfec00010, 4, 0x40 + pin);
    }
  }

  /** Requests of the master. */
  get requests(): number {
    return this.in8(0x20);
  }
}

test('IRQ 0 is pin 2, others are their pins, lines from 16 on skip the 8259', () => {
  const rig = new Rig();
  rig.router.line(0).raise();
  rig.router.line(4).raise();
  rig.router.line(20).raise();
  assert.deepEqual(rig.sent, [0x42, 0x44, 0x54]);
  assert.equal(rig.requests, 0x11);
});

test('devices on one line are ORed', () => {
  const rig = new Rig();
  const a = rig.router.line(4);
  const b = rig.router.line(4);
  a.raise();
  b.raise();
  a.lower();
  a.raise();
  b.lower();
  a.lower();
  a.raise();
  b.raise();
  assert.deepEqual(rig.sent.splice(1), [0x44], 'all low once, then a new edge');
  a.lower();
  b.lower();
  b.lower();
  b.raise();
  assert.deepEqual(rig.sent, [0x44, 0x44]);
});

test('a snapshot keeps who asserts a line; reset lowers all', () => {
  const rig = new Rig();
  const a = rig.router.line(4);
  const b = rig.router.line(4);
  a.raise();
  const state = rig.router.save();
  rig.router.reset();
  a.raise();
  rig.router.reset();
  assert.deepEqual(rig.sent.splice(0), [0x44, 0x44]);
  rig.router.restore(state);
  b.raise();
  assert.deepEqual(rig.sent, [], 'still high, no new edge');
});

test('lines that are not there are refused', () => {
  assert.throws(() => new Rig().router.line(24), /choose one of 0..23/);
});

test('GSI 2 shares pin 2 with the timer', () => {
  const rig = new Rig();
  const [timer, other] = [rig.router.line(0), rig.router.line(2)];
  timer.raise();
  other.raise();
  timer.lower();
  timer.raise();
  assert.deepEqual(rig.sent, [0x42]);
});
