// Calls of compiled guest code: nested dispatchers, returns elsewhere, code that moves or dies below a waiting frame, deep recursion.

import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { Block, Terminal } from '@anillo/ir/block';
import { Builder } from '@anillo/ir/builder';
import { helper } from '@anillo/ir/callee';
import { EXIT } from '@anillo/ir/frontend';
import type { Slot } from '@anillo/ir/slot';
import { BLOCK_FLAGS, blockBucket, BlockRecord } from './block-record.ts';
import { CODE_BASE_LINEAR, RAM_PAGES, SLOTS, TierRig } from './testing/tier-rig.ts';

const R = BlockRecord.offset;
const [DOWN, UP, STEPS] = SLOTS.i64 as [Slot<'i64'>, Slot<'i64'>, Slot<'i64'>];
/** Where the blocks of the recursion lie. */
const AT = { enter: 0, call: 0x20, back: 0x40, leave: 0x60, end: 0x80 } as const;
type Part = keyof typeof AT;
const address = (part: Part): number => CODE_BASE_LINEAR + AT[part];

function block(counted: Slot<'i64'>, write: (b: Builder) => Terminal): Block {
  const b = new Builder();
  b.set(counted, b.add(b.get(counted), b.i64(1)));
  const terminal = write(b);
  return b.finish(terminal, { byteCount: 8, insnCount: 1, pcBits: 64 });
}

/** enter: goes down `depth` levels by calls; leave: returns as often, at last to `end`. */
function recursion(depth: number, extra: (b: Builder) => void = () => {}): Readonly<Record<Part, Block>> {
  const step = (from: Part, to: Part): number => AT[to] - AT[from];
  return {
    enter: block(DOWN, (b) => ({
      kind: 'branch',
      cond: b.ltU(b.get(DOWN), b.i64(depth)),
      taken: step('enter', 'call'),
      fall: step('enter', 'leave'),
    })),
    call: block(STEPS, () => ({ kind: 'call', delta: step('call', 'enter'), returnDelta: step('call', 'back') })),
    back: block(UP, () => ({ kind: 'jump', delta: step('back', 'leave'), poll: false })),
    leave: block(STEPS, (b) => {
      extra(b);
      const isLast = b.eq(b.get(UP), b.i64(depth - 1));
      return { kind: 'indirect', target: b.select(isLast, b.i64(address('end')), b.i64(address('back'))), hint: 'ret' };
    }),
    end: block(STEPS, () => ({ kind: 'exit', delta: 8, reason: EXIT.HALT })),
  };
}

interface Machine {
  readonly rig: TierRig;
  readonly records: Readonly<Record<Part, number>>;
}

/** Blocks of `regions` are compiled together, a function for each region, all others are interpreted. */
function machine(blocks: Readonly<Record<Part, Block>>, regions: readonly (readonly Part[])[], rig = new TierRig()): Machine {
  rig.reset();
  const names = Object.keys(AT) as Part[];
  const records = Object.fromEntries(names.map((name) => [name, rig.addBlock(blocks[name], AT[name])])) as Record<Part, number>;
  const { entries } = rig.compile(
    regions.map((region) => region.map((name) => ({ block: blocks[name], offset: AT[name] - AT[region[0] as Part], entry: true }))),
  );
  regions.forEach((region, i) => {
    region.forEach((name, k) => {
      const entry = (entries[i] as Int32Array)[k] as number;
      if (entry < 0) return;
      rig.view.setUint32(records[name] + R.flags, BLOCK_FLAGS.COMPILED, true);
      rig.view.setUint32(records[name] + R.functionIndex, i + 1, true);
      rig.view.setInt32(records[name] + R.functionEntry, entry, true);
    });
  });
  rig.start(new Uint8Array(0x1a0), new Uint8Array(RAM_PAGES * 4096), CODE_BASE_LINEAR);
  rig.header.budget = 1_000_000;
  return { rig, records };
}

const count = (rig: TierRig, slot: Slot<'i64'>): number => Number(rig.state.getBigUint64(slot.offset, true));

function expectRecursion({ rig }: Machine, depth: number): void {
  equal(rig.run(), EXIT.HALT);
  equal(rig.header.pc, BigInt(address('end') + 8));
  // The first level makes no call when it is the last.
  equal(count(rig, DOWN), depth);
  equal(count(rig, UP), depth - 1);
  equal(count(rig, STEPS), 2 * (depth - 1) + 2);
  equal(1_000_000 - rig.header.budget, depth + depth - 1 + 2 * (depth - 1) + 2);
}

const WAYS: readonly (readonly [string, readonly (readonly Part[])[]])[] = [
  ['interpreted', []],
  ['one function', [['enter', 'call', 'back', 'leave']]],
  ['a function for each block', [['enter'], ['call'], ['back'], ['leave'], ['end']]],
  ['caller compiled, callee interpreted', [['call', 'back']]],
  ['return address interpreted', [['enter', 'call'], ['leave']]],
];
for (const [name, regions] of WAYS) {
  for (const depth of [1, 2, 40, 100_000]) {
    test(`recursion ${depth} deep, ${name}`, () => expectRecursion(machine(recursion(depth), regions), depth));
  }
}

test('a waiting frame does not go on once code may lie elsewhere', () => {
  const move = helper('move', 0, { reads: 'none', writes: 'none' });
  const rig = new TierRig({
    helpers: {
      move: (r: TierRig): number => {
        r.header.codeEpoch++;
        r.view.setUint32(TierRig.bucketsAt + 4 * blockBucket(TierRig.codeHost + AT.back, 0), 0, true);
        return 0;
      },
    },
  });
  machine(
    recursion(20, (b) => void b.call(move)),
    [['enter', 'call', 'back', 'leave']],
    rig,
  );
  equal(rig.run(), EXIT.MISS);
  equal(rig.header.pc, BigInt(address('back')));
  equal(count(rig, UP), 0);
});

test('the record says which function has a block, whatever the jump cache says', () => {
  const depth = 30;
  const { rig, records } = machine(recursion(depth), [['enter'], ['call'], ['back'], ['leave']]);
  const again = { rig, records };
  expectRecursion(again, depth);
  // The jump cache knows all four now; the third gets another place in the table.
  rig.moveFunction(3, 9);
  rig.view.setUint32(records.back + R.functionIndex, 9, true);
  rig.start(new Uint8Array(0x1a0), new Uint8Array(RAM_PAGES * 4096), CODE_BASE_LINEAR);
  rig.header.budget = 1_000_000;
  expectRecursion(again, depth);
});

test('the budget ends a recursion without loops', () => {
  const { rig } = machine(recursion(1_000_000), [['enter', 'call', 'back', 'leave']]);
  rig.header.budget = 5000;
  equal(rig.run(), EXIT.BUDGET);
  equal(rig.header.budget <= 0 && rig.header.budget > -100, true);
});
