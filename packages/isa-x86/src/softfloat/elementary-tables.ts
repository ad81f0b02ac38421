// Breakpoints and coefficients of elementary-pairs.ts as pairs of doubles, from fixed-point arithmetic. Each is made when it is first needed: some milliseconds.

import {
  arcTangentFixed, cosineFixed, divideFixed, exponentialMinusOne, FRACTION_BITS, LN_2, logarithmFixed, multiplyFixed, ONE, PI, sineFixed,
} from './fixed-point.ts';

const SCALE = 2 ** FRACTION_BITS;

/** Two doubles after one another. */
function pairOf(value: bigint): readonly [number, number] {
  const h = Number(value);
  return [h / SCALE, Number(value - BigInt(h)) / SCALE];
}
const pairs = (count: number, value: (i: number) => bigint): Float64Array =>
  Float64Array.from(Array.from({ length: count }, (_, i) => pairOf(value(i))).flat());

export const [LN_2_HIGH, LN_2_LOW] = pairOf(LN_2);
export const [PI_HIGH, PI_LOW] = pairOf(PI);
export const [THIRD_HIGH, THIRD_LOW] = pairOf(ONE / 3n);
export const [SIXTH_HIGH, SIXTH_LOW] = pairOf(ONE / 6n);

const INVERSE_LN_2 = divideFixed(ONE, LN_2);
const logarithmTerm = (n: number): readonly [number, number] => pairOf((n & 1 ? INVERSE_LN_2 : -INVERSE_LN_2) / BigInt(n));
/** Of the series of log2(1 + x): three pairs, then doubles. */
export const LOGARITHM_SERIES: readonly number[] = [...[1, 2, 3].flatMap(logarithmTerm), ...[4, 5, 6, 7, 8, 9, 10].map((n) => logarithmTerm(n)[0])];

function lazy<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

/** Steps of the tables' arguments but the logarithm's: 1 / 64. */
export const STEPS = 64;
const step = (i: number): bigint => (ONE / BigInt(STEPS)) * BigInt(i);

/** By (64 x + 64): 2^x, then 2^x - 1; x from -1 to 1. */
export const powers = lazy(() => {
  const table = new Float64Array(4 * (2 * STEPS + 1));
  const factor = exponentialMinusOne(LN_2 / BigInt(STEPS)) + ONE;
  let power = ONE >> 1n;
  for (let i = 0; i <= 2 * STEPS; i++) {
    const exact = i === STEPS ? ONE : power;
    table.set([...pairOf(exact), ...pairOf(exact - ONE)], 4 * i);
    power = multiplyFixed(exact, factor);
  }
  return table;
});

/** Of numbers from 1 to 2: cells of 1 / 256. */
export const CELLS = 256;
/** The cells from here on count as below 1, with the exponent one larger: sqrt(2). */
export const FIRST_BELOW = 106;
/** By cell: c, a multiple of 1 / 512 near the reciprocal (c = 1 next to 1), and -log2(c), less 1 from FIRST_BELOW. Three doubles each. */
export const logarithms = lazy(() => {
  const table = new Float64Array(3 * CELLS);
  for (let i = 0; i < CELLS; i++) {
    const nearest = Math.round(512 / (1 + (i + 0.5) / CELLS));
    const c = i === 0 ? 512 : i === CELLS - 1 ? 256 : nearest;
    const log = c === 512 ? 0n : c === 256 ? -ONE : divideFixed(logarithmFixed((ONE / 512n) * BigInt(c)), LN_2);
    table.set([c / 512, ...pairOf(i < FIRST_BELOW ? -log : -log - ONE)], 3 * i);
  }
  return table;
});

/** By 64 x from 0 to pi / 4: sine, cosine. */
export const sines = lazy(() => pairs(2 * 52, (i) => (i & 1 ? cosineFixed : sineFixed)(step(i >> 1))));

/** By 64 x from 0 to 1. */
export const arcTangents = lazy(() => pairs(STEPS + 1, (i) => arcTangentFixed(step(i))));
