// The inline part of floating-point instructions: a cheap test under which a native result is right in value and flags, and the routine for when it fails.
// The test for arithmetic: MXCSR rounds to nearest, masks everything and has PE set, and all numbers are normal. SDM Vol. 1, 11.5.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { MXCSR } from '../state.ts';
import { type FloatLanes, isDouble } from './simd-float-lanes.ts';

type I32 = Value<'i32'>;

/** RC and the masks; PE. */
const FAST = { mask: 0x7fa0, value: 0x1fa0 } as const;

/** 1 when native arithmetic rounds and reports as MXCSR asks, DAZ and FZ aside. */
export const mxcsrFast = (b: Builder): I32 => b.eq(b.and(b.get(MXCSR), b.i32(FAST.mask)), b.i32(FAST.value));

/** The native results where the test holds, else those of `slow`. */
export function unlessSlow<T extends Value>(b: Builder, test: I32, natives: readonly T[], slow: () => readonly Value[]): readonly T[] {
  const results = natives.map((v) => b.temp(v.type, v));
  b.ifRarely(b.eqz(test), () => {
    for (const [i, v] of slow().entries()) b.set(results[i], v);
  });
  return results.map((slot) => b.get(slot) as T);
}

/**
 * How far the exponent is above 2, in the upper bits; as an unsigned number, values with exponents below that are at the end. So one comparison finds
 * numbers that are neither NaN, infinite, zero, denormal nor perhaps rounded from a denormal.
 */
function distance(l: FloatLanes, v: Value): I32 {
  const { b } = l;
  const high = isDouble(l.kind)
    ? b.wrap(b.shrU(b.op('i64.reinterpret_f64', [v as Value<'f64'>]), b.i64(32)))
    : b.op('i32.reinterpret_f32', [v as Value<'f32'>]);
  return b.sub(b.shl(high, b.i32(1)), b.i32(isDouble(l.kind) ? 0x0040_0000 : 0x0200_0000));
}

/** Are all of the numbers normal, and larger than the smallest normal number? */
export function areOrdinary(l: FloatLanes, operands: readonly Value[], results: readonly Value[]): I32 {
  const { b } = l;
  if (l.isVector) {
    const aboveTiny = [...operands, ...results].map((v) => l.op('gt', l.op('abs', v), l.smallestNormal));
    return l.all([...aboveTiny, ...results.map((v) => l.isFinite(v))].reduce((p, q) => l.and(p, q)));
  }
  const most = [...operands, ...results].map((v) => distance(l, v)).reduce((p, q) => b.select(b.gtU(p, q), p, q));
  return b.ltU(most, b.i32(isDouble(l.kind) ? 0xffa0_0000 : 0xfd00_0000));
}
