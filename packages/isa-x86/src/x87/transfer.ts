// x87 loads, stores and moves (SDM 2: FLD, FILD, FBLD, FLDconstant, FST, FIST, FISTTP, FBSTP, FXCH, FCMOVcc, FFREE, FINCSTP).
// A memory operand comes in x0 (10 bytes: and x0's high half); a store leaves its bytes there, and 1 in x1 where they are to be written.

import { convert, fromInteger, toInteger } from '../softfloat/convert.ts';
import { FLAG, ROUND } from '../softfloat/float-env.ts';
import { EXT, F32, F64 } from '../softfloat/format.ts';
import { fromPackedBcd, toPackedBcd } from '../softfloat/packed-bcd.ts';
import { Unpacked } from '../softfloat/unpacked.ts';
import type { HelperFunction, X86Context } from '../helper-map.ts';
import { setWord, setWords, word, WORD } from '../state-words.ts';
import {
  begin, copyRegister, env, finish, finishKeepingC1, free, INDEFINITE, isEmpty, mayWrite, physical, pop, push, rawStack, readStack,
  setTop, stackOverflow, stackUnderflow, writeStack,
} from './fpu.ts';

/** Kinds of memory operand. TRUNCATE is added for FISTTP, POP where a store pops. */
export const OPERAND = { M32: 0, M64: 1, M80: 2, I16: 3, I32: 4, I64: 5, BCD: 6 } as const;
export const TRUNCATE = 8;
export const POP = 16;

const operand = new Unpacked();

export const operandBits = (cpu: X86Context): bigint => (BigInt(word(cpu, WORD.x + 1)) << 32n) | BigInt(word(cpu, WORD.x));
const operandBits80 = (cpu: X86Context): bigint => (BigInt(word(cpu, WORD.x + 2) & 0xffff) << 64n) | operandBits(cpu);

function converted(cpu: X86Context, kind: number): bigint {
  switch (kind) {
    case OPERAND.M32:
      return convert(env, F32, EXT, operand.set(F32, BigInt(word(cpu, WORD.x)), env));
    case OPERAND.M64:
      return convert(env, F64, EXT, operand.set(F64, operandBits(cpu), env));
    case OPERAND.I16:
      return fromInteger(env, EXT, BigInt((word(cpu, WORD.x) << 16) >> 16));
    case OPERAND.I32:
      return fromInteger(env, EXT, BigInt(word(cpu, WORD.x) | 0));
    case OPERAND.I64:
      return fromInteger(env, EXT, BigInt.asIntN(64, operandBits(cpu)));
    case OPERAND.BCD:
      return fromPackedBcd(env, operandBits80(cpu));
    default:
      return operandBits80(cpu);
  }
}

/** FLD, FILD, FBLD from memory. */
const x87Load: HelperFunction = (cpu, kind, where) => {
  if (begin(cpu, where)) return 1;
  const value = isEmpty(cpu, 7) ? converted(cpu, kind) : stackOverflow();
  // A denormal is loaded even where DE is unmasked.
  if ((env.unmasked() & FLAG.IE) === 0) push(cpu, value);
  return finish(cpu);
};

/** FLD ST(i). */
const x87LoadRegister: HelperFunction = (cpu, i, where) => {
  if (begin(cpu, where)) return 1;
  if (!isEmpty(cpu, i) && isEmpty(cpu, 7)) {
    const from = physical(cpu, i);
    setTop(cpu, physical(cpu, 7));
    copyRegister(cpu, from, 0);
    return finish(cpu);
  }
  const value = isEmpty(cpu, i) ? stackUnderflow() : isEmpty(cpu, 7) ? rawStack(cpu, i) : stackOverflow();
  if (mayWrite()) push(cpu, value);
  return finish(cpu);
};

/** FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ: rounded down; what to add where the rounding control rounds to nearest, and up. */
export const CONSTANTS: readonly (readonly [bigint, bigint, bigint])[] = [
  [0x3fff_8000_0000_0000_0000n, 0n, 0n],
  [0x4000_d49a_784b_cd1b_8afen, 0n, 1n],
  [0x3fff_b8aa_3b29_5c17_f0bbn, 1n, 1n],
  [0x4000_c90f_daa2_2168_c234n, 1n, 1n],
  [0x3ffd_9a20_9a84_fbcf_f798n, 1n, 1n],
  [0x3ffe_b172_17f7_d1cf_79abn, 1n, 1n],
  [0n, 0n, 0n],
];

const x87LoadConstant: HelperFunction = (cpu, index, where) => {
  if (begin(cpu, where)) return 1;
  const [down, nearest, up] = CONSTANTS[index] as (typeof CONSTANTS)[number];
  const value = down + (env.rounding === ROUND.NEAREST ? nearest : env.rounding === ROUND.UP ? up : 0n);
  const pushed = isEmpty(cpu, 7) ? value : stackOverflow();
  if (mayWrite()) push(cpu, pushed);
  return finish(cpu);
};

const INTEGER_BITS = { [OPERAND.I16]: 16, [OPERAND.I32]: 32, [OPERAND.I64]: 64 } as const;
type IntegerKind = keyof typeof INTEGER_BITS;

