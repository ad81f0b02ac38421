// AVX: what has no legacy form. Broadcasts, lane permutations, masked moves, VTESTPx, VZEROxxx. SDM Vol. 1 chapter 14, Vol. 2.

import type { Slot } from '@anillo/ir/slot';
import type { Lift } from '../lift.ts';
import { MODE } from '../mode.ts';
import { insn, type Row } from '../row.ts';
import { CS, TRAP, XMM, YMM_HIGH } from '../state.ts';
import { requireAvx } from '../usable.ts';
import { MASKED_LOAD, MASKED_PROBE, MASKED_STORE } from './masked-store.ts';
import { laneBytes, shuffleByImmediate, testFlags } from './simd-integer.ts';
import {
  bytesOf,
  imm8,
  readPart,
  readVector,
  setVector,
  vector32,
  vector64,
  vectorRegister,
  vectorZero,
  writeVector,
  type V,
} from './simd-operands.ts';
import { liftBinary, liftUnary, type Binary } from './simd-rows.ts';

/** First element of operand 1 in all lanes of the destination. */
export const broadcast =
  (width: 1 | 2 | 4 | 8 | 16) =>
  (c: Lift): void => {
    const v = readPart(c, 1, width);
    const lane =
      width === 16
        ? v
        : c.b.shuffle(
            v,
            v,
            laneBytes(
              Array.from({ length: 16 / width }, () => 0),
              width,
            ),
          );
    setVector(c, vectorRegister(c, 0), bytesOf(c, c.operand(0)) === 32 ? [lane, lane] : [lane]);
  };

/** Each half of the result: a half of x or y, or zero, by four bits of the immediate. */
export const permuteHalves = (c: Lift): void => {
  const y = readVector(c, 2);
  const halves = [...readVector(c, 1), ...y];
  const pick = (control: number): V => (control & 8 ? vectorZero(c.b) : (halves[control & 3] as V));
  setVector(c, vectorRegister(c, 0), [pick(imm8(c)), pick(imm8(c) >> 4)]);
};
export const insertHalf = (c: Lift): void => {
  const part = readVector(c, 2)[0] as V;
  const [low, high] = readVector(c, 1) as [V, V];
  setVector(c, vectorRegister(c, 0), imm8(c) & 1 ? [low, part] : [part, high]);
};
export const extractHalf = (c: Lift): void => writeVector(c, 0, [readVector(c, 1)[imm8(c) & 1] as V]);

/** 32-bit lanes of x by the low two bits of y's lanes. */
const permuteSingles: Binary = (c, x, y) => {
  const { b } = c;
  const lanes = b.op('i32x4.mul', [b.op('v128.and', [y, vector32(b, 3)]), vector32(b, 0x04040404)]);
  return b.op('i8x16.swizzle', [x, b.op('i32x4.add', [lanes, vector32(b, 0x03020100)])]);
};
/** 64-bit lanes of x by bit 1 of y's lanes. */
const permuteDoubles: Binary = (c, x, y) => {
  const { b } = c;
  const upper = b.op('i64x2.shr_s', [b.op('i64x2.shl', [y, b.i32(62)]), b.i32(63)]);
  return b.op('v128.bitselect', [b.shuffle(x, x, laneBytes([1, 1], 8)), b.shuffle(x, x, laneBytes([0, 0], 8)), upper]);
};

/** Masked moves: mask in operand 1; loads clear the other lanes, stores leave the memory. */
export const maskedLoad =
  (width: 4 | 8) =>
  (c: Lift): void => {
    const masks = readVector(c, 1);
    const address = c.sum(c.memory(masks.length * 16));
    setVector(
      c,
      vectorRegister(c, 0),
      masks.map((mask, i) => c.b.call(MASKED_LOAD[width], [i === 0 ? address : c.b.add(address, c.b.i64(16)), c.addressBits(), mask]) as V),
    );
  };
