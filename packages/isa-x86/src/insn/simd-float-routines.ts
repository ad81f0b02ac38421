// Routines of floating-point instructions: native arithmetic where that is exact to the last bit and flag, else the helper. SDM Vol. 1, 11.5.
// Native results stand when MXCSR says: round to nearest, everything masked, PE already set, neither DAZ nor FZ; operands are not denormal or NaN, and the
// result is not NaN, infinite or tiny. Exact operations (comparison, minimum) need only plain operands.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import type { Type } from '@anillo/ir/ops';
import type { Slot } from '@anillo/ir/slot';
import { SIMD_X, SIMD_X64, X86State } from '../state.ts';
import { CARRIER, FloatLanes, isDouble, type FloatKind } from './simd-float-lanes.ts';
import { floatCode, SIMD_FLOAT, type FloatOperation } from './simd-float-helper.ts';
import type { V } from './simd-operands.ts';

/** Masks over MXCSR: RC, masks, PE, DAZ, FZ. */
const MXCSR_FAST = { mask: 0xffe0, value: 0x1fa0 } as const;

/** 1 when MXCSR under the mask has the value. */
export function mxcsrIs(b: Builder, mask: number, value: number): Value<'i32'> {
  return b.eq(b.and(b.op('state.load32', [b.i32(0)], X86State.offset.mxcsr), b.i32(mask)), b.i32(value));
}
export const mxcsrFast = (b: Builder): Value<'i32'> => mxcsrIs(b, MXCSR_FAST.mask, MXCSR_FAST.value);

/** Operand k as the helper wants it. */
function setOperand(b: Builder, place: number, v: Value): void {
  const low = SIMD_X64[place] as Slot<'i64'>;
  switch (v.type) {
    case 'v128': b.set(SIMD_X[place] as Slot<'v128'>, v as V); break;
    case 'i64': b.set(low, v as Value<'i64'>); break;
    case 'i32': b.set(low, b.extendU(v as Value<'i32'>)); break;
    case 'f64': b.set(low, b.op('i64.reinterpret_f64', [v as Value<'f64'>])); break;
    default: b.set(low, b.extendU(b.op('i32.reinterpret_f32', [v as Value<'f32'>])));
  }
}
function getResult(b: Builder, type: Type): Value {
  const low = SIMD_X64[0] as Slot<'i64'>;
  switch (type) {
    case 'v128': return b.get(SIMD_X[0] as Slot<'v128'>);
    case 'i64': return b.get(low);
    case 'i32': return b.wrap(b.get(low));
    case 'f64': return b.op('f64.reinterpret_i64', [b.get(low)]);
    default: return b.op('f32.reinterpret_i32', [b.wrap(b.get(low))]);
  }
}

export interface Guarded {
  readonly name: string;
  readonly params: readonly Type[];
  readonly result: Type;
  /** Places (elements of simdX) of the operands; by default every second one. The parameter after them, if any, is the helper's `extra`. */
  readonly places: readonly number[];
  readonly operation: FloatOperation;
  readonly double: boolean;
  readonly lanes: number;
  /** The helper's second argument where it is not a parameter. */
  readonly extra?: number;
  /** Native results (a second one is the upper half, given back in SIMD_X[1]) and whether they may be used. */
  readonly fast: (b: Builder, params: readonly Value[]) => { readonly ok: Value<'i32'>; readonly results: readonly Value[] };
}

/** The routine that tries `fast` and falls back to the helper. */
export function guarded(g: Guarded): Routine {
  return routine({
    name: g.name,
    params: g.params,
    result: g.result,
    reads: SIMD_X,
    writes: SIMD_X,
    traps: true,
    build: (b, params) => {
      const { ok, results } = g.fast(b, params);
      const out = b.temp(g.result, results[0] as Value) as Slot;
      b.if(
        ok,
        () => {
          if (results[1]) b.set(SIMD_X[1] as Slot<'v128'>, results[1] as V);
        },
        () => {
          for (const [i, place] of g.places.entries()) setOperand(b, place, params[i] as Value);
          const extra = params[g.places.length] as Value<'i32'> | undefined;
          b.call(SIMD_FLOAT, [b.i32(floatCode(g.operation, g.double, g.lanes)), extra ?? b.i32(g.extra ?? 0)]);
          b.set(out, getResult(b, g.result));
        },
      );
      return b.get(out);
    },
  });
}

/** A kind of operand with its number of 128-bit halves: 'ss', 'sd', 'ps', 'pd', 'ps256', 'pd256'. */
export type FloatShape = FloatKind | 'ps256' | 'pd256';
export const FLOAT_SHAPES: readonly FloatShape[] = ['ss', 'sd', 'ps', 'pd', 'ps256', 'pd256'];
export const PACKED_SHAPES: readonly FloatShape[] = ['ps', 'pd', 'ps256', 'pd256'];
export const kindOf = (shape: FloatShape): FloatKind => shape.slice(0, 2) as FloatKind;
export const lanesOf = (shape: FloatShape): number => ({ ss: 1, sd: 1, ps: 4, pd: 2, ps256: 8, pd256: 4 })[shape];

