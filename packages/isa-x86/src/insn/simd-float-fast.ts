// The inline part of floating-point instructions: a cheap test under which a native result is right in value and flags, and the routine for when it fails.
// The test for arithmetic: MXCSR rounds to nearest, masks everything and has PE set, and all numbers are normal. SDM Vol. 1, 11.5.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { MXCSR, X86State } from '../state.ts';
import { type FloatLanes, isDouble } from './simd-float-lanes.ts';
import { DOUBLE_LIMIT, SINGLE_LIMIT } from './simd-float-limits.ts';
import type { V } from './simd-operands.ts';

type I32 = Value<'i32'>;

/** RC and the masks; PE. */
const FAST = { mask: 0x7fa0, value: 0x1fa0 } as const;
const LIMITS = X86State.offset.floatLimits;

/** 1 when native arithmetic rounds and reports as MXCSR asks, DAZ and FZ aside. */
export const mxcsrFast = (b: Builder): I32 => b.eq(b.and(b.get(MXCSR), b.i32(FAST.mask)), b.i32(FAST.value));

/** The native results where the test holds, else those of `slow`. */
export function unlessSlow<T extends Value>(b: Builder, isSlow: I32, natives: readonly T[], slow: () => readonly Value[]): readonly T[] {
  const results = natives.map((v) => b.temp(v.type, v));
  b.ifRarely(isSlow, () => {
    for (const [i, v] of slow().entries()) b.set(results[i], v);
  });
  return results.map((slot) => b.get(slot) as T);
}

/** Sign, exponent and upper bits. */
const upperWord = (l: FloatLanes, v: Value): I32 =>
  isDouble(l.kind)
    ? l.b.wrap(l.b.shrU(l.b.op('i64.reinterpret_f64', [v as Value<'f64'>]), l.b.i64(32)))
    : l.b.op('i32.reinterpret_f32', [v as Value<'f32'>]);

/**
 * Not 0 where a number is not ordinary (normal, and larger than the smallest normal number, to which a tiny result may have been rounded), or `doubt` is -1
 * and not 0. See simd-float-limits.ts.
 */
export function isUnusual(l: FloatLanes, values: readonly Value[], doubt: I32): I32 {
  const { b } = l;
  if (!l.isVector) {
    const { below, range } = isDouble(l.kind) ? DOUBLE_LIMIT : SINGLE_LIMIT;
    const distances = values.map((v) => b.sub(b.shl(upperWord(l, v), b.i32(1)), b.i32(below)));
    const most = distances.reduce((p, q) => b.select(b.gtU(p, q), p, q));
    return b.geU(b.or(most, doubt), b.i32(range));
  }
  const at = LIMITS + (isDouble(l.kind) ? 0 : 32);
  const below = b.op('state.load128', [b.i32(0)], at);
  const range = b.op('state.load128', [b.i32(0)], at + 16);
  const distances = values.map((v) => b.op('i32x4.sub', [b.op('i32x4.add', [v as V, v as V]), below]));
  const most = distances.reduce((p, q) => b.op('i32x4.max_u', [p, q]));
  const inRange = b.op('i32x4.bitmask', [b.op('i32x4.eq', [b.op('i32x4.min_u', [most, range]), most])]);
  return b.or(b.xor(inRange, b.i32(15)), doubt);
}

/** 1 where one of the scalars is denormal: but for its sign above 0 and below the smallest normal number. */
export function isDenormal(l: FloatLanes, values: readonly Value[]): I32 {
  const { b } = l;
  if (isDouble(l.kind)) {
    const distances = values.map((v) => b.sub(b.shl(b.op('i64.reinterpret_f64', [v as Value<'f64'>]), b.i64(1)), b.i64(1)));
    return b.ltU(distances.reduce((p, q) => b.select(b.ltU(p, q), p, q)), b.i64Words(-1, 0x001f_ffff));
  }
  const distances = values.map((v) => b.sub(b.shl(upperWord(l, v), b.i32(1)), b.i32(1)));
  return b.ltU(distances.reduce((p, q) => b.select(b.ltU(p, q), p, q)), b.i32(0x00ff_ffff));
}
