// Families of floating-point rows: packed and scalar, single and double, legacy and VEX, from one routine name each. SDM Vol. 2.

import type { Value } from '@anillo/ir/block';
import type { Routine } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import type { Feature } from '../cpu-model.ts';
import type { Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { SIMD_X } from '../state.ts';
import { callNative, type FloatShape, type NativeOperation } from './simd-float-routines.ts';
import {
  getXmm,
  readDouble,
  readSingle,
  readVector,
  setVector,
  splat64,
  vectorRegister,
  writeVector,
  type Halves,
  type V,
} from './simd-operands.ts';

export type ScalarKind = 'ss' | 'sd';
export type PackedKind = 'ps' | 'pd';

/** Upper half that a routine with two results has left. */
export const upperResult = (c: Lift): V => c.b.get(SIMD_X[1] as Slot<'v128'>);

/** Calls a routine on whole operands; with two halves it gives back the upper one in simdX. */
export function callHalves(
  c: Lift,
  find: (shape: FloatShape) => Routine,
  kind: PackedKind,
  operands: readonly Halves[],
  tail: readonly Value[] = [],
): Halves {
  const two = (operands[0] as Halves).length === 2;
  const routine = find(two ? `${kind}256` : kind);
  const low = c.b.call(routine, [...operands.flat(), ...tail]) as V;
  return two ? [low, upperResult(c)] : [low];
}

/** An operation on whole operands, `call` given the shape and the operands' halves in a row. */
export function onHalves(
  kind: PackedKind,
  operands: readonly Halves[],
  call: (shape: FloatShape, operands: readonly Value[]) => readonly Value[],
): Halves {
  return call((operands[0] as Halves).length === 2 ? `${kind}256` : kind, operands.flat()) as readonly Value[] as Halves;
}
export const callPacked = (c: Lift, name: NativeOperation, kind: PackedKind, operands: readonly Halves[]): Halves =>
  onHalves(kind, operands, (shape, values) => callNative(c, name, shape, values));

/** Index of the first source: VEX forms have it beside the destination. */
export const firstSource = (c: Lift): number => (c.d.row.vex ? 1 : 0);

export const readScalar = (c: Lift, i: number, kind: ScalarKind): Value => (kind === 'ss' ? readSingle(c, i) : readDouble(c, i));
export const scalarOf = (c: Lift, v: V, kind: ScalarKind): Value =>
  kind === 'ss' ? c.b.op('f32x4.extract_lane', [v], 0) : c.b.op('f64x2.extract_lane', [v], 0);
/** v with lane 0 replaced by a scalar. */
export const mergeScalar = (c: Lift, v: V, scalar: Value, kind: ScalarKind): V =>
  kind === 'ss'
    ? c.b.op('f32x4.replace_lane', [v, scalar as Value<'f32'>], 0)
    : c.b.op('f64x2.replace_lane', [v, scalar as Value<'f64'>], 0);
/** Lane 0 of `from` over lane 0 of v. */
export const mergeLane = (c: Lift, v: V, from: V, kind: ScalarKind): V =>
  kind === 'ss'
    ? c.b.op('i32x4.replace_lane', [v, c.b.op('i32x4.extract_lane', [from], 0)], 0)
    : c.b.op('i64x2.replace_lane', [v, c.b.op('i64x2.extract_lane', [from], 0)], 0);
/** A vector all of whose lanes are the scalar operand. */
export function splatScalar(c: Lift, i: number, kind: ScalarKind): V {
  if (kind === 'ss') return c.b.op('i32x4.splat', [c.b.op('i32.reinterpret_f32', [readSingle(c, i)])]);
  return splat64(c.b, c.b.op('i64.reinterpret_f64', [readDouble(c, i)]));
}

const packedBinary =
  (name: NativeOperation, kind: PackedKind) =>
  (c: Lift): void => {
    const first = firstSource(c);
    const y = readVector(c, first + 1);
    const x = readVector(c, first);
    setVector(c, vectorRegister(c, 0), callPacked(c, name, kind, [x, y]));
  };
const packedUnary =
  (name: NativeOperation, kind: PackedKind) =>
  (c: Lift): void => {
    setVector(c, vectorRegister(c, 0), callPacked(c, name, kind, [readVector(c, 1)]));
  };
const scalarBinary =
  (name: NativeOperation, kind: ScalarKind) =>
  (c: Lift): void => {
    const first = firstSource(c);
    const y = readScalar(c, first + 1, kind);
    const merge = getXmm(c, vectorRegister(c, first));
    const [r] = callNative(c, name, kind, [scalarOf(c, merge, kind), y]);
    setVector(c, vectorRegister(c, 0), [mergeScalar(c, merge, r as Value, kind)]);
  };
/** Result over lane 0 of the destination, in VEX forms of the first source. */
const scalarUnary =
  (name: NativeOperation, kind: ScalarKind) =>
  (c: Lift): void => {
    const first = firstSource(c);
    const [r] = callNative(c, name, kind, [readScalar(c, first + 1, kind)]);
    setVector(c, vectorRegister(c, 0), [mergeScalar(c, getXmm(c, vectorRegister(c, first)), r as Value, kind)]);
  };

const PREFIX = { ps: 'NP', pd: '66', ss: 'F3', sd: 'F2' } as const;
export const SCALAR_SIZE = { ss: 'd', sd: 'q' } as const;
export const featureOf = (kind: PackedKind | ScalarKind): Feature => (kind[1] === 's' ? 'sse' : 'sse2');

/** One opcode of map 0F in all of its forms: xxxPS, xxxPD, xxxSS, xxxSD. */
export function arithmeticRows(opcode: string, name: NativeOperation, operands: 1 | 2): Row[] {
  const rows: Row[] = [];
  for (const kind of ['ps', 'pd'] as const) {
    const lift = operands === 2 ? packedBinary(name, kind) : packedUnary(name, kind);
    rows.push(insn(`${PREFIX[kind]} 0F ${opcode}`, `${name}${kind} Vdq,Wdq`, featureOf(kind), lift));
    rows.push(insn(`VEX ${PREFIX[kind]} 0F ${opcode}`, `v${name}${kind} ${operands === 2 ? 'Vx,Hx,Wx' : 'Vx,Wx'}`, 'avx', lift));
  }
  for (const kind of ['ss', 'sd'] as const) {
    const lift = operands === 2 ? scalarBinary(name, kind) : scalarUnary(name, kind);
    const size = SCALAR_SIZE[kind];
    rows.push(insn(`${PREFIX[kind]} 0F ${opcode}`, `${name}${kind} Vdq,W${size}`, featureOf(kind), lift));
    rows.push(insn(`VEX ${PREFIX[kind]} 0F ${opcode}`, `v${name}${kind} Vdq,Hdq,W${size}`, 'avx', lift));
  }
  return rows;
}

/** Packed instruction of two operands that goes through a shaped routine, after the operands have been rearranged. */
export function rearrangedRows(
  prefix: 'NP' | '66' | 'F2',
  opcode: string,
  mnemonic: string,
  feature: Feature,
  operation: NativeOperation,
  kind: PackedKind,
  arrange: (c: Lift, x: V, y: V) => readonly [V, V],
): Row[] {
  const lift = (c: Lift): void => {
    const first = firstSource(c);
    const y = readVector(c, first + 1);
    const x = readVector(c, first);
    const pairs = x.map((v, i) => arrange(c, v, y[i] as V));
    writeVector(c, 0, callPacked(c, operation, kind, [pairs.map((p) => p[0]), pairs.map((p) => p[1])]));
  };
  return [
    insn(`${prefix} 0F ${opcode}`, `${mnemonic} Vdq,Wdq`, feature, lift),
    insn(`VEX ${prefix} 0F ${opcode}`, `v${mnemonic} Vx,Hx,Wx`, 'avx', lift),
  ];
}
