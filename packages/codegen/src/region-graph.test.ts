// Calls that are inlined and indirect jumps that stay in their region: the same outcome as interpreted, whatever way control takes.

import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Block, Terminal } from '@anillo/ir/block';
import { Builder } from '@anillo/ir/builder';
import { EXIT } from '@anillo/ir/frontend';
import type { Slot } from '@anillo/ir/slot';
import { BLOCK_FLAGS, BlockRecord } from './block-record.ts';
import type { InlinedCall, Region } from './region-compiler.ts';
import { CODE_BASE_LINEAR, RAM_PAGES, SLOTS, TierRig } from './testing/tier-rig.ts';

const R = BlockRecord.offset;
const [SUM, ROUND, RETURN, TARGET] = SLOTS.i64 as [Slot<'i64'>, Slot<'i64'>, Slot<'i64'>, Slot<'i64'>];
const BUDGET = 1_000_000;
const linear = (offset: number): number => CODE_BASE_LINEAR + offset;

interface Step {
  readonly block: Block;
  readonly offset: number;
}

/** A block that counts `weight` and ends as `end` says. */
function step(offset: number, weight: number, end: (b: Builder) => Terminal): Step {
  const b = new Builder();
  b.set(SUM, b.add(b.mul(b.get(SUM), b.i64(3)), b.i64(weight)));
  const terminal = end(b);
  return { offset, block: b.finish(terminal, { byteCount: 8, insnCount: 1, pcBits: 64 }) };
}
const jump = (from: number, to: number) => (): Terminal => ({ kind: 'jump', delta: to - from, poll: false });
const back = (b: Builder): Terminal => ({ kind: 'indirect', target: b.get(RETURN), hint: 'ret' });
const halt = (): Terminal => ({ kind: 'exit', delta: 8, reason: EXIT.HALT });
const call =
  (from: number, to: number, returnTo: number) =>
  (b: Builder): Terminal => {
    b.set(RETURN, b.i64(linear(returnTo)));
    return { kind: 'call', delta: to - from, returnDelta: returnTo - from };
  };

interface Result {
  readonly sum: bigint;
  readonly pc: bigint;
  readonly used: number;
  readonly interpreted: bigint;
}

/** Runs blocks from the first one until they halt; the region's are compiled. */
function run(steps: readonly Step[], region: Region, state: Readonly<Record<string, number>> = {}): Result {
  const rig = new TierRig();
  rig.reset();
  const records = new Map(steps.map(({ block, offset }) => [offset, rig.addBlock(block, offset)]));
  if (region.length > 0) {
    const base = Math.min(...region.map(({ offset }) => offset));
    const { entries } = rig.compile([region]);
    equal(base, 0, 'the first block is the base');
    region.forEach(({ offset }, i) => {
      const entry = (entries[0] as Int32Array)[i] as number;
      if (entry < 0) return;
      const record = records.get(offset) as number;
      rig.view.setUint32(record + R.flags, BLOCK_FLAGS.COMPILED, true);
      rig.view.setUint32(record + R.functionIndex, 1, true);
      rig.view.setInt32(record + R.functionEntry, entry, true);
    });
  }
  rig.start(new Uint8Array(0x1a0), new Uint8Array(RAM_PAGES * 4096), linear(0));
  for (const [slot, value] of [
    [ROUND, state.round ?? 0],
    [TARGET, state.target ?? 0],
  ] as const)
    rig.state.setBigUint64(slot.offset, BigInt(value), true);
  rig.header.budget = BUDGET;
  equal(rig.run(), EXIT.HALT);
  return {
    sum: rig.state.getBigUint64(SUM.offset, true),
    pc: rig.header.pc,
    used: BUDGET - rig.header.budget,
    interpreted: rig.header.retiredInterpreted,
  };
}

const own = ({ block, offset }: Step) => ({ block, offset, entry: true });

/** The same where blocks are so long that what is set stays in locals. */
const long = <T extends Step>(s: T): T => ({ ...s, block: { ...s.block, insnCount: 40 } });

function expectSame(steps: readonly Step[], region: Region, state: Readonly<Record<string, number>> = {}): Result {
  expectSameOf(steps.map(long), region.map(long), state);
  return expectSameOf(steps, region, state);
}
function expectSameOf(steps: readonly Step[], region: Region, state: Readonly<Record<string, number>>): Result {
  const plain = run(steps, [], state);
  const compiled = run(steps, region, state);
  equal(compiled.sum, plain.sum);
  equal(compiled.pc, plain.pc);
  equal(compiled.used, plain.used);
  ok(compiled.interpreted < plain.interpreted, 'something ran compiled');
  return compiled;
}

