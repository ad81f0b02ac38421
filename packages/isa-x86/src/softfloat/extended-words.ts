// Normal numbers of the x87's format in 32-bit words, and rounding a pair of doubles to one, without BigInt.

import { ROUND, type FloatEnv } from './float-env.ts';

const BIAS = 16383;
const LARGEST = 0x7fff;

/** All words as signed 32-bit integers; `top` is sign and biased exponent. */
export class ExtendedWords {
  low = 0;
  high = 0;
  top = 0;

  isNormal(): boolean {
    const field = this.top & LARGEST;
    return this.high < 0 && field !== 0 && field !== LARGEST;
  }
  get isNegative(): boolean {
    return (this.top & 0x8000) !== 0;
  }
  /** Of the leading bit. */
  get exponent(): number {
    return (this.top & LARGEST) - BIAS;
  }
  /** The upper and the lower half of the significand, which is at least 1 and below 2: exact. */
  get upper(): number {
    return (this.high >>> 0) * 2 ** -31;
  }
  get lower(): number {
    return (this.low >>> 0) * 2 ** -63;
  }
}

const cell = new Float64Array(1);
const cellWords = new Uint32Array(cell.buffer);

/** 2^exponent, as far as doubles have it normal. */
export function powerOfTwo(exponent: number): number {
  cellWords[0] = 0;
  cellWords[1] = (exponent + 1023) << 20;
  return cell[0] as number;
}

/** Bounds of the error of a pair, in units of the last place of 64 bits: wherever a rounding might depend on it, it is refused. */
const DOUBT = 2 ** -12;

/** Rounds the inexact (h + l) * 2^exponent, h positive, unless that is near the ends of the range, or near where rounding changes. */
export function roundPair(env: FloatEnv, negative: boolean, h: number, l: number, exponent: number, into: ExtendedWords): boolean {
  cell[0] = h;
  const head = cellWords[1] as number;
  const tail = cellWords[0] as number;
  let own = (head >>> 20) - 1023;
  // Units of the last place below the 53 bits of h, which end with 11 zeros.
  let rest = l * powerOfTwo(63 - own);
  let high = ((head << 11) | 0x8000_0000 | (tail >>> 21)) >>> 0;
  if (rest < 0 && high === 0x8000_0000 && tail << 11 === 0) {
    own--;
    rest *= 2;
    high = 0x1_0000_0000;
  }
  const whole = Math.floor(rest);
  const fraction = rest - whole;
  if (fraction < DOUBT || fraction > 1 - DOUBT || (fraction > 0.5 - DOUBT && fraction < 0.5 + DOUBT)) return false;
  const rounding = env.rounding;
  const up = rounding === ROUND.NEAREST ? fraction > 0.5 : rounding === (negative ? ROUND.DOWN : ROUND.UP);
  const low = ((tail << 11) >>> 0) + whole + (up ? 1 : 0);
  high += low < 0 ? -1 : low >= 0x1_0000_0000 ? 1 : 0;
  const carries = high >= 0x1_0000_0000;
  const field = own + exponent + BIAS + (carries ? 1 : 0);
  if (field < 1 || field >= LARGEST - 1) return false;
  into.low = low | 0;
  into.high = carries ? -0x8000_0000 : high | 0;
  into.top = field | (negative ? 0x8000 : 0);
  env.roundedUp = up;
  return true;
}
