// Forgetting pages of large mappings, and the numbers of mappings of code.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TLB_STACK_ENTRY, tlbEntryOffset, TlbEntry } from '@anillo/codegen/tlb-layout';
import { VcpuHeader } from '@anillo/ir/vcpu-header';
import { planMemory } from './memory-plan.ts';
import { VcpuTlb } from './vcpu-tlb.ts';

const READ = 1;
const EXECUTE = 4;
const KERNEL_HIGH = 0xffff_8880 | 0;

function rig() {
  const plan = planMemory(1, [{ start: 0, byteCount: 0x10000, kind: 'ram' }]);
  const buffer = new ArrayBuffer(plan.arenaAt(0));
  const tlb = new VcpuTlb(buffer, plan, 0);
  const words = new Uint32Array(buffer);
  const header = VcpuHeader.view(buffer, plan.vcpuAt(0));
  const holds = (low: number): boolean =>
    words[(plan.tlbAt(0, 0, 0) + tlbEntryOffset(low) + TlbEntry.offset.tagRead) >>> 2] === (low & ~0xfff) >>> 0;
  const epochs = (): readonly number[] => [header.codeEpoch, header.codeEpochUpper];
  return { tlb, header, holds, epochs, words, plan };
}

/** Which of the numbers something changes. */
function changesOf(epochs: () => readonly number[]): (act: () => void) => readonly boolean[] {
  return (act) => {
    const before = epochs();
    act();
    return epochs().map((epoch, i) => epoch !== before[i]);
  };
}

for (const [name, pageBytes, distance] of [
  ['2 MiB', 0x20_0000, 0x1f_f000],
  ['4 MiB', 0x40_0000, 0x3f_f000],
  ['1 GiB', 0x4000_0000, 0x3fff_f000],
] as const) {
  test(`forgetting one address of a page of ${name} forgets all of it`, () => {
    for (const high of [0, KERNEL_HIGH]) {
      const { tlb, holds } = rig();
      tlb.fill(0x4000_0000, high, 0, READ, pageBytes, false);
      tlb.flushPage(0x4000_0000 + distance, high);
      assert.equal(holds(0x4000_0000), false);
    }
  });
}

test('forgetting a page leaves others, and large mappings of the other half', () => {
  const { tlb, holds } = rig();
  tlb.fill(0x1000, 0, 0, READ, 4096, false);
  tlb.fill(0x4000_0000, KERNEL_HIGH, 0, READ, 0x4000_0000, true);
  tlb.flushPage(0x4000_2000, 0);
  assert.deepEqual([holds(0x1000), holds(0x4000_0000)], [true, true]);
  tlb.flushPage(0x1000, 0);
  assert.deepEqual([holds(0x1000), holds(0x4000_0000)], [false, true]);
});

test('the number of the mapping of code changes with what it may depend on', () => {
  const { tlb, epochs } = rig();
  const changes = changesOf(epochs);
  tlb.fill(0x1000, 0, 0, EXECUTE, 4096, false);
  assert.deepEqual(
    changes(() => tlb.flushPage(0x1000, 0)),
    [true, false],
  );
  assert.deepEqual(
    changes(() => tlb.flushPage(0x1000, KERNEL_HIGH)),
    [false, true],
  );
  assert.deepEqual(
    changes(() => void tlb.selectSpace(5, true)),
    [true, false],
  );
  const fifth = epochs();
  assert.deepEqual(
    changes(() => void tlb.selectSpace(0, true)),
    [true, false],
  );
  tlb.selectSpace(5, true);
  assert.deepEqual(epochs(), fifth);
  assert.deepEqual(
    changes(() => void tlb.selectSpace(5, false)),
    [true, false],
  );
  assert.deepEqual(
    changes(() => tlb.flushOwn()),
    [true, false],
  );
  assert.deepEqual(
    changes(() => tlb.flush()),
    [true, true],
  );
  // Code of the upper half that is not mapped globally makes its number each address space's own.
  tlb.fill(0x1000, KERNEL_HIGH, 0, EXECUTE, 4096, false);
  assert.deepEqual(
    changes(() => void tlb.selectSpace(0, true)),
    [true, true],
  );
  assert.deepEqual(
    changes(() => tlb.flushOwn()),
    [true, true],
  );
});

