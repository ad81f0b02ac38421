// Routines of conversions between integers and floating point, and between floating-point formats: native where that is exact in value and flags.
// SDM Vol. 1, 4.8.4, 11.5.2; Vol. 2, CVTxx, VCVTPH2PS, VCVTPS2PH.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import type { Routine } from '@anillo/ir/callee';
import { dynamicOp, FloatLanes } from './simd-float-lanes.ts';
import { floatCode } from './simd-float-helper.ts';
import { isUnusual, mxcsrFast, unlessSlow } from './simd-float-fast.ts';
import { guarded } from './simd-float-routines.ts';
import { vector32, type V } from './simd-operands.ts';
import { laneBytes } from './simd-integer.ts';

const HIGH_TO_LOW = laneBytes([1, 1], 8);
const LOW_TWICE = laneBytes([0, 0], 8);
export const highToLow = (b: Builder, v: V): V => b.shuffle(v, v, HIGH_TO_LOW);
export const joinLow = (b: Builder, low: V, high: V): V => b.shuffle(low, high, laneBytes([0, 2], 8));

// ---- scalars

/** Signed integer to scalar: exact up to 2^24 or 2^53. */
const fromInteger = (to: 'f32' | 'f64', from: 'i32' | 'i64'): Routine =>
  guarded({
    name: `cvt${from}to${to}`,
    params: [from],
    result: to,
    places: [0],
    code: floatCode(from === 'i32' ? 'fromInt32' : 'fromInt64', to === 'f64', 1),
    fast: (b, [x]) => {
      const wide = from === 'i32' ? b.extendS(x as Value<'i32'>) : (x as Value<'i64'>);
      const limit = to === 'f32' ? 2 ** 24 : 2 ** 53;
      const small = b.leU(b.add(wide, b.i64(limit)), b.i64(2 * limit));
      return { ok: b.or(small, mxcsrFast(b)), results: [dynamicOp(b, `${to}.convert_${from}_s`, x as Value)] };
    },
  });

/** Scalar to signed integer. Saturated results are left to the helper. */
const toInteger = (from: 'f32' | 'f64', to: 'i32' | 'i64', truncate: boolean): Routine =>
  guarded({
    name: `cvt${truncate ? 't' : ''}${from}to${to}`,
    params: [from],
    result: to,
    places: [0],
    code: floatCode(to === 'i32' ? 'toInt32' : 'toInt64', from === 'f64', 1),
    extra: truncate ? 1 : 0,
    fast: (b, [x]) => {
      const l = new FloatLanes(b, from === 'f64' ? 'sd' : 'ss');
      const rounded = truncate ? (x as Value) : l.op('nearest', x as Value);
      const r = dynamicOp(b, `${to}.trunc_sat_${from}_s`, rounded) as Value<'i64'>;
      const [least, most] =
        to === 'i32' ? [b.i32(-0x8000_0000), b.i32(0x7fff_ffff)] : [b.i64Words(0, -0x8000_0000), b.i64Words(-1, 0x7fff_ffff)];
      const inside = b.and(b.ne(r, least as Value<'i64'>), b.ne(r, most as Value<'i64'>));
      const exact = l.op('eq', dynamicOp(b, `${from}.convert_${to}_s`, r), x as Value) as Value<'i32'>;
      const number = l.op('eq', x as Value, x as Value) as Value<'i32'>;
      return { ok: b.and(b.and(number, inside), b.or(exact, mxcsrFast(b))), results: [r] };
    },
  });

const widenScalar = guarded({
  name: 'cvtss2sd',
  params: ['f32'],
  result: 'f64',
  places: [0],
  code: floatCode('convert', false, 1),
  fast: (b, [x]) => {
    const l = new FloatLanes(b, 'ss');
    return { ok: l.all(l.isPlain(x as Value)), results: [b.op('f64.promote_f32', [x as Value<'f32'>])] };
  },
});

/** Double to single: is r, promoted again to p, right for x? `fast`: inexact results too. */
function narrowUsable(l: FloatLanes, p: Value, x: Value, fast: Value): Value {
  const ordinary = l.and(l.op('gt', l.op('abs', p), l.constant(2 ** -126)), l.isFinite(p));
  return l.and(l.isPlain(x), l.or(l.isZero(x), l.and(ordinary, l.or(fast, l.op('eq', p, x)))));
}
const narrowScalar = guarded({
  name: 'cvtsd2ss',
  params: ['f64'],
  result: 'f32',
  places: [0],
  code: floatCode('convert', true, 1),
  fast: (b, [x]) => {
    const l = new FloatLanes(b, 'sd');
    const r = b.op('f32.demote_f64', [x as Value<'f64'>]);
    return { ok: l.all(narrowUsable(l, b.op('f64.promote_f32', [r]), x as Value, mxcsrFast(b))), results: [r] };
  },
});

