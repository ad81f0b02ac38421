// Puts raw values together: specials, and the one place where results are rounded (SDM 1, 4.8.4, 4.9.1.4-4.9.1.6, 8.5.4-8.5.6).
// Tininess is detected after rounding to the destination's precision with unbounded exponent.

import { FLAG, ROUND, type FloatEnv } from './float-env.ts';
import type { Format } from './format.ts';
import type { Unpacked } from './unpacked.ts';

/** Added to (subtracted from) the exponent of an x87 result when underflow (overflow) is unmasked. */
const EXPONENT_ADJUST = 24576;

export function packZero(format: Format, sign: number): bigint {
  return sign ? 1n << format.signShift : 0n;
}

export function packInfinity(format: Format, sign: number): bigint {
  return join(format, sign, format.maxField, format.x87 ? format.integerBit : 0n);
}

/** Default NaN, the "real indefinite". */
export function packIndefinite(format: Format): bigint {
  return join(format, 1, format.maxField, format.x87 ? 3n << 62n : 1n << (format.fieldShift - 1n));
}

/** NaN `u`, quieted. */
export function packNan(format: Format, u: Unpacked): bigint {
  const significand = u.significand | (1n << 62n);
  return join(format, u.sign, format.maxField, format.x87 ? significand : (significand >> BigInt(64 - format.precision)) & format.fieldMask);
}

function join(format: Format, sign: number, field: number, significandField: bigint): bigint {
  return (BigInt(sign ? field + format.maxField + 1 : field) << format.fieldShift) | significandField;
}

const doubleCell = new Float64Array(1);
const doubleWords = new Uint32Array(doubleCell.buffer);

/** Position of the highest set bit plus 1. `value` is positive and below 2^1000. */
export function bitLength(value: bigint): number {
  doubleCell[0] = Number(value);
  const length = (doubleWords[1] >>> 20) - 1022;
  // Number() may have rounded up to a power of two.
  return value >> BigInt(length - 1) === 0n ? length - 1 : length;
}

/** Outcome of `roundShift` beside its result: 0 exact, 1 rounded down in magnitude, 2 rounded up. */
let outcome = 0;

/** value / 2^shift rounded to an integer in the given mode. */
export function roundShift(value: bigint, shift: number, rounding: number, sign: number): bigint {
  if (shift <= 0) {
    outcome = 0;
    return shift === 0 ? value : value << BigInt(-shift);
  }
  let kept = 0n;
  // Remainder against one half: -1 below, 0 equal, 1 above.
  let half = -1;
  if (shift <= bitLength(value)) {
    const by = BigInt(shift);
    kept = value >> by;
    const rest = value - (kept << by);
    if (rest === 0n) {
      outcome = 0;
      return kept;
    }
    const middle = 1n << (by - 1n);
    half = rest === middle ? 0 : rest > middle ? 1 : -1;
  }
  const up =
    rounding === ROUND.NEAREST ? half > 0 || (half === 0 && (kept & 1n) === 1n) : rounding === ROUND.UP ? sign === 0 : rounding === ROUND.DOWN && sign !== 0;
  outcome = up ? 2 : 1;
  return up ? kept + 1n : kept;
}

/** What the last `roundShift` did: 0 exact, 1 rounded down in magnitude, 2 rounded up. */
export function roundOutcome(): number {
  return outcome;
}

/**
 * Rounds the finite, non-zero `u` to `precision` bits and packs it. The last bit of its significand may stand for all that lies below ("sticky")
 * where the significand has at least two bits more than `precision`.
 */
export function pack(env: FloatEnv, format: Format, u: Unpacked, precision: number): bigint {
  const length = bitLength(u.significand);
  let exponent = u.exponent + length - 1;
  let rounded = roundShift(u.significand, length - precision, env.rounding, u.sign);
  const carried = rounded >> BigInt(precision) !== 0n;
  if (carried) {
    rounded >>= 1n;
    exponent++;
  }
  if (exponent < format.minExponent) {
    if (env.masks & FLAG.UE) return packTiny(env, format, u, precision);
    env.flags |= FLAG.UE;
    exponent += EXPONENT_ADJUST;
  } else if (exponent > format.bias) {
    if (env.masks & FLAG.OE) return packOverflow(env, format, u, precision);
    env.flags |= FLAG.OE;
    exponent -= EXPONENT_ADJUST;
  }
  if (outcome !== 0) env.flags |= FLAG.PE;
  env.roundedUp = outcome === 2;
  if (!format.x87) return join(format, u.sign, exponent + format.bias, rounded & format.fieldMask);
  if (exponent > format.bias || exponent < format.minExponent) return packBeyondAdjustment(env, format, u, exponent);
  return join(format, u.sign, exponent + format.bias, rounded << BigInt(64 - precision));
}

/** FSCALE alone leaves the range even after the adjustment: infinity or zero (SDM 2, FSCALE), which is inexact. */
function packBeyondAdjustment(env: FloatEnv, format: Format, u: Unpacked, exponent: number): bigint {
  const infinite = exponent > 0;
  env.flags |= FLAG.PE;
  env.roundedUp = infinite;
  return infinite ? packInfinity(format, u.sign) : packZero(format, u.sign);
}

/** Masked underflow. */
function packTiny(env: FloatEnv, format: Format, u: Unpacked, precision: number): bigint {
  if (env.ftz && !format.x87) {
    env.flags |= FLAG.UE | FLAG.PE;
    return packZero(format, u.sign);
  }
  const rounded = roundShift(u.significand, format.minExponent - precision + 1 - u.exponent, env.rounding, u.sign);
  if (outcome !== 0) env.flags |= FLAG.UE | FLAG.PE;
  env.roundedUp = outcome === 2;
  if (!format.x87) return join(format, u.sign, 0, 0n) + rounded;
  const field = rounded << BigInt(64 - precision);
  return join(format, u.sign, field >= format.integerBit ? 1 : 0, field);
}

/** Masked overflow. */
function packOverflow(env: FloatEnv, format: Format, u: Unpacked, precision: number): bigint {
  env.flags |= FLAG.OE | FLAG.PE;
  const infinite = env.rounding === ROUND.NEAREST || env.rounding === (u.sign ? ROUND.DOWN : ROUND.UP);
  env.roundedUp = infinite;
  if (infinite) return packInfinity(format, u.sign);
  const ones = (1n << BigInt(precision)) - 1n;
  return join(format, u.sign, format.maxField - 1, format.x87 ? ones << BigInt(64 - precision) : ones & format.fieldMask);
}