interface LaneOperation {
  readonly name: string;
  readonly operation: FloatOperation;
  readonly operands: 1 | 2;
  /** The native result needs the MXCSR check. */
  readonly rounds: boolean;
  readonly extraParam?: boolean;
  readonly extra?: number;
  readonly compute: (l: FloatLanes, x: Value, y: Value) => Value;
  /** May the result be used in this lane? */
  readonly usable: (l: FloatLanes, r: Value, x: Value, y: Value) => Value;
}

function laneRoutine(o: LaneOperation, shape: FloatShape): Routine {
  const kind = kindOf(shape);
  const carrier = CARRIER[kind];
  const halves = shape.endsWith('256') ? 2 : 1;
  const count = o.operands * halves;
  return guarded({
    name: `${o.name}${shape}`,
    params: [...Array.from({ length: count }, () => carrier), ...(o.extraParam ? (['i32'] as const) : [])],
    result: carrier,
    places: Array.from({ length: count }, (_, i) => (halves === 2 ? i : 2 * i)),
    operation: o.operation,
    double: isDouble(kind),
    lanes: lanesOf(shape),
    extra: o.extra,
    fast: (b, params) => {
      const l = new FloatLanes(b, kind);
      const results: Value[] = [];
      let ok: Value<'i32'> | undefined = o.rounds ? mxcsrFast(b) : undefined;
      for (let half = 0; half < halves; half++) {
        const x = params[half] as Value;
        const y = (params[o.operands === 1 ? half : half + halves] as Value);
        const r = o.compute(l, x, y);
        const test = l.all(o.usable(l, r, x, y));
        ok = ok === undefined ? test : b.and(ok, test);
        results.push(r);
      }
      return { ok: ok as Value<'i32'>, results };
    },
  });
}

const plain2 = (l: FloatLanes, x: Value, y: Value): Value => l.and(l.isPlain(x), l.isPlain(y));

const ARITHMETIC: readonly LaneOperation[] = [
  // Sums of plain operands are never inexact and tiny at once.
  ...(['add', 'sub'] as const).map((name): LaneOperation => ({
    name, operation: name, operands: 2, rounds: true,
    compute: (l, x, y) => l.op(name, x, y),
    usable: (l, r, x, y) => l.and(l.isFinite(r), plain2(l, x, y)),
  })),
  {
    name: 'mul', operation: 'mul', operands: 2, rounds: true,
    compute: (l, x, y) => l.op('mul', x, y),
    usable: (l, r, x, y) => l.and(l.or(l.isOrdinary(r), l.and(l.isZero(r), l.or(l.isZero(x), l.isZero(y)))), plain2(l, x, y)),
  },
  {
    name: 'div', operation: 'div', operands: 2, rounds: true,
    compute: (l, x, y) => l.op('div', x, y),
    usable: (l, r, x, y) => l.and(l.or(l.isOrdinary(r), l.and(l.isZero(r), l.isZero(x))), plain2(l, x, y)),
  },
  {
    name: 'sqrt', operation: 'sqrt', operands: 1, rounds: true,
    compute: (l, x) => l.op('sqrt', x),
    usable: (l, r, x) => l.and(l.isFinite(r), l.isPlain(x)),
  },
  // The second operand unless the first is less (greater).
  { name: 'min', operation: 'min', operands: 2, rounds: false, compute: (l, x, y) => l.choose(l.op('lt', x, y), x, y), usable: (l, _r, x, y) => plain2(l, x, y) },
  { name: 'max', operation: 'max', operands: 2, rounds: false, compute: (l, x, y) => l.choose(l.op('gt', x, y), x, y), usable: (l, _r, x, y) => plain2(l, x, y) },
];

const ADDSUB: LaneOperation = {
  name: 'addsub', operation: 'addsub', operands: 2, rounds: true,
  compute: (l, x, y) => {
    const { b } = l;
    const evenSigns = isDouble(l.kind) ? Uint32Array.of(0, 0x8000_0000, 0, 0) : Uint32Array.of(0x8000_0000, 0, 0x8000_0000, 0);
    return l.op('add', x, b.op('v128.xor', [y as V, b.v128(new Uint8Array(evenSigns.buffer))]));
  },
  usable: (l, r, x, y) => l.and(l.isFinite(r), plain2(l, x, y)),
};

