// The dispatcher: why `run` comes back, links, guards, heat, budget; both tiers hand over to each other.

import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { Block, Terminal, Value } from '@anillo/ir/block';
import { Builder } from '@anillo/ir/builder';
import { helper, routine } from '@anillo/ir/callee';
import { EXIT } from '@anillo/ir/frontend';
import { PC, VcpuHeader } from '@anillo/ir/vcpu-header';
import { BLOCK_FLAGS, blockBucket, BlockRecord } from '@anillo/codegen/block-record';
import { CODE_BASE_LINEAR, DATA_BASE, RAM_PAGES, type RigOptions, SLOTS, TierRig } from '@anillo/codegen/testing/tier-rig';

const R = BlockRecord.offset;
const COUNTER = SLOTS.i64[0];

/** Counts in a slot, then goes where `terminal` says. */
function counting(terminal: (b: Builder) => Terminal, insnCount = 3, pcBits: 16 | 32 | 64 = 64): Block {
  const b = new Builder();
  b.set(COUNTER, b.add(b.get(COUNTER), b.i64(1)));
  return b.finish(terminal(b), { byteCount: 8, insnCount, pcBits });
}
const jump =
  (delta: number, poll = false) =>
  (): Terminal => ({ kind: 'jump', delta, poll });

function rigWith(blocks: readonly [Block, number][], hotAt = 0, options: RigOptions = {}): { rig: TierRig; records: number[] } {
  const rig = new TierRig(options);
  rig.reset();
  const records = blocks.map(([block, offset]) => rig.addBlock(block, offset, hotAt));
  start(rig);
  return { rig, records };
}
function start(rig: TierRig, offset = 0): void {
  rig.start(new Uint8Array(0x1a0), new Uint8Array(RAM_PAGES * 4096), CODE_BASE_LINEAR + offset);
}
const counter = (rig: TierRig): number => Number(rig.state.getBigUint64(COUNTER.offset, true));

function compileAll(rig: TierRig, blocks: readonly [Block, number][], records: readonly number[]): void {
  const { entries } = rig.compile([blocks.map(([block, offset]) => ({ block, offset, entry: true }))]);
  records.forEach((record, i) => {
    if (entries[0][i] < 0) return;
    rig.view.setUint32(record + R.flags, BLOCK_FLAGS.COMPILED, true);
    rig.view.setUint32(record + R.functionIndex, 1, true);
    rig.view.setInt32(record + R.functionEntry, entries[0][i], true);
  });
}

test('a missing block is a miss with pc there', () => {
  const { rig } = rigWith([[counting(jump(0x40)), 0]]);
  equal(rig.run(), EXIT.MISS);
  equal(rig.header.pc, BigInt(CODE_BASE_LINEAR + 0x40));
  equal(rig.header.block, 0);
  equal(counter(rig), 1);
});

test('no exec tag is a miss', () => {
  const { rig } = rigWith([[counting(jump(0x40)), 0]]);
  rig.fillTlb(BigInt(CODE_BASE_LINEAR), TierRig.codeHost, { read: true, write: true, exec: false });
  equal(rig.run(), EXIT.MISS);
  equal(counter(rig), 0);
});

test('another mode is another block', () => {
  const { rig } = rigWith([[counting(jump(0x40)), 0]]);
  rig.header.mode = 7;
  equal(rig.run(), EXIT.MISS);
  equal(counter(rig), 0);
});

/** Traps go to 0x40, and count 100, but for those that `hostWalks` leaves to the host; interrupts are enabled from the third turn on. */
const DELIVER = routine({
  name: 'deliver',
  params: [],
  result: 'i32',
  reads: [COUNTER],
  writes: [COUNTER, PC],
  traps: true,
  build: (b) => {
    const isRefused = b.temp('i32', b.op('state.load32', [b.i32(0)], VcpuHeader.offset.hostWalks));
    b.if(b.eqz(b.get(isRefused)), () => {
      b.set(COUNTER, b.add(b.get(COUNTER), b.i64(100)));
      b.set(PC, b.i64(CODE_BASE_LINEAR + 0x40));
      b.op('state.store32', [b.i32(0), b.i32(0)], VcpuHeader.offset.trapped);
    });
    return b.eqz(b.get(isRefused));
  },
});
const CAN_INTERRUPT = routine({
  name: 'canInterrupt',
  params: [],
  result: 'i32',
  reads: [COUNTER],
  writes: 'none',
  traps: false,
  build: (b) => b.geU(b.get(COUNTER), b.i64(3)),
});
const EVENTS: RigOptions = { routines: [DELIVER, CAN_INTERRUPT], events: { deliver: DELIVER, canInterrupt: CAN_INTERRUPT } };

