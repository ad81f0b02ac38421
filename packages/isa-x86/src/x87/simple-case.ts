// The common cases of x87 arithmetic in 32-bit words, without BigInt: normal operands and result, round to nearest, 64-bit precision. Whatever else
// there is (zeros, denormals, NaNs, other controls, results near the ends of the range) is refused and left to softfloat, whose results these are, bit for bit.

/** A normal number: significand of two unsigned words with the integer bit set, biased exponent 1 to 0x7ffe. */
export interface Wide {
  sign: number;
  exponent: number;
  high: number;
  low: number;
}

export const newWide = (): Wide => ({ sign: 0, exponent: 0, high: 0, low: 0 });

/** What the last result's rounding did: 0 exact, 1 down in magnitude, 2 up. */
export let wideOutcome = 0;

const BIAS = 16383;

/** Is it in the domain of this file? */
export const isNormal = (high: number, exponent: number): boolean => high >= 0x8000_0000 && exponent !== 0 && exponent !== 0x7fff;

/** Rounds high:low:guard (normalised; guard's last bit sticky) to nearest even into `out`. False: out of range. */
function round(out: Wide, sign: number, exponent: number, high: number, low: number, guard: number): boolean {
  let [h, l, e] = [high, low, exponent];
  wideOutcome = 0;
  if (guard !== 0) {
    wideOutcome = 1;
    if (guard > 0x8000_0000 || (guard === 0x8000_0000 && (l & 1) !== 0)) {
      wideOutcome = 2;
      l = (l + 1) >>> 0;
      if (l === 0) {
        h = (h + 1) >>> 0;
        if (h === 0) {
          h = 0x8000_0000;
          e++;
        }
      }
    }
  }
  // A result below the smallest normal number before rounding may be tiny: not for here.
  if (exponent < 1 || e > 0x7ffe) return false;
  out.sign = sign;
  out.exponent = e;
  out.high = h;
  out.low = l;
  return true;
}

// The smaller operand of a sum, shifted right into three words.
let shiftedHigh = 0;
let shiftedLow = 0;
let guard = 0;

function shiftRight(high: number, low: number, by: number): void {
  const s = by & 31;
  const left = 32 - s;
  // Four words: high, low and two of zeros, moved by s bits and then by whole words.
  const w0 = high >>> s;
  const w1 = s === 0 ? low : ((low >>> s) | (high << left)) >>> 0;
  const w2 = s === 0 ? 0 : (low << left) >>> 0;
  if (by < 32) {
    shiftedHigh = w0;
    shiftedLow = w1;
    guard = w2;
  } else {
    shiftedHigh = 0;
    shiftedLow = by < 64 ? w0 : 0;
    const sticky = (by < 64 ? w2 : by < 96 ? w1 | w2 : 1) !== 0 ? 1 : 0;
    guard = ((by < 64 ? w1 : by < 96 ? w0 : 0) | sticky) >>> 0;
  }
}

/** a + b; false where softfloat must do it. */
export function addWide(a: Wide, b: Wide, out: Wide): boolean {
  const swap = a.exponent < b.exponent || (a.exponent === b.exponent && (a.high < b.high || (a.high === b.high && a.low < b.low)));
  const big = swap ? b : a;
  const small = swap ? a : b;
  shiftRight(small.high, small.low, big.exponent - small.exponent);
  return big.sign === small.sign ? sum(big, out) : difference(big, out);
}

function sum(big: Wide, out: Wide): boolean {
  const lowSum = big.low + shiftedLow;
  const highSum = big.high + shiftedHigh + (lowSum > 0xffff_ffff ? 1 : 0);
  const low = lowSum >>> 0;
  const high = highSum >>> 0;
  if (highSum <= 0xffff_ffff) return round(out, big.sign, big.exponent, high, low, guard);
  return round(out, big.sign, big.exponent + 1, (0x8000_0000 | (high >>> 1)) >>> 0, ((low >>> 1) | (high << 31)) >>> 0, ((guard >>> 1) | (guard & 1) | (low << 31)) >>> 0);
}

function difference(big: Wide, out: Wide): boolean {
  const rest = guard === 0 ? 0 : 0x1_0000_0000 - guard;
  const lowRest = big.low - shiftedLow - (guard === 0 ? 0 : 1);
  let high = (big.high - shiftedHigh - (lowRest < 0 ? 1 : 0)) >>> 0;
  let low = lowRest >>> 0;
  let below = rest;
  let exponent = big.exponent;
  if (high === 0) {
    if (low === 0) return false;
    high = low;
    low = below;
    below = 0;
    exponent -= 32;
  }
  const s = Math.clz32(high);
  if (s !== 0) {
    high = ((high << s) | (low >>> (32 - s))) >>> 0;
    low = ((low << s) | (below >>> (32 - s))) >>> 0;
    below = (below << s) >>> 0;
    exponent -= s;
  }
  return round(out, big.sign, exponent, high, low, below);
}

