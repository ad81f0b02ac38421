import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceRig } from '../testing/device-rig.ts';
import { I8042 } from './i8042.ts';

class Rig extends DeviceRig {
  readonly a20: boolean[] = [];
  readonly kbc = this.plug(
    new I8042({ control: this.control, keyboardIrq: this.lines[1], mouseIrq: this.lines[12], onA20: (on) => this.a20.push(on) }),
  );

  command(command: number, ...data: number[]): void {
    this.out8(0x64, command);
    for (const byte of data) this.out8(0x60, byte);
  }

  mouse(byte: number): number[] {
    this.command(0xd4, byte);
    return this.drain(0x20);
  }

  keyboard(byte: number): number[] {
    this.out8(0x60, byte);
    return this.drain(0);
  }

  /** Reads all output, which must come from where `source` (status bit 5) says. */
  drain(source: number): number[] {
    const bytes: number[] = [];
    for (let status = this.in8(0x64); status & 1; status = this.in8(0x64)) {
      assert.equal(status & 0x20, source);
      bytes.push(this.in8(0x60));
    }
    return bytes;
  }
}

test('controller: self test, interface tests, mode byte, ports', () => {
  const rig = new Rig();
  assert.equal(rig.in8(0x64), 0x14);
  rig.command(0xaa);
  assert.equal(rig.in8(0x64) & 0x1d, 0x1d);
  assert.deepEqual(rig.drain(0), [0x55]);
  rig.command(0xab);
  rig.command(0xa9);
  assert.deepEqual(rig.drain(0), [0, 0]);
  rig.command(0x60, 0x47);
  rig.command(0x20);
  assert.deepEqual(rig.drain(0), [0x47]);
  for (const [command, mode] of [
    [0xa7, 0x67],
    [0xa8, 0x47],
    [0xad, 0x57],
    [0xae, 0x47],
  ]) {
    rig.command(command);
    rig.command(0x20);
    assert.deepEqual(rig.drain(0), [mode]);
  }
  rig.command(0xd3, 0x5a);
  assert.deepEqual(rig.drain(0x20), [0x5a]);
});

test('keyboard: identify (translated and not), reset, scan sets, LEDs, echo, unknown', () => {
  const rig = new Rig();
  assert.deepEqual(rig.keyboard(0xf2), [0xfa, 0xab, 0x41]);
  rig.command(0x60, 0x05);
  assert.deepEqual(rig.keyboard(0xf2), [0xfa, 0xab, 0x83]);
  assert.deepEqual(rig.keyboard(0xff), [0xfa, 0xaa]);
  rig.keyboard(0xf0);
  assert.deepEqual(rig.keyboard(0), [0xfa, 2]);
  rig.keyboard(0xf0);
  assert.deepEqual(rig.keyboard(3), [0xfe]);
  rig.keyboard(0xed);
  assert.deepEqual(rig.keyboard(5), [0xfa]);
  assert.equal(rig.kbc.keyboard.leds, 5);
  assert.deepEqual(rig.keyboard(0xee), [0xee]);
  assert.deepEqual(rig.keyboard(0x12), [0xfe]);
});

test('keys: set 2 raw, translated to set 1, set 1 of the keyboard itself', () => {
  const rig = new Rig();
  const type = () => {
    rig.kbc.keyboard.press(0x1c);
    rig.kbc.keyboard.release(0x1c);
    rig.kbc.keyboard.press(0xe075);
    rig.kbc.keyboard.release(0xe075);
    return rig.drain(0);
  };
  assert.deepEqual(type(), [0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8]);
  rig.command(0x60, 0x05);
  assert.deepEqual(type(), [0x1c, 0xf0, 0x1c, 0xe0, 0x75, 0xe0, 0xf0, 0x75]);
  rig.keyboard(0xf0);
  rig.keyboard(1);
  assert.deepEqual(type(), [0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8]);
  rig.keyboard(0xf5);
  assert.deepEqual(type(), []);
});

test('IRQ 1 is an edge for each byte, and only if enabled; a switched-off keyboard waits', () => {
  const rig = new Rig();
  rig.kbc.keyboard.press(0x1c);
  rig.kbc.keyboard.press(0x32);
  assert.equal(rig.lines[1].rises, 1);
  rig.in8(0x60);
  assert.equal(rig.lines[1].rises, 2);
  rig.in8(0x60);
  assert.equal(rig.lines[1].level, false);
  rig.command(0xad);
  rig.kbc.keyboard.press(0x1c);
  assert.equal(rig.in8(0x64) & 1, 0);
  rig.command(0xae);
  assert.equal(rig.in8(0x64) & 1, 1);
});

test('a flood of keys is dropped, answers still fit', () => {
  const rig = new Rig();
  for (let i = 0; i < 500; i++) rig.kbc.keyboard.press(0x1c);
  rig.out8(0x60, 0xf2);
  const bytes = rig.drain(0);
  assert.deepEqual(bytes.slice(-3), [0xfa, 0xab, 0x41]);
  assert.ok(bytes.length < 70);
});

test('mouse: reset, identity with and without wheel, status, packets on IRQ 12', () => {
  const rig = new Rig();
  rig.command(0x60, 0x47);
  assert.deepEqual(rig.mouse(0xff), [0xfa, 0xaa, 0]);
  assert.deepEqual(rig.mouse(0xf2), [0xfa, 0]);
  for (const rate of [200, 100, 80]) {
    rig.mouse(0xf3);
    assert.deepEqual(rig.mouse(rate), [0xfa]);
  }
  assert.deepEqual(rig.mouse(0xf2), [0xfa, 3]);
  assert.deepEqual(rig.mouse(0xe9), [0xfa, 0, 2, 80]);
  rig.kbc.mouse.move(5, -3, 0, 1);
  assert.deepEqual(rig.drain(0x20), []);
  rig.mouse(0xf4);
  const before = rig.lines[12].rises;
  rig.kbc.mouse.move(0, 0, 1, 1);
  assert.deepEqual(rig.drain(0x20), [0x29, 5, 0xfd, 1]);
  assert.equal(rig.lines[12].rises - before, 4);
});

test('output port: A20 reads back and is told, bit 0 and the pulse command reset', () => {
  const rig = new Rig();
  rig.command(0xd1, 0x01);
  rig.command(0xd0);
  assert.deepEqual(rig.drain(0), [0x01]);
  rig.command(0xdf);
  assert.deepEqual(rig.a20, [false, true]);
  rig.command(0xff);
  assert.deepEqual(rig.control.log, []);
  rig.command(0xfe);
  rig.command(0xd1, 0x02);
  assert.deepEqual(rig.control.log, ['reset', 'reset']);
});

test('a snapshot keeps the output buffer, the queues and the modes', () => {
  const rig = new Rig();
  rig.kbc.keyboard.press(0x1c);
  rig.kbc.keyboard.press(0x32);
  const state = rig.kbc.save();
  rig.kbc.reset();
  assert.equal(rig.lines[1].level, false);
  rig.kbc.restore(state);
  assert.equal(rig.lines[1].level, true);
  assert.deepEqual(rig.drain(0), [0x1e, 0x30]);
});
