import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DOMAIN, SOURCE, TABLES, VtdRig } from '../testing/vtd-rig.ts';
import { FAULT } from './vtd-fault-log.ts';
import { GLOBAL, VTD } from './vtd-registers.ts';

const READ_ONLY = 1;
const WRITE_ONLY = 2;
const READ_WRITE = 3;
const LARGE = 0x80;

test('capabilities follow the options; what is not asked for is not there', () => {
  const plain = new VtdRig({ addressBits: 39, remapsInterrupts: false, extendedInterrupts: false });
  assert.deepEqual(
    [
      plain.get(VTD.version),
      (plain.get(VTD.capability) >>> 8) & 0x1f,
      (plain.get(VTD.capability) >>> 16) & 0x3f,
      plain.get(VTD.extendedCapability) & 0x18,
    ],
    [0x10, 2, 38, 0],
  );
  plain.remap();
  assert.equal(plain.get(VTD.globalStatus), 0);
  const full = new VtdRig({ addressBits: 48, cachingMode: true });
  assert.deepEqual(
    [
      full.get(VTD.capability) & 0x80,
      (full.get(VTD.capability) >>> 8) & 0x1f,
      (full.get(VTD.capability) >>> 16) & 0x3f,
      full.get(VTD.extendedCapability) & 0x18,
    ],
    [0x80, 6, 47, 0x18],
  );
  full.set(VTD.capability, 0);
  assert.notEqual(full.get(VTD.capability), 0);
  assert.deepEqual(
    [full.iommu.acpi.table?.signature, full.iommu.acpi.table?.body.length, full.iommu.acpi.table?.body[0]],
    ['DMAR', 36, 47],
  );
});

test('off, addresses pass; on, they are translated page by page, with rights', () => {
  const rig = new VtdRig();
  assert.equal(rig.iommu.translateDma(SOURCE, 0x12345, true), 0x12345);
  rig.map(0x3000, 0x50000 | READ_WRITE);
  rig.map(0x4000, 0x60000 | READ_ONLY);
  rig.map(0x5000, 0x70000 | WRITE_ONLY);
  rig.translate();
  const to = (address: number, isWrite: boolean) => rig.iommu.translateDma(SOURCE, address, isWrite);
  assert.deepEqual([to(0x3008, false), to(0x3fff, true), to(0x4000, false), to(0x5010, true)], [0x50008, 0x50fff, 0x60000, 0x70010]);
  assert.deepEqual(rig.takeFaults(), []);
  assert.deepEqual([to(0x4123, true), to(0x5000, false), to(0x6000, false)], [undefined, undefined, undefined]);
  assert.deepEqual(rig.takeFaults(), [
    { reason: FAULT.writeDenied, isRead: false, source: SOURCE, info: 0x4000 },
    { reason: FAULT.readDenied, isRead: true, source: SOURCE, info: 0x5000 },
    { reason: FAULT.readDenied, isRead: true, source: SOURCE, info: 0x6000 },
  ]);
  assert.equal(to(0xfee00000, false), undefined, 'interrupts are not memory');
});

test('transfers of a function go through it, each page on its own', () => {
  const rig = new VtdRig();
  rig.map(0x3000, 0x50000 | READ_WRITE);
  rig.map(0x4000, 0x40000 | READ_WRITE);
  rig.translate();
  rig.put(0x50ffc, 0x11111111);
  rig.put(0x40000, 0x22222222);
  const bytes = new Uint8Array(8);
  assert.equal(rig.bus.readMemory(SOURCE, 0x3ffc, bytes), true);
  assert.deepEqual([...bytes], [0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x22, 0x22]);
  assert.equal(rig.bus.writeMemory(SOURCE, 0x4ffc, bytes), false);
  assert.equal(rig.ram.read32(0x40ffc as never), 0x11111111);
});

