// F16C: conversions between half and single precision. SDM Vol. 1, 14.4; Vol. 2.

import type { Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { convertRoutine } from './simd-convert-routines.ts';
import { upperResult } from './simd-float-rows.ts';
import {
  bytesOf,
  fromLow64,
  imm8,
  isMemory,
  low64,
  readPart,
  readVector,
  setVector,
  vectorAddress,
  vectorRegister,
  writeVector,
  type V,
} from './simd-operands.ts';

const fromHalf = (c: Lift): void => {
  const two = bytesOf(c, c.operand(0)) === 32;
  const v = readPart(c, 1, two ? 16 : 8);
  const low = c.b.call(convertRoutine(two ? 'cvtph2ps256' : 'cvtph2ps'), [v]) as V;
  setVector(c, vectorRegister(c, 0), two ? [low, upperResult(c)] : [low]);
};

const toHalf = (c: Lift): void => {
  const source = readVector(c, 1);
  // Exceptions of the conversion are reported only when the store does not fault.
  if (isMemory(c, 0)) {
    const a = vectorAddress(c, 8 * source.length, true, false);
    for (let at = 0; at < 8 * source.length; at += 8) c.probeWrite(c.offset(a, at), 64);
  }
  const r = c.b.call(convertRoutine(source.length === 2 ? 'cvtps2ph256' : 'cvtps2ph'), [...source, c.b.i32(imm8(c))]) as V;
  if (source.length === 2) writeVector(c, 0, [r]);
  else if (isMemory(c, 0)) c.store(c.memory(8, true), 64, low64(c.b, r));
  else setVector(c, vectorRegister(c, 0), [fromLow64(c.b, low64(c.b, r))]);
};

export const F16C_ROWS: readonly Row[] = [
  insn('VEX 66 0F38 13 W0 L0', 'vcvtph2ps Vdq,Wq', 'f16c', fromHalf),
  insn('VEX 66 0F38 13 W0 L1', 'vcvtph2ps Vqq,Wdq', 'f16c', fromHalf),
  insn('VEX 66 0F3A 1D W0 L0', 'vcvtps2ph Wq,Vdq,Ib', 'f16c', toHalf),
  insn('VEX 66 0F3A 1D W0 L1', 'vcvtps2ph Wdq,Vqq,Ib', 'f16c', toHalf),
];
