// x87 FSIN, FCOS, FPTAN, FPATAN, F2XM1, FYL2X, FYL2XP1 (SDM 1, 8.3.7-8.3.10; SDM 2). Computed to far more than 64 bits and rounded once, so the error is
// below one unit in the last place; processors differ in the last bit and in C1, and so may we. Special operands and the range check are exact.
// Arguments of trigonometric functions are reduced by the 66-bit value of pi that the manual tells. Precision control does not apply.

import { raiseDenormal } from './arithmetic.ts';
import { arcTangentFixed, cosineFixed, divideFixed, exponentialMinusOne, FRACTION_BITS, LN_2, logarithmFixed, multiplyFixed, ONE, PI, sineFixed } from './fixed-point.ts';
import { FLAG, type FloatEnv } from './float-env.ts';
import { EXT } from './format.ts';
import { invalid, propagateNan } from './nan.ts';
import { bitLength, pack, packInfinity, packZero } from './pack.ts';
import { KIND, Unpacked } from './unpacked.ts';

const work = new Unpacked();

/** SDM 1, 8.3.8: half of pi, 66 bits of it. */
const HALF_PI_66 = 0xc90fdaa22168c234cn << BigInt(FRACTION_BITS - 67);
/** Clear in denormal results. */
const TINY_FIELD = 0x7fffn << 64n;
/** Below 2^-80 the first term of a series is the result but for its last bits. */
const TINY_EXPONENT = -80;

/** Exponent of the leading bit. */
const topExponent = (a: Unpacked): number => a.exponent + bitLength(a.significand) - 1;

/** |a| in fixed point; exact for exponents of -190 and more. */
function toFixed(a: Unpacked): bigint {
  const shift = a.exponent + FRACTION_BITS;
  return shift >= 0 ? a.significand << BigInt(shift) : a.significand >> BigInt(-shift);
}

/** Rounds an irrational result, value * 2^(-FRACTION_BITS + exponent). */
function packFixed(env: FloatEnv, sign: number, value: bigint, exponent = 0): bigint {
  const packed = pack(env, EXT, work.setFinite(sign, exponent - FRACTION_BITS - 1, (value << 1n) | 1n), EXT.precision);
  env.flags |= FLAG.PE;
  return packed;
}

/** `a` a little nearer to zero (or farther from it). */
function packNear(env: FloatEnv, a: Unpacked, nearer: boolean): bigint {
  const significand = (a.significand << 80n) + (nearer ? -1n : 1n);
  return pack(env, EXT, work.setFinite(a.sign, a.exponent - 80, significand), EXT.precision);
}

const unpackedOne = new Unpacked().setFinite(0, 0, 1n);

/** Result of a trigonometric function for operands that need no computation; null: compute; undefined: out of range (C2). */
function special(env: FloatEnv, a: Unpacked): bigint | null | undefined {
  env.roundedUp = false;
  const nan = propagateNan(env, EXT, a, a);
  if (nan !== undefined) return nan;
  if (a.kind === KIND.INFINITY) return invalid(env, EXT);
  if (a.kind === KIND.FINITE && topExponent(a) >= 63) return undefined;
  if (raiseDenormal(env, a, a)) return 0n;
  return null;
}

/** Sine and cosine of |a| by quadrant: angle reduced to within pi/4 of a multiple of pi/2. */
function reduceAngle(a: Unpacked): { quadrant: number; rest: bigint } {
  const angle = toFixed(a);
  const turns = (angle + (HALF_PI_66 >> 1n)) / HALF_PI_66;
  return { quadrant: Number(turns & 3n), rest: angle - turns * HALF_PI_66 };
}

function packSigned(env: FloatEnv, value: bigint, flip: number): bigint {
  return packFixed(env, (value < 0n ? 1 : 0) ^ flip, value < 0n ? -value : value);
}

/** Sine; undefined where |a| is 2^63 or more (C2). */
export function sine(env: FloatEnv, a: Unpacked): bigint | undefined {
  const early = special(env, a);
  if (early !== null) return early;
  if (a.kind === KIND.ZERO) return packZero(EXT, a.sign);
  if (topExponent(a) < TINY_EXPONENT) return packNear(env, a, true);
  const { quadrant, rest } = reduceAngle(a);
  return packSigned(env, quadrant & 1 ? cosineFixed(rest) : sineFixed(rest), a.sign ^ (quadrant >> 1));
}