test('large pages of 2 MiB and 1 GiB, and four levels', () => {
  const rig = new VtdRig({ addressBits: 48 });
  rig.put(TABLES.levels[2], TABLES.levels[1] | 3, 0, 0x40000000 | LARGE | READ_WRITE, 0);
  rig.put(TABLES.levels[1], 0x00600000 | LARGE | READ_ONLY, 0);
  rig.translate();
  assert.equal(rig.iommu.translateDma(SOURCE, 0x1ff123, false), 0x7ff123);
  assert.equal(rig.iommu.translateDma(SOURCE, 0x7fffffff, true), 0x7fffffff);
  // A fourth level above; the address's top part chooses its entry.
  rig.put(0x15000 + 0x1ff * 8, TABLES.levels[2] | 3, 0);
  rig.context3(0x15000, 2 | (DOMAIN << 8));
  rig.command(GLOBAL.setRootTable);
  assert.equal(rig.iommu.translateDma(SOURCE, 0xff80_4000_0008, true), 0x40000008);
});

test('every step of the walk that goes wrong has its reason', () => {
  const high = 1 << 8;
  const cases: readonly [number, string, (rig: VtdRig) => void, number?][] = [
    [FAULT.rootTableUnreachable, 'root table is nowhere', (rig) => rig.set(VTD.rootTable, 0xfffff000)],
    [FAULT.rootNotPresent, 'root entry is not present', (rig) => rig.put(TABLES.root, 0)],
    [FAULT.rootReserved, 'reserved bits of the root entry', (rig) => rig.put(TABLES.root + 8, 1)],
    [FAULT.contextTableUnreachable, 'context table is nowhere', (rig) => rig.put(TABLES.root, 0xfffff001)],
    [FAULT.contextNotPresent, 'context is not present', (rig) => rig.context3(0, 0, 0)],
    [FAULT.contextReserved, 'reserved bits of the context', (rig) => rig.context3(TABLES.levels[2] | 0x10, 1)],
    [FAULT.contextInvalid, 'device TLBs are not there', (rig) => rig.context3(TABLES.levels[2] | 4, 1)],
    [FAULT.contextInvalid, 'four levels do not fit 39 bits', (rig) => rig.context3(TABLES.levels[2], 2)],
    [FAULT.contextInvalid, 'two levels', (rig) => rig.context3(TABLES.levels[2], 0)],
    [FAULT.tableUnreachable, 'page table is nowhere', (rig) => rig.context3(0xfffff000, 1)],
    [FAULT.tableUnreachable, 'second table is nowhere', (rig) => rig.put(TABLES.levels[2], 0xfffff003, 0)],
    [FAULT.pageReserved, 'address beyond 39 bits', (rig) => rig.put(TABLES.levels[0] + 3 * 8, 0x50003, high)],
    [FAULT.pageReserved, 'large page not aligned', (rig) => rig.put(TABLES.levels[1], 0x1000 | LARGE | 3, 0)],
    [FAULT.beyondAddressWidth, 'address of 40 bits', () => {}, 2 ** 39],
    [FAULT.beyondAddressWidth, 'address of 64 bits', () => {}, 2 ** 63],
  ];
  for (const [reason, what, harm, address = 0x3000] of cases) {
    const rig = new VtdRig();
    rig.map(0x3000, 0x50000 | READ_WRITE);
    harm(rig);
    const rootTable = rig.get(VTD.rootTable);
    rig.set(VTD.rootTable, rootTable === 0 ? TABLES.root : rootTable);
    rig.command(GLOBAL.setRootTable);
    rig.command(GLOBAL.translation);
    assert.equal(rig.iommu.translateDma(SOURCE, address, false), undefined, what);
    assert.deepEqual(
      rig.takeFaults().map((fault) => fault.reason),
      [reason],
      what,
    );
  }
});

