// The routines against softfloat, on pseudo-random zeros and normal numbers with close exponents and significands of few or all bits, under all controls.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Routine } from '@anillo/ir/callee';
import { evaluateRoutine, type EvaluatorWorld } from '@anillo/ir/evaluate';
import { add, divide, multiply, squareRoot } from '../softfloat/arithmetic.ts';
import { compare } from '../softfloat/compare.ts';
import { roundToIntegral, toInteger } from '../softfloat/convert.ts';
import { FloatEnv, type Rounding } from '../softfloat/float-env.ts';
import { EXT } from '../softfloat/format.ts';
import { INCOMPLETE, type Remainder, remainder } from '../softfloat/remainder.ts';
import { scale } from '../softfloat/scale.ts';
import { Unpacked } from '../softfloat/unpacked.ts';
import { X86State } from '../state.ts';
import { COMPARE, TO_INTEGER, X87_ARITHMETIC } from './arithmetic-routines.ts';
import { STATUS } from './fpu.ts';
import { X87_SCALING } from './scale-routines.ts';

const state = new DataView(new ArrayBuffer(0x2000));
const view = X86State.view(state.buffer, 0);
const WORLD: EvaluatorWorld = { state, memory: state, load: () => undefined, store: () => false, probe: () => false, call: () => undefined };

let seed = 12345;
function random(): number {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return seed >>> 0;
}
const word = (): number => [0, 0xffff_ffff, random(), (random() << (random() & 31)) >>> 0, 1, 0x7ff, 0x400, 0x8000_0000][random() % 8] as number;

interface Operand {
  readonly m: bigint;
  readonly e: number;
}
function operand(): Operand {
  const sign = (random() & 1) << 15;
  if (random() % 12 === 0) return { m: 0n, e: sign };
  const exponent = random() % 8 === 0 ? 1 + (random() % 0x7ffe) : 16383 - 66 + (random() % 132);
  return { m: (BigInt((word() | 0x8000_0000) >>> 0) << 32n) | BigInt(word()), e: sign | exponent };
}
const unpack = ({ m, e }: Operand): Unpacked => new Unpacked().setExtended(e, m);

const env = new FloatEnv();
function setControls(precision: number, rounding: number): void {
  view.fpuControl = 0x3f | (precision << 8) | (rounding << 10);
  env.loadControlWord(view.fpuControl);
}
const outcome = (): number => env.flags | (env.roundedUp ? STATUS.C1 : 0);
const REGISTER = 5;
const result = (): bigint => (BigInt(view.fpuExponent[REGISTER] as number) << 64n) | (view.fpuMantissa[REGISTER] as bigint);

let refused = 0;
function check(r: Routine, operands: readonly Operand[], expected: () => bigint, outcomeOf = outcome): void {
  const got = evaluateRoutine(r, [...operands.flatMap(({ m, e }) => [m, BigInt(e)]), BigInt(REGISTER)], WORLD) as bigint;
  if (BigInt.asIntN(32, got) === -1n) {
    refused++;
    return;
  }
  env.flags = 0;
  const bits = expected();
  assert.deepEqual([result().toString(16), Number(got)], [bits.toString(16), outcomeOf()], `${r.name} of ${JSON.stringify(operands, (_, v) => (typeof v === 'bigint' ? v.toString(16) : v))}`);
}

const TURNS = 1500;
const CONTROLS = [0, 2, 3].flatMap((precision) => [0, 1, 2, 3].map((rounding) => [precision, rounding] as const));

test('arithmetic', () => {
  refused = 0;
  for (let turn = 0; turn < TURNS; turn++) {
    const [precision, rounding] = CONTROLS[random() % 3 === 0 ? random() % CONTROLS.length : 8] as readonly [number, Rounding];
    setControls(precision, rounding);
    const [x, y] = [operand(), operand()];
    const near: Operand = random() % 4 === 0 ? { m: x.m, e: (x.e ^ 0x8000) - (random() % 3) } : y;
    check(X87_ARITHMETIC.add, [x, near.e < 0 ? y : near], () => add(env, EXT, unpack(x), unpack(near.e < 0 ? y : near)));
    check(X87_ARITHMETIC.multiply, [x, y], () => multiply(env, EXT, unpack(x), unpack(y)));
    check(X87_ARITHMETIC.divide, [x, y], () => divide(env, EXT, unpack(x), unpack(y)));
    check(X87_ARITHMETIC.root, [x], () => squareRoot(env, EXT, unpack(x)));
    check(X87_ARITHMETIC.round, [x], () => roundToIntegral(env, EXT, unpack(x), env.rounding, true));
  }
  assert.ok(refused < TURNS * 1.5, `${refused} refused`);
});

