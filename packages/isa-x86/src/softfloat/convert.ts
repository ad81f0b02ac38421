// Conversions between formats and to and from integers, and rounding to an integer (SDM 1, 4.8.4, 4.9; SDM 2, CVTxx, FLD, FST, FIST, FRNDINT, ROUNDSS, VCVTPH2PS).

import { FLAG, type FloatEnv } from './float-env.ts';
import { F16, type Format } from './format.ts';
import { propagateNan } from './nan.ts';
import { pack, packInfinity, packZero, roundOutcome, roundShift } from './pack.ts';
import { KIND, Unpacked } from './unpacked.ts';

const work = new Unpacked();

/**
 * Converts to another format. A denormal operand raises DE except where it comes from the extended format (FST) or from half precision (VCVTPH2PS).
 * FLD's result is valid even where DE is unmasked: processors load it all the same. Half precision ignores DAZ and FTZ as the instructions do: callers unpack with `unpackHalf` and FTZ does not apply to F16 results.
 */
export function convert(env: FloatEnv, from: Format, to: Format, a: Unpacked): bigint {
  env.roundedUp = false;
  if (a.kind >= KIND.QNAN) return propagateNan(env, to, a, a) as bigint;
  if (a.kind === KIND.INFINITY) return packInfinity(to, a.sign);
  if (a.kind === KIND.ZERO) return packZero(to, a.sign);
  if (a.denormal && !from.x87 && from !== F16 && env.raise(FLAG.DE) && !to.x87) return 0n;
  if (from.x87) return store(env, to, a);
  if (to !== F16 || !env.ftz) return pack(env, to, a, to.precision);
  env.ftz = false;
  const half = pack(env, to, a, to.precision);
  env.ftz = true;
  return half;
}

/** FST to memory: unmasked overflow or underflow stores nothing and hides PE, for nothing has been rounded. */
function store(env: FloatEnv, to: Format, a: Unpacked): bigint {
  const before = env.flags;
  const value = pack(env, to, a, to.precision);
  const unmasked = env.flags & ~env.masks & (FLAG.OE | FLAG.UE);
  if (unmasked) {
    env.flags = before | unmasked;
    env.roundedUp = false;
  }
  return value;
}

/** Half-precision operand: denormals whatever DAZ says. */
export function unpackHalf(into: Unpacked, bits: bigint, env: FloatEnv): Unpacked {
  const daz = env.daz;
  env.daz = false;
  into.set(F16, bits, env);
  env.daz = daz;
  return into;
}

/** Signed integer to floating point. */
export function fromInteger(env: FloatEnv, format: Format, value: bigint): bigint {
  env.roundedUp = false;
  if (value === 0n) return packZero(format, 0);
  work.setFinite(value < 0n ? 1 : 0, 0, value < 0n ? -value : value);
  return pack(env, format, work, format.precision);
}

/** To a signed integer of `bits`; what does not fit is invalid and gives the "integer indefinite", the most negative one. */
export function toInteger(env: FloatEnv, a: Unpacked, bits: 16 | 32 | 64, rounding: number): bigint {
  env.roundedUp = false;
  const indefinite = -1n << BigInt(bits - 1);
  if (a.kind === KIND.ZERO) return 0n;
  // 80 bits of exponent are far beyond any integer, and the shift below must stay small.
  if (a.kind !== KIND.FINITE || a.exponent > 80) {
    env.flags |= FLAG.IE;
    return indefinite;
  }
  const magnitude = roundShift(a.significand, -a.exponent, rounding, a.sign);
  const value = a.sign ? -magnitude : magnitude;
  if (value < indefinite || value >= -indefinite) {
    env.flags |= FLAG.IE;
    return indefinite;
  }
  if (roundOutcome() !== 0) env.flags |= FLAG.PE;
  env.roundedUp = roundOutcome() === 2;
  return value;
}

/** To an integral value of the same format. `inexact`: raises PE where the value changes. */
export function roundToIntegral(env: FloatEnv, format: Format, a: Unpacked, rounding: number, inexact: boolean): bigint {
  env.roundedUp = false;
  if (a.kind >= KIND.QNAN) return propagateNan(env, format, a, a) as bigint;
  if (a.kind === KIND.INFINITY) return packInfinity(format, a.sign);
  if (a.kind === KIND.ZERO) return packZero(format, a.sign);
  // FRNDINT reports denormals, ROUNDSS does not.
  if (a.denormal && format.x87 && env.raise(FLAG.DE)) return 0n;
  if (a.exponent >= 0) return pack(env, format, a, format.precision);
  const magnitude = roundShift(a.significand, -a.exponent, rounding, a.sign);
  const result = roundOutcome();
  if (result !== 0 && inexact) env.flags |= FLAG.PE;
  const packed = magnitude === 0n ? packZero(format, a.sign) : pack(env, format, work.setFinite(a.sign, 0, magnitude), format.precision);
  env.roundedUp = result === 2;
  return packed;
}