test('an upper level takes rights away from the pages below it, also from those remembered', () => {
  const rig = new VtdRig();
  rig.map(0x3000, 0x50000 | READ_WRITE);
  rig.put(TABLES.levels[1], TABLES.levels[0] | READ_ONLY, 0);
  rig.translate();
  assert.equal(rig.iommu.translateDma(SOURCE, 0x3000, false), 0x50000);
  assert.equal(rig.iommu.translateDma(SOURCE, 0x3000, true), undefined);
});

test('an entry of the fourth level is no page', () => {
  const rig = new VtdRig({ addressBits: 48 });
  rig.put(0x15000, LARGE | READ_WRITE, 0);
  rig.context3(0x15000, 2);
  rig.translate();
  assert.equal(rig.iommu.translateDma(SOURCE, 0, false), undefined);
  assert.equal(rig.takeFaults()[0].reason, FAULT.pageReserved);
});

test('pass-through, and a context that wants to hear of no faults', () => {
  const rig = new VtdRig();
  rig.context3(8, 1 | (DOMAIN << 8));
  rig.translate();
  assert.equal(rig.iommu.translateDma(SOURCE, 0x7f_ffff_f123, true), 0x7f_ffff_f123);
  assert.equal(rig.iommu.translateDma(SOURCE, 2 ** 39, true), undefined);
  assert.equal(rig.takeFaults().length, 1);
  rig.context3(TABLES.levels[2], 1, 3);
  rig.command(GLOBAL.setRootTable);
  assert.equal(rig.iommu.translateDma(SOURCE, 0, true), undefined);
  assert.deepEqual(rig.takeFaults(), []);
});

test('what was remembered is used until it is invalidated, by queue or by registers', () => {
  const page = (address: number, log2: number): readonly [number, number, number, number] => [0x32 | (DOMAIN << 16), 0, address | log2, 0];
  const drops: readonly [string, boolean, (rig: VtdRig) => void][] = [
    ['nothing', false, () => {}],
    ['all pages', true, (rig) => rig.queue([0x12, 0, 0, 0])],
    ['a domain', true, (rig) => rig.queue([0x22 | (DOMAIN << 16), 0, 0, 0])],
    ['another domain', false, (rig) => rig.queue([0x22 | ((DOMAIN + 1) << 16), 0, 0, 0])],
    ['the page', true, (rig) => rig.queue(page(0x3000, 0))],
    ['a range with it', true, (rig) => rig.queue(page(0x0000, 2))],
    ['a large range with it', true, (rig) => rig.queue(page(0x0000, 18))],
    ['another page', false, (rig) => rig.queue(page(0x4000, 1))],
    ['contexts only', false, (rig) => rig.queue([0x11, 0, 0, 0])],
    ['all pages, register', true, (rig) => rig.set(VTD.iotlbInvalidate + 4, 0x90000000)],
    ['a domain, register', true, (rig) => rig.set(VTD.iotlbInvalidate + 4, 0xa0000000 | DOMAIN)],
    [
      'the page, register',
      true,
      (rig) => {
        rig.set(VTD.invalidateAddress, 0x3000);
        rig.set(VTD.iotlbInvalidate + 4, 0xb0000000 | DOMAIN);
      },
    ],
  ];
  for (const [what, isDropped, drop] of drops) {
    const rig = new VtdRig();
    rig.map(0x3000, 0x50000 | READ_WRITE);
    rig.translate();
    rig.iommu.translateDma(SOURCE, 0x3000, false);
    rig.map(0x3000, 0x60000 | READ_WRITE);
    drop(rig);
    assert.equal(rig.iommu.translateDma(SOURCE, 0x3000, false), isDropped ? 0x60000 : 0x50000, what);
    assert.equal(rig.get(VTD.faultStatus), 0, what);
  }
});