test('a call that is inlined twice, with another one inside', () => {
  const inner = step(0x200, 7, back);
  // Keeps its own return address while it calls.
  const outer = step(0x100, 5, (b) => {
    b.set(TARGET, b.get(RETURN));
    return call(0x100, 0x200, 0x120)(b);
  });
  const outerEnd = step(0x120, 6, (b) => ({ kind: 'indirect', target: b.get(TARGET), hint: 'ret' }));
  const first = step(0, 1, call(0, 0x100, 0x20));
  const second = step(0x20, 2, call(0x20, 0x100, 0x40));
  const end = step(0x40, 3, halt);
  const steps = [first, second, end, outer, outerEnd, inner];
  const calls = [first, second].map(({ offset }): InlinedCall => ({ within: undefined, at: offset, returnOffset: offset + 0x20 }));
  const copies = calls.flatMap((within) => {
    const nested: InlinedCall = { within, at: outer.offset, returnOffset: outerEnd.offset };
    return [
      { ...outer, entry: false, within },
      { ...outerEnd, entry: false, within },
      { ...inner, entry: false, within: nested },
    ];
  });
  const { interpreted } = expectSame(steps, [...[first, second, end].map(own), ...copies]);
  equal(interpreted, 0n);
});

test('an inlined function that returns elsewhere leaves the region', () => {
  const caller = step(0, 1, call(0, 0x100, 0x20));
  const callee = step(0x100, 2, (b) => ({ kind: 'indirect', target: b.i64(linear(0x60)), hint: 'ret' }));
  const expected = step(0x20, 3, halt);
  const elsewhere = step(0x60, 4, halt);
  const within: InlinedCall = { within: undefined, at: 0, returnOffset: 0x20 };
  expectSame([caller, callee, expected, elsewhere], [own(caller), own(expected), { ...callee, entry: false, within }]);
});

for (const [name, isIndirect] of [
  ['a jump', false],
  ['a jump through a register', true],
] as const) {
  test(`an inlined function that goes on outside of the region by ${name} still returns to its caller`, () => {
    const caller = step(0, 1, call(0, 0x100, 0x20));
    const goOn = isIndirect
      ? (b: Builder): Terminal => ({ kind: 'indirect', target: b.i64(linear(0x180)), hint: 'jump' })
      : jump(0x100, 0x180);
    const callee = step(0x100, 2, goOn);
    const outside = step(0x180, 9, back);
    const loop = step(0x20, 3, (b) => {
      b.set(ROUND, b.sub(b.get(ROUND), b.i64(1)));
      return { kind: 'branch', cond: b.eq(b.get(ROUND), b.i64(0)), taken: 0x20, fall: -0x20 };
    });
    const end = step(0x40, 4, halt);
    const within: InlinedCall = { within: undefined, at: 0, returnOffset: 0x20 };
    const region = [own(caller), own(loop), own(end), { ...callee, entry: false, within }];
    const { interpreted } = expectSame([caller, callee, outside, loop, end], region, { round: 10 });
    // Only what is outside: the compiled function is not left in between.
    equal(interpreted, 10n);
  });
}

/** A loop around an indirect jump to one of `count` places, each of which goes back to the loop or, threaded, jumps on itself. */
function switchLoop(count: number, spread: number, threaded: boolean): { steps: Step[]; places: number[] } {
  const places = Array.from({ length: count }, (_, i) => 0x100 + i * spread);
  const next = (b: Builder): Terminal => {
    // target := one of the places by a small generator, until the rounds are over
    b.set(ROUND, b.sub(b.get(ROUND), b.i64(1)));
    b.set(TARGET, b.and(b.add(b.mul(b.get(TARGET), b.i64(0x5851f42d)), b.i64(0x14057b7)), b.i64(0x7fffffff)));
    const index = b.op('i64.rem_u', [b.op('i64.shr_u', [b.get(TARGET), b.i64(8)]), b.i64(count)]) as ReturnType<typeof b.i64>;
    const place = b.add(b.mul(index, b.i64(spread)), b.i64(linear(0x100)));
    return { kind: 'indirect', target: b.select(b.eq(b.get(ROUND), b.i64(0)), b.i64(linear(0x40)), place), hint: 'jump' };
  };
  const head = step(0, 1, next);
  const end = step(0x40, 2, halt);
  const cases = places.map((place, i) => step(place, i + 3, threaded ? next : jump(place, 0)));
  return { steps: [head, end, ...cases], places };
}

for (const threaded of [false, true]) {
  for (const [count, spread] of [
    [2, 0x20],
    [9, 0x10],
    [60, 0x18],
  ] as const) {
    const name = `${count} places, ${threaded ? 'which jump on themselves' : 'in a loop'}`;
    test(`an indirect jump to ${name}`, () => {
      const { steps, places } = switchLoop(count, spread, threaded);
      const region = steps.map((s) => ({ ...own(s), targets: s.block.terminal.kind === 'indirect' ? [...places, 0x40] : undefined }));
      const { interpreted } = expectSame(steps, region, { round: 500, target: 77 });
      equal(interpreted, 0n);
    });
    test(`an indirect jump to ${name}, some of them not known`, () => {
      const { steps, places } = switchLoop(count, spread, threaded);
      const known = places.filter((_, i) => i % 3 !== 1);
      const region = steps
        .filter(({ offset }) => offset < 0x100 || known.includes(offset))
        .map((s) => ({ ...own(s), targets: s.block.terminal.kind === 'indirect' ? known : undefined }));
      expectSame(steps, region, { round: 500, target: 77 });
    });
  }
}