export function cosine(env: FloatEnv, a: Unpacked): bigint | undefined {
  const early = special(env, a);
  if (early !== null) return early;
  if (a.kind === KIND.ZERO) return pack(env, EXT, unpackedOne, EXT.precision);
  if (topExponent(a) < TINY_EXPONENT) return packNear(env, unpackedOne, true);
  const { quadrant, rest } = reduceAngle(a);
  return packSigned(env, quadrant & 1 ? sineFixed(rest) : cosineFixed(rest), ((quadrant + 1) >> 1) & 1);
}

export function tangent(env: FloatEnv, a: Unpacked): bigint | undefined {
  const early = special(env, a);
  if (early !== null) return early;
  if (a.kind === KIND.ZERO) return packZero(EXT, a.sign);
  if (topExponent(a) < TINY_EXPONENT) return packNear(env, a, false);
  const { quadrant, rest } = reduceAngle(a);
  const [sin, cos] = [sineFixed(rest), cosineFixed(rest)];
  return packSigned(env, quadrant & 1 ? -divideFixed(cos, sin) : divideFixed(sin, cos), a.sign);
}

/** Angle of the point (x, y): ST(1) is y. */
export function arcTangent(env: FloatEnv, x: Unpacked, y: Unpacked): bigint {
  env.roundedUp = false;
  const nan = propagateNan(env, EXT, x, y);
  if (nan !== undefined) return nan;
  if (raiseDenormal(env, x, y)) return 0n;
  const magnitude = angleOfSpecial(x, y);
  if (magnitude === 0n) return packZero(EXT, y.sign);
  if (magnitude !== undefined) return packFixed(env, y.sign, magnitude);
  const distance = topExponent(y) - topExponent(x);
  if (distance < TINY_EXPONENT - 2 && x.sign === 0) return packTinyRatio(env, x, y);
  return packFixed(env, y.sign, angleOf(x, y, distance));
}

/** Angle without its sign where an operand is zero or infinite. */
function angleOfSpecial(x: Unpacked, y: Unpacked): bigint | undefined {
  if (y.kind === KIND.INFINITY) {
    if (x.kind !== KIND.INFINITY) return PI >> 1n;
    return x.sign ? (PI * 3n) >> 2n : PI >> 2n;
  }
  if (y.kind === KIND.ZERO || x.kind === KIND.INFINITY) return x.sign ? PI : 0n;
  return x.kind === KIND.ZERO ? PI >> 1n : undefined;
}

function angleOf(x: Unpacked, y: Unpacked, distance: number): bigint {
  let angle = 0n;
  let steep = distance > 0;
  if (Math.abs(distance) <= 100) {
    const [up, along] = [y.significand, x.significand];
    const shift = y.exponent - x.exponent;
    const top = shift > 0 ? up << BigInt(shift) : up;
    const bottom = shift < 0 ? along << BigInt(-shift) : along;
    steep = top > bottom;
    angle = arcTangentFixed(steep ? divideFixed(bottom, top) : divideFixed(top, bottom));
  }
  if (steep) return x.sign ? (PI >> 1n) + angle : (PI >> 1n) - angle;
  return x.sign ? PI - angle : angle;
}

/** y / x so small that the angle is the quotient, a little less. */
function packTinyRatio(env: FloatEnv, x: Unpacked, y: Unpacked): bigint {
  const quotient = (y.significand << 200n) / x.significand;
  const exact = quotient * x.significand === y.significand << 200n;
  const significand = (quotient << 1n) + (exact ? -1n : 1n);
  return pack(env, EXT, work.setFinite(y.sign, y.exponent - x.exponent - 201, significand), EXT.precision);
}

/** 2^a - 1. Outside [-1, 1] the manual leaves the result undefined; it is then `a`. */
export function powerMinusOne(env: FloatEnv, a: Unpacked): bigint {
  env.roundedUp = false;
  const nan = propagateNan(env, EXT, a, a);
  if (nan !== undefined) return nan;
  if (raiseDenormal(env, a, a)) return 0n;
  if (a.kind === KIND.INFINITY) return a.sign ? pack(env, EXT, work.setFinite(1, 0, 1n), EXT.precision) : packInfinity(EXT, 0);
  if (a.kind === KIND.ZERO) return packZero(EXT, a.sign);
  const top = topExponent(a);
  if (top >= 0) {
    env.flags |= FLAG.PE;
    const one = top === 0 && (a.significand & (a.significand - 1n)) === 0n;
    return pack(env, EXT, work.setFinite(a.sign, one && a.sign ? a.exponent - 1 : a.exponent, a.significand), EXT.precision);
  }
  if (top < TINY_EXPONENT) return packFixed(env, a.sign, a.significand * LN_2, a.exponent);
  const x = multiplyFixed(toFixed(a), LN_2);
  return packSigned(env, exponentialMinusOne(a.sign ? -x : x), 0);
}

