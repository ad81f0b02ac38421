// Routines of floating-point instructions: native arithmetic where that is exact to the last bit and flag, else the helper. SDM Vol. 1, 11.5.
// Native results stand when MXCSR says: round to nearest, everything masked; operands are not denormal or NaN; the result is not NaN, infinite or tiny (so
// DAZ and FZ do not matter); and PE is set already or the result is exact. Operations that cannot round (comparison, minimum) need only plain operands.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import type { Type } from '@anillo/ir/ops';
import type { Slot } from '@anillo/ir/slot';
import type { Lift } from '../lift.ts';
import { MXCSR, SIMD_DOUBT, SIMD_X, SIMD_X64 } from '../state.ts';
import { CARRIER, FloatLanes, isDouble, type FloatKind } from './simd-float-lanes.ts';
import { FLOAT_STATE, floatCode, PREDICATE_TRUTH, SIMD_FLOAT, type FloatOperation } from './simd-float-helper.ts';
import { isDenormal, isUnusual, unlessSlow } from './simd-float-fast.ts';
import type { V } from './simd-operands.ts';

/** MXCSR under a mask: RC and masks as above; without DAZ in ROUND. */
const MXCSR_PLAIN = { mask: 0x7f80, value: 0x1f80 } as const;
const MXCSR_ROUND = { mask: 0x7fe0, value: 0x1fa0 } as const;
const MXCSR_PE = 0x20;
const MXCSR_DAZ = 0x40;
const MXCSR_ROUNDING = 0x6000;

/** Operand k as the helper wants it. */
function setOperand(b: Builder, place: number, v: Value): void {
  const low = SIMD_X64[place] as Slot<'i64'>;
  switch (v.type) {
    case 'v128':
      b.set(SIMD_X[place] as Slot<'v128'>, v as V);
      break;
    case 'i64':
      b.set(low, v as Value<'i64'>);
      break;
    case 'i32':
      b.set(low, b.extendU(v as Value<'i32'>));
      break;
    case 'f64':
      b.set(low, b.op('i64.reinterpret_f64', [v as Value<'f64'>]));
      break;
    default:
      b.set(low, b.extendU(b.op('i32.reinterpret_f32', [v as Value<'f32'>])));
  }
}
function getResult(b: Builder, type: Type): Value {
  const low = SIMD_X64[0] as Slot<'i64'>;
  switch (type) {
    case 'v128':
      return b.get(SIMD_X[0] as Slot<'v128'>);
    case 'i64':
      return b.get(low);
    case 'i32':
      return b.wrap(b.get(low));
    case 'f64':
      return b.op('f64.reinterpret_i64', [b.get(low)]);
    default:
      return b.op('f32.reinterpret_i32', [b.wrap(b.get(low))]);
  }
}

export interface Guarded {
  readonly name: string;
  readonly params: readonly Type[];
  readonly result: Type;
  /** Places (elements of simdX) of the first parameters: the operands. */
  readonly places: readonly number[];
  /** First argument of the helper: a number, or which parameter it is; likewise `extra`. */
  readonly code: number | { readonly param: number };
  readonly extra?: number | { readonly param: number };
  /** Native results (a second one is the upper half, given back in SIMD_X[1]) and whether they may be used. */
  readonly fast: (b: Builder, params: readonly Value[]) => { readonly ok: Value<'i32'>; readonly results: readonly Value[] };
  /** What is told of the result. */
  readonly after?: (b: Builder, params: readonly Value[], result: Value) => void;
}

/** The routine that tries `fast` and falls back to the helper. */
export function guarded(g: Guarded): Routine {
  return routine({
    name: g.name,
    params: g.params,
    result: g.result,
    reads: FLOAT_STATE,
    writes: FLOAT_STATE,
    traps: true,
    build: (b, params) => {
      const { ok, results } = g.fast(b, params);
      const out = b.temp(g.result, results[0] as Value) as Slot;
      const argument = (v: number | { readonly param: number }): Value<'i32'> =>
        typeof v === 'number' ? b.i32(v) : (params[v.param] as Value<'i32'>);
      b.ifRarely(
        b.eqz(ok),
        () => {
          for (const [i, place] of g.places.entries()) setOperand(b, place, params[i] as Value);
          b.call(SIMD_FLOAT, [argument(g.code), argument(g.extra ?? 0)]);
          b.set(out, getResult(b, g.result));
        },
        () => {
          if (results[1]) b.set(SIMD_X[1] as Slot<'v128'>, results[1] as V);
        },
      );
      g.after?.(b, params, b.get(out));
      return b.get(out);
    },
  });
}

