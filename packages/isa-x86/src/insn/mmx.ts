// Packed integer instructions of MMX with their SSE2, AVX and AVX2 forms, and the instructions that MMX alone has. SDM Vol. 1 chapter 9, Vol. 2.

import type { OpName } from '@anillo/ir/ops';
import type { Feature } from '../cpu-model.ts';
import type { Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { requireMmx } from '../usable.ts';
import {
  andNot,
  multiplyEven,
  multiplyEvenWide,
  multiplyHigh,
  shiftBytes,
  shiftConstant,
  shiftVariable,
  sumDifferences,
  unpack,
  type ShiftKind,
} from './simd-integer.ts';
import {
  checkMmx,
  enterMmx,
  imm8,
  leaveMmx,
  low64,
  mmRegister,
  readLow64,
  readMm,
  readVector,
  setMm,
  splat64,
  vectorRegister,
  setVector,
  isMemory,
  loadVector,
  vectorAddress,
} from './simd-operands.ts';
import { integerRows, op2, type Binary, type FamilyOptions } from './simd-rows.ts';

/** Opcode (map 0F), name, feature of the MMX form, meaning, options. */
const BINARY: readonly (readonly [string, string, Feature | undefined, OpName | Binary, FamilyOptions?])[] = [
  ['60', 'punpcklbw', 'mmx', unpack(1, false), { mmx32: true }],
  ['61', 'punpcklwd', 'mmx', unpack(2, false), { mmx32: true }],
  ['62', 'punpckldq', 'mmx', unpack(4, false), { mmx32: true }],
  ['63', 'packsswb', 'mmx', 'i8x16.narrow_i16x8_s', { part: 'evens' }],
  ['64', 'pcmpgtb', 'mmx', 'i8x16.gt_s'],
  ['65', 'pcmpgtw', 'mmx', 'i16x8.gt_s'],
  ['66', 'pcmpgtd', 'mmx', 'i32x4.gt_s'],
  ['67', 'packuswb', 'mmx', 'i8x16.narrow_i16x8_u', { part: 'evens' }],
  ['68', 'punpckhbw', 'mmx', unpack(1, true), { part: 'high' }],
  ['69', 'punpckhwd', 'mmx', unpack(2, true), { part: 'high' }],
  ['6A', 'punpckhdq', 'mmx', unpack(4, true), { part: 'high' }],
  ['6B', 'packssdw', 'mmx', 'i16x8.narrow_i32x4_s', { part: 'evens' }],
  ['6C', 'punpcklqdq', undefined, unpack(8, false)],
  ['6D', 'punpckhqdq', undefined, unpack(8, true)],
  ['74', 'pcmpeqb', 'mmx', 'i8x16.eq'],
  ['75', 'pcmpeqw', 'mmx', 'i16x8.eq'],
  ['76', 'pcmpeqd', 'mmx', 'i32x4.eq'],
  ['D4', 'paddq', 'sse2', 'i64x2.add'],
  ['D5', 'pmullw', 'mmx', 'i16x8.mul'],
  ['D8', 'psubusb', 'mmx', 'i8x16.sub_sat_u'],
  ['D9', 'psubusw', 'mmx', 'i16x8.sub_sat_u'],
  ['DA', 'pminub', 'sse', 'i8x16.min_u'],
  ['DB', 'pand', 'mmx', 'v128.and'],
  ['DC', 'paddusb', 'mmx', 'i8x16.add_sat_u'],
  ['DD', 'paddusw', 'mmx', 'i16x8.add_sat_u'],
  ['DE', 'pmaxub', 'sse', 'i8x16.max_u'],
  ['DF', 'pandn', 'mmx', andNot],
  ['E0', 'pavgb', 'sse', 'i8x16.avgr_u'],
  ['E3', 'pavgw', 'sse', 'i16x8.avgr_u'],
  ['E4', 'pmulhuw', 'sse', multiplyHigh(false)],
  ['E5', 'pmulhw', 'mmx', multiplyHigh(true)],
  ['E8', 'psubsb', 'mmx', 'i8x16.sub_sat_s'],
  ['E9', 'psubsw', 'mmx', 'i16x8.sub_sat_s'],
  ['EA', 'pminsw', 'sse', 'i16x8.min_s'],
  ['EB', 'por', 'mmx', 'v128.or'],
  ['EC', 'paddsb', 'mmx', 'i8x16.add_sat_s'],
  ['ED', 'paddsw', 'mmx', 'i16x8.add_sat_s'],
  ['EE', 'pmaxsw', 'sse', 'i16x8.max_s'],
  ['EF', 'pxor', 'mmx', 'v128.xor'],
  ['F4', 'pmuludq', 'sse2', multiplyEven(false), { wide: multiplyEvenWide(false) }],
  ['F5', 'pmaddwd', 'mmx', 'i32x4.dot_i16x8_s'],
  ['F6', 'psadbw', 'sse', sumDifferences],
  ['F8', 'psubb', 'mmx', 'i8x16.sub'],
  ['F9', 'psubw', 'mmx', 'i16x8.sub'],
  ['FA', 'psubd', 'mmx', 'i32x4.sub'],
  ['FB', 'psubq', 'sse2', 'i64x2.sub'],
  ['FC', 'paddb', 'mmx', 'i8x16.add'],
  ['FD', 'paddw', 'mmx', 'i16x8.add'],
  ['FE', 'paddd', 'mmx', 'i32x4.add'],
];

// ---- shifts: by the low 64 bits of a register or memory operand, or by an immediate

/** Opcode of the register form, opcode and ModRM.reg of the immediate form, name, kind, lane width. */
const SHIFTS: readonly (readonly [string, string, string, ShiftKind, 16 | 32 | 64])[] = [
  ['D1', '71 /2', 'psrlw', 'shr_u', 16],
  ['D2', '72 /2', 'psrld', 'shr_u', 32],
  ['D3', '73 /2', 'psrlq', 'shr_u', 64],
  ['E1', '71 /4', 'psraw', 'shr_s', 16],
  ['E2', '72 /4', 'psrad', 'shr_s', 32],
  ['F1', '71 /6', 'psllw', 'shl', 16],
  ['F2', '72 /6', 'pslld', 'shl', 32],
  ['F3', '73 /6', 'psllq', 'shl', 64],
];

function shiftRows(opcode: string, group: string, name: string, kind: ShiftKind, width: 16 | 32 | 64): Row[] {
  const byCount = (c: Lift): void => {
    const first = c.d.row.vex ? 1 : 0;
    const i = first + 1;
    // A count in memory is read as 16 bytes, of which 8 count.
    const count = isMemory(c, i) ? low64(c.b, loadVector(c.b, vectorAddress(c, 16, false, !c.d.row.vex))) : readLow64(c, i);
    setVector(
      c,
      vectorRegister(c, 0),
      readVector(c, first).map((v) => shiftVariable(c.b, v, kind, width, count)),
    );
  };
  const byImmediate = (c: Lift): void => {
    const source = c.d.row.vex ? 1 : 0;
    setVector(
      c,
      vectorRegister(c, 0),
      readVector(c, source).map((v) => shiftConstant(c.b, v, kind, width, imm8(c))),
    );
  };
  const mmxByCount = (c: Lift): void => {
    checkMmx(c);
    const count = readMm(c, 1);
    const value = low64(c.b, shiftVariable(c.b, splat64(c.b, readMm(c, 0)), kind, width, count));
    enterMmx(c);
    setMm(c, mmRegister(c, 0), value);
  };
  const mmxByImmediate = (c: Lift): void => {
    checkMmx(c);
    const value = low64(c.b, shiftConstant(c.b, splat64(c.b, readMm(c, 0)), kind, width, imm8(c)));
    enterMmx(c);
    setMm(c, mmRegister(c, 0), value);
  };
  return [
    insn(`NP 0F ${opcode}`, `${name} Pq,Qq`, 'mmx', mmxByCount),
    insn(`66 0F ${opcode}`, `${name} Vdq,Wdq`, 'sse2', byCount),
    insn(`VEX 66 0F ${opcode} L0`, `v${name} Vx,Hx,Wdq`, 'avx', byCount),
    insn(`VEX 66 0F ${opcode} L1`, `v${name} Vx,Hx,Wdq`, 'avx2', byCount),
    insn(`NP 0F ${group} reg`, `${name} Nq,Ib`, 'mmx', mmxByImmediate),
    insn(`66 0F ${group} reg`, `${name} Udq,Ib`, 'sse2', byImmediate),
    insn(`VEX 66 0F ${group} reg L0`, `v${name} Hx,Ux,Ib`, 'avx', byImmediate),
    insn(`VEX 66 0F ${group} reg L1`, `v${name} Hx,Ux,Ib`, 'avx2', byImmediate),
  ];
}

function byteShiftRows(group: string, name: string, left: boolean): Row[] {
  const lift = (c: Lift): void => {
    const source = c.d.row.vex ? 1 : 0;
    setVector(
      c,
      vectorRegister(c, 0),
      readVector(c, source).map((v) => shiftBytes(c.b, v, left, imm8(c))),
    );
  };
  return [
    insn(`66 0F ${group} reg`, `${name} Udq,Ib`, 'sse2', lift),
    insn(`VEX 66 0F ${group} reg L0`, `v${name} Hx,Ux,Ib`, 'avx', lift),
    insn(`VEX 66 0F ${group} reg L1`, `v${name} Hx,Ux,Ib`, 'avx2', lift),
  ];
}

function emms(c: Lift): void {
  if (!requireMmx(c)) return;
  checkMmx(c);
  leaveMmx(c);
}

export const MMX_ROWS: readonly Row[] = [
  ...BINARY.flatMap(([opcode, name, mmx, meaning, options]) =>
    integerRows(`0F ${opcode}`, name, 'sse2', typeof meaning === 'string' ? op2(meaning) : meaning, mmx ? { ...options, mmx } : options),
  ),
  ...SHIFTS.flatMap((s) => shiftRows(...s)),
  ...byteShiftRows('73 /3', 'psrldq', false),
  ...byteShiftRows('73 /7', 'pslldq', true),

  insn('NP 0F 6E', 'movd Pq,Ey', 'mmx', (c) => {
    checkMmx(c);
    const value = c.to64(c.read(1));
    enterMmx(c);
    setMm(c, mmRegister(c, 0), value);
  }),
  insn('NP 0F 7E', 'movd Ey,Pq', 'mmx', (c) => {
    checkMmx(c);
    c.write(0, readMm(c, 1));
    enterMmx(c);
  }),
  insn('NP 0F 6F', 'movq Pq,Qq', 'mmx', (c) => {
    checkMmx(c);
    const value = readMm(c, 1);
    enterMmx(c);
    setMm(c, mmRegister(c, 0), value);
  }),
  insn('NP 0F 7F', 'movq Qq,Pq', 'mmx', (c) => {
    checkMmx(c);
    const value = readMm(c, 1);
    if (isMemory(c, 0)) c.store(c.memory(8, true), 64, value);
    enterMmx(c);
    if (!isMemory(c, 0)) setMm(c, mmRegister(c, 0), value);
  }),
  insn('NP 0F 77', 'emms', 'mmx', emms),
];
