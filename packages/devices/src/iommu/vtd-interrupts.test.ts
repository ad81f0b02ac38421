import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BROADCAST } from '../irqchip/apic-message.ts';
import { SOURCE, TABLES, VtdRig } from '../testing/vtd-rig.ts';
import { FAULT } from './vtd-fault-log.ts';
import { GLOBAL } from './vtd-registers.ts';

const EXTENDED = 0x800;
/** A message in remappable form for that handle. */
const addressOf = (handle: number, more = 0): number => (0xfee00010 | ((handle & 0x7fff) << 5) | ((handle >> 15) << 2) | more) >>> 0;
const SUBHANDLE = 8;

/** An entry for vector 0x41 with the requester checked in full. */
const ENTRY = [0x00410001, 0x00000300, 0x00040000 | SOURCE, 0] as const;

function rigWith(flags = 0, index = 5, words: readonly number[] = ENTRY): VtdRig {
  const rig = new VtdRig();
  rig.put(TABLES.interrupts + index * 16, ...words);
  rig.remap(flags);
  return rig;
}

const remap = (rig: VtdRig, handle: number, data = 0, source: number = SOURCE, more = 0) =>
  rig.iommu.remapInterrupt(addressOf(handle, more), data, source);

test('off, messages pass as they are', () => {
  const rig = new VtdRig();
  assert.deepEqual(rig.iommu.remapInterrupt(0xfee03004, 0x4031, SOURCE), { command: 0x4831, destination: 3 });
  assert.deepEqual(rig.iommu.remapInterrupt(0xfeeff000, 0x31, undefined), { command: 0x31, destination: BROADCAST });
});

test('an entry gives vector, mode, trigger and destination', () => {
  assert.deepEqual(remap(rigWith(), 5), { command: 0x4041, destination: 3 });
  assert.deepEqual(remap(rigWith(EXTENDED), 5), { command: 0x4041, destination: 0x300 });
  assert.deepEqual(remap(rigWith(0, 5, [0x00420095, 0x0000ff00, 0, 0]), 5), { command: 0xc442 | 0x800, destination: BROADCAST });
  assert.deepEqual(remap(rigWith(0, 5, [0x0043000d, 0x100, 0, 0]), 5), { command: 0x4943, destination: 1 }, 'hint: one of them');
});

test('handle and subhandle make the index', () => {
  assert.deepEqual(remap(rigWith(0, 5), 3, 2, SOURCE, SUBHANDLE)?.command, 0x4041);
  assert.equal(remap(rigWith(0, 5), 3, 2), undefined);
  const rig = new VtdRig();
  rig.put(TABLES.interrupts + 0x8001 * 16, ...ENTRY);
  rig.remap(0, 15);
  assert.deepEqual(remap(rig, 0x8001)?.command, 0x4041, 'bit 15 of the handle is apart');
  assert.equal(remap(rig, 0xffff, 0xffff, SOURCE, SUBHANDLE), undefined);
  assert.deepEqual(rig.takeFaults()[0].reason, FAULT.indexBeyondTable);
});

test('what is wrong blocks the interrupt and is recorded with its index', () => {
  const cases: readonly [number, (rig: VtdRig) => unknown][] = [
    [FAULT.requestReserved, (rig) => remap(rig, 5, 0x10000)],
    [FAULT.indexBeyondTable, (rig) => remap(rig, 256)],
    [FAULT.entryNotPresent, (rig) => remap(rig, 6)],
    [FAULT.compatibilityBlocked, (rig) => rig.iommu.remapInterrupt(0xfee00000, 0x31, SOURCE)],
    [FAULT.sourceRejected, (rig) => remap(rig, 5, 0, SOURCE + 1)],
  ];
  for (const [reason, ask] of cases) {
    const rig = rigWith();
    assert.equal(ask(rig), undefined);
    assert.deepEqual(
      rig.takeFaults().map((fault) => fault.reason),
      [reason],
    );
  }
  for (const words of [
    [ENTRY[0] | 0x8000, 0, 0, 0],
    [ENTRY[0] | 0x01000000, 0, 0, 0],
    [ENTRY[0], 0, 0x00100000, 0],
    [ENTRY[0], 0, 0, 1],
    [ENTRY[0], 0, 0x000c0000, 0],
  ]) {
    const rig = rigWith(0, 5, words);
    assert.equal(remap(rig, 5), undefined);
    assert.deepEqual(rig.takeFaults(), [{ reason: FAULT.entryReserved, isRead: false, source: SOURCE, info: 5 * 2 ** 48 }]);
  }
  const silent = rigWith(0, 5, [ENTRY[0] | 2, 0, ENTRY[2], 0]);
  assert.equal(remap(silent, 5, 0, 0x99), undefined);
  assert.deepEqual(silent.takeFaults(), []);
  const nowhere = new VtdRig();
  nowhere.put(0, 0);
  nowhere.set(0xb8, 0xfffff007);
  nowhere.command(GLOBAL.setInterruptTable);
  nowhere.command(GLOBAL.interruptRemapping);
  assert.equal(remap(nowhere, 5), undefined);
  assert.equal(nowhere.takeFaults()[0].reason, FAULT.interruptTableUnreachable);
});

test('requesters are checked in full, but for some bits, or by bus; the I/O APIC has none', () => {
  const check = (word2: number, source: number | undefined): boolean =>
    rigWith(0, 5, [ENTRY[0], 0, word2, 0]).iommu.remapInterrupt(addressOf(5), 0, source) !== undefined;
  assert.deepEqual([check(0, 0x99), check(0x40010, 0x10), check(0x40010, 0x11), check(0x40010, undefined)], [true, true, false, true]);
  assert.deepEqual(
    [check(0x50010, 0x14), check(0x50010, 0x12), check(0x60010, 0x16), check(0x60010, 0x11), check(0x70010, 0x17)],
    [true, false, true, false, true],
  );
  assert.deepEqual(
    [check(0x80204, 0x200), check(0x80204, 0x4ff), check(0x80204, 0x1ff), check(0x80204, 0x500)],
    [true, true, false, false],
  );
});

test('messages of the old form pass if software allows them, and never where destinations have 32 bits', () => {
  const rig = rigWith();
  rig.command(GLOBAL.compatibilityInterrupts);
  assert.deepEqual(rig.iommu.remapInterrupt(0xfee01000, 0x31, SOURCE), { command: 0x31, destination: 1 });
  const extended = rigWith(EXTENDED);
  extended.command(GLOBAL.compatibilityInterrupts);
  assert.equal(extended.iommu.remapInterrupt(0xfee01000, 0x31, SOURCE), undefined);
});
