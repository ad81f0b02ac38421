// SSE4.2: PCMPGTQ, string comparison, CRC32. SDM Vol. 1, 12.11; Vol. 2.

import type { Value } from '@anillo/ir/block';
import type { Slot } from '@anillo/ir/slot';
import type { Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { RAX, RCX, RDX, SIMD_X, XMM, YMM_HIGH } from '../state.ts';
import { imm8, readVector, vectorZero } from './simd-operands.ts';
import { integerRows, op2 } from './simd-rows.ts';
import { CRC32C, STRING_COMPARE } from './string-compare.ts';

/** Magnitude of a length register, at most the number of elements. */
function lengthOf(c: Lift, register: number, count: number): Value<'i32'> {
  const { b } = c;
  if (c.d.w === 1 && c.is64) {
    const v = c.reg(register, 64) as Value<'i64'>;
    const size = b.select(b.ltS(v, b.i64(0)), b.sub(b.i64(0), v), v);
    return b.select(b.ltU(size, b.i64(count)), b.wrap(size), b.i32(count));
  }
  const v = c.reg(register, 32) as Value<'i32'>;
  const size = b.select(b.ltS(v, b.i32(0)), b.sub(b.i32(0), v), v);
  return b.select(b.ltU(size, b.i32(count)), size, b.i32(count));
}

const stringRow =
  (explicit: boolean, toIndex: boolean) =>
  (c: Lift): void => {
    const { b } = c;
    const control = imm8(c);
    const count = control & 1 ? 8 : 16;
    // Memory operands need no alignment.
    const y = readVector(c, 1, false)[0] as Value<'v128'>;
    b.set(SIMD_X[0] as Slot<'v128'>, readVector(c, 0)[0] as Value<'v128'>);
    b.set(SIMD_X[2] as Slot<'v128'>, y);
    const lengths = explicit ? [lengthOf(c, RAX, count), lengthOf(c, RDX, count)] : [b.i32(-1), b.i32(-1)];
    const result = b.call(STRING_COMPARE, [b.i32(control), ...lengths]) as Value<'i32'>;
    if (toIndex) c.setReg(RCX, 32, b.and(result, b.i32(0xff)));
    else {
      b.set(XMM[0] as Slot<'v128'>, b.get(SIMD_X[0] as Slot<'v128'>));
      if (c.d.row.vex) b.set(YMM_HIGH[0] as Slot<'v128'>, vectorZero(b));
    }
    c.setFlagBits(b.shrU(result, b.i32(8)));
  };

function stringRows(opcode: string, name: string, explicit: boolean, toIndex: boolean): Row[] {
  const lift = stringRow(explicit, toIndex);
  return [
    insn(`66 0F3A ${opcode}`, `${name} Vdq,Wdq,Ib`, 'sse4_2', lift),
    insn(`VEX 66 0F3A ${opcode} L0`, `v${name} Vdq,Wdq,Ib`, 'avx', lift),
  ];
}

const crc32 = (c: Lift): void => {
  const { b } = c;
  const bits = c.bits(1);
  const data = c.read(1);
  let crc = c.reg(c.d.reg, 32) as Value<'i32'>;
  if (bits === 64) {
    crc = b.call(CRC32C, [crc, b.wrap(data as Value<'i64'>), b.i32(4)]) as Value<'i32'>;
    crc = b.call(CRC32C, [crc, b.wrap(b.shrU(data as Value<'i64'>, b.i64(32))), b.i32(4)]) as Value<'i32'>;
  } else crc = b.call(CRC32C, [crc, data as Value<'i32'>, b.i32(bits / 8)]) as Value<'i32'>;
  // The upper half of a 64-bit destination becomes 0.
  c.setReg(c.d.reg, 32, crc);
};

export const SSE42_ROWS: readonly Row[] = [
  ...integerRows('0F38 37', 'pcmpgtq', 'sse4_2', op2('i64x2.gt_s')),
  ...stringRows('60', 'pcmpestrm', true, false),
  ...stringRows('61', 'pcmpestri', true, true),
  ...stringRows('62', 'pcmpistrm', false, false),
  ...stringRows('63', 'pcmpistri', false, true),
  insn('F2 0F38 F0', 'crc32 Gy,Eb', 'sse4_2', crc32),
  insn('F2 0F38 F1', 'crc32 Gy,Ev', 'sse4_2', crc32),
];
