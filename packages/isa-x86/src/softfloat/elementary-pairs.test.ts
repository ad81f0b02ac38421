// Against transcendental.ts, bit for bit and in how it was rounded: random significands and those of few bits, next to where tables and series change.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  quickArcTangent, quickCosine, quickLogarithm, quickLogarithmPlusOne, quickPowerMinusOne, quickSine, quickSineAndCosine, quickTangent,
} from './elementary-pairs.ts';
import { ExtendedWords } from './extended-words.ts';
import { FloatEnv, type Rounding } from './float-env.ts';
import { arcTangent, cosine, logarithm, logarithmPlusOne, powerMinusOne, sine, tangent } from './transcendental.ts';
import { Unpacked } from './unpacked.ts';

const env = new FloatEnv();
let seed = 987654321;
function random(): number {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return seed >>> 0;
}

const normal = (significand: bigint, top: number): ExtendedWords => {
  const x = new ExtendedWords();
  x.low = Number(BigInt.asIntN(32, significand));
  x.high = Number(BigInt.asIntN(32, significand >> 32n));
  x.top = top;
  return x;
};
/** Any significand, or one with few bits, a little more, or a little less. */
function significand(): bigint {
  const high = BigInt((random() | 0x8000_0000) >>> 0);
  const few = (high >> BigInt(random() & 31)) << 32n;
  const up = few << BigInt(64 - few.toString(2).length);
  const near = [up, up + BigInt(random() & 3), BigInt.asUintN(64, up - BigInt(1 + (random() & 3))) | (1n << 63n)];
  return near[random() & 7] ?? ((high << 32n) | BigInt(random()));
}
type Range = readonly [least: number, largest: number];
const operand = ([least, largest]: Range, sign: number): ExtendedWords => normal(significand(), (16383 + least + (random() % (largest - least + 1))) | (random() & sign));
const bitsOf = (x: ExtendedWords): bigint => (BigInt(x.top) << 64n) | (BigInt(x.high >>> 0) << 32n) | BigInt(x.low >>> 0);
const unpack = (x: ExtendedWords): Unpacked => new Unpacked().setExtended(x.top, BigInt.asUintN(64, bitsOf(x)));
const outcome = (bits: bigint | undefined): string => `${bits?.toString(16)} ${env.roundedUp}`;

const ANY_SIGN = 0x8000;
let refused = 0;
function compare(isDone: boolean, got: ExtendedWords, exact: () => bigint | undefined, of: readonly ExtendedWords[]): void {
  if (!isDone) refused++;
  else assert.equal(outcome(bitsOf(got)), outcome(exact()), of.map((x) => bitsOf(x).toString(16)).join(' '));
}

const TURNS = 1500;
function hold(ranges: readonly Range[], turn: (range: Range) => void, limit = 0.1): void {
  for (const range of ranges) {
    refused = 0;
    for (let i = 0; i < TURNS; i++) {
      env.rounding = (random() & 1 ? 0 : random() & 3) as Rounding;
      turn(range);
    }
    assert.ok(refused <= TURNS * limit, `${refused} refused of ${range}`);
  }
}

const into = new ExtendedWords();
type Quick = (env: FloatEnv, x: ExtendedWords, into: ExtendedWords) => boolean;
type Exact = (env: FloatEnv, x: Unpacked) => bigint | undefined;
const unary = (name: string, quick: Quick, exact: Exact, ranges: readonly Range[]): void =>
  void test(name, () => {
    hold(ranges, (range) => {
      const x = operand(range, ANY_SIGN);
      compare(quick(env, x, into), into, () => exact(env, unpack(x)), [x]);
    });
  });
const binary = (name: string, quick: typeof quickLogarithm, exact: typeof logarithm, ranges: readonly Range[], sign: number, limit?: number): void =>
  void test(name, () => {
    hold(ranges, (range) => {
      const [x, y] = [operand(range, sign), operand([-12, 12], ANY_SIGN)];
      compare(quick(env, x, y, into), into, () => exact(env, unpack(x), unpack(y)), [x, y]);
    }, limit);
  });