/** High word of the product of two unsigned words whose low word is known: the rest is a multiple of 2^32, so rounding makes the double exact. */
const productHigh = (a: number, b: number, low: number): number => Math.round((a * b - low) / 0x1_0000_0000);

export function multiplyWide(a: Wide, b: Wide, out: Wide): boolean {
  const ll = Math.imul(a.low, b.low) >>> 0;
  const lh = Math.imul(a.low, b.high) >>> 0;
  const hl = Math.imul(a.high, b.low) >>> 0;
  const hh = Math.imul(a.high, b.high) >>> 0;
  const column1 = productHigh(a.low, b.low, ll) + lh + hl;
  const column2 = productHigh(a.low, b.high, lh) + productHigh(a.high, b.low, hl) + hh + Math.floor(column1 / 0x1_0000_0000);
  let high = (productHigh(a.high, b.high, hh) + Math.floor(column2 / 0x1_0000_0000)) >>> 0;
  let low = column2 >>> 0;
  let below = column1 >>> 0;
  let last = ll;
  let exponent = a.exponent + b.exponent - BIAS + 1;
  if (high < 0x8000_0000) {
    high = ((high << 1) | (low >>> 31)) >>> 0;
    low = ((low << 1) | (below >>> 31)) >>> 0;
    below = ((below << 1) | (last >>> 31)) >>> 0;
    last = (last << 1) >>> 0;
    exponent--;
  }
  return round(out, a.sign ^ b.sign, exponent, high, low, last === 0 ? below : (below | 1) >>> 0);
}

/** -1, 0, 1. */
export function compareWide(a: Wide, b: Wide): -1 | 0 | 1 {
  if (a.sign !== b.sign) return a.sign ? -1 : 1;
  const magnitude = a.exponent !== b.exponent ? a.exponent - b.exponent : a.high !== b.high ? a.high - b.high : a.low - b.low;
  if (magnitude === 0) return 0;
  return magnitude > 0 === (a.sign === 0) ? 1 : -1;
}

/** A binary64 from its words. False: not normal. */
export function widen64(low: number, high: number, out: Wide): boolean {
  const field = (high >>> 20) & 0x7ff;
  if (field === 0 || field === 0x7ff) return false;
  out.sign = high >>> 31;
  out.exponent = field - 1023 + BIAS;
  out.high = (0x8000_0000 | (high << 11) | (low >>> 21)) >>> 0;
  out.low = (low << 11) >>> 0;
  return true;
}

export function widen32(bits: number, out: Wide): boolean {
  const field = (bits >>> 23) & 0xff;
  if (field === 0 || field === 0xff) return false;
  out.sign = bits >>> 31;
  out.exponent = field - 127 + BIAS;
  out.high = (0x8000_0000 | (bits << 8)) >>> 0;
  out.low = 0;
  return true;
}

export function widenInteger(value: number, out: Wide): boolean {
  if (value === 0) return false;
  const magnitude = Math.abs(value) >>> 0;
  const s = Math.clz32(magnitude);
  out.sign = value < 0 ? 1 : 0;
  out.exponent = BIAS + 31 - s;
  out.high = (magnitude << s) >>> 0;
  out.low = 0;
  return true;
}

/** Words of the last `narrow64`. */
export let narrowLow = 0;
export let narrowHigh = 0;

/** To binary64, rounded to nearest even, with `wideOutcome` set. False: not in its normal range. */
export function narrow64(a: Wide): boolean {
  let exponent = a.exponent - BIAS + 1023;
  let low = ((a.low >>> 11) | (a.high << 21)) >>> 0;
  let high = a.high >>> 11;
  const rest = a.low & 0x7ff;
  wideOutcome = rest === 0 ? 0 : 1;
  if (exponent < 1) return false;
  if (rest > 0x400 || (rest === 0x400 && (low & 1) !== 0)) {
    wideOutcome = 2;
    low = (low + 1) >>> 0;
    if (low === 0) high++;
    if (high === 0x20_0000) {
      high = 0x10_0000;
      exponent++;
    }
  }
  if (exponent > 2046) return false;
  narrowLow = low;
  narrowHigh = ((a.sign << 31) | (exponent << 20) | (high & 0xf_ffff)) >>> 0;
  return true;
}