for (const tier of ['interpreted', 'compiled'] as const) {
  test(`the budget ends a loop, ${tier}`, () => {
    const blocks: [Block, number][] = [[counting(jump(0)), 0]];
    const { rig, records } = rigWith(blocks);
    if (tier === 'compiled') compileAll(rig, blocks, records);
    rig.header.budget = 100;
    equal(rig.run(), EXIT.BUDGET);
    const executed = counter(rig);
    equal(executed, tier === 'compiled' ? 34 : 33);
    equal(rig.header.budget, 100 - 3 * executed);
    equal(rig.header.retiredInterpreted, tier === 'compiled' ? 0n : BigInt(3 * executed));
    equal(rig.header.pc, BigInt(CODE_BASE_LINEAR));
    if (tier === 'compiled') equal(rig.run(), EXIT.BUDGET);
    equal(counter(rig), executed);
  });

  test(`loops within loops and exits, ${tier}`, () => {
    const below =
      (limit: number, bits: number) =>
      (b: Builder): Value<'i32'> =>
        b.ltU(b.and(b.get(COUNTER), b.i64(bits)), b.i64(limit));
    const blocks: [Block, number][] = [
      [counting(jump(0x20)), 0],
      [counting((b) => ({ kind: 'branch', cond: below(7, 7)(b), taken: 0, fall: 0x20 })), 0x20],
      [counting((b) => ({ kind: 'branch', cond: below(90, 127)(b), taken: -0x40, fall: 0x20 })), 0x40],
      [counting(() => ({ kind: 'exit', delta: 5, reason: EXIT.HALT })), 0x60],
    ];
    const { rig, records } = rigWith(blocks);
    if (tier === 'compiled') compileAll(rig, blocks, records);
    rig.header.budget = 100000;
    equal(rig.run(), EXIT.HALT);
    equal(rig.header.exitReason, EXIT.HALT);
    equal(rig.header.pc, BigInt(CODE_BASE_LINEAR + 0x65));
    let want = 0;
    do {
      want++;
      do want++;
      while ((want & 7) < 7);
      want++;
    } while ((want & 127) < 90);
    equal(counter(rig), want + 1);
  });

  test(`pending interrupts stop polls and dispatches, ${tier}`, () => {
    for (const terminal of [jump(0x20, true), (): Terminal => ({ kind: 'dispatch' })]) {
      const blocks: [Block, number][] = [[counting(terminal), 0]];
      const { rig, records } = rigWith(blocks);
      if (tier === 'compiled') compileAll(rig, blocks, records);
      rig.header.pending = 1;
      equal(rig.run(), EXIT.POLL);
      equal(counter(rig), 1);
    }
  });

  test(`what has trapped is delivered without the host, unless it has to or wants to, ${tier}`, () => {
    const trap = (): Terminal => ({ kind: 'trap', code: 7 });
    const blocks: [Block, number][] = [[counting(trap), 0x20]];
    const { rig, records } = rigWith(blocks, 0, EVENTS);
    if (tier === 'compiled') compileAll(rig, blocks, records);
    start(rig, 0x20);
    equal(rig.run(), EXIT.MISS);
    deepEqual([counter(rig), rig.header.pc, rig.header.trapsDelivered], [101, BigInt(CODE_BASE_LINEAR + 0x40), 1]);
    for (const field of ['hostTraps', 'hostWalks'] as const) {
      start(rig, 0x20);
      rig.header[field] = 1;
      equal(rig.run(), EXIT.TRAP);
      deepEqual([counter(rig), rig.header.pc + BigInt(rig.header.trapAt), rig.header.trapped], [1, BigInt(CODE_BASE_LINEAR + 0x20), 1]);
    }
  });

  test(`an interrupt that is held off stops nothing, ${tier}`, () => {
    for (const terminal of [jump(0, true), (): Terminal => ({ kind: 'dispatch' })]) {
      const blocks: [Block, number][] = [[counting(terminal), 0]];
      const { rig, records } = rigWith(blocks, 0, EVENTS);
      if (tier === 'compiled') compileAll(rig, blocks, records);
      rig.header.pending = 1;
      equal(rig.run(), EXIT.POLL);
      equal(counter(rig), 3);
    }
  });

  test(`a new pc is cut to its width, ${tier}`, () => {
    for (const [bits, mask] of [
      [16, 0xffffn],
      [32, 0xffff_ffffn],
      [64, 0xffff_ffff_ffff_ffffn],
    ] as const) {
      const blocks: [Block, number][] = [[counting(jump(-(CODE_BASE_LINEAR + 3)), 3, bits), 0]];
      const { rig, records } = rigWith(blocks);
      if (tier === 'compiled') compileAll(rig, blocks, records);
      equal(rig.run(), EXIT.MISS);
      equal(rig.header.pc, BigInt.asUintN(64, -3n) & mask);
    }
  });
}

