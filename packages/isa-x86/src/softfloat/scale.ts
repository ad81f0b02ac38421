// x87 FSCALE and FXTRACT (SDM 2). Both ignore precision control.

import { raiseDenormal } from './arithmetic.ts';
import { FLAG, ROUND, type FloatEnv } from './float-env.ts';
import { EXT } from './format.ts';
import { invalid, propagateNan } from './nan.ts';
import { bitLength, pack, packInfinity, packZero, roundShift } from './pack.ts';
import { KIND, Unpacked } from './unpacked.ts';

const work = new Unpacked();
/** Beyond any pair of extended exponents, the adjustment of unmasked responses included. */
const LARGEST_SCALE = 0x10000;

/** a * 2^trunc(b). */
export function scale(env: FloatEnv, a: Unpacked, b: Unpacked): bigint {
  env.roundedUp = false;
  const nan = propagateNan(env, EXT, a, b);
  if (nan !== undefined) return nan;
  if (b.kind === KIND.INFINITY) {
    if (a.kind === (b.sign ? KIND.INFINITY : KIND.ZERO)) return invalid(env, EXT);
    if (raiseDenormal(env, a, b)) return 0n;
    return b.sign ? packZero(EXT, a.sign) : packInfinity(EXT, a.sign);
  }
  if (raiseDenormal(env, a, b)) return 0n;
  if (a.kind === KIND.INFINITY) return packInfinity(EXT, a.sign);
  if (a.kind === KIND.ZERO) return packZero(EXT, a.sign);
  work.setFinite(a.sign, a.exponent + truncated(b), a.significand);
  return pack(env, EXT, work, EXT.precision);
}

function truncated(b: Unpacked): number {
  if (b.kind === KIND.ZERO) return 0;
  const magnitude = b.exponent > -40 ? LARGEST_SCALE : Number(roundShift(b.significand, -b.exponent, ROUND.ZERO, 0));
  const limited = Math.min(magnitude, LARGEST_SCALE);
  return b.sign ? -limited : limited;
}

export interface Extracted {
  exponent: bigint;
  significand: bigint;
}

/** Exponent and significand of a; `into` is filled. */
export function extract(env: FloatEnv, a: Unpacked, into: Extracted): void {
  env.roundedUp = false;
  const nan = propagateNan(env, EXT, a, a);
  if (nan !== undefined) {
    into.exponent = into.significand = nan;
  } else if (a.kind === KIND.ZERO) {
    env.raise(FLAG.ZE);
    into.exponent = packInfinity(EXT, 1);
    into.significand = packZero(EXT, a.sign);
  } else if (a.kind === KIND.INFINITY) {
    into.exponent = packInfinity(EXT, 0);
    into.significand = packInfinity(EXT, a.sign);
  } else if (!raiseDenormal(env, a, a)) {
    const length = bitLength(a.significand);
    const exponent = a.exponent + length - 1;
    into.significand = pack(env, EXT, work.setFinite(a.sign, 1 - length, a.significand), EXT.precision);
    into.exponent = exponent === 0 ? 0n : pack(env, EXT, work.setFinite(exponent < 0 ? 1 : 0, 0, BigInt(Math.abs(exponent))), EXT.precision);
  }
}
