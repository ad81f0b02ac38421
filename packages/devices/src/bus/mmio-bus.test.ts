import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IoRange } from '../device.ts';
import { MmioBus } from './mmio-bus.ts';

const constant = (start: number, byteCount: number, value: number, extra: Partial<IoRange> = {}): IoRange => ({
  start,
  byteCount,
  read: () => value,
  write: () => {},
  ...extra,
});

test('ranges are found wherever they lie; gaps read as ones', () => {
  const bus = new MmioBus();
  for (let i = 9; i >= 0; i--) bus.add(constant(0x1000_0000_0 + i * 0x2000, 0x1000, i));
  for (let i = 0; i < 10; i++) {
    assert.equal(bus.read(0x1000_0000_0 + i * 0x2000 + 0xffc, 4), i);
    assert.equal(bus.read(0x1000_0000_0 + i * 0x2000 + 0x1000, 4), 0xffffffff);
  }
  assert.equal(bus.read(0, 2), 0xffff);
});

test('accesses across an end are split, results are unsigned and of the width', () => {
  const bus = new MmioBus();
  bus.add(constant(0x1000, 0x10, -1));
  bus.add(constant(0x1010, 0x10, 0x12345678));
  assert.equal(bus.read(0x1000, 4), 0xffffffff);
  assert.equal(bus.read(0x1010, 1), 0x78);
  assert.equal(bus.read(0x100e, 4), 0x5678ffff);
});

test('overlaps are refused, overlays win and may move', () => {
  const bus = new MmioBus();
  bus.add(constant(0x1000, 0x1000, 1));
  assert.throws(() => bus.add(constant(0x1fff, 2, 2)), /overlaps/);
  const overlay = constant(0x1800, 0x100, 3, { overlay: true });
  assert.equal(bus.read(0x1800, 4), 1);
  bus.add(overlay);
  assert.equal(bus.read(0x1800, 4), 3);
  assert.equal(bus.read(0x1900, 4), 1);
  bus.remove(overlay);
  assert.equal(bus.read(0x1800, 4), 1);
});

test('underlays yield to every other range, and may overlap', () => {
  const bus = new MmioBus();
  const under = constant(0x1000, 0x1000, 1, { underlay: true });
  bus.add(under);
  bus.add(constant(0x1800, 0x100, 2));
  bus.add(constant(0x1f00, 0x1000, 3, { underlay: true }));
  assert.deepEqual([bus.read(0x1000, 4), bus.read(0x1800, 4), bus.read(0x1f00, 4), bus.read(0x2000, 4)], [1, 2, 1, 3]);
  bus.remove(under);
  assert.deepEqual([bus.read(0x1000, 4), bus.read(0x1800, 4), bus.read(0x1f00, 4)], [0xffffffff, 2, 3]);
});