export const maskedStore =
  (width: 4 | 8) =>
  (c: Lift): void => {
    const masks = readVector(c, 1);
    const data = readVector(c, 2);
    // A segment that cannot be written matters only where something is to be.
    const isCode = c.segment === CS && !c.is64 && (c.mode & MODE.PROTECTED) !== 0;
    if (isCode) for (const mask of masks) c.b.raiseIf(c.b.op(width === 4 ? 'i32x4.bitmask' : 'i64x2.bitmask', [mask]), TRAP.GP0);
    const address = c.sum(c.memory(masks.length * 16, !isCode));
    const addresses = masks.map((_, i) => (i === 0 ? address : c.b.add(address, c.b.i64(16))));
    for (const [i, mask] of masks.entries()) c.b.call(MASKED_PROBE[width], [addresses[i] as typeof address, c.addressBits(), mask]);
    for (const [i, mask] of masks.entries()) c.b.call(MASKED_STORE[width], [addresses[i] as typeof address, c.addressBits(), data[i] as V, mask]);
  };

const testSigns =
  (width: 4 | 8) =>
  (c: Lift): void => {
    const y = readVector(c, 1);
    testFlags(c, readVector(c, 0), y, width === 4 ? vector32(c.b, 0x8000_0000) : vector64(c.b, 0, 0x8000_0000));
  };

/** VZEROUPPER and VZEROALL: registers 0..15 in 64-bit code, else 0..7. */
const zeroRegisters =
  (all: boolean) =>
  (c: Lift): void => {
    if (!requireAvx(c)) return;
    const zero = vectorZero(c.b);
    for (let n = 0; n < (c.is64 ? 16 : 8); n++) {
      if (all) c.b.set(XMM[n] as Slot<'v128'>, zero);
      c.b.set(YMM_HIGH[n] as Slot<'v128'>, zero);
    }
  };

export const AVX_ROWS: readonly Row[] = [
  insn('VEX NP 0F 77 L0', 'vzeroupper', 'avx', zeroRegisters(false)),
  insn('VEX NP 0F 77 L1', 'vzeroall', 'avx', zeroRegisters(true)),
  insn('VEX 66 0F38 18 W0 mem', 'vbroadcastss Vx,Wd', 'avx', broadcast(4)),
  insn('VEX 66 0F38 19 W0 L1 mem', 'vbroadcastsd Vqq,Wq', 'avx', broadcast(8)),
  insn('VEX 66 0F38 1A W0 L1 mem', 'vbroadcastf128 Vqq,Wdq', 'avx', broadcast(16)),
  insn('VEX 66 0F38 0C W0', 'vpermilps Vx,Hx,Wx', 'avx', liftBinary(permuteSingles)),
  insn('VEX 66 0F38 0D W0', 'vpermilpd Vx,Hx,Wx', 'avx', liftBinary(permuteDoubles)),
  insn(
    'VEX 66 0F3A 04 W0',
    'vpermilps Vx,Wx,Ib',
    'avx',
    liftUnary((c, v) => shuffleByImmediate(c.b, v, imm8(c), 'd')),
  ),
  insn(
    'VEX 66 0F3A 05 W0',
    'vpermilpd Vx,Wx,Ib',
    'avx',
    liftUnary((c, v, half) => {
      const control = imm8(c) >> (2 * half);
      return c.b.shuffle(v, v, laneBytes([control & 1, (control >> 1) & 1], 8));
    }),
  ),
  insn('VEX 66 0F3A 06 W0 L1', 'vperm2f128 Vqq,Hqq,Wqq,Ib', 'avx', permuteHalves),
  insn('VEX 66 0F3A 18 W0 L1', 'vinsertf128 Vqq,Hqq,Wdq,Ib', 'avx', insertHalf),
  insn('VEX 66 0F3A 19 W0 L1', 'vextractf128 Wdq,Vqq,Ib', 'avx', extractHalf),
  insn('VEX 66 0F38 0E W0', 'vtestps Vx,Wx', 'avx', testSigns(4)),
  insn('VEX 66 0F38 0F W0', 'vtestpd Vx,Wx', 'avx', testSigns(8)),
  insn('VEX 66 0F38 2C W0 mem', 'vmaskmovps Vx,Hx,Wx', 'avx', maskedLoad(4)),
  insn('VEX 66 0F38 2D W0 mem', 'vmaskmovpd Vx,Hx,Wx', 'avx', maskedLoad(8)),
  insn('VEX 66 0F38 2E W0 mem', 'vmaskmovps Wx,Hx,Vx', 'avx', maskedStore(4)),
  insn('VEX 66 0F38 2F W0 mem', 'vmaskmovpd Wx,Hx,Vx', 'avx', maskedStore(8)),
];
