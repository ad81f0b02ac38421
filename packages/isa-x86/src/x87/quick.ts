// The transcendental instructions for ordinary operands, as a routine would do them: a helper that is called once the registers are known to be as needed, that
// reads and writes nothing but x87 registers, and says what the status word gets, or REFUSED. Then the instruction's own helper (elementary.ts) computes it.

import { helper } from '@anillo/ir/callee';
import {
  quickArcTangent, quickCosine, quickLogarithm, quickLogarithmPlusOne, quickPowerMinusOne, quickSine, quickSineAndCosine, quickTangent,
} from '../softfloat/elementary-pairs.ts';
import { ExtendedWords } from '../softfloat/extended-words.ts';
import { FLAG, FloatEnv, type Rounding } from '../softfloat/float-env.ts';
import type { HelperFunction, X86Context } from '../helper-map.ts';
import { setWord, setWords, word, WORD } from '../state-words.ts';
import { STATUS } from './fpu.ts';
import { REFUSED } from './round-ir.ts';

const env = new FloatEnv();
/** ST(0) and ST(1); what becomes of them, or is pushed. */
const x = new ExtendedWords();
const y = new ExtendedWords();
const result = new ExtendedWords();
const pushed = new ExtendedWords();

const ONE = new ExtendedWords();
ONE.high = -0x8000_0000;
ONE.top = 0x3fff;

function read(cpu: X86Context, register: number, into: ExtendedWords): boolean {
  const n = register & 7;
  into.low = word(cpu, WORD.fpuMantissa + 2 * n) | 0;
  into.high = word(cpu, WORD.fpuMantissa + 2 * n + 1) | 0;
  into.top = word(cpu, WORD.fpuExponent + n);
  return into.isNormal();
}
function write(cpu: X86Context, register: number, from: ExtendedWords): void {
  const n = register & 7;
  setWords(cpu, WORD.fpuMantissa + 2 * n, from.low, from.high);
  setWord(cpu, WORD.fpuExponent + n, from.top);
}

export const QUICK = { f2xm1: 0, fsin: 1, fcos: 2, fptan: 3, fsincos: 4, fpatan: 5, fyl2x: 6, fyl2xp1: 7 } as const;

/** ST(0), and with it what is pushed. */
function computeOne(index: number): boolean {
  switch (index) {
    case QUICK.f2xm1:
      return quickPowerMinusOne(env, x, result);
    case QUICK.fsin:
      return quickSine(env, x, result);
    case QUICK.fcos:
      return quickCosine(env, x, result);
    case QUICK.fptan:
      return quickTangent(env, x, result);
    default:
      return quickSineAndCosine(env, x, result, pushed);
  }
}
function computeOfTwo(index: number): boolean {
  if (index === QUICK.fpatan) return quickArcTangent(env, x, y, result);
  return index === QUICK.fyl2x ? quickLogarithm(env, x, y, result) : quickLogarithmPlusOne(env, x, y, result);
}

/** (QUICK, TOP) */
const x87Quick: HelperFunction = (cpu, index, top) => {
  const control = word(cpu, WORD.fpuControl);
  if ((control & FLAG.PE) === 0 || !read(cpu, top, x)) return REFUSED;
  env.rounding = ((control >> 10) & 3) as Rounding;
  if (index >= QUICK.fpatan) {
    if (!read(cpu, top + 1, y) || !computeOfTwo(index)) return REFUSED;
    write(cpu, top + 1, result);
  } else {
    if (!computeOne(index)) return REFUSED;
    write(cpu, top, result);
    if (index >= QUICK.fptan) write(cpu, top - 1, index === QUICK.fptan ? ONE : pushed);
  }
  return env.roundedUp ? FLAG.PE | STATUS.C1 : FLAG.PE;
};

export const QUICK_HELPERS = { x87Quick };
export const QUICK_CALLEE = helper('x87Quick', 2, { reads: 'none', writes: 'none' });