/** Comparison of plain operands by which of less, equal, greater it holds for (bits 0..2). */
const TRUTH_OP: Readonly<Record<number, string>> = { 1: 'lt', 2: 'eq', 3: 'le', 4: 'gt', 5: 'ne', 6: 'ge' };
function compareOperation(truth: number): LaneOperation {
  return {
    name: `cmp${truth}`, operation: 'cmp', operands: 2, rounds: false, extraParam: true,
    compute: (l, x, y) => {
      const { b } = l;
      const name = TRUTH_OP[truth];
      if (name === undefined) return b.v128(new Uint8Array(16).fill(truth === 7 ? 0xff : 0));
      return l.op(name, x, y);
    },
    usable: (l, _r, x, y) => plain2(l, x, y),
  };
}

/** Scalars are compared as vectors whose lanes are all the same, with one lane in the helper. */
function compareRoutine(truth: number, shape: FloatShape): Routine {
  const o = compareOperation(truth);
  if (shape === 'ss' || shape === 'sd') {
    const packed: FloatKind = shape === 'ss' ? 'ps' : 'pd';
    return guarded({
      name: `cmp${truth}${shape}`, params: ['v128', 'v128', 'i32'], result: 'v128', places: [0, 2], operation: 'cmp', double: shape === 'sd', lanes: 1,
      fast: (b, [x, y]) => {
        const l = new FloatLanes(b, packed);
        return { ok: l.all(plain2(l, x as Value, y as Value)), results: [o.compute(l, x as Value, y as Value)] };
      },
    });
  }
  return laneRoutine(o, shape);
}

/** ZF, PF, CF of two scalars. */
const comi = (kind: 'ss' | 'sd', signalling: 0 | 1): Routine =>
  guarded({
    name: `${signalling ? 'comi' : 'ucomi'}${kind}`, params: [CARRIER[kind], CARRIER[kind]], result: 'i32', places: [0, 2], operation: 'comi', double: kind === 'sd', lanes: 1,
    extra: signalling,
    fast: (b, [x, y]) => {
      const l = new FloatLanes(b, kind);
      const equal = l.op('eq', x as Value, y as Value) as Value<'i32'>;
      const less = l.op('lt', x as Value, y as Value) as Value<'i32'>;
      return { ok: l.all(plain2(l, x as Value, y as Value)), results: [b.or(b.shl(equal, b.i32(6)), less)] };
    },
  });

// ---- rounding to integral values

export type RoundMode = 0 | 1 | 2 | 3 | 4;
const ROUND_OP = ['nearest', 'floor', 'ceil', 'trunc', 'nearest'] as const;
/** Mode 4 is MXCSR's; quiet: PE is not reported. A value that is integral already stays, whatever MXCSR says. */
function roundRoutine(shape: FloatShape, mode: RoundMode, quiet: boolean): Routine {
  const kind = kindOf(shape);
  const halves = shape.endsWith('256') ? 2 : 1;
  const carrier = CARRIER[kind];
  const mask = quiet ? (mode === 4 ? 0x6040 : 0x40) : MXCSR_FAST.mask;
  return guarded({
    name: `round${mode}${quiet ? 'q' : ''}${shape}`,
    params: Array.from({ length: halves }, () => carrier), result: carrier, places: Array.from({ length: halves }, (_, i) => i), operation: 'round', double: isDouble(kind),
    lanes: lanesOf(shape), extra: mode | (quiet ? 8 : 0),
    fast: (b, params) => {
      const l = new FloatLanes(b, kind);
      const results = params.map((x) => l.op(ROUND_OP[mode], x));
      const every = (test: (x: Value, r: Value) => Value): Value<'i32'> => params.map((x, i) => l.all(test(x, results[i] as Value))).reduce((p, q) => b.and(p, q));
      const integral = every((x, r) => l.op('eq', x, r));
      const number = every((x) => l.op('eq', x, x));
      return { ok: b.or(integral, b.and(number, mxcsrIs(b, mask, quiet ? 0 : MXCSR_FAST.value))), results };
    },
  });
}

const ROUND_MODES: readonly RoundMode[] = [0, 1, 2, 3, 4];
const TRUTHS = [0, 1, 2, 3, 4, 5, 6, 7];

export const FLOAT_ROUTINES: ReadonlyMap<string, Routine> = new Map(
  [
    ...FLOAT_SHAPES.flatMap((shape) => ARITHMETIC.map((o) => laneRoutine(o, shape))),
    ...PACKED_SHAPES.map((shape) => laneRoutine(ADDSUB, shape)),
    ...FLOAT_SHAPES.flatMap((shape) => TRUTHS.map((truth) => compareRoutine(truth, shape))),
    ...FLOAT_SHAPES.flatMap((shape) => ROUND_MODES.flatMap((mode) => [roundRoutine(shape, mode, false), roundRoutine(shape, mode, true)])),
    ...(['ss', 'sd'] as const).flatMap((kind) => [comi(kind, 0), comi(kind, 1)]),
  ].map((r) => [r.name, r]),
);

export function floatRoutine(name: string): Routine {
  const found = FLOAT_ROUTINES.get(name);
  if (found === undefined) throw new TypeError(`no routine ${name}`);
  return found;
}