test('contexts are invalidated by device, domain or all', () => {
  const drops: readonly [string, boolean, (rig: VtdRig) => void][] = [
    ['all', true, (rig) => rig.queue([0x11, 0, 0, 0])],
    ['the domain', true, (rig) => rig.queue([0x21 | (DOMAIN << 16), 0, 0, 0])],
    ['another domain', false, (rig) => rig.queue([0x21 | (9 << 16), 0, 0, 0])],
    ['the device', true, (rig) => rig.queue([0x31, SOURCE, 0, 0])],
    ['another function', false, (rig) => rig.queue([0x31, SOURCE | 1, 0, 0])],
    ['all functions', true, (rig) => rig.queue([0x31, SOURCE | 7 | (3 << 16), 0, 0])],
    ['all, register', true, (rig) => rig.set(VTD.contextCommand + 4, 0xa0000000)],
  ];
  for (const [what, isDropped, drop] of drops) {
    const rig = new VtdRig();
    rig.map(0x3000, 0x50000 | READ_WRITE);
    rig.translate();
    rig.iommu.translateDma(SOURCE, 0x3000, false);
    rig.context3(8, 1); // pass-through from now on
    drop(rig);
    assert.equal(rig.iommu.translateDma(SOURCE, 0x3000, false), isDropped ? 0x3000 : 0x50000, what);
  }
  const rig = new VtdRig();
  rig.set(VTD.contextCommand + 4, 0xa0000000);
  assert.equal(rig.get(VTD.contextCommand + 4), 0x28000000, 'done, with the granularity told');
});

test('the queue: waits write their status and interrupt once, and it wraps around', () => {
  const rig = new VtdRig();
  rig.set(VTD.completionEvent + 8, 0xfee00000);
  rig.set(VTD.completionEvent + 4, 0x51);
  rig.queue([0x25, 0xaaaa, 0x9000, 0], [0x14, 0, 0, 0], [0x03, 0, 0, 0], [0x35, 0xbbbb, 0x9004, 0]);
  assert.deepEqual([rig.ram.read32(0x9000 as never), rig.ram.read32(0x9004 as never)], [0xaaaa, 0xbbbb]);
  assert.deepEqual([rig.get(VTD.queueHead), rig.get(VTD.completionStatus), rig.sent.length], [0x40, 1, 0]);
  assert.equal(rig.get(VTD.completionEvent), 0xc0000000, 'masked: it waits');
  rig.set(VTD.completionEvent, 0);
  assert.deepEqual([rig.sent, rig.get(VTD.completionEvent)], [[{ command: 0x51, destination: 0 }], 0]);
  for (let at = 0x40; at < 0x1000; at += 16) rig.put(TABLES.queue + at, 0x15, 0, 0, 0);
  rig.set(VTD.queueTail, 0x20);
  assert.deepEqual([rig.get(VTD.queueHead), rig.sent.length], [0x20, 1], 'told once until cleared');
  rig.set(VTD.completionStatus, 1);
  rig.put(TABLES.queue + 0x20, 0x15, 0, 0, 0);
  rig.set(VTD.queueTail, 0x30);
  assert.equal(rig.sent.length, 2);
});

test('a wrong descriptor stops the queue until the error is cleared', () => {
  const wrong: readonly (readonly [number, number, number, number])[] = [
    [0x00, 0, 0, 0],
    [0x07, 0, 0, 0],
    [0x0f, 0, 0, 0],
    [0x01, 0, 0, 0],
    [0x11, 0, 1, 0],
    [0x02, 0, 0, 0],
    [0x32, 0, 19, 0],
    [0x12, 1, 0, 0],
    [0x14, 0, 0, 1],
    [0x125, 0, 0, 0],
  ];
  for (const words of wrong) {
    const rig = new VtdRig();
    rig.set(VTD.faultEvent + 8, 0xfee00000);
    rig.set(VTD.faultEvent + 4, 0x52);
    rig.set(VTD.faultEvent, 0);
    rig.queue([0x25, 1, 0x9000, 0], words, [0x25, 2, 0x9000, 0]);
    assert.deepEqual([rig.get(VTD.queueHead), rig.get(VTD.faultStatus), rig.ram.read32(0x9000 as never)], [0x10, 0x10, 1], words.join());
    assert.deepEqual(rig.sent, [{ command: 0x52, destination: 0 }]);
    rig.put(TABLES.queue + 16, 0x12, 0, 0, 0);
    rig.set(VTD.faultStatus, 0x10);
    assert.deepEqual([rig.get(VTD.queueHead), rig.get(VTD.faultStatus), rig.ram.read32(0x9000 as never)], [0x30, 0, 2]);
  }
});

