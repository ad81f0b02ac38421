// add, subtract, multiply, divide, square root, fused multiply-add on unpacked operands (SDM 1, 4.8-4.9, 8.3.5, 14.5.2). Results are raw values.
// Order of exceptions: NaN operands, other invalid operations and division by zero, denormal operands, then those of the result.

import { FLAG, ROUND, type FloatEnv } from './float-env.ts';
import type { Format } from './format.ts';
import { invalid, propagateNan } from './nan.ts';
import { pack, packInfinity, packNan, packZero } from './pack.ts';
import { KIND, Unpacked } from './unpacked.ts';

const work = new Unpacked();

const precisionOf = (env: FloatEnv, format: Format): number => (format.x87 ? env.precision : format.precision);

/** DE where an operand is denormal; true when that is unmasked and the operation ends. */
export function raiseDenormal(env: FloatEnv, a: Unpacked, b: Unpacked): boolean {
  return (a.denormal || b.denormal) && env.raise(FLAG.DE);
}

export function add(env: FloatEnv, format: Format, a: Unpacked, b: Unpacked): bigint {
  return addSigned(env, format, a, b, 0);
}

export function subtract(env: FloatEnv, format: Format, a: Unpacked, b: Unpacked): bigint {
  return addSigned(env, format, a, b, 1);
}

function addSigned(env: FloatEnv, format: Format, a: Unpacked, b: Unpacked, flip: number): bigint {
  env.roundedUp = false;
  const nan = propagateNan(env, format, a, b);
  if (nan !== undefined) return nan;
  const signB = b.sign ^ flip;
  if (a.kind === KIND.INFINITY && b.kind === KIND.INFINITY && a.sign !== signB) return invalid(env, format);
  if (raiseDenormal(env, a, b)) return 0n;
  if (a.kind === KIND.INFINITY) return packInfinity(format, a.sign);
  if (b.kind === KIND.INFINITY) return packInfinity(format, signB);
  return packSum(env, format, a, b, signB);
}

/** a + b with b's sign replaced; both finite or zero. */
function packSum(env: FloatEnv, format: Format, a: Unpacked, b: Unpacked, signB: number): bigint {
  if (a.kind === KIND.ZERO && b.kind === KIND.ZERO) return packZero(format, a.sign === signB ? a.sign : zeroSign(env));
  if (a.kind === KIND.ZERO) work.setFinite(signB, b.exponent, b.significand);
  else if (b.kind === KIND.ZERO) work.setFinite(a.sign, a.exponent, a.significand);
  else if (a.exponent >= b.exponent) sumAligned(a.sign, a.exponent, a.significand, b.exponent, signB ? -b.significand : b.significand);
  else sumAligned(signB, b.exponent, b.significand, a.exponent, a.sign ? -a.significand : a.significand);
  if (work.kind === KIND.ZERO) return packZero(format, zeroSign(env));
  return pack(env, format, work, precisionOf(env, format));
}

const zeroSign = (env: FloatEnv): number => (env.rounding === ROUND.DOWN ? 1 : 0);

/** work = high + low, where the high one's last bit weighs no less than the low one's. */
function sumAligned(signHigh: number, exponentHigh: number, significandHigh: bigint, exponentLow: number, signedLow: bigint): void {
  const distance = exponentHigh - exponentLow;
  const signedHigh = signHigh ? -significandHigh : significandHigh;
  // So far apart that the low one (at most 128 bits) only tips the rounding.
  const far = distance > 200;
  const sum = far ? (signedHigh << 70n) + (signedLow < 0n ? -1n : 1n) : (signedHigh << BigInt(distance)) + signedLow;
  work.setFinite(sum < 0n ? 1 : 0, far ? exponentHigh - 70 : exponentLow, sum < 0n ? -sum : sum);
}