/** Leaves in SIMD_DOUBT, for FloatFacts, whether operands and result (and its upper half) are zero or normal. */
export function tellDoubt(l: FloatLanes, operands: readonly Value[], result: Value, halves: 1 | 2): void {
  const { b } = l;
  const upper = halves === 2 ? [b.get(SIMD_X[1] as Slot<'v128'>)] : [];
  const isPlain = l.all([...operands, result, ...upper].map((v) => l.isPlain(v)).reduce((p, q) => l.and(p, q)));
  b.set(SIMD_DOUBT, b.extendS(b.sub(isPlain, b.i32(1))));
}

/** A kind of operand with its number of 128-bit halves: 'ss', 'sd', 'ps', 'pd', 'ps256', 'pd256'. */
export type FloatShape = FloatKind | 'ps256' | 'pd256';
export const FLOAT_SHAPES: readonly FloatShape[] = ['ss', 'sd', 'ps', 'pd', 'ps256', 'pd256'];
export const kindOf = (shape: FloatShape): FloatKind => shape.slice(0, 2) as FloatKind;
export const lanesOf = (shape: FloatShape): number => ({ ss: 1, sd: 1, ps: 4, pd: 2, ps256: 8, pd256: 4 })[shape];

/**
 * What native results of operations have to pass. One routine a check and shape: (operands, native results, helper's code, extra) -> result,
 * so that the operation itself stands in the block and its check is shared.
 */
interface Check {
  readonly operands: 1 | 2;
  /** Where the native result may be rounded: is it exact? */
  readonly isExact?: (l: FloatLanes, r: Value, x: Value, y: Value) => Value;
  /** May the result be used in this lane? */
  readonly usable: (l: FloatLanes, r: Value, x: Value, y: Value) => Value;
}

const plain2 = (l: FloatLanes, x: Value, y: Value): Value => l.and(l.isPlain(x), l.isPlain(y));

const CHECKS = {
  /** Comparisons, minimum and maximum. */
  exact: { operands: 2, usable: (l, _r, x, y) => plain2(l, x, y) },
  // Sums of plain operands are never inexact and tiny at once, so the smallest normal number is right too. For sums and differences alike: r - x is the second operand but for its sign.
  sum: {
    operands: 2,
    usable: (l, r, x, y) => l.and(l.and(l.isFinite(r), l.isPlain(r)), plain2(l, x, y)),
    isExact: (l, r, x, y) => {
      const second = l.op('sub', r, x);
      return l.and(l.op('eq', l.op('abs', second), l.op('abs', y)), l.op('eq', l.op('sub', r, second), x));
    },
  },
  product: {
    operands: 2,
    usable: (l, r, x, y) => l.and(l.or(l.isOrdinary(r), l.and(l.isZero(r), l.or(l.isZero(x), l.isZero(y)))), plain2(l, x, y)),
    isExact: (l, r, x, y) => l.isProduct(r, x, y),
  },
  quotient: {
    operands: 2,
    usable: (l, r, x, y) => l.and(l.or(l.isOrdinary(r), l.and(l.isZero(r), l.isZero(x))), plain2(l, x, y)),
    isExact: (l, r, x, y) => l.isProduct(x, r, y),
  },
  root: { operands: 1, usable: (l, r, x) => l.and(l.isFinite(r), l.isPlain(x)), isExact: (l, r, x) => l.isProduct(x, r, r) },
} as const satisfies Record<string, Check>;
type CheckName = keyof typeof CHECKS;

const halvesOf = (shape: FloatShape): 1 | 2 => (shape.endsWith('256') ? 2 : 1);
const placesOf = (count: number, halves: 1 | 2): number[] => Array.from({ length: count }, (_, i) => (halves === 2 ? i : 2 * i));

