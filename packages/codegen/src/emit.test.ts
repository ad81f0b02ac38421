// Every op that only computes, in both tiers against the oracle, on random and hostile operands.

import { deepEqual, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { Inst, type Block } from '@anillo/ir/block';
import { evaluateBlock } from '@anillo/ir/evaluate';
import { OPS, type OpName, type OpSpec, type Type } from '@anillo/ir/ops';
import type { Slot } from '@anillo/ir/slot';
import { CODE_BASE_LINEAR, RAM_PAGES, SLOTS, TierRig } from '@anillo/codegen/testing/tier-rig';
import { Random } from '@anillo/codegen/testing/random';

const ROUNDS = 40;
const computes = (name: OpName): boolean => {
  // Its rounding is the host's.
  if (name.includes('relaxed')) return false;
  const spec: OpSpec = OPS[name];
  return spec.result !== undefined && (spec.effect === 'pure' || (spec.effect === 'trap' && name !== 'raise_if'));
};

/** One op from slots (or, with `constant`, with a constant as last operand) into a slot, twice: once computed late, inside an expression. */
function blockOf(name: OpName, lane: number, random: Random, constant: boolean): Block {
  const spec: OpSpec = OPS[name];
  const insts: Inst[] = [];
  const push = (op: OpName, type: Type | undefined, args: readonly Inst[], slot?: Slot): Inst => {
    const inst = new Inst(OPS[op], type, args, 0, insts.length);
    inst.slot = slot;
    insts.push(inst);
    return inst;
  };
  const used: Record<string, number> = {};
  const args = spec.args.map((type, i) => {
    const isDivisor = spec.effect === 'trap' && i === 1;
    if ((constant && i === spec.args.length - 1 && (type === 'i32' || type === 'i64')) || isDivisor) {
      const c = push(`${type}.const` as OpName, type, []);
      c.imm = isDivisor ? 3 + random.below(1000) : random.word() | 0;
      c.immHigh = type === 'i64' && !isDivisor ? random.word() | 0 : 0;
      return c;
    }
    used[type] = (used[type] ?? 0) + 1;
    return push('get', type, [], SLOTS[type][used[type]]);
  });
  const value = push(name, spec.result, args);
  value.imm = spec.imm === 'lane' ? lane : random.word() | 0;
  value.immHigh = random.word() | 0;
  const bytes = random.bytes16();
  if (spec.imm === 'bytes16') value.bytes = name === 'i8x16.shuffle' ? bytes.map((b) => b & 31) : bytes;
  if (spec.imm === 'f64') value.bytes = bytes.slice(0, 8);
  push('set', undefined, [value], SLOTS[spec.result as Type][0]);
  return { insts, terminal: { kind: 'jump', delta: 64, poll: false }, byteCount: 4, insnCount: 1, terminalAt: 0, pcBits: 64 };
}

/** NaNs compare equal whatever their bits. */
function sameBits(name: OpName, type: Type, got: Uint8Array, want: Uint8Array): boolean {
  const floats = /^(f32x4|f64x2|f32|f64)\./.exec(name)?.[1];
  const size = type === 'f32' || name === 'f32x4.demote_f64x2_zero' ? 4 : floats?.startsWith('f32') ? 4 : 8;
  const used = type === 'v128' ? 16 : type === 'f32' ? 4 : 8;
  const [g, w] = [got, want].map((b) => new DataView(b.buffer, b.byteOffset, b.byteLength));
  for (let i = 0; i < used; i += size) {
    const nan = (v: DataView): boolean => floats !== undefined && Number.isNaN(size === 4 ? v.getFloat32(i, true) : v.getFloat64(i, true));
    if (nan(g) && nan(w)) continue;
    for (let b = i; b < i + size; b++) if (g.getUint8(b) !== w.getUint8(b)) return false;
  }
  return true;
}

const rig = new TierRig();
const random = new Random(20);
const cases = (Object.keys(OPS) as OpName[]).filter(computes).flatMap((name) => {
  const spec: OpSpec = OPS[name];
  const lanes = spec.imm === 'lane' ? spec.lanes : 1;
  return Array.from({ length: lanes }, (_, lane) =>
    [false, true].map((constant) => ({ name, block: blockOf(name, lane, random, constant) })),
  ).flat();
});
const compiled = rig.compile(cases.map(({ block }) => [{ block, offset: 0, entry: true }]));

for (const name of new Set(cases.map((c) => c.name))) {
  test(name, () => {
    cases.forEach(({ name: caseName, block }, i) => {
      if (caseName !== name) return;
      const slot = SLOTS[OPS[name].result as Type][0];
      const from = slot.offset - SLOTS.i64[0].offset;
      rig.reset();
      rig.addBlock(block, 0);
      const ram = new Uint8Array(RAM_PAGES * 4096);
      for (let round = 0; round < ROUNDS; round++) {
        const state = new Uint8Array(0x1a0);
        random.fill(state);
        for (let w = 0; w < 8; w++) state.fill(0, 0x44 + 8 * w, 0x48 + 8 * w);
        const [want, interpreted, jitted] = [() => evaluateBlock(block, rig.world()), () => rig.run(), () => compiled.call(i, 0)].map(
          (run) => {
            rig.start(state, ram, CODE_BASE_LINEAR);
            return rig.outcome(run());
          },
        );
        for (const [tier, got] of [
          ['interpreter', interpreted],
          ['compiled', jitted],
        ] as const) {
          deepEqual(got.reason, want.reason, tier);
          deepEqual(got.pc, want.pc, tier);
          const [g, w] = [got, want].map((o) => o.state.slice(from, from + 16));
          ok(sameBits(name, slot.type, g, w), `${tier} ${name}: got ${g}, want ${w}, state ${state}`);
          deepEqual([got.state.slice(0, from), got.state.slice(from + 16)], [want.state.slice(0, from), want.state.slice(from + 16)], tier);
        }
      }
    });
  });
}