test('forgetting a page leaves the number of the mapping of code unless code has been found there', () => {
  const { tlb, epochs } = rig();
  const changes = changesOf(epochs);
  const flush = (low: number) => changes(() => tlb.flushPage(low, 0))[0];
  tlb.fill(0x1000, 0, 0, READ, 4096, false);
  tlb.fill(0x2000, 0, 0, READ | EXECUTE, 4096, false);
  // It pushes the page of code out of the TLB, but what was found out meanwhile stays known.
  tlb.fill(0x2000 + 1024 * 4096, 0, 0, READ, 4096, false);
  assert.deepEqual([flush(0x1000), flush(0x2000), flush(0x3000)], [false, true, false]);
  tlb.fill(0x40_0000, 0, 0, READ, 0x20_0000, false);
  assert.equal(flush(0x41_0000), true);
  // Another address space's code is not forgotten with this one's.
  tlb.selectSpace(7, true);
  assert.equal(flush(0x2000), false);
  tlb.selectSpace(0, true);
  tlb.fill(0x2000, 0, 0, EXECUTE, 4096, false);
  tlb.flushOwn();
  assert.equal(flush(0x2000), false);
  tlb.fill(0x2000, 0, 0, EXECUTE, 4096, true);
  tlb.flushOwn();
  assert.equal(flush(0x2000), true);
  tlb.flush();
  assert.equal(flush(0x2000), false);
});

test('where addresses have 32 bits, the last GiB is the upper half', () => {
  const { tlb, header, epochs } = rig();
  const changes = changesOf(epochs);
  for (const page of [0xc000_0000, 0xbfff_f000]) tlb.fill(page | 0, 0, 0, EXECUTE, 4096, false);
  const flush = (low: number) => changes(() => tlb.flushPage(low | 0, 0));
  assert.deepEqual(flush(0xc000_0000), [true, false]);
  header.upperQuarter = 1;
  assert.deepEqual(
    [flush(0xc000_0000), flush(0xffff_f000), flush(0xbfff_f000)],
    [
      [false, true],
      [false, true],
      [true, false],
    ],
  );
  tlb.fill(0xc000_1000 | 0, 0, 0, EXECUTE, 4096, true);
  assert.deepEqual(
    changes(() => void tlb.selectSpace(0, false)),
    [true, false],
  );
  tlb.fill(0xc000_1000 | 0, 0, 0, EXECUTE, 4096, false);
  assert.deepEqual(
    changes(() => void tlb.selectSpace(0, false)),
    [true, true],
  );
});

test('a page with code is written through none of its entries, of however many', () => {
  const WRITE = 2;
  for (const others of [0, 1, 3000]) {
    const { tlb, words, plan } = rig();
    const mayWrite = (space: number, low: number): boolean =>
      words[(plan.tlbAt(0, space, 0) + tlbEntryOffset(low) + TlbEntry.offset.tagWrite) >>> 2] === (low & ~0xfff) >>> 0;
    const CODE = 0x12_3000;
    // Pages with the same number modulo the number of slots share one.
    for (let i = 0; i < others; i++) tlb.fill(0x10_0000 + i * 4096, 0, CODE + (1 + (i % 3)) * 0x40_0000, READ | WRITE, 4096, (i & 1) === 0);
    tlb.fill(0x5000, 0, CODE, READ | WRITE, 4096, false);
    tlb.fill(0x6000, 0, CODE, READ | WRITE, 4096, true);
    tlb.fill(0x7000, 0, CODE + 0x40_0000, READ | WRITE, 4096, true);
    tlb.selectSpace(3, true);
    tlb.fill(0x8000, 0, CODE, READ | WRITE, 4096, false);
    for (let turn = 0; turn < 2; turn++) {
      tlb.revokeWrite(CODE);
      assert.deepEqual([mayWrite(0, 0x5000), mayWrite(0, 0x6000), mayWrite(1, 0x8000)], [false, false, false]);
      assert.equal(mayWrite(0, 0x7000), true);
      tlb.fill(0x8000, 0, CODE, READ | WRITE, 4096, false);
      assert.equal(mayWrite(1, 0x8000), true);
    }
    tlb.revokeWrite(CODE + 0x40_0000);
    assert.equal(mayWrite(0, 0x7000), false);
  }
});

test('what forgets an entry forgets that of the stack pointer too', () => {
  const LINEAR = 0x7000;
  const HOST_PAGE = 0x12_3000;
  for (const [name, forget] of Object.entries<(tlb: VcpuTlb) => void>({
    flush: (tlb) => tlb.flush(),
    flushOwn: (tlb) => tlb.flushOwn(),
    flushPage: (tlb) => tlb.flushPage(LINEAR, 0),
    revokeWrite: (tlb) => tlb.revokeWrite(HOST_PAGE),
    selectSpace: (tlb) => void tlb.selectSpace(0, false),
  })) {
    const { tlb, words, plan } = rig();
    tlb.fill(LINEAR, 0, HOST_PAGE, READ | 2, 4096, false);
    for (const spaceClass of [0, 1]) {
      const tag = (plan.tlbAt(0, 0, spaceClass) + TLB_STACK_ENTRY + TlbEntry.offset.tagWrite) >>> 2;
      words[tag] = LINEAR;
      words[tag + 1] = 0;
      forget(tlb);
      assert.notEqual(words[tag], LINEAR, name);
      tlb.fill(LINEAR, 0, HOST_PAGE, READ | 2, 4096, false);
    }
  }
});