// ---- the same, inline where that is quick

/** Signed integer to scalar. */
export function callFromInteger(b: Builder, x: Value<'i32' | 'i64'>, to: 'f32' | 'f64'): Value {
  const native = dynamicOp(b, `${to}.convert_${x.type}_s`, x);
  // A double holds every 32-bit integer.
  if (to === 'f64' && x.type === 'i32') return native;
  return unlessSlow(b, b.eqz(mxcsrFast(b)), [native], () => [b.call(convertRoutine(`cvt${x.type}to${to}`), [x])])[0] as Value;
}

/** Scalar to signed integer: quick within the range of `to`. */
export function callToInteger(b: Builder, x: Value<'f32' | 'f64'>, to: 'i32' | 'i64', truncate: boolean): Value<'i32' | 'i64'> {
  const l = new FloatLanes(b, x.type === 'f64' ? 'sd' : 'ss');
  // Rounding may take singles up to the next that 32 bits do not hold.
  const limit = to === 'i64' ? 2 ** 63 : x.type === 'f64' ? 2 ** 31 - 1 : 2 ** 31 - 128;
  const isInside = l.op('lt', l.op('abs', x), l.constant(limit)) as Value<'i32'>;
  const native = dynamicOp(b, `${to}.trunc_sat_${x.type}_s`, truncate ? x : l.op('nearest', x));
  const name = `cvt${truncate ? 't' : ''}${x.type}to${to}`;
  return unlessSlow(b, b.eqz(b.and(mxcsrFast(b), isInside)), [native], () => [b.call(convertRoutine(name), [x])])[0] as Value<'i32' | 'i64'>;
}

/** Single to double, double to single. */
export function callConvert(b: Builder, x: Value<'f32' | 'f64'>): Value {
  const isSingle = x.type === 'f32';
  const single = new FloatLanes(b, 'ss');
  const native = isSingle ? b.op('f64.promote_f32', [x as Value<'f32'>]) : b.op('f32.demote_f64', [x as Value<'f64'>]);
  const isSlow = isSingle ? b.eqz(single.isPlain(x) as Value<'i32'>) : isUnusual(single, [native], b.sub(mxcsrFast(b), b.i32(1)));
  return unlessSlow<Value>(b, isSlow, [native], () => [b.call(isSingle ? widenScalar : narrowScalar, [x])])[0] as Value;
}

// ---- vectors; 256 bits take or give two halves

const name = (base: string, halves: number): string => (halves === 2 ? `${base}256` : base);
const vectors = (count: number): readonly 'v128'[] => Array.from({ length: count }, () => 'v128');
const every = (b: Builder, tests: readonly Value<'i32'>[]): Value<'i32'> => tests.reduce((p, q) => b.and(p, q));

const packedFromInteger = (halves: 1 | 2): Routine =>
  guarded({
    name: name('cvtdq2ps', halves),
    params: vectors(halves),
    result: 'v128',
    places: halves === 2 ? [0, 1] : [0],
    code: floatCode('fromInt32', false, 4 * halves),
    fast: (b, xs) => {
      const small = every(
        b,
        xs.map((x) => b.op('i32x4.all_true', [b.op('i32x4.lt_s', [b.op('i32x4.abs', [x as V]), vector32(b, 2 ** 24 + 1)])])),
      );
      return { ok: b.or(small, mxcsrFast(b)), results: xs.map((x) => b.op('f32x4.convert_i32x4_s', [x as V])) };
    },
  });