test('a block is reported hot once, before it runs', () => {
  const { rig, records } = rigWith([[counting(jump(0)), 0]], 5);
  equal(rig.run(), EXIT.HOT);
  equal(rig.header.block, records[0]);
  equal(counter(rig), 4);
  rig.header.budget = 30;
  equal(rig.run(), EXIT.BUDGET);
  equal(counter(rig), 14);
});

test('links stay within the page and are filled after the first look-up', () => {
  const { rig } = rigWith([
    [counting(jump(0x20)), 0],
    [counting(jump(0x1000)), 0x20],
  ]);
  const forget = (offset: number): void => rig.view.setUint32(TierRig.bucketsAt + 4 * blockBucket(TierRig.codeHost + offset, 0), 0, true);
  equal(rig.run(), EXIT.MISS);
  equal(rig.header.pc, BigInt(CODE_BASE_LINEAR + 0x1020));
  forget(0x20);
  start(rig);
  equal(rig.run(), EXIT.MISS);
  equal(counter(rig), 2);
  forget(0);
  start(rig);
  equal(rig.run(), EXIT.MISS);
  equal(counter(rig), 0);
});

test('16-bit code has no links, for its pc may wrap inside a page', () => {
  const { rig } = rigWith([
    [counting(jump(0x20), 3, 16), 0],
    [counting(jump(0x1000)), 0x20],
  ]);
  rig.header.pc = 0x100n;
  rig.header.codeBase = BigInt(CODE_BASE_LINEAR - 0x100);
  equal(rig.run(), EXIT.MISS);
  equal(counter(rig), 2);
  rig.view.setUint32(TierRig.bucketsAt + 4 * blockBucket(TierRig.codeHost + 0x20, 0), 0, true);
  start(rig);
  rig.header.pc = 0x100n;
  rig.header.codeBase = BigInt(CODE_BASE_LINEAR - 0x100);
  equal(rig.run(), EXIT.MISS);
  equal(counter(rig), 1);
});

test('a straddling block runs only while its second page is where it was', () => {
  const { rig, records } = rigWith([[counting(jump(0x40)), 0xff0]]);
  const [record] = records;
  rig.view.setUint32(record + R.flags, BLOCK_FLAGS.GUARD, true);
  rig.view.setUint32(record + R.guardDelta, 0x10, true);
  rig.view.setUint32(record + R.guardHost, TierRig.ramAt, true);
  start(rig, 0xff0);
  equal(rig.run(), EXIT.MISS);
  equal(rig.header.block, record);
  rig.fillTlb(BigInt(CODE_BASE_LINEAR + 0x1000), TierRig.ramAt + 0x1000, { read: false, write: false, exec: true });
  equal(rig.run(), EXIT.MISS);
  equal(counter(rig), 0);
  rig.fillTlb(BigInt(CODE_BASE_LINEAR + 0x1000), TierRig.ramAt, { read: false, write: false, exec: true });
  equal(rig.run(), EXIT.MISS);
  equal(rig.header.block, 0);
  equal(counter(rig), 1);
});

test('interpreted and compiled blocks hand over to each other', () => {
  const blocks: [Block, number][] = [0, 0x20, 0x40].map((at) => [counting(jump(at === 0x40 ? -0x40 : 0x20)), at]);
  const { rig, records } = rigWith(blocks);
  compileAll(
    rig,
    blocks.slice(1, 2).map(([block]) => [block, 0]),
    records.slice(1, 2),
  );
  rig.header.budget = 90;
  equal(rig.run(), EXIT.BUDGET);
  equal(counter(rig), 30);
  equal(rig.header.retiredInterpreted, 60n);
});

