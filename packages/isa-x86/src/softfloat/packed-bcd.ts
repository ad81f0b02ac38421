// x87 packed BCD: 18 digits and a sign byte, 80 bits (SDM 1, 4.7.2; SDM 2, FBLD and FBSTP).

import { FLAG, type FloatEnv } from './float-env.ts';
import { fromInteger, toInteger } from './convert.ts';
import { EXT } from './format.ts';
import { packZero } from './pack.ts';
import type { Unpacked } from './unpacked.ts';

const INDEFINITE = 0xffff_c000_0000_0000_0000n;
const LIMIT = 10n ** 18n;

/** Digits above 9 are undefined in the manual; they count with their binary value, as processors do. */
export function fromPackedBcd(env: FloatEnv, bits: bigint): bigint {
  let value = 0n;
  for (let at = 68n; at >= 0n; at -= 4n) value = value * 10n + ((bits >> at) & 15n);
  const negative = (bits >> 79n) & 1n;
  if (value === 0n) return packZero(EXT, Number(negative));
  return fromInteger(env, EXT, negative ? -value : value);
}

export function toPackedBcd(env: FloatEnv, a: Unpacked): bigint {
  const value = toInteger(env, a, 64, env.rounding);
  const magnitude = value < 0n ? -value : value;
  if (env.flags & FLAG.IE || magnitude >= LIMIT) {
    env.flags = (env.flags & ~FLAG.PE) | FLAG.IE;
    env.roundedUp = false;
    return INDEFINITE;
  }
  return BigInt(`0x${magnitude}`) | (a.sign ? 1n << 79n : 0n);
}
