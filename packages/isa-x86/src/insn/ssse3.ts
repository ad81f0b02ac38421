// SSSE3, on MMX, SSE, AVX and AVX2 registers. SDM Vol. 1 chapter 12.

import type { Row } from '../row.ts';
import { align, alignMmx, horizontal, multiplyAddBytes, multiplyRound, shuffleBytes, sign } from './simd-integer.ts';
import { insn } from '../row.ts';
import { integerRows, liftMmx, op1, unaryRows, type Binary } from './simd-rows.ts';

const BINARY: readonly (readonly [string, string, Binary, 'low' | 'evens'])[] = [
  ['00', 'pshufb', shuffleBytes, 'low'],
  ['01', 'phaddw', horizontal('i16x8.add', 2), 'evens'],
  ['02', 'phaddd', horizontal('i32x4.add', 4), 'evens'],
  ['03', 'phaddsw', horizontal('i16x8.add_sat_s', 2), 'evens'],
  ['04', 'pmaddubsw', multiplyAddBytes, 'low'],
  ['05', 'phsubw', horizontal('i16x8.sub', 2), 'evens'],
  ['06', 'phsubd', horizontal('i32x4.sub', 4), 'evens'],
  ['07', 'phsubsw', horizontal('i16x8.sub_sat_s', 2), 'evens'],
  ['08', 'psignb', sign('i8x16'), 'low'],
  ['09', 'psignw', sign('i16x8'), 'low'],
  ['0A', 'psignd', sign('i32x4'), 'low'],
  ['0B', 'pmulhrsw', multiplyRound, 'low'],
];

export const SSSE3_ROWS: readonly Row[] = [
  ...BINARY.flatMap(([opcode, name, f, part]) => integerRows(`0F38 ${opcode}`, name, 'ssse3', f, { mmx: 'ssse3', part })),
  ...unaryRows('66', '0F38 1C', 'pabsb', 'ssse3', op1('i8x16.abs'), { mmx: 'ssse3' }),
  ...unaryRows('66', '0F38 1D', 'pabsw', 'ssse3', op1('i16x8.abs'), { mmx: 'ssse3' }),
  ...unaryRows('66', '0F38 1E', 'pabsd', 'ssse3', op1('i32x4.abs'), { mmx: 'ssse3' }),
  ...integerRows('0F3A 0F', 'palignr', 'ssse3', align, { imm: true }),
  insn('NP 0F3A 0F', 'palignr Pq,Qq,Ib', 'ssse3', liftMmx(alignMmx, 'low')),
];