const packedToInteger = (truncate: boolean, halves: 1 | 2): Routine =>
  guarded({
    name: name(truncate ? 'cvttps2dq' : 'cvtps2dq', halves),
    params: vectors(halves),
    result: 'v128',
    places: halves === 2 ? [0, 1] : [0],
    code: floatCode('toInt32', false, 4 * halves),
    extra: truncate ? 1 : 0,
    fast: (b, xs) => {
      const l = new FloatLanes(b, 'ps');
      const results = xs.map((x) => b.op('i32x4.trunc_sat_f32x4_s', [(truncate ? x : l.op('nearest', x as Value)) as V]));
      const inside = every(
        b,
        xs.map((x, i) => {
          const r = results[i] as V;
          const range = b.op('v128.and', [
            b.op('i32x4.gt_s', [r, vector32(b, 0x8000_0000)]),
            b.op('i32x4.lt_s', [r, vector32(b, 0x7fff_ffff)]),
          ]);
          return l.all(l.and(range, l.op('eq', x as Value, x as Value)));
        }),
      );
      const exact = every(
        b,
        xs.map((x, i) => l.all(l.op('eq', b.op('f32x4.convert_i32x4_s', [results[i] as V]), x as Value))),
      );
      return { ok: b.and(inside, b.or(exact, mxcsrFast(b))), results };
    },
  });

const packedDoubleToInteger = (truncate: boolean, halves: 1 | 2): Routine =>
  guarded({
    name: name(truncate ? 'cvttpd2dq' : 'cvtpd2dq', halves),
    params: vectors(halves),
    result: 'v128',
    places: halves === 2 ? [0, 1] : [0],
    code: floatCode('toInt32', true, 2 * halves),
    extra: truncate ? 1 : 0,
    fast: (b, xs) => {
      const l = new FloatLanes(b, 'pd');
      const parts = xs.map((x) => b.op('i32x4.trunc_sat_f64x2_s_zero', [(truncate ? x : l.op('nearest', x as Value)) as V]));
      const backs = parts.map((r) => b.op('f64x2.convert_low_i32x4_s', [r]));
      const inside = every(
        b,
        xs.map((x, i) => {
          const range = l.and(l.op('gt', backs[i] as V, l.constant(-(2 ** 31))), l.op('lt', backs[i] as V, l.constant(2 ** 31 - 1)));
          return l.all(l.and(range, l.op('eq', x as Value, x as Value)));
        }),
      );
      const exact = every(
        b,
        xs.map((x, i) => l.all(l.op('eq', backs[i] as V, x as Value))),
      );
      const result = halves === 2 ? joinLow(b, parts[0] as V, parts[1] as V) : (parts[0] as V);
      return { ok: b.and(inside, b.or(exact, mxcsrFast(b))), results: [result] };
    },
  });

const packedWiden = (halves: 1 | 2): Routine =>
  guarded({
    name: name('cvtps2pd', halves),
    params: ['v128'],
    result: 'v128',
    places: [0],
    code: floatCode('convert', false, 2 * halves),
    fast: (b, [x]) => {
      const l = new FloatLanes(b, 'ps');
      const v = x as V;
      const used = halves === 2 ? v : b.shuffle(v, v, LOW_TWICE);
      const low = b.op('f64x2.promote_low_f32x4', [v]);
      return { ok: l.all(l.isPlain(used)), results: halves === 2 ? [low, b.op('f64x2.promote_low_f32x4', [highToLow(b, v)])] : [low] };
    },
  });

const packedNarrow = (halves: 1 | 2): Routine =>
  guarded({
    name: name('cvtpd2ps', halves),
    params: vectors(halves),
    result: 'v128',
    places: halves === 2 ? [0, 1] : [0],
    code: floatCode('convert', true, 2 * halves),
    fast: (b, xs) => {
      const l = new FloatLanes(b, 'pd');
      const fast = b.op('i64x2.splat', [b.sub(b.i64(0), b.extendU(mxcsrFast(b)))]);
      const parts = xs.map((x) => b.op('f32x4.demote_f64x2_zero', [x as V]));
      const ok = every(
        b,
        xs.map((x, i) => l.all(narrowUsable(l, b.op('f64x2.promote_low_f32x4', [parts[i] as V]), x as Value, fast))),
      );
      return { ok, results: [halves === 2 ? joinLow(b, parts[0] as V, parts[1] as V) : (parts[0] as V)] };
    },
  });

// ---- half precision

const EXPONENT_DISTANCE = 112;