function checkRoutine(name: CheckName, shape: FloatShape): Routine {
  const check: Check = CHECKS[name];
  const kind = kindOf(shape);
  const carrier = CARRIER[kind];
  const halves = halvesOf(shape);
  const count = check.operands * halves;
  return guarded({
    name: `${name}${shape}`,
    params: [...Array.from({ length: count + halves }, () => carrier), 'i32', 'i32'],
    result: carrier,
    places: placesOf(count, halves),
    code: { param: count + halves },
    extra: { param: count + halves + 1 },
    after: (b, params, result) => tellDoubt(new FloatLanes(b, kind), params.slice(0, count), result, halves),
    fast: (b, params) => {
      const l = new FloatLanes(b, kind);
      const results = params.slice(count, count + halves);
      const every = (test: Check['usable']): Value<'i32'> =>
        results
          .map((r, half) => l.all(test(l, r, params[half] as Value, params[check.operands === 1 ? half : half + halves] as Value)))
          .reduce((p, q) => b.and(p, q));
      const { isExact } = check;
      if (isExact === undefined) return { ok: every(check.usable), results };
      const mxcsr = b.get(MXCSR);
      const usable = b.and(every(check.usable), b.eq(b.and(mxcsr, b.i32(MXCSR_PLAIN.mask)), b.i32(MXCSR_PLAIN.value)));
      const ok = b.temp('i32', usable);
      b.if(b.and(usable, b.eqz(b.and(mxcsr, b.i32(MXCSR_PE)))), () => b.set(ok, every(isExact)));
      return { ok: b.get(ok), results };
    },
  });
}

/** Native operations with the check that each needs. Minimum and maximum: the second operand unless the first is less (greater). */
const NATIVE = {
  add: { check: 'sum', compute: (l, x, y) => l.op('add', x, y) },
  sub: { check: 'sum', compute: (l, x, y) => l.op('sub', x, y) },
  addsub: {
    check: 'sum',
    compute: (l, x, y) => {
      const evenSigns = isDouble(l.kind) ? Uint32Array.of(0, 0x8000_0000, 0, 0) : Uint32Array.of(0x8000_0000, 0, 0x8000_0000, 0);
      return l.op('add', x, l.b.op('v128.xor', [y as V, l.b.v128(new Uint8Array(evenSigns.buffer))]));
    },
  },
  mul: { check: 'product', compute: (l, x, y) => l.op('mul', x, y) },
  div: { check: 'quotient', compute: (l, x, y) => l.op('div', x, y) },
  sqrt: { check: 'root', compute: (l, x) => l.op('sqrt', x) },
  min: { check: 'exact', compute: (l, x, y) => l.choose(l.op('lt', x, y), x, y) },
  max: { check: 'exact', compute: (l, x, y) => l.choose(l.op('gt', x, y), x, y) },
} as const satisfies Record<string, { readonly check: CheckName; readonly compute: (l: FloatLanes, x: Value, y: Value) => Value }>;
export type NativeOperation = keyof typeof NATIVE;

/** Calls a routine; its upper half, where the shape has one, is in SIMD_X[1]. */
function callWhole(b: Builder, name: string, shape: FloatShape, args: readonly Value[]): readonly Value[] {
  const low = b.call(floatRoutine(name), args);
  return halvesOf(shape) === 2 ? [low, b.get(SIMD_X[1] as Slot<'v128'>)] : [low];
}

