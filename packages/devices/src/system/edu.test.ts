import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpa } from '@anillo/base/gpa';
import { PciRig } from '../testing/pci-rig.ts';
import { Edu } from './edu.ts';

const AT = 2 << 3;
const BASE = 0xc0000000;

class Rig extends PciRig {
  readonly edu: Edu;

  constructor(dmaMask?: number) {
    super();
    this.edu = new Edu({ clock: this.clock, bus: this.bus, dmaMask });
    this.enable(AT, BASE);
  }

  get(offset: number): number {
    return this.memory.read(BASE + offset, 4);
  }

  set(offset: number, value: number): void {
    this.memory.write(BASE + offset, 4, value);
  }

  /** As a driver with 64-bit stores: low half first. */
  set64(offset: number, value: number): void {
    this.set(offset, value % 2 ** 32);
    this.set(offset + 4, Math.floor(value / 2 ** 32));
  }

  transfer(source: number, destination: number, byteCount: number, command: number): void {
    this.set64(0x80, source);
    this.set64(0x88, destination);
    this.set64(0x90, byteCount);
    this.set(0x98, command);
  }
}

test('identification, liveness, and accesses that are not words', () => {
  const rig = new Rig();
  assert.deepEqual([rig.config(AT, 0), rig.config(AT, 8), rig.get(0)], [0x11e81234, 0x00ff0010, 0x010000ed]);
  rig.set(4, 0x12345678);
  assert.equal(rig.get(4), 0xedcba987);
  assert.deepEqual([rig.memory.read(BASE, 1), rig.memory.read(BASE + 2, 2), rig.get(0x5000)], [0xff, 0xffff, 0xffffffff]);
});

test('a factorial takes its time, and raises an interrupt if asked', () => {
  const rig = new Rig();
  for (const [n, product] of [
    [0, 1],
    [5, 120],
    [12, 479001600],
    [13, 1932053504],
    [34, 0],
    [0xffffffff, 0],
  ]) {
    rig.set(8, n);
    assert.equal(rig.get(0x20) & 1, 1);
    rig.set(8, 3);
    rig.advance(1e6);
    assert.deepEqual([rig.get(0x20) & 1, rig.get(8)], [0, product]);
  }
  assert.equal(rig.pirqs, 0);
  rig.set(0x20, 0xff);
  rig.set(8, 3);
  rig.advance(1e6);
  assert.deepEqual([rig.get(0x20), rig.get(0x24), rig.pirqs !== 0], [0x80, 1, true]);
  rig.set(0x64, 1);
  assert.deepEqual([rig.get(0x24), rig.pirqs], [0, 0]);
});

test('interrupts are raised and acknowledged bit by bit, by pin or by message', () => {
  const rig = new Rig();
  rig.set(0x60, 6);
  rig.set(0x64, 2);
  assert.deepEqual([rig.get(0x24), rig.pirqs !== 0], [4, true]);
  rig.set(0x64, 4);
  assert.equal(rig.pirqs, 0);
  rig.set(0x60, 0);
  assert.equal(rig.pirqs, 0, 'nothing raised');
  rig.configure(AT, 0x44, 0xfee00000);
  rig.configure(AT, 0x4c, 0x41);
  rig.configure(AT, 0x42, 1, 2);
  rig.set(0x60, 1);
  assert.deepEqual([rig.pirqs, rig.messages], [0, [{ address: 0xfee00000, data: 0x41, source: AT }]]);
});

test('DMA goes both ways, later, within its mask', () => {
  const rig = new Rig(0xffff);
  rig.put(0x1000, 0x04030201);
  rig.transfer(0x7000_1000, 0x40010, 4, 1);
  assert.equal(rig.get(0x98) & 1, 1);
  rig.set(0x80, 0x2000);
  assert.equal(rig.get(0x80), 0x7000_1000, 'registers are held while it runs');
  rig.advance(1e6);
  assert.equal(rig.get(0x98) & 1, 0);
  rig.transfer(0x40012, 0x3000, 2, 7);
  rig.advance(1e6);
  assert.equal(rig.ram.read32(gpa(0x3000)), 0x0403);
  assert.deepEqual([rig.get(0x24), rig.pirqs !== 0], [0x100, true]);
});

test('a 32-bit write to a 64-bit register clears its upper half', () => {
  const rig = new Rig();
  rig.set64(0x80, 2 ** 40 + 5);
  assert.deepEqual([rig.get(0x80), rig.get(0x84)], [5, 256]);
  rig.set(0x80, 6);
  assert.deepEqual([rig.get(0x80), rig.get(0x84)], [6, 0]);
});

test('transfers that leave the buffer, or are absurd, do nothing and end', () => {
  const rig = new Rig();
  rig.put(0x3000, 0x55555555);
  for (const [source, destination, byteCount, command] of [
    [0x41000, 0x3000, 1, 3],
    [0x40ffe, 0x3000, 4, 3],
    [0, 0x3000, 4, 3],
    [0x40000, 0x3000, 2 ** 63, 3],
    [2 ** 63, 0x3000, 4, 3],
    [0x3000, 0x3ffff, 4, 1],
    [0x3000, 0x40000, 2 ** 32, 1],
    [0x40000, 0xfffffff0, 0x100, 3],
  ]) {
    rig.transfer(source, destination, byteCount, command);
    rig.advance(1e6);
    assert.deepEqual([rig.get(0x98) & 1, rig.ram.read32(gpa(0x3000))], [0, 0x55555555]);
  }
});

test('a snapshot in the middle of work ends it after the restore; a reset drops it', () => {
  const rig = new Rig();
  rig.set(8, 5);
  rig.put(0x1000, 0x12345678);
  rig.transfer(0x1000, 0x40000, 4, 1);
  const state = rig.edu.save();
  rig.edu.reset();
  rig.advance(1e6);
  rig.edu.restore(state);
  assert.deepEqual([rig.get(0x20) & 1, rig.get(0x98) & 1], [1, 1]);
  rig.advance(1e6);
  assert.deepEqual([rig.get(8), rig.get(0x98) & 1], [120, 0]);
});