test('square roots at the ends of the range', () => {
  setControls(3, 0);
  for (const m of [0x8000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn, 0x8000_0000_0000_0001n, 0xffff_ffff_ffff_fffen, 0xffff_ffff_0000_0000n]) {
    for (const e of [1, 2, 0x3fff, 0x4000, 0x7ffd, 0x7ffe]) check(X87_ARITHMETIC.root, [{ m, e }], () => squareRoot(env, EXT, unpack({ m, e })));
  }
});

test('whole numbers and order', () => {
  for (let turn = 0; turn < TURNS; turn++) {
    setControls(3, random() % 4);
    const x = operand();
    const y = random() % 4 === 0 ? { m: x.m, e: x.e ^ (random() & 0x8000) } : operand();
    const bits = ([16, 32, 64] as const)[random() % 3] as 16 | 32 | 64;
    const truncate = random() & 1;
    const got = evaluateRoutine(TO_INTEGER, [x.m, BigInt(x.e), BigInt(bits), BigInt(truncate)], WORLD) as bigint;
    const status = state.getInt32(X86State.offset.x + 16, true);
    env.flags = 0;
    const expected = toInteger(env, unpack(x), bits, truncate ? 3 : env.rounding);
    if (status !== -1) assert.deepEqual([BigInt.asIntN(64, got), status], [expected, outcome()]);
    else assert.ok((env.flags & 1) !== 0 || expected === -1n << 63n);
    const order = { [-1]: STATUS.C0, 0: STATUS.C3, 1: 0 }[compare(env, unpack(x), unpack(y), false) as -1 | 0 | 1];
    assert.equal(Number(evaluateRoutine(COMPARE, [x.m, BigInt(x.e), y.m, BigInt(y.e)], WORLD)), order);
  }
});

/** Exponents differ by at most `by`, or a little more. */
function nearTo({ e }: Operand, by: number): Operand {
  const near = operand();
  const exponent = (e & 0x7fff) - by + (random() % (2 * by + 1));
  return exponent > 0 && exponent < 0x7fff ? { m: near.m | (1n << 63n), e: (near.e & 0x8000) | exponent } : near;
}

test('scaling', () => {
  refused = 0;
  for (let turn = 0; turn < TURNS; turn++) {
    setControls(3, random() % 4);
    const x = operand();
    const power = nearTo({ m: 0n, e: 16383 + 5 }, 10);
    check(X87_SCALING.scale, [x, power], () => scale(env, unpack(x), unpack(power)));
  }
  assert.ok(refused < TURNS / 3, `${refused} refused`);
});

test('remainders', () => {
  const rest: Remainder = { value: 0n, quotient: 0 };
  const conditions = (): number => {
    const q = rest.quotient;
    assert.notEqual(q, INCOMPLETE);
    return (q & 4 ? STATUS.C0 : 0) | (q & 2 ? STATUS.C3 : 0) | (q & 1 ? STATUS.C1 : 0);
  };
  refused = 0;
  for (let turn = 0; turn < TURNS; turn++) {
    const y = operand();
    const x = nearTo(y, [2, 10, 66][random() % 3] as number);
    for (const [r, isNearest] of [[X87_SCALING.remainder, false], [X87_SCALING.nearest, true]] as const) {
      const exact = (): bigint => {
        remainder(env, unpack(x), unpack(y), isNearest, rest);
        return rest.value;
      };
      check(r, [x, y], exact, conditions);
      // Ties, and nothing left.
      const multiple: Operand = { m: y.m, e: x.e };
      check(r, [multiple, y], () => {
        remainder(env, unpack(multiple), unpack(y), isNearest, rest);
        return rest.value;
      }, conditions);
    }
  }
  assert.ok(refused < TURNS, `${refused} refused`);
});
