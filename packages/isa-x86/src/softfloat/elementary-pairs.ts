// FSIN, FCOS, FPTAN, FPATAN, F2XM1, FYL2X, FYL2XP1 for ordinary normal operands, in pairs of doubles: a table leaves a small rest, whose series has its first
// terms as pairs. The results are those of transcendental.ts, bit for bit, for what might be rounded otherwise is refused (false), as is all that is
// unusual; `env.roundedUp` is set, and the results are inexact.

import { addPairs, dividePairs, join, LOW, multiplyPairs } from './double-pair.ts';
import {
  arcTangents, CELLS, FIRST_BELOW, LN_2_HIGH, LN_2_LOW, LOGARITHM_SERIES, logarithms, PI_HIGH, PI_LOW, powers, SIXTH_HIGH, SIXTH_LOW, sines, STEPS, THIRD_HIGH,
  THIRD_LOW,
} from './elementary-tables.ts';
import { type ExtendedWords, powerOfTwo, roundPair } from './extended-words.ts';
import type { FloatEnv } from './float-env.ts';

/** Below 2^-80 it is left to transcendental.ts. */
const TINY_EXPONENT = -80;

/** Adding it and taking it away again rounds to an integer. */
const TO_INTEGER = 1.5 * 2 ** 52;

function roundSigned(env: FloatEnv, flip: boolean, h: number, l: number, exponent: number, into: ExtendedWords): boolean {
  if (h === 0) return false;
  return h < 0 ? roundPair(env, !flip, -h, -l, exponent, into) : roundPair(env, flip, h, l, exponent, into);
}

// ---- 2^x - 1

export function quickPowerMinusOne(env: FloatEnv, x: ExtendedWords, into: ExtendedWords): boolean {
  const exponent = x.exponent;
  if (exponent >= 0 || exponent < TINY_EXPONENT) return false;
  const scale = x.isNegative ? -powerOfTwo(exponent) : powerOfTwo(exponent);
  const high = join(x.upper * scale, x.lower * scale);
  const low = LOW[0] as number;
  const k = high * STEPS + TO_INTEGER - TO_INTEGER;
  // 2^x = 2^(k/64) e^w.
  const w = multiplyPairs(high - k / STEPS, low, LN_2_HIGH, LN_2_LOW);
  const wl = LOW[0] as number;
  const tail = 1 / 24 + w * (1 / 120 + w * (1 / 720 + w * (1 / 5040 + w * (1 / 40320 + w * (1 / 362880)))));
  let h = join(SIXTH_HIGH, SIXTH_LOW + w * tail);
  h = multiplyPairs(w, wl, h, LOW[0] as number);
  h = addPairs(0.5, 0, h, LOW[0] as number);
  h = multiplyPairs(w, wl, h, LOW[0] as number);
  h = addPairs(1, 0, h, LOW[0] as number);
  h = multiplyPairs(w, wl, h, LOW[0] as number);
  const table = powers();
  const at = 4 * (k + STEPS);
  h = multiplyPairs(table[at] as number, table[at + 1] as number, h, LOW[0] as number);
  h = addPairs(table[at + 2] as number, table[at + 3] as number, h, LOW[0] as number);
  return roundSigned(env, false, h, LOW[0] as number, 0, into);
}

// ---- logarithms

type Thirteen = readonly [number, number, number, number, number, number, number, number, number, number, number, number, number];
/** 1 / (n ln 2), with the signs of the series: three as pairs, the rest as doubles. */
const [C1, C1_LOW, C2, C2_LOW, C3, C3_LOW, C4, C5, C6, C7, C8, C9, C10] = LOGARITHM_SERIES as unknown as Thirteen;

/** log2(1 + r), |r| at most 1 / 256. */
function logarithmNearOne(r: number, rl: number): number {
  const tail = C4 + r * (C5 + r * (C6 + r * (C7 + r * (C8 + r * (C9 + r * C10)))));
  let h = join(C3, C3_LOW + r * tail);
  h = multiplyPairs(r, rl, h, LOW[0] as number);
  h = addPairs(C2, C2_LOW, h, LOW[0] as number);
  h = multiplyPairs(r, rl, h, LOW[0] as number);
  h = addPairs(C1, C1_LOW, h, LOW[0] as number);
  return multiplyPairs(r, rl, h, LOW[0] as number);
}

/** log2((upper + lower) * 2^exponent): upper of at most 40 bits, at least 1 and below 2, and lower of 32. */
function logarithmOf(upper: number, lower: number, exponent: number): number {
  const cell = Math.floor((upper - 1) * CELLS);
  const table = logarithms();
  const c = table[3 * cell] as number;
  const r = join(upper * c - 1, lower * c);
  const h = logarithmNearOne(r, LOW[0] as number);
  const low = LOW[0] as number;
  const base = addPairs(exponent + (cell < FIRST_BELOW ? 0 : 1), 0, table[3 * cell + 1] as number, table[3 * cell + 2] as number);
  return addPairs(base, LOW[0] as number, h, low);
}

