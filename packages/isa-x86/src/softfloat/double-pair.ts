// Numbers as unevaluated sums of two doubles, the second at most half a unit in the last place of the first: some 104 bits (Dekker 1971, Knuth 4.2.2).
// A function gives the first as its result and leaves the second in LOW, so that nothing is allocated.

export const LOW = new Float64Array(1);

/** Cuts a double into halves of 26 bits, whose products are exact. */
const SPLITTER = 2 ** 27 + 1;

/** a + b where |a| is at least |b|. */
export function join(a: number, b: number): number {
  const sum = a + b;
  LOW[0] = b - (sum - a);
  return sum;
}

export function addPairs(ah: number, al: number, bh: number, bl: number): number {
  const sum = ah + bh;
  const part = sum - ah;
  return join(sum, ah - (sum - part) + (bh - part) + (al + bl));
}

export function multiplyPairs(ah: number, al: number, bh: number, bl: number): number {
  const a1 = SPLITTER * ah - (SPLITTER * ah - ah);
  const b1 = SPLITTER * bh - (SPLITTER * bh - bh);
  const a2 = ah - a1;
  const b2 = bh - b1;
  const product = ah * bh;
  const error = a1 * b1 - product + a1 * b2 + a2 * b1 + a2 * b2 + (ah * bl + al * bh);
  const sum = product + error;
  LOW[0] = error - (sum - product);
  return sum;
}

export function dividePairs(ah: number, al: number, bh: number, bl: number): number {
  const quotient = ah / bh;
  const product = multiplyPairs(quotient, 0, bh, bl);
  return join(quotient, (ah - product - (LOW[0] as number) + al) / bh);
}