/** y * log2(x): x is ST(0), y ST(1). */
export function logarithm(env: FloatEnv, x: Unpacked, y: Unpacked): bigint {
  env.roundedUp = false;
  const nan = propagateNan(env, EXT, x, y);
  if (nan !== undefined) return nan;
  if (x.kind === KIND.ZERO) {
    if (y.kind === KIND.ZERO) return invalid(env, EXT);
    if (y.kind === KIND.FINITE) env.raise(FLAG.ZE);
    return packInfinity(EXT, y.sign ^ 1);
  }
  if (x.sign) return invalid(env, EXT);
  const one = x.kind === KIND.FINITE && topExponent(x) === 0 && (x.significand & (x.significand - 1n)) === 0n;
  const below = x.kind === KIND.FINITE && topExponent(x) < 0 ? 1 : 0;
  if ((x.kind === KIND.INFINITY && y.kind === KIND.ZERO) || (one && y.kind === KIND.INFINITY)) return invalid(env, EXT);
  if (raiseDenormal(env, x, y)) return 0n;
  if (x.kind === KIND.INFINITY || y.kind === KIND.INFINITY) return packInfinity(EXT, y.sign ^ below);
  if (one || y.kind === KIND.ZERO) return packZero(EXT, y.sign ^ below);
  return packProduct(env, logarithmOf(x), y);
}

/** Base-2 logarithm of positive, finite x in fixed point. */
function logarithmOf(x: Unpacked): bigint {
  const length = bitLength(x.significand);
  let exponent = x.exponent + length - 1;
  let fraction = x.significand << BigInt(FRACTION_BITS - length + 1);
  if (fraction === ONE) return BigInt(exponent) << BigInt(FRACTION_BITS);
  // Centred on 1, so that nothing cancels.
  if (fraction > (ONE * 7n) / 5n) {
    fraction >>= 1n;
    exponent++;
  }
  return (BigInt(exponent) << BigInt(FRACTION_BITS)) + divideFixed(logarithmFixed(fraction), LN_2);
}

/** log * y, where log is in fixed point; `scale` moves its binary point. */
function packProduct(env: FloatEnv, log: bigint, y: Unpacked, scale = 0): bigint {
  const magnitude = log < 0n ? -log : log;
  const sign = y.sign ^ (log < 0n ? 1 : 0);
  // Of a power of two the logarithm is an integer, and the product exact; processors report it as inexact all the same.
  const exact = (magnitude & (ONE - 1n)) === 0n;
  if (!exact) return packFixed(env, sign, magnitude * y.significand, y.exponent + scale);
  const packed = pack(env, EXT, work.setFinite(sign, y.exponent - FRACTION_BITS, magnitude * y.significand), EXT.precision);
  env.flags |= (packed & TINY_FIELD) === 0n ? FLAG.PE | FLAG.UE : FLAG.PE;
  return packed;
}

/** y * log2(x + 1). Outside the manual's range of x the result is the logarithm still, and x where there is none. */
export function logarithmPlusOne(env: FloatEnv, x: Unpacked, y: Unpacked): bigint {
  env.roundedUp = false;
  const nan = propagateNan(env, EXT, x, y);
  if (nan !== undefined) return nan;
  const sign = x.sign ^ y.sign;
  if (x.kind === KIND.INFINITY && (x.sign || y.kind === KIND.ZERO)) return invalid(env, EXT);
  if (y.kind === KIND.INFINITY && x.kind === KIND.ZERO) return invalid(env, EXT);
  if (raiseDenormal(env, x, y)) return 0n;
  if (x.kind === KIND.INFINITY || y.kind === KIND.INFINITY) return packInfinity(EXT, sign);
  if (x.kind === KIND.ZERO || y.kind === KIND.ZERO) return packZero(EXT, sign);
  const top = topExponent(x);
  if (top < TINY_EXPONENT) {
    const inverse = divideFixed(ONE, LN_2);
    return packProduct(env, (x.sign ? -inverse : inverse) * x.significand, y, x.exponent);
  }
  if (x.sign && top >= 0) {
    env.flags |= FLAG.PE;
    return pack(env, EXT, x, EXT.precision);
  }
  // Far above any argument that makes sense the one no longer matters.
  if (top > 100) return packProduct(env, logarithmOf(x), y);
  const sum = x.sign ? ONE - toFixed(x) : ONE + toFixed(x);
  return packProduct(env, logarithmOf(sumOperand.setFinite(0, -FRACTION_BITS, sum)), y);
}

const sumOperand = new Unpacked();
