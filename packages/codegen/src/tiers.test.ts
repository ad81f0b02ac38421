// Random blocks and regions: interpreter, compiled code and oracle must agree on slots, memory, pc and traps.

import { equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Block, Terminal, Value } from '@anillo/ir/block';
import { evaluateBlock, type EvaluatorWorld } from '@anillo/ir/evaluate';
import { optimize } from '@anillo/ir/optimize';
import { verifyBlock } from '@anillo/ir/verify';
import { BLOCK_FLAGS, BlockRecord } from '@anillo/codegen/block-record';
import { Random } from '@anillo/codegen/testing/random';
import { HELPERS, RandomBlock, ROUTINES, FUEL } from '@anillo/codegen/testing/random-block';
import { CODE_BASE_LINEAR, RAM_PAGES, SLOTS, TierRig } from '@anillo/codegen/testing/tier-rig';

const BLOCK_SPACING = 128;

interface Case {
  readonly state: Uint8Array;
  readonly ram: Uint8Array;
}

function randomCase(random: Random): Case {
  const state = new Uint8Array(0x1a0);
  random.fill(state);
  for (let w = 0; w < 8; w++) state.fill(0, 0x44 + 8 * w, 0x48 + 8 * w);
  const view = new DataView(state.buffer);
  view.setBigUint64(FUEL.offset - SLOTS.i64[0].offset, BigInt(3 + random.below(20)), true);
  const ram = new Uint8Array(RAM_PAGES * 4096);
  random.fill(ram.subarray(0, 4096));
  return { state, ram };
}

const calls =
  (rig: TierRig): EvaluatorWorld['call'] =>
  (name, args) => {
    const numbers = args.map((a) => Number(BigInt.asIntN(32, a as bigint)));
    const result = (HELPERS as Record<string, (rig: TierRig, ...args: number[]) => number>)[name](rig, ...numbers);
    if (name !== 'trapOdd') return BigInt(result >>> 0);
    return result === 0 ? undefined : 'trap';
  };

/** Where a block of a random region goes. */
function randomTerminal(random: Random, from: number, count: number, cond: Value<'i32'>, target: (pc: number) => Value<'i64'>): Terminal {
  const to = (): number => (random.chance(12) ? count + random.below(2) : random.below(count));
  const delta = (n: number): number => (n - from) * BLOCK_SPACING;
  switch (random.below(12)) {
    case 0:
      return { kind: 'indirect', target: target(CODE_BASE_LINEAR + to() * BLOCK_SPACING), hint: random.chance(70) ? 'ret' : 'jump' };
    case 1:
      return random.chance(70)
        ? { kind: 'call', delta: delta(to()), returnDelta: random.chance(80) ? delta(to()) : 5 }
        : { kind: 'callIndirect', target: target(CODE_BASE_LINEAR + to() * BLOCK_SPACING), returnDelta: delta(to()) };
    case 2:
      return { kind: 'exit', delta: delta(to()), reason: 9 };
    case 3:
      return { kind: 'trap', code: 55 };
    case 4:
    case 5:
      return { kind: 'jump', delta: delta(to()), poll: random.chance(30) };
    default:
      return { kind: 'branch', cond, taken: delta(to()), fall: delta(to()) };
  }
}

function evaluateChain(rig: TierRig, blocks: readonly Block[]): number {
  const world = rig.world(calls(rig));
  for (;;) {
    const index = (Number(rig.header.pc) - CODE_BASE_LINEAR) / BLOCK_SPACING;
    if (index >= blocks.length) return 0;
    const reason = evaluateBlock(blocks[index], world);
    if (reason !== 0) return reason;
  }
}

/** Names of the slots that differ. */
function differingSlots(got: Uint8Array, want: Uint8Array): string {
  const from = SLOTS.i64[0].offset;
  return Object.values(SLOTS)
    .flat()
    .filter((s) => {
      const [a, b] = [got, want].map((bytes) => bytes.slice(s.offset - from, s.offset - from + (s.type === 'v128' ? 16 : 8)).join());
      return a !== b;
    })
    .map((s) => s.name)
    .join(' ');
}

type Prepare = (block: Block) => Block;

function compareChains(seed: number, blockCount: number, prepare: Prepare, rig: TierRig): void {
  const random = new Random(seed);
  const build = (): Block[] => {
    const r = new Random(seed * 7919 + 1);
    return Array.from({ length: blockCount }, (_, i) =>
      new RandomBlock(r).build((cond, target) => randomTerminal(r, i, blockCount, cond, target)),
    );
  };
  const plain = build();
  for (const block of plain) equal(verifyBlock(block), undefined, `seed ${seed}`);
  const blocks = build().map(prepare);
  for (const block of blocks) equal(verifyBlock(block), undefined, `seed ${seed}, prepared`);
  const compiled = rig.compile([blocks.map((block, i) => ({ block, offset: i * BLOCK_SPACING, entry: i === 0 || random.chance(90) }))]);
  rig.reset();
  const records = blocks.map((block, i) => rig.addBlock(block, i * BLOCK_SPACING));
  const setCompiled = (on: boolean): void =>
    records.forEach((record, i) => {
      const entry = compiled.entries[0][i];
      rig.view.setUint32(record + BlockRecord.offset.flags, on && entry >= 0 ? BLOCK_FLAGS.COMPILED : 0, true);
      rig.view.setUint32(record + BlockRecord.offset.functionIndex, 1, true);
      rig.view.setInt32(record + BlockRecord.offset.functionEntry, entry, true);
    });
  for (let round = 0; round < 6; round++) {
    const { state, ram } = randomCase(random);
    const pending = random.below(2);
    const outcomes = [() => evaluateChain(rig, plain), () => rig.run(), () => rig.run()].map((run, tier) => {
      setCompiled(tier === 2);
      rig.start(state, ram, CODE_BASE_LINEAR);
      rig.header.pending = pending;
      return rig.outcome(run());
    });
    for (const [i, tier] of [
      [1, 'interpreter'],
      [2, 'compiled'],
    ] as const) {
      const [want, got] = [outcomes[0], outcomes[i]];
      const label = `${tier}, seed ${seed}, round ${round}`;
      equal(got.reason, want.reason, label);
      for (const key of ['pc', 'trapped', 'trapCode', 'faultAddress', 'exitReason'] as const)
        equal(got[key], want[key], `${key}: ${label}`);
      equal(differingSlots(got.state, want.state), '', label);
      ok(Buffer.from(got.ram).equals(Buffer.from(want.ram)), `guest memory: ${label}`);
    }
  }
}

for (const [name, prepare] of [
  ['as written', (b) => b],
  ['optimised', optimize],
] as [string, Prepare][]) {
  for (const shared of [false, true]) {
    test(`random single blocks, ${name}${shared ? ', shared memory' : ''}`, () => {
      const rig = new TierRig({ routines: ROUTINES, helpers: HELPERS, shared });
      for (let seed = 1; seed <= 200; seed++) compareChains(seed, 1, prepare, rig);
    });
    test(`random regions, ${name}${shared ? ', shared memory' : ''}`, () => {
      const rig = new TierRig({ routines: ROUTINES, helpers: HELPERS, shared });
      for (let seed = 1; seed <= 120; seed++) compareChains(seed, 2 + (seed % 9), prepare, rig);
    });
  }
}