/** Bytes of ST(0) in the operand's format; `indefinite` where ST(0) is empty. */
function stored(cpu: X86Context, kind: number, truncate: boolean): bigint {
  if (isEmpty(cpu, 0)) {
    stackUnderflow();
    return indefinite(kind);
  }
  if (kind === OPERAND.M80) return rawStack(cpu, 0);
  readStack(cpu, 0, operand);
  if (kind === OPERAND.M32) return convert(env, EXT, F32, operand);
  if (kind === OPERAND.M64) return convert(env, EXT, F64, operand);
  if (kind === OPERAND.BCD) return toPackedBcd(env, operand);
  return toInteger(env, operand, INTEGER_BITS[kind as IntegerKind], truncate ? ROUND.ZERO : env.rounding);
}

function indefinite(kind: number): bigint {
  switch (kind) {
    case OPERAND.M32:
      return 0xffc0_0000n;
    case OPERAND.M64:
      return 0xfff8_0000_0000_0000n;
    case OPERAND.BCD:
      return 0xffff_c000_0000_0000_0000n;
    case OPERAND.M80:
      return INDEFINITE;
    default:
      return -1n << BigInt(INTEGER_BITS[kind as IntegerKind] - 1);
  }
}

/** FST, FSTP, FIST, FISTP, FISTTP, FBSTP to memory; the write itself is lifted code's. */
const x87Store: HelperFunction = (cpu, kind, where) => {
  if (begin(cpu, where)) return 1;
  const bits = stored(cpu, kind & 7, (kind & TRUNCATE) !== 0);
  // A floating-point format that overflows or underflows unmasked is not stored either.
  const write = mayWrite() && ((kind & 7) > OPERAND.M64 || (env.unmasked() & (FLAG.OE | FLAG.UE)) === 0);
  setWords(cpu, WORD.x, Number(bits & 0xffff_ffffn), Number((bits >> 32n) & 0xffff_ffffn));
  setWords(cpu, WORD.x + 2, Number((bits >> 64n) & 0xffffn), 0);
  setWords(cpu, WORD.x + 4, write ? 1 : 0, 0);
  if (write && (kind & POP) !== 0) pop(cpu);
  return finish(cpu);
};

function writeMasked(cpu: X86Context, i: number, value: bigint): void {
  if (mayWrite()) writeStack(cpu, i, value);
}

/** FST ST(i), FSTP ST(i). */
const x87StoreRegister: HelperFunction = (cpu, i, popAfter, where) => {
  if (begin(cpu, where)) return 1;
  if (isEmpty(cpu, 0)) writeMasked(cpu, i, stackUnderflow());
  else copyRegister(cpu, physical(cpu, 0), i);
  if (popAfter && mayWrite()) pop(cpu);
  return finish(cpu);
};

/** D9 D8+i, undocumented: FSTP ST(i) that only pops where ST(0) is empty. */
const x87StoreUnchecked: HelperFunction = (cpu, i, where) => {
  if (begin(cpu, where)) return 1;
  if (!isEmpty(cpu, 0)) copyRegister(cpu, physical(cpu, 0), i);
  pop(cpu);
  return finish(cpu);
};

const x87Exchange: HelperFunction = (cpu, i, where) => {
  if (begin(cpu, where)) return 1;
  if (!isEmpty(cpu, 0) && !isEmpty(cpu, i)) {
    const [from, to] = [physical(cpu, 0), physical(cpu, i)];
    const [low, high, exponent] = [word(cpu, WORD.fpuMantissa + 2 * to), word(cpu, WORD.fpuMantissa + 2 * to + 1), word(cpu, WORD.fpuExponent + to)];
    copyRegister(cpu, from, i);
    setWords(cpu, WORD.fpuMantissa + 2 * from, low, high);
    setWord(cpu, WORD.fpuExponent + from, exponent);
    return finish(cpu);
  }
  const first = isEmpty(cpu, 0) ? stackUnderflow() : rawStack(cpu, 0);
  const second = isEmpty(cpu, i) ? stackUnderflow() : rawStack(cpu, i);
  if (mayWrite()) {
    writeStack(cpu, 0, second);
    writeStack(cpu, i, first);
  }
  return finish(cpu);
};

/** FCMOVcc: the condition is not 0 where ST(i) is to be copied. */
const x87ConditionalMove: HelperFunction = (cpu, i, condition, where) => {
  if (begin(cpu, where)) return 1;
  if (isEmpty(cpu, 0) || isEmpty(cpu, i)) writeMasked(cpu, 0, stackUnderflow());
  else if (condition) copyRegister(cpu, physical(cpu, i), 0);
  return finishKeepingC1(cpu);
};

/** FFREE, and FFREEP, which pops too. */
const x87Free: HelperFunction = (cpu, i, popAfter, where) => {
  if (begin(cpu, where)) return 1;
  free(cpu, i);
  if (popAfter) pop(cpu);
  return finish(cpu);
};

/** FINCSTP, FDECSTP. */
const x87MoveTop: HelperFunction = (cpu, by, where) => {
  if (begin(cpu, where)) return 1;
  setTop(cpu, physical(cpu, by));
  return finish(cpu);
};

export const TRANSFER = { x87Load, x87LoadRegister, x87LoadConstant, x87Store, x87StoreRegister, x87StoreUnchecked, x87Exchange, x87ConditionalMove, x87Free, x87MoveTop };