test('a function that is inlined and has a switch', () => {
  const caller = step(0, 1, call(0, 0x100, 0x20));
  const decide = step(0x100, 2, (b) => {
    const place = b.add(b.mul(b.and(b.get(ROUND), b.i64(3)), b.i64(0x20)), b.i64(linear(0x120)));
    return { kind: 'indirect', target: place, hint: 'jump' };
  });
  const cases = [0, 1, 2, 3].map((i) => step(0x120 + i * 0x20, 10 + i, back));
  const loop = step(0x20, 3, (b) => {
    b.set(ROUND, b.sub(b.get(ROUND), b.i64(1)));
    return { kind: 'branch', cond: b.eq(b.get(ROUND), b.i64(0)), taken: 0x20, fall: -0x20 };
  });
  const end = step(0x40, 4, halt);
  const within: InlinedCall = { within: undefined, at: 0, returnOffset: 0x20 };
  const targets = cases.slice(0, 3).map(({ offset }) => offset);
  const region = [
    ...[caller, loop, end].map(own),
    { ...decide, entry: false, within, targets },
    ...cases.slice(0, 3).map((c) => ({ ...c, entry: false, within })),
  ];
  const { interpreted } = expectSame([caller, decide, ...cases, loop, end], region, { round: 40 });
  equal(interpreted, 10n);
});

/** A branch by bits of the rounds left. */
const unless =
  (from: number, bits: number, to: number, otherwise: number) =>
  (b: Builder): Terminal => ({
    kind: 'branch',
    cond: b.op('i64.ne', [b.and(b.get(ROUND), b.i64(bits)), b.i64(0)]),
    taken: to - from,
    fall: otherwise - from,
  });
const round =
  (end: (b: Builder) => Terminal) =>
  (b: Builder): Terminal => {
    b.set(ROUND, b.sub(b.get(ROUND), b.i64(1)));
    return end(b);
  };

/** Reads what is only read. */
const withTarget =
  (end: (b: Builder) => Terminal) =>
  (b: Builder): Terminal => {
    b.set(SUM, b.add(b.get(SUM), b.get(TARGET)));
    return end(b);
  };

/** Loops with the header, some of them within others, and what leads into them. By name, in places that make each of them the first one. */
const NESTS: Readonly<Record<string, Readonly<Record<string, (at: (name: string) => number) => (b: Builder) => Terminal>>>> = {
  'three deep': {
    start: (at) => jump(at('start'), at('outer')),
    outer: (at) => jump(at('outer'), at('middle')),
    middle: (at) => jump(at('middle'), at('inner')),
    inner: (at) => round(unless(at('inner'), 3, at('body'), at('leave'))),
    body: (at) => jump(at('body'), at('inner')),
    leave: (at) => unless(at('leave'), 15, at('middle'), at('last')),
    last: (at) => unless(at('last'), -1, at('outer'), at('end')),
    end: () => halt,
  },
  'two beside each other, one of them with another': {
    start: (at) => jump(at('start'), at('outer')),
    outer: (at) => jump(at('outer'), at('left')),
    left: (at) => round(unless(at('left'), 1, at('leftBody'), at('right'))),
    leftBody: (at) => jump(at('leftBody'), at('left')),
    right: (at) => jump(at('right'), at('inner')),
    inner: (at) => round(unless(at('inner'), 2, at('inner'), at('rightBody'))),
    rightBody: (at) => round(unless(at('rightBody'), 8, at('right'), at('last'))),
    last: (at) => unless(at('last'), ~7, at('outer'), at('end')),
    end: () => halt,
  },
  'with a call between them': {
    start: (at) => jump(at('start'), at('outer')),
    outer: (at) => call(at('outer'), at('callee'), at('inner')),
    inner: (at) => round(withTarget(unless(at('inner'), 3, at('body'), at('last')))),
    body: (at) => jump(at('body'), at('inner')),
    last: (at) => unless(at('last'), -1, at('outer'), at('end')),
    end: () => halt,
    callee: () => back,
  },
};
for (const [name, nest] of Object.entries(NESTS)) {
  for (const first of Object.keys(nest).filter((block) => block !== 'callee')) {
    test(`loops ${name}, entered at ${first}`, () => {
      const names = [first, ...Object.keys(nest).filter((other) => other !== first)];
      const at = (block: string): number => names.indexOf(block) * 0x10;
      const steps = names.map((block, i) => step(at(block), i + 1, (nest[block] as (typeof nest)[string])(at)));
      const { interpreted } = expectSame(steps, steps.map(own), { round: 1003, target: 5 });
      // Blocks that are no headers wait for the next one.
      if (!/body|leave|last|callee/i.test(first)) equal(interpreted, 0n);
    });
  }
}
