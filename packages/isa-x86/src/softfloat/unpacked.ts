// A raw value taken apart. Finite values are exactly (-1)^sign * significand * 2^exponent; the significand need not be normalised.
// A NaN's significand is aligned to the extended format (64 bits, integer bit set), so that NaNs of all formats compare and convert alike.

import type { FloatEnv } from './float-env.ts';
import { EXT, type Format } from './format.ts';

export const KIND = { ZERO: 0, FINITE: 1, INFINITY: 2, QNAN: 3, SNAN: 4, UNSUPPORTED: 5 } as const;

const QUIET_BIT = 1n << 62n;
const INTEGER_BIT = 1n << 63n;
const MASK_64 = (1n << 64n) - 1n;

export class Unpacked {
  kind: number = KIND.ZERO;
  sign = 0;
  exponent = 0;
  significand = 0n;
  /** Denormal (or pseudo-denormal) operand that counts for DE. */
  denormal = false;

  isNan(): boolean {
    return this.kind === KIND.QNAN || this.kind === KIND.SNAN;
  }

  setFinite(sign: number, exponent: number, significand: bigint): this {
    this.kind = significand === 0n ? KIND.ZERO : KIND.FINITE;
    this.sign = sign;
    this.exponent = exponent;
    this.significand = significand;
    this.denormal = false;
    return this;
  }

  set(format: Format, bits: bigint, env: FloatEnv): this {
    if (format === EXT) return this.setExtended(Number(bits >> 64n), bits & MASK_64);
    this.sign = Number((bits >> format.signShift) & 1n);
    const field = Number((bits >> format.fieldShift) & BigInt(format.maxField));
    const fraction = bits & format.fieldMask;
    this.denormal = false;
    if (field === format.maxField) return this.#setSpecial(fraction << BigInt(64 - format.precision));
    if (field !== 0) {
      this.kind = KIND.FINITE;
      this.significand = fraction | format.integerBit;
      this.exponent = field - format.bias - format.precision + 1;
      return this;
    }
    if (fraction === 0n || env.daz) {
      this.kind = KIND.ZERO;
      this.significand = 0n;
      return this;
    }
    this.kind = KIND.FINITE;
    this.significand = fraction;
    this.exponent = format.minExponent - format.precision + 1;
    this.denormal = true;
    return this;
  }

  setExtended(signAndExponent: number, significand: bigint): this {
    this.sign = (signAndExponent >> 15) & 1;
    const field = signAndExponent & 0x7fff;
    this.denormal = false;
    this.significand = significand;
    if (field === 0) {
      this.kind = significand === 0n ? KIND.ZERO : KIND.FINITE;
      this.denormal = significand !== 0n;
      this.exponent = EXT.minExponent - 63;
      return this;
    }
    if (significand < INTEGER_BIT) {
      this.kind = KIND.UNSUPPORTED;
      return this;
    }
    if (field === 0x7fff) return this.#setSpecial(significand & (INTEGER_BIT - 1n));
    this.kind = KIND.FINITE;
    this.exponent = field - EXT.bias - 63;
    return this;
  }

  #setSpecial(fraction: bigint): this {
    this.significand = fraction | INTEGER_BIT;
    this.kind = fraction === 0n ? KIND.INFINITY : (fraction & QUIET_BIT) === 0n ? KIND.SNAN : KIND.QNAN;
    return this;
  }
}