const ANGLES = [[-24, -8], [-7, -1], [0, 3], [4, 19]] as const;
unary('F2XM1', quickPowerMinusOne, powerMinusOne, [[-60, -10], [-9, -4], [-3, -1]]);
unary('FSIN', quickSine, sine, ANGLES);
unary('FCOS', quickCosine, cosine, ANGLES);
unary('FPTAN', quickTangent, tangent, ANGLES);
// Refused: powers of two.
binary('FYL2X', quickLogarithm, logarithm, [[-16000, 16000], [-4, 4], [-1, 0]], 0, 0.15);
binary('FYL2XP1', quickLogarithmPlusOne, logarithmPlusOne, [[-60, -10], [-9, -7], [-6, -2]], ANY_SIGN);
binary('FPATAN', quickArcTangent, arcTangent, [[-20, 20], [-1, 1]], ANY_SIGN);

test('FSINCOS', () => {
  const other = new ExtendedWords();
  hold(ANGLES, (range) => {
    const x = operand(range, ANY_SIGN);
    const isDone = quickSineAndCosine(env, x, into, other);
    compare(isDone, other, () => cosine(env, unpack(x)), [x]);
    if (isDone) assert.equal(bitsOf(into), sine(env, unpack(x)));
  });
});

/** x in about the nearest 64 bits, and `by` units of the last place more. */
function nearest(x: bigint, fractionBits: number, by: bigint): ExtendedWords {
  const wide = (x << 80n) + (by << BigInt(16 + x.toString(2).length));
  const length = wide.toString(2).length;
  return normal(wide >> BigInt(length - 64), 16383 + length - 81 - fractionBits);
}

test('next to multiples of pi / 4, of steps of the tables, and to one', () => {
  const eighth = 0x6487ed5110b4611a6n;
  for (let n = 1n; n < 400n; n += 1n + (n >> 3n)) {
    for (let by = -2n; by <= 2n; by++) {
      env.rounding = (random() & 3) as Rounding;
      const x = nearest(n * eighth, 67, by);
      compare(quickSine(env, x, into), into, () => sine(env, unpack(x)), [x]);
      compare(quickCosine(env, x, into), into, () => cosine(env, unpack(x)), [x]);
      compare(quickTangent(env, x, into), into, () => tangent(env, unpack(x)), [x]);
    }
  }
  const y = normal(3n << 62n, 16383);
  for (let n = 1n; n < 256n; n++) {
    for (let by = -1n; by <= 1n; by++) {
      const [below, above] = [nearest(n, 8, by), nearest(256n + n, 8, by)];
      compare(quickPowerMinusOne(env, below, into), into, () => powerMinusOne(env, unpack(below)), [below]);
      compare(quickLogarithm(env, below, y, into), into, () => logarithm(env, unpack(below), unpack(y)), [below, y]);
      compare(quickLogarithm(env, above, y, into), into, () => logarithm(env, unpack(above), unpack(y)), [above, y]);
      compare(quickLogarithmPlusOne(env, below, y, into), into, () => logarithmPlusOne(env, unpack(below), unpack(y)), [below, y]);
      compare(quickArcTangent(env, above, below, into), into, () => arcTangent(env, unpack(above), unpack(below)), [above, below]);
    }
  }
});

test('left to exact arithmetic', () => {
  const one = normal(1n << 63n, 16383);
  assert.ok(!quickLogarithm(env, one, one, into));
  assert.ok(!quickLogarithm(env, normal(1n << 63n, 16390), one, into));
  assert.ok(!quickLogarithm(env, normal(3n << 62n, 16383 | 0x8000), one, into));
  assert.ok(!quickPowerMinusOne(env, one, into));
  assert.ok(!quickSine(env, normal(1n << 63n, 16383 + 63), into));
  // The product is beyond the range.
  assert.ok(!quickLogarithm(env, normal(3n << 62n, 16383 + 100), normal(3n << 62n, 0x7ffe), into));
  assert.ok(!quickLogarithm(env, normal(3n << 62n, 16383), normal(3n << 62n, 1), into));
});
