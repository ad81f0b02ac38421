import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BufferedBackend, DeviceRig } from '../testing/device-rig.ts';
import { Uart16550 } from './uart16550.ts';

const [DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH] = [0, 1, 2, 3, 4, 5, 6, 7];
const OUT2 = 8;

class Rig extends DeviceRig {
  readonly line = this.lines[4];
  readonly backend = new BufferedBackend();
  readonly uart = this.plug(new Uart16550({ base: 0x3f8, irq: this.line, backend: this.backend }));

  get(offset: number): number {
    return this.in8(0x3f8 + offset);
  }

  set(offset: number, value: number): void {
    this.out8(0x3f8 + offset, value);
  }

  readAll(): string {
    let text = '';
    while (this.get(LSR) & 1) text += String.fromCharCode(this.get(DATA));
    return text;
  }
}

test('registers: scratch, divisor latch, IER bits, 16550A shown by IIR', () => {
  const rig = new Rig();
  rig.set(SCRATCH, 0x5a);
  rig.set(LCR, 0x83);
  rig.set(DATA, 0x34);
  rig.set(IER, 0x12);
  assert.equal(rig.get(DATA) | (rig.get(IER) << 8), 0x1234);
  rig.set(LCR, 3);
  rig.set(IER, 0xff);
  assert.equal(rig.get(IER), 0x0f);
  rig.set(IER, 0);
  assert.equal(rig.get(IIR), 1);
  rig.set(IIR, 1);
  assert.equal(rig.get(IIR), 0xc1);
  assert.equal(rig.get(SCRATCH), 0x5a);
});

test('output goes out at once; a back end without room holds the transmitter', () => {
  const rig = new Rig();
  rig.set(DATA, 0x41);
  assert.equal(rig.backend.text, 'A');
  assert.equal(rig.get(LSR), 0x60);
  rig.backend.room = 0;
  rig.set(DATA, 0x42);
  assert.equal(rig.get(LSR), 0);
  rig.set(MCR, OUT2);
  rig.set(IER, 2);
  assert.equal(rig.line.level, false);
  rig.backend.room = 10;
  rig.backend.onDrain?.();
  assert.equal(rig.backend.text, 'AB');
  assert.equal(rig.line.level, true);
});

test('transmitter interrupt: at enabling, cleared by reading IIR, again after a byte', () => {
  const rig = new Rig();
  rig.set(MCR, OUT2);
  rig.set(IER, 2);
  assert.equal(rig.line.level, true);
  assert.equal(rig.get(IIR), 2);
  assert.equal(rig.line.level, false);
  assert.equal(rig.get(IIR), 1);
  rig.set(DATA, 0x41);
  assert.equal(rig.line.level, true);
});

test('receive: trigger level, time-out, FIFO of 16, nothing lost beyond it', () => {
  const rig = new Rig();
  rig.set(IIR, 0x81);
  rig.set(MCR, OUT2);
  rig.set(IER, 1);
  rig.backend.type('abc');
  assert.equal(rig.line.level, true);
  assert.equal(rig.get(IIR), 0xcc, 'below the trigger of 8: time-out');
  rig.backend.type('defghijklmnopqrstuvwxyz');
  assert.equal(rig.get(IIR), 0xc4);
  assert.equal(rig.backend.available, 10);
  assert.equal(rig.readAll(), 'abcdefghijklmnopqrstuvwxyz');
  assert.equal(rig.line.level, false);
});

test('without FIFO one byte at a time', () => {
  const rig = new Rig();
  rig.set(MCR, OUT2);
  rig.set(IER, 1);
  rig.backend.type('abc');
  assert.equal(rig.backend.available, 2);
  assert.equal(rig.get(IIR), 4);
  assert.equal(rig.readAll(), 'abc');
});

