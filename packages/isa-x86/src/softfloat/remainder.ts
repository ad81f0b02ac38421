// x87 FPREM (quotient truncated) and FPREM1 (quotient to nearest even), SDM 2. Results are exact; precision control does not apply.

import { raiseDenormal } from './arithmetic.ts';
import type { FloatEnv } from './float-env.ts';
import { EXT } from './format.ts';
import { invalid, propagateNan } from './nan.ts';
import { bitLength, pack, packZero } from './pack.ts';
import { KIND, Unpacked } from './unpacked.ts';

const work = new Unpacked();

export interface Remainder {
  value: bigint;
  /** Low three bits of the quotient, INCOMPLETE (C2) or NO_QUOTIENT (the value is a NaN or of no use). */
  quotient: number;
}

export const INCOMPLETE = -1;
export const NO_QUOTIENT = -2;

/** Fills `into` with a rem b. */
export function remainder(env: FloatEnv, a: Unpacked, b: Unpacked, nearest: boolean, into: Remainder): void {
  env.roundedUp = false;
  into.quotient = NO_QUOTIENT;
  const nan = propagateNan(env, EXT, a, b);
  if (nan !== undefined) into.value = nan;
  else if (a.kind === KIND.INFINITY || b.kind === KIND.ZERO) into.value = invalid(env, EXT);
  else if (raiseDenormal(env, a, b)) into.value = 0n;
  else reduce(env, a, b, nearest, into);
}

/** `a` is finite or zero, `b` infinite or finite. */
function reduce(env: FloatEnv, a: Unpacked, b: Unpacked, nearest: boolean, into: Remainder): void {
  into.quotient = 0;
  if (a.kind === KIND.ZERO) {
    into.value = packZero(EXT, a.sign);
    return;
  }
  const distance = b.kind === KIND.INFINITY ? -2 : a.exponent + bitLength(a.significand) - b.exponent - bitLength(b.significand);
  if (distance < -1) {
    into.value = pack(env, EXT, a, EXT.precision);
    return;
  }
  // A distance of 64 or more is worked off in steps of 32 to 63 bits.
  const left = distance >= 64 ? distance - ((distance & 31) | 32) : 0;
  const exponent = Math.min(a.exponent - left, b.exponent);
  const dividend = a.significand << BigInt(a.exponent - left - exponent);
  const divisor = b.significand << BigInt(b.exponent - exponent);
  let quotient = dividend / divisor;
  let rest = dividend - quotient * divisor;
  let sign = a.sign;
  if (nearest && left === 0) {
    const twice = rest << 1n;
    if (twice > divisor || (twice === divisor && (quotient & 1n) === 1n)) {
      quotient++;
      rest = divisor - rest;
      sign ^= 1;
    }
  }
  into.quotient = left ? INCOMPLETE : Number(quotient & 7n);
  into.value = rest === 0n ? packZero(EXT, a.sign) : pack(env, EXT, work.setFinite(sign, exponent + left, rest), EXT.precision);
}
