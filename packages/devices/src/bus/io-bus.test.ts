import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IoRange } from '../device.ts';
import { IoBus } from './io-bus.ts';

function recorder(start: number, byteCount: number, extra: Partial<IoRange> = {}) {
  const log: string[] = [];
  const range: IoRange = {
    start,
    byteCount,
    read: (offset, bytes) => {
      log.push(`r${bytes}@${offset}`);
      return 0x11223344;
    },
    write: (offset, bytes, value) => log.push(`w${bytes}@${offset}=${value.toString(16)}`),
    ...extra,
  };
  return { range, log };
}

test('unclaimed ports read as ones of the access width', () => {
  const bus = new IoBus();
  assert.deepEqual([bus.read(0x80, 1), bus.read(0x80, 2), bus.read(0x80, 4)], [0xff, 0xffff, 0xffffffff]);
  bus.write(0x80, 4, 0);
});

test('a wide access is whole within a wide range and split for a byte device', () => {
  const bus = new IoBus();
  const wide = recorder(0x600, 8);
  const narrow = recorder(0x70, 2, { widestBytes: 1 });
  bus.add(wide.range);
  bus.add(narrow.range);
  assert.equal(bus.read(0x604, 4), 0x11223344);
  bus.write(0x600, 2, 0xabcd1234);
  assert.deepEqual(wide.log, ['r4@4', 'w2@0=1234']);
  assert.equal(bus.read(0x70, 2), 0x4444);
  bus.write(0x70, 4, 0x04030201);
  assert.deepEqual(narrow.log, ['r1@0', 'r1@1', 'w1@0=1', 'w1@1=2']);
});

test('an access across the end of a range is split, and ports wrap at 64 KiB', () => {
  const bus = new IoBus();
  const a = recorder(0x100, 2);
  const b = recorder(0xffff, 1);
  bus.add(a.range);
  bus.add(b.range);
  assert.equal(bus.read(0x100, 4), 0xffff3344);
  assert.equal(bus.read(0xffff, 2), 0xff44);
  assert.deepEqual(a.log, ['r2@0']);
});

test('an overlay goes before its surroundings, which keep whole accesses', () => {
  const bus = new IoBus();
  const overlay = recorder(0xcf9, 1, { overlay: true });
  const pci = recorder(0xcf8, 8);
  bus.add(overlay.range);
  bus.add(pci.range);
  bus.write(0xcf8, 4, 0x80000000);
  bus.write(0xcf9, 1, 6);
  assert.deepEqual(pci.log, ['w4@0=80000000']);
  assert.deepEqual(overlay.log, ['w1@0=6']);
});

test('two devices on one port are refused; a removed one leaves the ports free', () => {
  const bus = new IoBus();
  const a = recorder(0x10, 4);
  const b = recorder(0x13, 1);
  bus.add(a.range);
  assert.throws(() => bus.add(b.range), /claimed by two devices/);
  bus.remove(a.range);
  bus.add(b.range);
  assert.equal(bus.read(0x10, 1), 0xff);
  assert.throws(() => bus.add(recorder(0xffff, 2).range), /not within/);
});

test('underlays yield to every other range and to nobody else, whatever the order', () => {
  const bus = new IoBus();
  const range = (start: number, byteCount: number, value: number, more = {}) => ({
    start,
    byteCount,
    read: () => value,
    write: () => {},
    ...more,
  });
  const under = range(0x100, 0x10, 1, { underlay: true });
  bus.add(under);
  bus.add(range(0x108, 0x10, 2));
  bus.add(range(0x104, 1, 3, { underlay: true }));
  assert.deepEqual([bus.read(0x100, 1), bus.read(0x104, 1), bus.read(0x108, 1)], [1, 3, 2]);
  bus.remove(under);
  assert.deepEqual([bus.read(0x100, 1), bus.read(0x104, 1), bus.read(0x108, 1)], [0xff, 3, 2]);
});
