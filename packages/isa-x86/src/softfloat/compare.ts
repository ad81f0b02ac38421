// Comparison, and SSE's minimum and maximum (SDM 2, MINSS, MAXSS, UCOMISS, FCOM, FUCOM).

import { FLAG, type FloatEnv } from './float-env.ts';
import type { Format } from './format.ts';
import { raiseDenormal } from './arithmetic.ts';
import { bitLength, packZero } from './pack.ts';
import { KIND, Unpacked } from './unpacked.ts';

export const ORDER = { LESS: -1, EQUAL: 0, GREATER: 1, UNORDERED: 2 } as const;
export type Order = -1 | 0 | 1 | 2;

/** `signalling`: a quiet NaN is invalid too. */
export function compare(env: FloatEnv, a: Unpacked, b: Unpacked, signalling: boolean): Order {
  env.roundedUp = false;
  if (a.kind >= KIND.QNAN || b.kind >= KIND.QNAN) {
    if (signalling || a.kind >= KIND.SNAN || b.kind >= KIND.SNAN) env.flags |= FLAG.IE;
    return ORDER.UNORDERED;
  }
  raiseDenormal(env, a, b);
  return order(a, b);
}

/** Order of two numbers, zeros equal. */
function order(a: Unpacked, b: Unpacked): Order {
  if (a.kind === KIND.ZERO && b.kind === KIND.ZERO) return ORDER.EQUAL;
  if (a.kind === KIND.ZERO) return b.sign ? ORDER.GREATER : ORDER.LESS;
  if (b.kind === KIND.ZERO || a.sign !== b.sign) return a.sign ? ORDER.LESS : ORDER.GREATER;
  const magnitude = compareMagnitude(a, b);
  return (a.sign ? 0 - magnitude : magnitude) as Order;
}

function compareMagnitude(a: Unpacked, b: Unpacked): number {
  if (a.kind !== b.kind) return a.kind === KIND.INFINITY ? 1 : -1;
  if (a.kind === KIND.INFINITY) return 0;
  const topA = a.exponent + bitLength(a.significand);
  const topB = b.exponent + bitLength(b.significand);
  if (topA !== topB) return topA > topB ? 1 : -1;
  const distance = a.exponent - b.exponent;
  const left = distance > 0 ? a.significand << BigInt(distance) : a.significand;
  const right = distance < 0 ? b.significand << BigInt(-distance) : b.significand;
  return left === right ? 0 : left > right ? 1 : -1;
}

const first = new Unpacked();
const second = new Unpacked();

/** MINxx on raw values: the second operand unless the first is less; a NaN of either kind is invalid and gives the second as it is. */
export function minimum(env: FloatEnv, format: Format, a: bigint, b: bigint): bigint {
  return compare(env, first.set(format, a, env), second.set(format, b, env), true) === ORDER.LESS ? flushed(format, a, first) : flushed(format, b, second);
}

export function maximum(env: FloatEnv, format: Format, a: bigint, b: bigint): bigint {
  return compare(env, first.set(format, a, env), second.set(format, b, env), true) === ORDER.GREATER ? flushed(format, a, first) : flushed(format, b, second);
}

/** A denormal that DAZ has made zero is returned as zero. */
const flushed = (format: Format, bits: bigint, u: Unpacked): bigint => (u.kind === KIND.ZERO ? packZero(format, u.sign) : bits);
