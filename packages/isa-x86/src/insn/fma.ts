// FMA. SDM Vol. 1, 14.5; Vol. 2, VFMADDxxx. Where the host's multiply-add is fused it stands for ordinary numbers. Else a routine rounds once:
// - single: the product is exact in double; the sum is rounded to odd there, so that rounding it to single is the only rounding that counts;
// - double: Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd", IEEE Trans. Computers 57(4), 2008,
//   for operands whose exponents keep every intermediate value far from overflow and underflow.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import type { Routine } from '@anillo/ir/callee';
import type { Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { type FloatKind, FloatLanes } from './simd-float-lanes.ts';
import { callHalves, mergeScalar, SCALAR_SIZE, scalarOf, type PackedKind, type ScalarKind } from './simd-float-rows.ts';
import { floatCode } from './simd-float-helper.ts';
import { FLOAT_SHAPES, guarded, kindOf, lanesOf, tellDoubt, type FloatShape } from './simd-float-routines.ts';
import { isUnusual, mxcsrFast, unlessSlow } from './simd-float-fast.ts';
import { joinLow, highToLow } from './simd-convert-routines.ts';
import { laneBytes } from './simd-integer.ts';
import { fromLow32, fromLow64, getXmm, isMemory, readLow32, readLow64, readVector, setVector, splat64, vector64, vectorRegister, vectorZero, type V } from './simd-operands.ts';

type D = (name: string, ...args: readonly V[]) => V;
const doubles = (b: Builder): D => {
  const l = new FloatLanes(b, 'pd');
  return (name, ...args) => l.op(name, ...args) as V;
};

/** Sum and its rounding error, exactly (Knuth). */
function twoSum(d: D, x: V, y: V): readonly [V, V] {
  const sum = d('add', x, y);
  const yPart = d('sub', sum, x);
  return [sum, d('add', d('sub', x, d('sub', sum, yPart)), d('sub', y, yPart))];
}
/** Sum rounded to odd: truncated or not, an inexact result ends in 1. */
function sumToOdd(b: Builder, d: D, x: V, y: V): V {
  const [sum, error] = twoSum(d, x, y);
  const one = vector64(b, 1, 0);
  const even = b.op('i64x2.eq', [b.op('v128.and', [sum, one]), vectorZero(b)]);
  const adjust = b.op('v128.and', [even, d('ne', error, vectorZero(b))]);
  // One step towards the error: away from zero (+1) when the signs agree.
  const step = b.op('v128.or', [b.op('i64x2.shr_s', [b.op('v128.xor', [sum, error]), b.i32(63)]), one]);
  return b.op('i64x2.add', [sum, b.op('v128.and', [step, adjust])]);
}
function fuseDoubles(b: Builder, x: V, y: V, z: V): { readonly result: V; readonly usable: V } {
  const d = doubles(b);
  const l = new FloatLanes(b, 'pd');
  const [uh, ul] = l.product(x, y) as readonly [V, V];
  const [th, tl] = twoSum(d, z, ul);
  const [vh, vl] = twoSum(d, uh, th);
  const rounded = d('add', vh, sumToOdd(b, d, tl, vl));
  // An exact zero has the sign of the plain sum.
  const result = b.op('v128.bitselect', [d('add', uh, z), rounded, l.isZero(rounded) as V]);
  return { result, usable: l.and(l.and(l.isModerate(x), l.isModerate(y)), l.isModerate(z)) as V };
}

function fuseSingles(b: Builder, x: V, y: V, z: V): { readonly result: V; readonly usable: V } {
  const d = doubles(b);
  const l = new FloatLanes(b, 'ps');
  const sums = [(v: V): V => v, (v: V): V => highToLow(b, v)].map((part) => {
    const wide = (v: V): V => b.op('f64x2.promote_low_f32x4', [part(v)]);
    return sumToOdd(b, d, d('mul', wide(x), wide(y)), wide(z));
  }) as [V, V];
  const [low, high] = sums.map((sum) => b.op('f32x4.demote_f64x2_zero', [sum])) as [V, V];
  const result = joinLow(b, low, high);
  const zeros = sums.map((sum) => d('eq', sum, vectorZero(b))) as [V, V];
  const zero = b.shuffle(zeros[0], zeros[1], laneBytes([0, 2, 4, 6], 4));
  const plain = l.and(l.and(l.isPlain(x), l.isPlain(y)), l.isPlain(z));
  return { result, usable: l.and(plain, l.or(zero, l.isOrdinary(result))) as V };
}

/** Sign bits to flip in the addend: bit 1 of `signs` in even lanes, bit 2 in odd ones; bit 0 flips the product. */
function flipSigns(b: Builder, double: boolean, signs: Value<'i32'>): { readonly product: V; readonly addend: V } {
  const bit = (n: number): Value<'i64'> => b.extendU(b.and(b.shrU(signs, b.i32(n)), b.i32(1)));
  const top = (v: Value<'i64'>): Value<'i64'> => b.shl(v, b.i64(63));
  if (double) {
    return { product: splat64(b, top(bit(0))), addend: b.op('i64x2.replace_lane', [splat64(b, top(bit(1))), top(bit(2))], 1) };
  }
  const even = (v: Value<'i64'>): Value<'i64'> => b.shl(v, b.i64(31));
  return { product: splat64(b, b.or(even(bit(0)), top(bit(0)))), addend: splat64(b, b.or(even(bit(1)), top(bit(2)))) };
}

/** a * b + c with signs; scalars come and go as vectors of equal lanes. */
function fusedRoutine(shape: FloatShape): Routine {
  const double = kindOf(shape)[1] === 'd';
  const halves = shape.endsWith('256') ? 2 : 1;
  return guarded({
    name: `fma${shape}`,
    params: [...Array.from({ length: 3 * halves }, () => 'v128' as const), 'i32'],
    result: 'v128',
    places: Array.from({ length: 3 * halves }, (_, i) => (halves === 2 ? i : 2 * i)),
    code: floatCode('fma', double, lanesOf(shape)),
    extra: { param: 3 * halves },
    fast: (b, params) => {
      const flips = flipSigns(b, double, params[3 * halves] as Value<'i32'>);
      let ok = mxcsrFast(b);
      const results: V[] = [];
      for (let half = 0; half < halves; half++) {
        const [x, y, z] = [0, 1, 2].map((k) => params[k * halves + half] as V) as [V, V, V];
        const fuse = double ? fuseDoubles : fuseSingles;
        const { result, usable } = fuse(b, b.op('v128.xor', [x, flips.product]), y, b.op('v128.xor', [z, flips.addend]));
        ok = b.and(ok, b.op(double ? 'i64x2.all_true' : 'i32x4.all_true', [usable]));
        results.push(result);
      }
      return { ok, results };
    },
    after: (b, params, result) => tellDoubt(new FloatLanes(b, double ? 'pd' : 'ps'), params.slice(0, 3 * halves), result, halves),
  });
}

export const FMA_ROUTINES: ReadonlyMap<FloatShape, Routine> = new Map(FLOAT_SHAPES.map((shape) => [shape, fusedRoutine(shape)]));
const fused = (shape: FloatShape): Routine => FMA_ROUTINES.get(shape) as Routine;

/** Operand numbers of both factors and the addend, in the order in which NaNs are taken. */
const ORDERS = { '132': [0, 2, 1], '213': [1, 0, 2], '231': [1, 2, 0] } as const;
type Order = keyof typeof ORDERS;
const HIGH_DIGIT: Readonly<Record<Order, number>> = { '132': 0x90, '213': 0xa0, '231': 0xb0 };

/** Low digit of the packed opcode, name, signs (see flipSigns); scalar opcodes are one above. */
const VARIANTS: readonly (readonly [number, string, number, boolean])[] = [
  [6, 'vfmaddsub', 2, false],
  [7, 'vfmsubadd', 4, false],
  [8, 'vfmadd', 0, true],
  [0xa, 'vfmsub', 6, true],
  [0xc, 'vfnmadd', 1, true],
  [0xe, 'vfnmsub', 7, true],
];

/** -1 where the host's own multiply-add cannot be used, now or at all. */
const doubtOf = (c: Lift): Value<'i32'> => c.b.or(c.floats.doubt(), c.b.sub(c.b.op('i32.relaxed_fuses', []), c.b.i32(1)));

/** Signs to flip as a constant: see flipSigns. */
function signMask(b: Builder, double: boolean, even: boolean, odd: boolean): V {
  const words = [even, odd].map((flip) => (flip ? 0x8000_0000 : 0)) as [number, number];
  const lanes = double ? [0, words[0], 0, words[1]] : [words[0], words[1], words[0], words[1]];
  return b.v128(new Uint8Array(Uint32Array.from(lanes).buffer));
}
function hostFused(b: Builder, double: boolean, [x, y, z]: readonly [V, V, V], signs: number): V {
  const factor = signs & 1 ? b.op('v128.xor', [x, signMask(b, double, true, true)]) : x;
  const addend = signs & 6 ? b.op('v128.xor', [z, signMask(b, double, (signs & 2) !== 0, (signs & 4) !== 0)]) : z;
  return b.op(double ? 'f64x2.relaxed_madd' : 'f32x4.relaxed_madd', [factor, y, addend]);
}

/** Results where they are ordinary and MXCSR allows, else those of the routine. */
function checkedFused(c: Lift, kind: FloatKind, operands: readonly Value[], natives: readonly Value[], slow: () => readonly Value[]): readonly Value[] {
  const { b, floats } = c;
  const doubt = doubtOf(c);
  const unknown = operands.filter((v) => !floats.isKnown(kind, v));
  const results = unlessSlow(b, isUnusual(new FloatLanes(b, kind), [...unknown, ...natives], doubt), natives, () => {
    const found = slow();
    floats.addDoubt();
    return found;
  });
  for (const v of [...operands, ...results]) floats.learn(kind, v);
  return results;
}

const packedFma =
  (kind: PackedKind, order: Order, signs: number) =>
  (c: Lift): void => {
    const memory = readVector(c, 2);
    const operands = [readVector(c, 0), readVector(c, 1), memory];
    const ordered = ORDERS[order].map((i) => operands[i] as readonly V[]);
    const natives = memory.map((_, half) => hostFused(c.b, kind === 'pd', ordered.map((halves) => halves[half]) as [V, V, V], signs));
    const results = checkedFused(c, kind, ordered.flat(), natives, () => callHalves(c, fused, kind, ordered, [c.b.i32(signs)]));
    setVector(c, vectorRegister(c, 0), results as readonly V[]);
  };
const scalarFma =
  (kind: ScalarKind, order: Order, signs: number) =>
  (c: Lift): void => {
    const { b } = c;
    const memory = isMemory(c, 2) ? (kind === 'ss' ? fromLow32(b, readLow32(c, 2)) : fromLow64(b, readLow64(c, 2))) : getXmm(c, vectorRegister(c, 2));
    const dst = getXmm(c, vectorRegister(c, 0));
    const operands = [dst, getXmm(c, vectorRegister(c, 1)), memory];
    const ordered = ORDERS[order].map((i) => operands[i] as V) as [V, V, V];
    const native = scalarOf(c, hostFused(b, kind === 'sd', ordered, signs), kind);
    const lanes = laneBytes(kind === 'ss' ? [0, 0, 0, 0] : [0, 0], kind === 'ss' ? 4 : 8);
    const scalars = ordered.map((v) => scalarOf(c, v, kind));
    const [r] = checkedFused(c, kind, scalars, [native], () => [
      scalarOf(c, b.call(fused(kind), [...ordered.map((v) => b.shuffle(v, v, lanes)), b.i32(signs)]) as V, kind),
    ]);
    setVector(c, vectorRegister(c, 0), [mergeScalar(c, dst, r as Value, kind)]);
  };

function fmaRows(order: Order): Row[] {
  return VARIANTS.flatMap(([digit, name, signs, hasScalar]) => {
    const opcode = (scalar: 0 | 1): string => (HIGH_DIGIT[order] + digit + scalar).toString(16).toUpperCase();
    const rows: Row[] = [];
    for (const [w, letter] of [
      [0, 's'],
      [1, 'd'],
    ] as const) {
      rows.push(insn(`VEX 66 0F38 ${opcode(0)} W${w}`, `${name}${order}p${letter} Vx,Hx,Wx`, 'fma', packedFma(`p${letter}`, order, signs)));
      if (!hasScalar) continue;
      const kind: ScalarKind = `s${letter}`;
      rows.push(
        insn(
          `VEX 66 0F38 ${opcode(1)} W${w}`,
          `${name}${order}${kind} Vdq,Hdq,W${SCALAR_SIZE[kind]}`,
          'fma',
          scalarFma(kind, order, signs),
        ),
      );
    }
    return rows;
  });
}

export const FMA_ROWS: readonly Row[] = (Object.keys(ORDERS) as Order[]).flatMap(fmaRows);