/** Four halves in the low 64 bits of v; native for normal numbers and zeros. */
function widenHalves(b: Builder, v: V): { readonly value: V; readonly usable: V } {
  const wide = b.op('i32x4.extend_low_i16x8_u', [v]);
  const magnitude = b.op('v128.and', [wide, vector32(b, 0x7fff)]);
  const sign = b.op('i32x4.shl', [b.op('v128.and', [wide, vector32(b, 0x8000)]), b.i32(16)]);
  const zero = b.op('i32x4.eq', [magnitude, vector32(b, 0)]);
  const normal = b.op('i32x4.add', [b.op('i32x4.shl', [magnitude, b.i32(13)]), vector32(b, EXPONENT_DISTANCE << 23)]);
  const inRange = b.op('v128.and', [
    b.op('i32x4.gt_s', [magnitude, vector32(b, 0x3ff)]),
    b.op('i32x4.lt_s', [magnitude, vector32(b, 0x7c00)]),
  ]);
  return { value: b.op('v128.or', [sign, b.op('v128.andnot', [normal, zero])]), usable: b.op('v128.or', [zero, inRange]) };
}
const fromHalf = (halves: 1 | 2): Routine =>
  guarded({
    name: name('cvtph2ps', halves),
    params: ['v128'],
    result: 'v128',
    places: [0],
    code: floatCode('fromHalf', false, 4 * halves),
    fast: (b, [x]) => {
      const parts = halves === 2 ? [x as V, highToLow(b, x as V)] : [x as V];
      const wide = parts.map((v) => widenHalves(b, v));
      return {
        ok: every(
          b,
          wide.map((w) => b.op('i32x4.all_true', [w.usable])),
        ),
        results: wide.map((w) => w.value),
      };
    },
  });

/** To half precision; the immediate says the rounding, of which native code knows only "to nearest". */
const toHalf = (halves: 1 | 2): Routine =>
  guarded({
    name: name('cvtps2ph', halves),
    params: [...vectors(halves), 'i32'],
    result: 'v128',
    places: halves === 2 ? [0, 1] : [0],
    code: floatCode('toHalf', false, 4 * halves),
    extra: { param: halves },
    fast: (b, params) => {
      const xs = params.slice(0, halves) as readonly V[];
      const mode = b.and(params[halves] as Value<'i32'>, b.i32(7));
      const nearest = b.or(b.eqz(mode), b.geU(mode, b.i32(4)));
      const l = new FloatLanes(b, 'ps');
      const words = xs.map((x) => {
        const magnitude = b.op('v128.and', [x, vector32(b, 0x7fff_ffff)]);
        const odd = b.op('v128.and', [b.op('i32x4.shr_u', [magnitude, b.i32(13)]), vector32(b, 1)]);
        const rounded = b.op('i32x4.shr_u', [b.op('i32x4.add', [b.op('i32x4.add', [magnitude, vector32(b, 0xfff)]), odd]), b.i32(13)]);
        const half = b.op('i32x4.sub', [rounded, vector32(b, EXPONENT_DISTANCE << 10)]);
        const sign = b.op('v128.and', [b.op('i32x4.shr_u', [x, b.i32(16)]), vector32(b, 0x8000)]);
        return b.op('v128.or', [sign, b.op('v128.andnot', [half, l.isZero(x) as V])]);
      });
      const usable = every(
        b,
        xs.map((x) => {
          const size = l.op('abs', x);
          return l.all(l.or(l.isZero(x), l.and(l.op('ge', size, l.constant(2 ** -14)), l.op('lt', size, l.constant(65520)))));
        }),
      );
      const zero = vector32(b, 0);
      return {
        ok: b.and(b.and(nearest, mxcsrFast(b)), usable),
        results: [b.op('i16x8.narrow_i32x4_u', [words[0] as V, words[1] ?? zero])],
      };
    },
  });

const HALVES = [1, 2] as const;
const FLOATS = ['f32', 'f64'] as const;
const INTS = ['i32', 'i64'] as const;

export const CONVERT_ROUTINES: ReadonlyMap<string, Routine> = new Map(
  [
    ...FLOATS.flatMap((f) => INTS.flatMap((i) => [fromInteger(f, i), toInteger(f, i, false), toInteger(f, i, true)])),
    widenScalar,
    narrowScalar,
    ...HALVES.flatMap((h) => [
      packedFromInteger(h),
      packedToInteger(false, h),
      packedToInteger(true, h),
      packedDoubleToInteger(false, h),
      packedDoubleToInteger(true, h),
      packedWiden(h),
      packedNarrow(h),
      fromHalf(h),
      toHalf(h),
    ]),
  ].map((r) => [r.name, r]),
);

export function convertRoutine(routineName: string): Routine {
  const found = CONVERT_ROUTINES.get(routineName);
  if (found === undefined) throw new TypeError(`no routine ${routineName}`);
  return found;
}