test('a queue that is nowhere, or whose tail is beyond it, is an error; off it does nothing', () => {
  const rig = new VtdRig();
  rig.set(VTD.queueTail, 0x40);
  assert.equal(rig.get(VTD.queueHead), 0);
  rig.set(VTD.queueAddress, 0xfffff000);
  rig.command(GLOBAL.queuedInvalidation);
  assert.equal(rig.get(VTD.faultStatus), 0x10);
  rig.set(VTD.queueAddress, TABLES.queue);
  for (let at = 0; at < 0x1000; at += 16) rig.put(TABLES.queue + at, 0x12, 0, 0, 0);
  rig.set(VTD.queueTail, 0x1000);
  rig.set(VTD.faultStatus, 0x10);
  assert.equal(rig.get(VTD.faultStatus), 0x10);
  rig.set(VTD.globalCommand, 0);
  assert.deepEqual([rig.get(VTD.globalStatus), rig.get(VTD.queueHead)], [0, 0]);
});

test('faults fill the records, then overflow; the event comes once until all is cleared', () => {
  const rig = new VtdRig();
  rig.set(VTD.faultEvent + 12, 0x00000500);
  rig.set(VTD.faultEvent + 8, 0xfee07000);
  rig.set(VTD.faultEvent + 4, 0x53);
  rig.set(VTD.faultEvent, 0);
  rig.translate();
  for (let i = 0; i < 8; i++) rig.iommu.translateDma(SOURCE + i, 0x3000, true);
  assert.deepEqual([rig.get(VTD.faultStatus), rig.sent], [2, [{ command: 0x53, destination: 7 }]]);
  rig.iommu.translateDma(SOURCE, 0x3000, true);
  assert.deepEqual([rig.get(VTD.faultStatus), rig.sent.length], [3, 1]);
  assert.equal(rig.takeFaults().length, 8);
  assert.equal(rig.get(VTD.faultStatus), 1);
  rig.iommu.translateDma(SOURCE, 0x3000, true);
  assert.equal(rig.takeFaults().length, 0, 'overflow holds them off');
  rig.set(VTD.faultStatus, 1);
  const extended = new VtdRig();
  extended.remap(0x800);
  extended.set(VTD.faultEvent + 12, 0x00000500);
  extended.set(VTD.faultEvent + 8, 0xfee07000);
  extended.set(VTD.faultEvent, 0);
  extended.translate();
  extended.iommu.translateDma(0xffff, 0, true);
  assert.equal(extended.sent[0].destination, 0x507, 'destinations of 32 bits');
});

test('a fault that is dealt with while the event is masked is not told', () => {
  const rig = new VtdRig();
  rig.translate();
  rig.iommu.translateDma(SOURCE, 0x3000, true);
  assert.equal(rig.get(VTD.faultEvent), 0xc0000000);
  rig.takeFaults();
  assert.equal(rig.get(VTD.faultEvent), 0x80000000);
  rig.set(VTD.faultEvent, 0);
  assert.deepEqual(rig.sent, []);
});

test('a snapshot takes registers along, and a reset forgets them', () => {
  const rig = new VtdRig();
  rig.map(0x3000, 0x50000 | READ_WRITE);
  rig.translate();
  const state = rig.iommu.save();
  rig.iommu.reset();
  assert.equal(rig.iommu.translateDma(SOURCE, 0x3000, true), 0x3000);
  rig.iommu.restore(state);
  assert.equal(rig.iommu.translateDma(SOURCE, 0x3000, true), 0x50000);
});
