// x87 instructions that compute on ST(0), or ST(0) and ST(1), alone (SDM 2: FSQRT, FRNDINT, FSCALE, FXTRACT, FPREM, FPREM1, F2XM1, FYL2X, FYL2XP1,
// FPTAN, FPATAN, FSIN, FCOS, FSINCOS).

import { squareRoot } from '../softfloat/arithmetic.ts';
import { roundToIntegral } from '../softfloat/convert.ts';
import type { FloatEnv } from '../softfloat/float-env.ts';
import { EXT } from '../softfloat/format.ts';
import { INCOMPLETE, NO_QUOTIENT, remainder, type Remainder } from '../softfloat/remainder.ts';
import { extract, type Extracted, scale } from '../softfloat/scale.ts';
import { arcTangent, cosine, logarithm, logarithmPlusOne, powerMinusOne, sine, tangent } from '../softfloat/transcendental.ts';
import { Unpacked } from '../softfloat/unpacked.ts';
import type { HelperFunction, X86Context } from '../helper-map.ts';
import { setWord, word, WORD } from '../state-words.ts';
import { begin, env, finish, isEmpty, mayWrite, pop, push, readStack, setConditions, stackOverflow, stackUnderflow, STATUS, writeStack } from './fpu.ts';

const a = new Unpacked();
const b = new Unpacked();
const ONE = 0x3fff_8000_0000_0000_0000n;

/** ST(0) = f(ST(0)); undefined: out of range, C2. */
const UNARY: readonly ((env: FloatEnv, a: Unpacked) => bigint | undefined)[] = [
  (e, x) => squareRoot(e, EXT, x),
  (e, x) => roundToIntegral(e, EXT, x, e.rounding, true),
  powerMinusOne,
  sine,
  cosine,
];
export const UNARY_INDEX = { fsqrt: 0, frndint: 1, f2xm1: 2, fsin: 3, fcos: 4 } as const;

const setC2 = (cpu: X86Context, set: boolean): void => setWord(cpu, WORD.fpuStatus, (word(cpu, WORD.fpuStatus) & ~STATUS.C2) | (set ? STATUS.C2 : 0));

const x87Unary: HelperFunction = (cpu, index, where) => {
  if (begin(cpu, where)) return 1;
  const result = isEmpty(cpu, 0) ? stackUnderflow() : (UNARY[index] as (typeof UNARY)[number])(env, readStack(cpu, 0, a));
  if (result !== undefined && mayWrite()) writeStack(cpu, 0, result);
  if (index >= UNARY_INDEX.fsin) setC2(cpu, result === undefined);
  return finish(cpu);
};

/** ST(1) = f(ST(0), ST(1)), then pop; FSCALE: ST(0), no pop. */
const BINARY: readonly ((env: FloatEnv, a: Unpacked, b: Unpacked) => bigint)[] = [scale, arcTangent, logarithm, logarithmPlusOne];
export const BINARY_INDEX = { fscale: 0, fpatan: 1, fyl2x: 2, fyl2xp1: 3 } as const;

const x87Binary: HelperFunction = (cpu, index, where) => {
  if (begin(cpu, where)) return 1;
  const empty = isEmpty(cpu, 0) || isEmpty(cpu, 1);
  const result = empty ? stackUnderflow() : (BINARY[index] as (typeof BINARY)[number])(env, readStack(cpu, 0, a), readStack(cpu, 1, b));
  if (mayWrite()) {
    if (index === BINARY_INDEX.fscale) writeStack(cpu, 0, result);
    else {
      writeStack(cpu, 1, result);
      pop(cpu);
    }
  }
  return finish(cpu);
};

const rest: Remainder = { value: 0n, quotient: 0 };

/** FPREM (0), FPREM1 (1). */
const x87Remainder: HelperFunction = (cpu, nearest, where) => {
  if (begin(cpu, where)) return 1;
  if (isEmpty(cpu, 0) || isEmpty(cpu, 1)) {
    rest.value = stackUnderflow();
    rest.quotient = NO_QUOTIENT;
  } else remainder(env, readStack(cpu, 0, a), readStack(cpu, 1, b), nearest !== 0, rest);
  if (mayWrite()) writeStack(cpu, 0, rest.value);
  finish(cpu);
  const q = rest.quotient;
  if (q === NO_QUOTIENT || !mayWrite()) setC2(cpu, false);
  else if (q === INCOMPLETE) setConditions(cpu, STATUS.C2);
  // Of the quotient: bit 2 in C0, bit 1 in C3, bit 0 in C1.
  else setConditions(cpu, ((q & 4) << 6) | ((q & 2) << 13) | ((q & 1) << 9));
  return 0;
};

/** FXTRACT (0), FPTAN (1), FSINCOS (2): replace ST(0) and push. */
export const PAIR_INDEX = { fxtract: 0, fptan: 1, fsincos: 2 } as const;
const parts: Extracted = { exponent: 0n, significand: 0n };
let lower: bigint | undefined = 0n;
let upper: bigint | undefined = 0n;

function computePair(index: number): void {
  if (index === PAIR_INDEX.fxtract) {
    extract(env, a, parts);
    lower = parts.exponent;
    upper = parts.significand;
  } else if (index === PAIR_INDEX.fptan) {
    lower = tangent(env, a);
    upper = a.isNan() || env.flags & 1 ? lower : ONE;
  } else {
    lower = sine(env, a);
    if (mayWrite()) upper = cosine(env, a);
  }
}

const x87Pair: HelperFunction = (cpu, index, where) => {
  if (begin(cpu, where)) return 1;
  if (isEmpty(cpu, 0)) lower = upper = stackUnderflow();
  else if (!isEmpty(cpu, 7)) lower = upper = stackOverflow();
  else {
    readStack(cpu, 0, a);
    computePair(index);
  }
  if (lower !== undefined && upper !== undefined && mayWrite()) {
    writeStack(cpu, 0, lower);
    push(cpu, upper);
  }
  if (index !== PAIR_INDEX.fxtract) setC2(cpu, lower === undefined);
  return finish(cpu);
};

export const ELEMENTARY = { x87Unary, x87Binary, x87Remainder, x87Pair };
