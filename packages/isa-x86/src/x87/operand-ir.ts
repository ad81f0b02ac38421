// Memory operands of x87 instructions to and from its format, in the IR, where that raises nothing but PE. SDM Vol. 1, 4.2 and 8.2.

import type { Builder } from '@anillo/ir/builder';
import { BIAS, controlWord, exponentOf, type Extended, type I32, type I64, isNormal, isZero, SIGN, signOf, topBit } from './extended-ir.ts';
import { outcomeOf, REFUSED } from './round-ir.ts';

export interface Converted<T> {
  readonly value: T;
  /** 1 where the value holds. */
  readonly isRight: I32;
}

/** Exponent bits of single and double precision, and fraction bits. */
const FORMAT = { 32: { exponent: 8, fraction: 23, bias: 127 }, 64: { exponent: 11, fraction: 52, bias: 1023 } } as const;

/** A single or double of `bits` zero-extended bits; zero or normal. */
export function fromFloat(b: Builder, raw: I64, bits: 32 | 64): Converted<Extended> {
  const { exponent, fraction, bias } = FORMAT[bits];
  const high = b.wrap(b.shrU(raw, b.i64(fraction)));
  const field = b.and(high, b.i32((1 << exponent) - 1));
  const sign = b.and(b.shl(high, b.i32(15 - exponent)), b.i32(SIGN));
  const isZeroed = b.eqz(b.shl(raw, b.i64(65 - bits)));
  const significand = b.or(b.shl(raw, b.i64(63 - fraction)), topBit(b));
  const value = {
    m: b.select(isZeroed, b.i64(0), significand),
    e: b.or(sign, b.select(isZeroed, b.i32(0), b.add(field, b.i32(BIAS - bias)))),
  };
  return { value, isRight: b.or(isZeroed, b.ltU(b.sub(field, b.i32(1)), b.i32((1 << exponent) - 2))) };
}

/** A signed integer. */
export function fromInteger(b: Builder, value: I64): Extended {
  const isNegative = b.op('i64.lt_s', [value, b.i64(0)]);
  const magnitude = b.select(isNegative, b.sub(b.i64(0), value), value);
  const left = b.op('i64.clz', [magnitude]);
  const exponent = b.sub(b.i32(BIAS + 63), b.wrap(left));
  return {
    m: b.shl(magnitude, left),
    e: b.or(b.shl(isNegative, b.i32(15)), b.select(b.eqz(value), b.i32(0), exponent)),
  };
}

/** To single or double, rounded to nearest; `outcome`: status bits. Right for zeros and what stays clear of the ends of the range. */
export function toFloat(b: Builder, x: Extended, bits: 32 | 64): Converted<I64> & { readonly outcome: I32 } {
  const { exponent, fraction, bias } = FORMAT[bits];
  const dropped = 63 - fraction;
  const kept = b.shrU(x.m, b.i64(dropped));
  const below = b.shl(x.m, b.i64(64 - dropped));
  const up = b.gtU(below, b.sub(topBit(b), b.and(kept, b.i64(1))));
  const field = b.sub(exponentOf(b, x), b.i32(BIAS - bias));
  // The integer bit adds one to the exponent field, a carry another.
  const magnitude = b.add(b.add(b.shl(b.extendU(b.sub(field, b.i32(1))), b.i64(fraction)), kept), b.extendU(up));
  const zero = isZero(b, x);
  const sign = b.shl(b.extendU(b.shrU(signOf(b, x), b.i32(15))), b.i64(bits - 1));
  const control = controlWord(b);
  const outcome = outcomeOf(b, control, below, up);
  const isNear = b.or(b.eqz(b.and(control, b.i32(ROUNDING))), b.eqz(below));
  // Of the largest exponent only what is not rounded up, which might carry.
  const fits = b.and(isNormal(b, x), b.ltU(b.sub(field, b.i32(1)), b.sub(b.i32((1 << exponent) - 2), up)));
  return {
    value: b.or(sign, b.select(zero, b.i64(0), magnitude)),
    isRight: b.and(b.and(isNear, b.or(zero, fits)), b.ne(outcome, b.i32(REFUSED))),
    outcome,
  };
}
const ROUNDING = 0xc00;