function roundProduct(env: FloatEnv, log: number, logLow: number, y: ExtendedWords, into: ExtendedWords): boolean {
  const factor = join(y.upper, y.lower);
  const h = multiplyPairs(log, logLow, factor, LOW[0] as number);
  return roundSigned(env, y.isNegative, h, LOW[0] as number, y.exponent, into);
}

/** y * log2(x). */
export function quickLogarithm(env: FloatEnv, x: ExtendedWords, y: ExtendedWords, into: ExtendedWords): boolean {
  // Logarithms of powers of two are exact.
  if (x.isNegative || (x.low | (x.high << 1)) === 0) return false;
  const log = logarithmOf(x.upper, x.lower, x.exponent);
  return roundProduct(env, log, LOW[0] as number, y, into);
}

/** y * log2(1 + x). */
export function quickLogarithmPlusOne(env: FloatEnv, x: ExtendedWords, y: ExtendedWords, into: ExtendedWords): boolean {
  const exponent = x.exponent;
  if (exponent >= (x.isNegative ? -1 : 0) || exponent < TINY_EXPONENT) return false;
  const scale = x.isNegative ? -powerOfTwo(exponent) : powerOfTwo(exponent);
  const upper = x.upper * scale;
  const lower = x.lower * scale;
  let log = 0;
  if (exponent < -8) log = logarithmNearOne(join(upper, lower), LOW[0] as number);
  else if (upper < 0) log = logarithmOf(2 + 2 * upper, 2 * lower, -1);
  else log = logarithmOf(1 + upper, lower, 0);
  return roundProduct(env, log, LOW[0] as number, y, into);
}

// ---- sine, cosine, tangent

/** Half of pi as the manual has it, 66 bits: products with numbers of 20 bits are exact. */
const HALF_PI_UPPER = 0xc90fdaa2 * 2 ** -31;
const HALF_PI_LOWER = 0x2168c234c * 2 ** -67;
const LARGEST_ANGLE_EXPONENT = 19;
/** Where the number of quarters might be another: P / 2 in doubles, a little less. */
const EIGHTH_LIMIT = (HALF_PI_UPPER + HALF_PI_LOWER) / 2 - 2 ** -48;

/** An angle from -pi/4 to pi/4, exact, and the quarters before it. */
let quadrant = 0;
let isRestNegative = false;
const REST = new Float64Array(2);

function reduceAngle(x: ExtendedWords): boolean {
  const exponent = x.exponent;
  if (exponent > LARGEST_ANGLE_EXPONENT || exponent < TINY_EXPONENT) return false;
  const scale = powerOfTwo(exponent);
  let high = join(x.upper * scale, x.lower * scale);
  let low = LOW[0] as number;
  const quarters = high * (2 / Math.PI) + TO_INTEGER - TO_INTEGER;
  if (quarters !== 0) {
    // All of it is exact: these are multiples of 2^-65.
    high = addPairs(high - quarters * HALF_PI_UPPER, 0, -quarters * HALF_PI_LOWER, 0);
    high = addPairs(high, LOW[0] as number, low, 0);
    low = LOW[0] as number;
  }
  isRestNegative = high < 0;
  REST[0] = isRestNegative ? -high : high;
  REST[1] = isRestNegative ? -low : low;
  quadrant = quarters & 3;
  return (REST[0] as number) < EIGHTH_LIMIT;
}

/** Sine and cosine of what is left beside the nearest step: the sine, and the cosine less 1. */
const PART = new Float64Array(4);
let nearestStep = 0;

function computeParts(): void {
  const high = REST[0] as number;
  nearestStep = high * STEPS + TO_INTEGER - TO_INTEGER;
  const r = join(high - nearestStep / STEPS, REST[1] as number);
  const rl = LOW[0] as number;
  const square = multiplyPairs(r, rl, r, rl);
  const squareLow = LOW[0] as number;
  let h = join(-0.5, square * (1 / 24 - square * (1 / 720 - square * (1 / 40320))));
  PART[2] = multiplyPairs(square, squareLow, h, LOW[0] as number);
  PART[3] = LOW[0] as number;
  h = join(-SIXTH_HIGH, square * (1 / 120 - square * (1 / 5040 - square * (1 / 362880))) - SIXTH_LOW);
  h = multiplyPairs(square, squareLow, h, LOW[0] as number);
  h = multiplyPairs(r, rl, h, LOW[0] as number);
  PART[0] = addPairs(r, rl, h, LOW[0] as number);
  PART[1] = LOW[0] as number;
}

