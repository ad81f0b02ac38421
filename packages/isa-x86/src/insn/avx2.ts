// AVX2: what has no legacy form. The 256-bit forms of packed integer instructions stand beside their legacy rows. SDM Vol. 1, 14.7; Vol. 2.

import type { Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { broadcast, extractHalf, insertHalf, maskedLoad, maskedStore, permuteHalves } from './avx.ts';
import { GATHER_ROWS } from './gather.ts';
import { blendByImmediate, laneBytes, shiftEach } from './simd-integer.ts';
import { imm8, readVector, setVector, vector32, vectorRegister, type V } from './simd-operands.ts';
import { liftBinary } from './simd-rows.ts';

/** VPERMD, VPERMPS: eight lanes of operand 2 by the low three bits of operand 1's. */
const permuteLanes = (c: Lift): void => {
  const { b } = c;
  const [low, high] = readVector(c, 2) as [V, V];
  const result = readVector(c, 1).map((indexes) => {
    const bytes = b.op('i32x4.add', [
      b.op('i32x4.mul', [b.op('v128.and', [indexes, vector32(b, 3)]), vector32(b, 0x04040404)]),
      vector32(b, 0x03020100),
    ]);
    const upper = b.op('i32x4.shr_s', [b.op('i32x4.shl', [indexes, b.i32(29)]), b.i32(31)]);
    return b.op('v128.bitselect', [b.op('i8x16.swizzle', [high, bytes]), b.op('i8x16.swizzle', [low, bytes]), upper]);
  });
  setVector(c, vectorRegister(c, 0), result);
};
/** VPERMQ, VPERMPD: four lanes by pairs of bits of the immediate. */
const permuteQuads = (c: Lift): void => {
  const [low, high] = readVector(c, 1) as [V, V];
  const pick = (at: number): number => (imm8(c) >> at) & 3;
  setVector(c, vectorRegister(c, 0), [
    c.b.shuffle(low, high, laneBytes([pick(0), pick(2)], 8)),
    c.b.shuffle(low, high, laneBytes([pick(4), pick(6)], 8)),
  ]);
};

export const AVX2_ROWS: readonly Row[] = [
  insn('VEX 66 0F38 18 W0 reg', 'vbroadcastss Vx,Wd', 'avx2', broadcast(4)),
  insn('VEX 66 0F38 19 W0 L1 reg', 'vbroadcastsd Vqq,Wq', 'avx2', broadcast(8)),
  insn('VEX 66 0F38 5A W0 L1 mem', 'vbroadcasti128 Vqq,Wdq', 'avx2', broadcast(16)),
  insn('VEX 66 0F38 58 W0', 'vpbroadcastd Vx,Wd', 'avx2', broadcast(4)),
  insn('VEX 66 0F38 59 W0', 'vpbroadcastq Vx,Wq', 'avx2', broadcast(8)),
  insn('VEX 66 0F38 78 W0', 'vpbroadcastb Vx,Wb', 'avx2', broadcast(1)),
  insn('VEX 66 0F38 79 W0', 'vpbroadcastw Vx,Ww', 'avx2', broadcast(2)),
  insn('VEX 66 0F38 16 W0 L1', 'vpermps Vqq,Hqq,Wqq', 'avx2', permuteLanes),
  insn('VEX 66 0F38 36 W0 L1', 'vpermd Vqq,Hqq,Wqq', 'avx2', permuteLanes),
  insn('VEX 66 0F3A 00 W1 L1', 'vpermq Vqq,Wqq,Ib', 'avx2', permuteQuads),
  insn('VEX 66 0F3A 01 W1 L1', 'vpermpd Vqq,Wqq,Ib', 'avx2', permuteQuads),
  insn(
    'VEX 66 0F3A 02 W0',
    'vpblendd Vx,Hx,Wx,Ib',
    'avx2',
    liftBinary((c, x, y, half) => blendByImmediate(c.b, x, y, imm8(c) >> (4 * half), 4)),
  ),
  insn('VEX 66 0F3A 38 W0 L1', 'vinserti128 Vqq,Hqq,Wdq,Ib', 'avx2', insertHalf),
  insn('VEX 66 0F3A 39 W0 L1', 'vextracti128 Wdq,Vqq,Ib', 'avx2', extractHalf),
  insn('VEX 66 0F3A 46 W0 L1', 'vperm2i128 Vqq,Hqq,Wqq,Ib', 'avx2', permuteHalves),
  insn('VEX 66 0F38 45 W0', 'vpsrlvd Vx,Hx,Wx', 'avx2', liftBinary(shiftEach('shr_u', 32))),
  insn('VEX 66 0F38 45 W1', 'vpsrlvq Vx,Hx,Wx', 'avx2', liftBinary(shiftEach('shr_u', 64))),
  insn('VEX 66 0F38 46 W0', 'vpsravd Vx,Hx,Wx', 'avx2', liftBinary(shiftEach('shr_s', 32))),
  insn('VEX 66 0F38 47 W0', 'vpsllvd Vx,Hx,Wx', 'avx2', liftBinary(shiftEach('shl', 32))),
  insn('VEX 66 0F38 47 W1', 'vpsllvq Vx,Hx,Wx', 'avx2', liftBinary(shiftEach('shl', 64))),
  insn('VEX 66 0F38 8C W0 mem', 'vpmaskmovd Vx,Hx,Wx', 'avx2', maskedLoad(4)),
  insn('VEX 66 0F38 8C W1 mem', 'vpmaskmovq Vx,Hx,Wx', 'avx2', maskedLoad(8)),
  insn('VEX 66 0F38 8E W0 mem', 'vpmaskmovd Wx,Hx,Vx', 'avx2', maskedStore(4)),
  insn('VEX 66 0F38 8E W1 mem', 'vpmaskmovq Wx,Hx,Vx', 'avx2', maskedStore(8)),
  ...GATHER_ROWS,
];
