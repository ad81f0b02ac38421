// Numbers in the x87's format as IR values: a significand of 64 bits with its integer bit, and sign (bit 15) over the biased exponent. SDM Vol. 1, 8.2.

import type { Value } from '@anillo/ir/block';
import type { Builder } from '@anillo/ir/builder';
import { X86State } from '../state.ts';

export type I32 = Value<'i32'>;
export type I64 = Value<'i64'>;
export interface Extended {
  readonly m: I64;
  readonly e: I32;
}

const at = X86State.offset;
export const BIAS = 16383;
export const SIGN = 0x8000;
export const EXPONENT = 0x7fff;

export const topBit = (b: Builder): I64 => b.i64Words(0, -0x8000_0000);
export const signOf = (b: Builder, x: Extended): I32 => b.and(x.e, b.i32(SIGN));
export const exponentOf = (b: Builder, x: Extended): I32 => b.and(x.e, b.i32(EXPONENT));
export const changeSign = (b: Builder, x: Extended): Extended => ({ m: x.m, e: b.xor(x.e, b.i32(SIGN)) });
/** 0 where the condition does not hold. */
export const orZero = (b: Builder, condition: I32, value: I64): I64 => b.select(condition, value, b.i64(0));

/** Neither zero, denormal, infinite, a NaN nor unsupported. */
export const isNormal = (b: Builder, x: Extended): I32 =>
  b.and(b.ltS(x.m, b.i64(0)), b.ltU(b.sub(exponentOf(b, x), b.i32(1)), b.i32(EXPONENT - 1)));
export const isZero = (b: Builder, x: Extended): I32 => b.and(b.eqz(x.m), b.eqz(exponentOf(b, x)));

export const controlWord = (b: Builder): I32 => b.op('state.load32', [b.i32(0)], at.fpuControl);

/** Physical register n. */
export const readRegister = (b: Builder, n: I32): Extended => ({
  m: b.op('state.load64', [b.shl(n, b.i32(3))], at.fpuMantissa),
  e: b.op('state.load32', [b.shl(n, b.i32(2))], at.fpuExponent),
});
export function writeRegister(b: Builder, n: I32, x: Extended): void {
  b.op('state.store64', [b.shl(n, b.i32(3)), x.m], at.fpuMantissa);
  b.op('state.store32', [b.shl(n, b.i32(2)), x.e], at.fpuExponent);
}