/** Emits `compute` on each half, a quick test and the call of the check. `operands`: all halves of the first, then of the second. */
function callChecked(
  c: Lift,
  check: CheckName,
  shape: FloatShape,
  operands: readonly Value[],
  operation: FloatOperation,
  extra: number,
  compute: (l: FloatLanes, x: Value, y: Value) => Value,
): readonly Value[] {
  const { b, floats } = c;
  const kind = kindOf(shape);
  const halves = halvesOf(shape);
  const l = new FloatLanes(b, kind);
  const natives = Array.from({ length: halves }, (_, half) =>
    compute(l, operands[half] as Value, operands[operands.length - halves + half] as Value),
  );
  const code = floatCode(operation, isDouble(kind), lanesOf(shape));
  const doubt = floats.doubt();
  const isSlow = check === 'exact' ? isSlowExact(l, operands) : isUnusual(l, [...operands.filter((v) => !floats.isKnown(kind, v)), ...natives], doubt);
  const results = unlessSlow(b, isSlow, natives, () => {
    const found = callWhole(b, `${check}${shape}`, shape, [...operands, ...natives, b.i32(code), b.i32(extra)]);
    floats.addDoubt();
    return found;
  });
  for (const v of check === 'exact' && operation === 'cmp' ? operands : [...operands, ...results]) floats.learn(kind, v);
  return results;
}

/** Operations that cannot round want operands that are neither NaNs nor denormal. */
function isSlowExact(l: FloatLanes, operands: readonly Value[]): Value<'i32'> {
  const { b } = l;
  if (l.isVector) return b.eqz(l.all(operands.map((v) => l.isPlain(v)).reduce((p, q) => l.and(p, q))));
  const [x, y] = operands as readonly [Value, Value];
  const isOrdered = b.or(l.op('lt', x, y) as Value<'i32'>, l.op('ge', x, y) as Value<'i32'>);
  return b.or(isDenormal(l, operands), b.eqz(isOrdered));
}

/** Result of an operation, half after half. */
export function callNative(c: Lift, name: NativeOperation, shape: FloatShape, operands: readonly Value[]): readonly Value[] {
  return callChecked(c, NATIVE[name].check, shape, operands, name, 0, NATIVE[name].compute);
}

/** Comparison of plain operands by which of less, equal, greater it holds for (bits 0..2). */
const TRUTH_OP = ['', 'lt', 'eq', 'le', 'gt', 'ne', 'ge', ''] as const;

/** Masks of the lanes for which a predicate holds. */
export function callCompare(c: Lift, shape: FloatShape, operands: readonly Value[], predicate: number): readonly Value[] {
  const { b } = c;
  const truth = (PREDICATE_TRUTH[predicate & 15] as number) & 7;
  return callChecked(c, 'exact', shape, operands, 'cmp', predicate, (l, x, y) => {
    const name = TRUTH_OP[truth] as string;
    const all = truth === 7;
    if (l.isVector) return name === '' ? b.v128(new Uint8Array(16).fill(all ? 0xff : 0)) : l.op(name, x, y);
    const holds = name === '' ? b.i32(all ? 1 : 0) : (l.op(name, x, y) as Value<'i32'>);
    const mask = b.sub(b.i32(0), holds);
    return l.kind === 'ss' ? b.op('f32.reinterpret_i32', [mask]) : b.op('f64.reinterpret_i64', [b.extendS(mask)]);
  });
}

/** ZF, PF, CF of two scalars; the last parameter: quiet NaNs are invalid too. */
const comi = (kind: 'ss' | 'sd'): Routine =>
  guarded({
    name: `comi${kind}`,
    params: [CARRIER[kind], CARRIER[kind], 'i32'],
    result: 'i32',
    places: [0, 2],
    code: floatCode('comi', kind === 'sd', 1),
    extra: { param: 2 },
    fast: (b, [x, y]) => {
      const l = new FloatLanes(b, kind);
      const { flags } = compareNative(l, x as Value, y as Value);
      return { ok: l.all(plain2(l, x as Value, y as Value)), results: [flags] };
    },
  });
