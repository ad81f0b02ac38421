// Families of rows: the MMX, SSE, AVX (128 bits) and AVX2 (256 bits) encodings of one packed instruction, from one meaning. SDM Vol. 2, 2.3.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import type { OpName } from '@anillo/ir/ops';
import type { Feature } from '../cpu-model.ts';
import type { Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { checkMmx, enterMmx, low64, mmRegister, readMm, readVector, setMm, splat64, writeVector, type Halves, type V } from './simd-operands.ts';

/** Result of 128 bits from two operands of 128 bits; `half` is 1 for the upper half of a 256-bit instruction. */
export type Binary = (c: Lift, x: V, y: V, half: number) => V;
export type Unary = (c: Lift, x: V, half: number) => V;

/** Which part of the result of splatted operands is the MMX result: bits 63..0, 127..64, or 32-bit lanes 0 and 2. */
export type MmxPart = 'low' | 'high' | 'evens';

export interface FamilyOptions {
  /** Feature of the MMX form, where there is one. */
  readonly mmx?: Feature;
  readonly part?: MmxPart;
  /** The MMX form reads only 4 bytes of memory. */
  readonly mmx32?: boolean;
  /** An 8-bit immediate follows. */
  readonly imm?: boolean;
  /** The 256-bit form, where both halves together take less than each alone. */
  readonly wide?: (c: Lift, x: Halves, y: Halves) => Halves;
}

/** Op of the IR with two vector arguments. */
export const op2 =
  (name: OpName): Binary =>
  (c, x, y) =>
    c.b.op(name as 'v128.and', [x, y]);
export const op1 =
  (name: OpName): Unary =>
  (c, x) =>
    c.b.op(name as 'v128.not', [x]);

export function mmxPart(b: Builder, v: V, part: MmxPart): Value<'i64'> {
  if (part === 'high') return b.op('i64x2.extract_lane', [v], 1);
  if (part === 'low') return low64(b, v);
  return low64(b, b.shuffle(v, v, [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]));
}

/** Meaning of legacy and VEX forms: destination is operand 0, sources are the last two vector operands. */
const liftWhole =
  (f: (c: Lift, x: Halves, y: Halves) => Halves, aligned?: boolean) =>
  (c: Lift): void => {
    const first = c.d.row.vex ? 1 : 0;
    const y = readVector(c, first + 1, aligned);
    const x = readVector(c, first);
    writeVector(c, 0, f(c, x, y));
  };
export const liftBinary = (f: Binary, aligned?: boolean): ((c: Lift) => void) =>
  liftWhole((c, x, y) => x.map((v, i) => f(c, v, y[i] as V, i)), aligned);
export const liftUnary =
  (f: Unary) =>
  (c: Lift): void => {
    writeVector(
      c,
      0,
      readVector(c, 1).map((v, i) => f(c, v, i)),
    );
  };
export const liftMmx =
  (f: Binary, part: MmxPart, byteCount: 4 | 8 = 8) =>
  (c: Lift): void => {
    checkMmx(c);
    const y = splat64(c.b, readMm(c, 1, byteCount));
    const x = splat64(c.b, readMm(c, 0));
    const value = mmxPart(c.b, f(c, x, y, 0), part);
    enterMmx(c);
    setMm(c, mmRegister(c, 0), value);
  };

/** Packed integer instruction of two operands, `66` prefixed. `encoding`: map and opcode byte. */
export function integerRows(encoding: string, name: string, sse: Feature, f: Binary, options: FamilyOptions = {}): Row[] {
  const tail = options.imm ? ',Ib' : '';
  const lift = liftBinary(f);
  const rows = [
    insn(`66 ${encoding}`, `${name} Vdq,Wdq${tail}`, sse, lift),
    insn(`VEX 66 ${encoding} L0`, `v${name} Vx,Hx,Wx${tail}`, 'avx', lift),
    insn(`VEX 66 ${encoding} L1`, `v${name} Vx,Hx,Wx${tail}`, 'avx2', options.wide ? liftWhole(options.wide) : lift),
  ];
  if (options.mmx)
    rows.push(insn(`NP ${encoding}`, `${name} Pq,Qq${tail}`, options.mmx, liftMmx(f, options.part ?? 'low', options.mmx32 ? 4 : 8)));
  return rows;
}

/** Packed integer instruction of one operand. */
export function unaryRows(prefix: string, encoding: string, name: string, sse: Feature, f: Unary, options: FamilyOptions = {}): Row[] {
  const tail = options.imm ? ',Ib' : '';
  const lift = liftUnary(f);
  const rows = [
    insn(`${prefix} ${encoding}`, `${name} Vdq,Wdq${tail}`, sse, lift),
    insn(`VEX ${prefix} ${encoding} L0`, `v${name} Vx,Wx${tail}`, 'avx', lift),
    insn(`VEX ${prefix} ${encoding} L1`, `v${name} Vx,Wx${tail}`, 'avx2', lift),
  ];
  if (options.mmx)
    rows.push(
      insn(
        `NP ${encoding}`,
        `${name} Pq,Qq${tail}`,
        options.mmx,
        liftMmx((c, _, y) => f(c, y, 0), options.part ?? 'low'),
      ),
    );
  return rows;
}

/** Bitwise or shuffling instruction on floating-point data: 256-bit form in AVX. */
export function floatMoveRows(
  prefix: 'NP' | '66' | 'F2' | 'F3',
  encoding: string,
  name: string,
  sse: Feature,
  f: Binary,
  imm = false,
): Row[] {
  const tail = imm ? ',Ib' : '';
  const lift = liftBinary(f);
  return [
    insn(`${prefix} ${encoding}`, `${name} Vdq,Wdq${tail}`, sse, lift),
    insn(`VEX ${prefix} ${encoding}`, `v${name} Vx,Hx,Wx${tail}`, 'avx', lift),
  ];
}

/** An instruction with 128-bit legacy and VEX forms only. */
export function rows128(
  prefix: string,
  encoding: string,
  name: string,
  feature: Feature,
  vexFeature: Feature,
  f: Binary,
  imm = false,
): Row[] {
  const tail = imm ? ',Ib' : '';
  const lift = liftBinary(f);
  return [
    insn(`${prefix} ${encoding}`, `${name} Vdq,Wdq${tail}`, feature, lift),
    insn(`VEX ${prefix} ${encoding} L0`, `v${name} Vdq,Hdq,Wdq${tail}`, vexFeature, lift),
  ];
}