/** a + a (cos r - 1) + b sin r. */
function combine(a: number, al: number, b: number, bl: number): number {
  const p = multiplyPairs(b, bl, PART[0] as number, PART[1] as number);
  const pl = LOW[0] as number;
  const q = multiplyPairs(a, al, PART[2] as number, PART[3] as number);
  const sum = addPairs(p, pl, q, LOW[0] as number);
  return addPairs(a, al, sum, LOW[0] as number);
}
function sineOfRest(): number {
  const table = sines();
  const at = 4 * nearestStep;
  return combine(table[at] as number, table[at + 1] as number, table[at + 2] as number, table[at + 3] as number);
}
function cosineOfRest(): number {
  const table = sines();
  const at = 4 * nearestStep;
  return combine(table[at + 2] as number, table[at + 3] as number, -(table[at] as number), -(table[at + 1] as number));
}

function roundSine(env: FloatEnv, isNegative: boolean, into: ExtendedWords): boolean {
  const isOdd = (quadrant & 1) !== 0;
  const h = isOdd ? cosineOfRest() : sineOfRest();
  return roundPair(env, (isNegative !== quadrant > 1) !== (!isOdd && isRestNegative), h, LOW[0] as number, 0, into);
}
function roundCosine(env: FloatEnv, into: ExtendedWords): boolean {
  const isOdd = (quadrant & 1) !== 0;
  const h = isOdd ? sineOfRest() : cosineOfRest();
  return roundPair(env, (quadrant === 1 || quadrant === 2) !== (isOdd && isRestNegative), h, LOW[0] as number, 0, into);
}

export function quickSine(env: FloatEnv, x: ExtendedWords, into: ExtendedWords): boolean {
  if (!reduceAngle(x)) return false;
  computeParts();
  return roundSine(env, x.isNegative, into);
}

export function quickCosine(env: FloatEnv, x: ExtendedWords, into: ExtendedWords): boolean {
  if (!reduceAngle(x)) return false;
  computeParts();
  return roundCosine(env, into);
}

export function quickSineAndCosine(env: FloatEnv, x: ExtendedWords, sine: ExtendedWords, cosine: ExtendedWords): boolean {
  if (!reduceAngle(x)) return false;
  computeParts();
  return roundSine(env, x.isNegative, sine) && roundCosine(env, cosine);
}

export function quickTangent(env: FloatEnv, x: ExtendedWords, into: ExtendedWords): boolean {
  if (!reduceAngle(x)) return false;
  computeParts();
  const sine = sineOfRest();
  const sineLow = LOW[0] as number;
  const cosine = cosineOfRest();
  const isOdd = (quadrant & 1) !== 0;
  const h = isOdd ? dividePairs(cosine, LOW[0] as number, sine, sineLow) : dividePairs(sine, sineLow, cosine, LOW[0] as number);
  return roundPair(env, (x.isNegative !== isRestNegative) !== isOdd, h, LOW[0] as number, 0, into);
}

// ---- arc tangent

/** Angle of the point (x, y). */
export function quickArcTangent(env: FloatEnv, x: ExtendedWords, y: ExtendedWords, into: ExtendedWords): boolean {
  const distance = y.exponent - x.exponent;
  if (distance < TINY_EXPONENT || distance > -TINY_EXPONENT) return false;
  const isSteep = distance > 0 || (distance === 0 && (y.high >>> 0) > (x.high >>> 0));
  const short = isSteep ? x : y;
  const long = isSteep ? y : x;
  const scale = powerOfTwo(isSteep ? -distance : distance);
  const upper = short.upper * scale;
  const lower = short.lower * scale;
  const longUpper = long.upper;
  const longLower = long.lower;
  const k = (upper / longUpper) * STEPS + TO_INTEGER - TO_INTEGER;
  const c = k / STEPS;
  // The tangent of the angle beyond that of c: (s - c l) / (l + c s). The products are exact.
  const rest = addPairs(upper, lower, -c * longUpper, -c * longLower);
  const restLow = LOW[0] as number;
  const below = addPairs(longUpper, longLower, c * upper, c * lower);
  const z = dividePairs(rest, restLow, below, LOW[0] as number);
  const zl = LOW[0] as number;
  const square = multiplyPairs(z, zl, z, zl);
  const squareLow = LOW[0] as number;
  let h = join(-THIRD_HIGH, square * (1 / 5 - square * (1 / 7 - square * (1 / 9 - square * (1 / 11)))) - THIRD_LOW);
  h = multiplyPairs(square, squareLow, h, LOW[0] as number);
  h = multiplyPairs(z, zl, h, LOW[0] as number);
  h = addPairs(z, zl, h, LOW[0] as number);
  const table = arcTangents();
  h = addPairs(table[2 * k] as number, table[2 * k + 1] as number, h, LOW[0] as number);
  if (isSteep) h = x.isNegative ? addPairs(PI_HIGH / 2, PI_LOW / 2, h, LOW[0] as number) : addPairs(PI_HIGH / 2, PI_LOW / 2, -h, -(LOW[0] as number));
  else if (x.isNegative) h = addPairs(PI_HIGH, PI_LOW, -h, -(LOW[0] as number));
  return roundSigned(env, y.isNegative, h, LOW[0] as number, 0, into);
}