test('input typed before the guest listens survives a driver start that clears everything', () => {
  const rig = new Rig();
  rig.backend.type('uname -a\n');
  rig.set(IIR, 1);
  rig.set(IIR, 7);
  rig.set(IIR, 0);
  for (const register of [LSR, DATA, IIR, MSR]) rig.get(register);
  rig.set(LCR, 3);
  rig.set(MCR, OUT2 | 3);
  for (const register of [LSR, DATA, IIR, MSR]) rig.get(register);
  rig.set(IIR, 0x81);
  rig.set(IER, 5);
  assert.equal(rig.readAll(), 'uname -a\n');
  rig.backend.type('poweroff\n');
  rig.set(IER, 0);
  rig.set(IIR, 3);
  rig.get(DATA);
  rig.set(IER, 5);
  assert.equal(rig.readAll(), 'poweroff\n', 'closed and opened again with bytes in the FIFO');
});

test('a guest that polls the line status gets its input', () => {
  const rig = new Rig();
  rig.backend.type('xy');
  const read = () => {
    for (let i = 0; i < 4; i++) if (rig.get(LSR) & 1) return rig.get(DATA);
    return -1;
  };
  assert.deepEqual([read(), read(), read()], [0x78, 0x79, -1]);
});

test('a guest that looks at the modem between two looks at the line status polls too; one that sends does not', () => {
  const rig = new Rig();
  rig.backend.type('x');
  const poll = (): number => {
    for (const register of [MSR, MCR, IIR]) rig.get(register);
    return rig.get(LSR) & 1;
  };
  for (const byte of [0x41, 0x42, 0x43]) {
    assert.equal(poll(), 0);
    rig.set(DATA, byte);
  }
  assert.deepEqual([poll(), poll()], [0, 1]);
  assert.equal(rig.get(DATA), 0x78);
});

test('loopback: bytes and modem lines, no output, and nothing left over', () => {
  const rig = new Rig();
  rig.set(IIR, 1);
  rig.backend.type('k');
  rig.set(MCR, 0x1a);
  assert.equal(rig.get(MSR) & 0xf0, 0x90);
  for (const byte of [1, 2, 3]) rig.set(DATA, byte);
  assert.equal(rig.get(LSR) & 1, 1);
  assert.equal(rig.get(DATA), 1);
  rig.set(MCR, OUT2);
  assert.equal(rig.get(MSR) & 0xf0, 0xb0);
  assert.equal(rig.backend.text, '');
  rig.set(IER, 1);
  assert.equal(rig.readAll(), 'k');
});

test('overrun in loopback is a line status interrupt, cleared by reading', () => {
  const rig = new Rig();
  rig.set(IIR, 1);
  rig.set(MCR, 0x10);
  for (let i = 0; i < 17; i++) rig.set(DATA, i);
  rig.set(IER, 4);
  assert.equal(rig.get(IIR), 0xc6);
  assert.equal(rig.get(LSR) & 2, 2);
  assert.equal(rig.get(LSR) & 2, 0);
});

test('modem status: deltas in loopback, interrupt', () => {
  const rig = new Rig();
  rig.get(MSR);
  rig.set(MCR, 0x10);
  assert.equal(rig.get(MSR), 0x0b);
  rig.set(MCR, 0x14);
  assert.equal(rig.get(MSR), 0x40);
  rig.set(IER, 8);
  rig.set(MCR, 0x10);
  assert.equal(rig.get(IIR), 0);
  assert.equal(rig.get(MSR), 0x04, 'trailing edge of ring');
  assert.equal(rig.get(IIR), 1);
});

test('the interrupt is gated by OUT2', () => {
  const rig = new Rig();
  rig.set(IER, 2);
  assert.equal(rig.line.level, false);
  rig.set(MCR, OUT2);
  assert.equal(rig.line.level, true);
});

test('a snapshot keeps bytes on both sides', () => {
  const rig = new Rig();
  rig.set(IIR, 0x81);
  rig.set(IER, 1);
  rig.backend.type('in');
  rig.backend.room = 0;
  rig.set(DATA, 0x6f);
  const state = rig.uart.save();
  rig.uart.reset();
  rig.backend.room = 10;
  rig.uart.restore(state);
  assert.equal(rig.backend.text, 'o');
  assert.equal(rig.readAll(), 'in');
});
