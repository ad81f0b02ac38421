// SSE4.2: PCMPGTQ, string comparison, CRC32. SDM Vol. 1, 12.11; Vol. 2.

import type { Value } from '@anillo/ir/block';
import type { Slot } from '@anillo/ir/slot';
import type { Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { RAX, RCX, RDX, XMM, YMM_HIGH } from '../state.ts';
import { CRC32C } from './crc32c.ts';
import { imm8, readVector, vectorZero, type V } from './simd-operands.ts';
import { integerRows, op2 } from './simd-rows.ts';
import { compareStrings, implicitLength, indexOfBits, maskOfBits, StringControl } from './string-compare.ts';

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
    const control = new StringControl(imm8(c));
    // Memory operands need no alignment.
    const y = readVector(c, 1, false)[0] as V;
    const x = readVector(c, 0)[0] as V;
    const length1 = explicit ? lengthOf(c, RAX, control.count) : implicitLength(b, control, x);
    const length2 = explicit ? lengthOf(c, RDX, control.count) : implicitLength(b, control, y);
    const { bits, flags } = compareStrings(b, control, x, y, length1, length2);
    if (toIndex) c.setReg(RCX, 32, indexOfBits(b, control, bits));
    else {
      b.set(XMM[0] as Slot<'v128'>, maskOfBits(b, control, bits));
      if (c.d.row.vex) b.set(YMM_HIGH[0] as Slot<'v128'>, vectorZero(b));
    }
    c.setFlagBits(flags);
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
  const old = c.reg(c.d.reg, 32) as Value<'i32'>;
  const through = (crc: Value<'i32'>, word: Value<'i32'>): Value<'i32'> => b.call(CRC32C, [b.xor(crc, word)]) as Value<'i32'>;
  let crc: Value<'i32'>;
  if (bits === 64) {
    const wide = data as Value<'i64'>;
    crc = through(through(old, b.wrap(wide)), b.wrap(b.shrU(wide, b.i64(32))));
  } else if (bits === 32) crc = through(old, data as Value<'i32'>);
  else {
    // Zeros before the data leave a register of zero as it is.
    const rest = b.i32(32 - bits);
    crc = b.xor(through(b.shl(old, rest), b.shl(data as Value<'i32'>, rest)), b.shrU(old, b.i32(bits)));
  }
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