/** ZF and CF of operands that are ordered, and whether they are. */
function compareNative(l: FloatLanes, x: Value, y: Value): { readonly isOrdered: Value<'i32'>; readonly flags: Value<'i32'> } {
  const { b } = l;
  const atMost = l.op('le', x, y) as Value<'i32'>;
  const atLeast = l.op('ge', x, y) as Value<'i32'>;
  const isEqual = b.and(atMost, atLeast);
  return { isOrdered: b.or(atMost, atLeast), flags: b.or(b.shl(isEqual, b.i32(6)), b.xor(atMost, isEqual)) };
}
/** EFLAGS of COMISx (`signals`: quiet NaNs are invalid too) and UCOMISx. */
export function compareToFlags(c: Lift, kind: 'ss' | 'sd', x: Value, y: Value, signals: boolean): Value<'i32'> {
  const { b, floats } = c;
  const l = new FloatLanes(b, kind);
  const { isOrdered, flags } = compareNative(l, x, y);
  const doubt = floats.doubt();
  const unknown = [x, y].filter((v) => !floats.isKnown(kind, v));
  // What is known holds where there is no doubt.
  const isDoubtful = unknown.length < 2 ? [doubt] : [];
  const isSlow = [...isDoubtful, ...(unknown.length > 0 ? [isDenormal(l, unknown)] : []), b.eqz(isOrdered)].reduce((p, q) => b.or(p, q));
  return unlessSlow(b, isSlow, [flags], () => [b.call(floatRoutine(`comi${kind}`), [x, y, b.i32(signals ? 1 : 0)])])[0] as Value<'i32'>;
}

// ---- rounding to integral values

const ROUND_OP = ['nearest', 'floor', 'ceil', 'trunc'] as const;
/** (operands, native results, immediate, MXCSR mask << 16 | value). A value that is integral already stays, whatever MXCSR says. */
function roundRoutine(shape: FloatShape): Routine {
  const kind = kindOf(shape);
  const halves = halvesOf(shape);
  const carrier = CARRIER[kind];
  return guarded({
    name: `round${shape}`,
    params: [...Array.from({ length: 2 * halves }, () => carrier), 'i32', 'i32'],
    result: carrier,
    places: placesOf(halves, halves),
    code: floatCode('round', isDouble(kind), lanesOf(shape)),
    extra: { param: 2 * halves },
    fast: (b, params) => {
      const l = new FloatLanes(b, kind);
      const results = params.slice(halves, 2 * halves);
      const every = (test: (x: Value, r: Value) => Value): Value<'i32'> =>
        results.map((r, i) => l.all(test(params[i] as Value, r))).reduce((p, q) => b.and(p, q));
      const wanted = params[2 * halves + 1] as Value<'i32'>;
      const mxcsr = b.get(MXCSR);
      const allowed = b.eq(b.and(mxcsr, b.shrU(wanted, b.i32(16))), b.and(wanted, b.i32(0xffff)));
      return {
        ok: b.or(
          every((x, r) => l.op('eq', x, r)),
          b.and(
            every((x) => l.op('eq', x, x)),
            allowed,
          ),
        ),
        results,
      };
    },
  });
}

/** ROUNDxx by its immediate: bit 3 does not report PE, bit 2 takes MXCSR's rounding, bits 1..0 say it otherwise. */
export function callRound(b: Builder, shape: FloatShape, operands: readonly Value[], immediate: number): readonly Value[] {
  const l = new FloatLanes(b, kindOf(shape));
  const fromMxcsr = (immediate & 4) !== 0;
  const natives = operands.map((x) => l.op(fromMxcsr ? 'nearest' : (ROUND_OP[immediate & 3] as string), x));
  const mask = immediate & 8 ? (fromMxcsr ? MXCSR_ROUNDING | MXCSR_DAZ : MXCSR_DAZ) : MXCSR_ROUND.mask;
  const value = immediate & 8 ? 0 : MXCSR_ROUND.value;
  return callWhole(b, `round${shape}`, shape, [...operands, ...natives, b.i32(immediate), b.i32((mask << 16) | value)]);
}

const CHECK_NAMES = Object.keys(CHECKS) as CheckName[];
export const FLOAT_ROUTINES: ReadonlyMap<string, Routine> = new Map(
  [
    ...FLOAT_SHAPES.flatMap((shape) => [...CHECK_NAMES.map((name) => checkRoutine(name, shape)), roundRoutine(shape)]),
    comi('ss'),
    comi('sd'),
  ].map((r) => [r.name, r]),
);

export function floatRoutine(name: string): Routine {
  const found = FLOAT_ROUTINES.get(name);
  if (found === undefined) throw new TypeError(`no routine ${name}`);
  return found;
}
