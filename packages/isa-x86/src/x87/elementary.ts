// x87 instructions that compute on ST(0), or ST(0) and ST(1), alone (SDM 2: FSQRT, FRNDINT, FSCALE, FXTRACT, FPREM, FPREM1, F2XM1, FYL2X, FYL2XP1,
// FPTAN, FPATAN, FSIN, FCOS, FSINCOS). Ordinary operands of transcendental functions are tried in doubles first.

import { squareRoot } from '../softfloat/arithmetic.ts';
import { roundToIntegral } from '../softfloat/convert.ts';
import {
  quickArcTangent, quickCosine, quickLogarithm, quickLogarithmPlusOne, quickPowerMinusOne, quickSine, quickSineAndCosine, quickTangent,
} from '../softfloat/elementary-pairs.ts';
import { ExtendedWords } from '../softfloat/extended-words.ts';
import { FLAG, type FloatEnv } from '../softfloat/float-env.ts';
import { EXT } from '../softfloat/format.ts';
import { INCOMPLETE, NO_QUOTIENT, remainder, type Remainder } from '../softfloat/remainder.ts';
import { extract, type Extracted, scale } from '../softfloat/scale.ts';
import { arcTangent, cosine, logarithm, logarithmPlusOne, powerMinusOne, sine, tangent } from '../softfloat/transcendental.ts';
import { Unpacked } from '../softfloat/unpacked.ts';
import type { HelperFunction, X86Context } from '../helper-map.ts';
import { setWord, word, WORD } from '../state-words.ts';
import { begin, env, finish, isEmpty, mayWrite, pop, push, readNormal, readStack, setConditions, setTop, stackOverflow, stackUnderflow, STATUS, writeStack, writeWords } from './fpu.ts';

const a = new Unpacked();
const b = new Unpacked();
const x = new ExtendedWords();
const y = new ExtendedWords();
const result = new ExtendedWords();
const second = new ExtendedWords();
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

type QuickUnary = (env: FloatEnv, x: ExtendedWords, into: ExtendedWords) => boolean;
const QUICK_UNARY: readonly (QuickUnary | undefined)[] = [undefined, undefined, quickPowerMinusOne, quickSine, quickCosine];

const setC2 = (cpu: X86Context, set: boolean): void => setWord(cpu, WORD.fpuStatus, (word(cpu, WORD.fpuStatus) & ~STATUS.C2) | (set ? STATUS.C2 : 0));

const x87Unary: HelperFunction = (cpu, index, where) => {
  if (begin(cpu, where)) return 1;
  const quick = QUICK_UNARY[index];
  let isOutOfRange = false;
  if (quick !== undefined && readNormal(cpu, 0, x) && quick(env, x, result)) {
    env.flags |= FLAG.PE;
    writeWords(cpu, 0, result);
  } else {
    const value = isEmpty(cpu, 0) ? stackUnderflow() : (UNARY[index] as (typeof UNARY)[number])(env, readStack(cpu, 0, a));
    if (value !== undefined && mayWrite()) writeStack(cpu, 0, value);
    isOutOfRange = value === undefined;
  }
  if (index >= UNARY_INDEX.fsin) setC2(cpu, isOutOfRange);
  return finish(cpu);
};

/** ST(1) = f(ST(0), ST(1)), then pop; FSCALE: ST(0), no pop. */
const BINARY: readonly ((env: FloatEnv, a: Unpacked, b: Unpacked) => bigint)[] = [scale, arcTangent, logarithm, logarithmPlusOne];
export const BINARY_INDEX = { fscale: 0, fpatan: 1, fyl2x: 2, fyl2xp1: 3 } as const;

type QuickBinary = (env: FloatEnv, x: ExtendedWords, y: ExtendedWords, into: ExtendedWords) => boolean;
const QUICK_BINARY: readonly (QuickBinary | undefined)[] = [undefined, quickArcTangent, quickLogarithm, quickLogarithmPlusOne];

const x87Binary: HelperFunction = (cpu, index, where) => {
  if (begin(cpu, where)) return 1;
  const quick = QUICK_BINARY[index];
  if (quick !== undefined && readNormal(cpu, 0, x) && readNormal(cpu, 1, y) && quick(env, x, y, result)) {
    env.flags |= FLAG.PE;
    writeWords(cpu, 1, result);
    pop(cpu);
    return finish(cpu);
  }
  const empty = isEmpty(cpu, 0) || isEmpty(cpu, 1);
  const value = empty ? stackUnderflow() : (BINARY[index] as (typeof BINARY)[number])(env, readStack(cpu, 0, a), readStack(cpu, 1, b));
  if (mayWrite()) {
    if (index === BINARY_INDEX.fscale) writeStack(cpu, 0, value);
    else {
      writeStack(cpu, 1, value);
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

const one = new ExtendedWords();
one.high = -0x8000_0000;
one.top = 0x3fff;

/** FPTAN and FSINCOS of an ordinary number. */
function pushPairQuickly(cpu: X86Context, index: number): boolean {
  if (index === PAIR_INDEX.fxtract || !readNormal(cpu, 0, x) || !isEmpty(cpu, 7)) return false;
  if (!(index === PAIR_INDEX.fptan ? quickTangent(env, x, result) : quickSineAndCosine(env, x, result, second))) return false;
  env.flags |= FLAG.PE;
  writeWords(cpu, 0, result);
  // ST(0) of after the push.
  writeWords(cpu, 7, index === PAIR_INDEX.fptan ? one : second);
  setTop(cpu, word(cpu, WORD.fpuTop) - 1);
  setC2(cpu, false);
  return true;
}

const x87Pair: HelperFunction = (cpu, index, where) => {
  if (begin(cpu, where)) return 1;
  if (pushPairQuickly(cpu, index)) return finish(cpu);
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