test('the host calls a routine by its name; a trap shows in the header', () => {
  const load = routine({
    name: 'loadOne',
    params: ['i64'],
    result: 'i32',
    reads: 'none',
    writes: 'none',
    traps: true,
    build: (b, [a]) => b.op('i32.load8_u', [a as Value<'i64'>], 2),
  });
  const where = routine({
    name: 'where',
    params: ['i64'],
    result: 'i32',
    reads: 'none',
    writes: 'none',
    traps: false,
    build: (b, [a]) => b.op('tlb.write', [a as Value<'i64'>]),
  });
  const rig = new TierRig({ routines: [load, where] });
  rig.reset();
  start(rig);
  rig.bytes[TierRig.ramAt + 7] = 99;
  const call = (name: string, address: bigint): number =>
    (rig.runtime.exports[name] as unknown as (cpu: number, a: bigint) => number)(0x10000, address);
  equal(call('where', DATA_BASE + 5n), -1);
  equal(call('loadOne', DATA_BASE + 5n), 99);
  equal(call('where', DATA_BASE + 5n), TierRig.ramAt + 5);
  equal(rig.header.trapped, 0);
  call('loadOne', 5n);
  equal(rig.header.trapped, 1);
  equal(rig.faultAddress, 7n);
});

test('distance and place of bytes that the TLB grants, in both tiers', () => {
  const rig = new TierRig({});
  const b = new Builder();
  const at = b.get(SLOTS.i64[1]);
  b.set(SLOTS.i64[2], b.op('tlb.read_distance', [at]));
  b.set(SLOTS.i64[3], b.op('tlb.write_distance', [at]));
  b.op('i32.load8_u', [at]);
  b.if(b.ltU(b.op('tlb.read_distance', [at]), b.i64(4096)), () => {
    const host = b.op('tlb.granted', [at]);
    b.op('v128.ram_store', [b.add(host, b.i32(16)), b.op('v128.ram_load', [host])]);
  });
  b.set(SLOTS.i64[5], b.op('tlb.read_distance', [at]));
  b.set(SLOTS.i64[6], b.op('tlb.write_distance', [at]));
  const block = b.finish({ kind: 'exit', delta: 0, reason: EXIT.HALT }, { byteCount: 8, insnCount: 1, pcBits: 64 });
  rig.reset();
  rig.addBlock(block, 0);
  const compiled = rig.compile([[{ block, offset: 0, entry: true }]]);
  const distance = (i: number): bigint => rig.state.getBigUint64(SLOTS.i64[i].offset, true);
  for (const [isKnown, run] of [
    [false, () => rig.run()],
    [true, () => compiled.call(0, 0)],
  ] as const) {
    for (const [page, writable] of [
      [0, true],
      [2, false],
    ] as const) {
      start(rig);
      rig.state.setBigUint64(SLOTS.i64[1].offset, DATA_BASE + BigInt(page * 4096 + 40), true);
      const from = TierRig.ramAt + page * 4096 + 40;
      rig.bytes.set(
        Array.from({ length: 32 }, (_, i) => i),
        from,
      );
      run();
      deepEqual(
        [2, 3].map((i) => distance(i) === 40n),
        [isKnown, isKnown && writable],
      );
      equal(distance(5), 40n);
      equal(distance(6) === 40n, writable);
      deepEqual(
        [...rig.bytes.slice(from + 16, from + 32)],
        Array.from({ length: 16 }, (_, i) => i),
      );
    }
  }
});

test('a pinned slot that a helper changes without saying so keeps its old value where that was read before', () => {
  const poke = helper('poke', 0, { reads: 'none', writes: 'none' });
  const b = new Builder();
  const old = b.get(SLOTS.pinned[1]);
  b.call(poke);
  b.set(SLOTS.i64[1], old);
  b.set(SLOTS.i64[2], b.get(SLOTS.pinned[1]));
  const block = b.finish({ kind: 'jump', delta: 64, poll: false }, { byteCount: 8, insnCount: 1, pcBits: 64 });
  const rig = new TierRig({
    helpers: {
      poke: (r: TierRig): number => {
        r.state.setBigUint64(SLOTS.pinned[1].offset, 5n, true);
        return 0;
      },
    },
  });
  rig.reset();
  rig.addBlock(block, 0);
  const compiled = rig.compile([[{ block, offset: 0, entry: true }]]);
  for (const run of [() => rig.run(), () => compiled.call(0, 0)]) {
    start(rig);
    rig.state.setBigUint64(SLOTS.pinned[1].offset, 4n, true);
    run();
    deepEqual(
      [1, 2].map((i) => rig.state.getBigUint64(SLOTS.i64[i].offset, true)),
      [4n, 5n],
    );
  }
});