export function multiply(env: FloatEnv, format: Format, a: Unpacked, b: Unpacked): bigint {
  env.roundedUp = false;
  const nan = propagateNan(env, format, a, b);
  if (nan !== undefined) return nan;
  const sign = a.sign ^ b.sign;
  const infinite = a.kind === KIND.INFINITY || b.kind === KIND.INFINITY;
  const zero = a.kind === KIND.ZERO || b.kind === KIND.ZERO;
  if (infinite && zero) return invalid(env, format);
  if (raiseDenormal(env, a, b)) return 0n;
  if (infinite) return packInfinity(format, sign);
  if (zero) return packZero(format, sign);
  work.setFinite(sign, a.exponent + b.exponent, a.significand * b.significand);
  return pack(env, format, work, precisionOf(env, format));
}

export function divide(env: FloatEnv, format: Format, a: Unpacked, b: Unpacked): bigint {
  env.roundedUp = false;
  const nan = propagateNan(env, format, a, b);
  if (nan !== undefined) return nan;
  const sign = a.sign ^ b.sign;
  if (a.kind === b.kind && a.kind !== KIND.FINITE) return invalid(env, format);
  if (b.kind === KIND.ZERO && a.kind === KIND.FINITE) {
    env.raise(FLAG.ZE);
    return packInfinity(format, sign);
  }
  if (raiseDenormal(env, a, b)) return 0n;
  if (a.kind === KIND.INFINITY) return packInfinity(format, sign);
  if (a.kind === KIND.ZERO || b.kind === KIND.INFINITY) return packZero(format, sign);
  // 64-bit divisor at most: 131 more bits give a quotient of at least 67.
  const dividend = a.significand << 131n;
  const quotient = dividend / b.significand;
  const sticky = quotient * b.significand === dividend ? 0n : 1n;
  work.setFinite(sign, a.exponent - b.exponent - 132, (quotient << 1n) | sticky);
  return pack(env, format, work, precisionOf(env, format));
}

export function squareRoot(env: FloatEnv, format: Format, a: Unpacked): bigint {
  env.roundedUp = false;
  const nan = propagateNan(env, format, a, a);
  if (nan !== undefined) return nan;
  if (a.kind === KIND.ZERO) return packZero(format, a.sign);
  if (a.sign) return invalid(env, format);
  if (raiseDenormal(env, a, a)) return 0n;
  if (a.kind === KIND.INFINITY) return packInfinity(format, 0);
  const odd = a.exponent & 1;
  const radicand = a.significand << BigInt(132 + odd);
  const root = integerSquareRoot(radicand);
  const sticky = root * root === radicand ? 0n : 1n;
  work.setFinite(0, (a.exponent - odd) / 2 - 67, (root << 1n) | sticky);
  return pack(env, format, work, precisionOf(env, format));
}

/** Largest r with r * r <= value; value below 2^208. */
export function integerSquareRoot(value: bigint): bigint {
  let root = BigInt(Math.floor(Math.sqrt(Number(value))));
  // 52 good bits, doubled by each step of Newton's method.
  root = (root + value / root) >> 1n;
  root = (root + value / root) >> 1n;
  while (root * root > value) root--;
  while ((root + 1n) * (root + 1n) <= value) root++;
  return root;
}

/** a * b + c, rounded once; SSE formats only. */
export function multiplyAdd(env: FloatEnv, format: Format, a: Unpacked, b: Unpacked, c: Unpacked): bigint {
  const infinite = a.kind === KIND.INFINITY || b.kind === KIND.INFINITY;
  const zero = a.kind === KIND.ZERO || b.kind === KIND.ZERO;
  if (a.isNan() || b.isNan() || c.isNan()) {
    if (a.kind === KIND.SNAN || b.kind === KIND.SNAN || c.kind === KIND.SNAN) env.flags |= FLAG.IE;
    return packNan(format, a.isNan() ? a : b.isNan() ? b : c);
  }
  const sign = a.sign ^ b.sign;
  if (infinite && zero) return invalid(env, format);
  if (infinite && c.kind === KIND.INFINITY && c.sign !== sign) return invalid(env, format);
  if ((a.denormal || b.denormal || c.denormal) && env.raise(FLAG.DE)) return 0n;
  if (infinite) return packInfinity(format, sign);
  if (c.kind === KIND.INFINITY) return packInfinity(format, c.sign);
  product.setFinite(sign, a.exponent + b.exponent, zero ? 0n : a.significand * b.significand);
  return packSum(env, format, product, c, c.sign);
}

const product = new Unpacked();
