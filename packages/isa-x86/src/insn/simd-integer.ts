// Meanings of packed integer instructions that are not one op of the IR. SDM Vol. 2, by mnemonic.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import type { OpName } from '@anillo/ir/ops';
import type { Lift } from '../lift.ts';
import { imm8, vector16, vector64, vectorZero, type Halves, type V } from './simd-operands.ts';
import type { Binary, Unary } from './simd-rows.ts';

const ALL = Array.from({ length: 16 }, (_, i) => i);
const vop = (b: Builder, name: OpName, ...args: readonly Value[]): V => b.op(name as 'v128.and', args as unknown as [V, V]);

/** Byte numbers for shuffle from lane numbers of `width` bytes. */
export const laneBytes = (lanes: readonly number[], width: number): number[] =>
  lanes.flatMap((lane) => Array.from({ length: width }, (_, i) => lane * width + i));

/** Interleaves lanes of `width` bytes from the low or high halves. */
export function unpack(width: number, high: boolean): Binary {
  const count = 16 / width;
  const first = high ? count / 2 : 0;
  const lanes = laneBytes(
    Array.from({ length: count }, (_, i) => first + (i >> 1) + (i & 1 ? count : 0)),
    width,
  );
  return (c, x, y) => c.b.shuffle(x, y, lanes);
}

/** Even (0) or odd (1) lanes of x, then of y. */
export const everySecond = (b: Builder, x: V, y: V, width: number, odd: 0 | 1): V =>
  b.shuffle(
    x,
    y,
    laneBytes(
      Array.from({ length: 16 / width }, (_, i) => 2 * i + odd),
      width,
    ),
  );

/** Horizontal: even lanes op odd lanes. */
export const horizontal =
  (name: OpName, width: number): Binary =>
  (c, x, y) =>
    vop(c.b, name, everySecond(c.b, x, y, width, 0), everySecond(c.b, x, y, width, 1));

/** Upper 16 bits of 16-bit products. */
export const multiplyHigh =
  (signed: boolean): Binary =>
  (c, x, y) => {
    const sign = signed ? 's' : 'u';
    const low = vop(c.b, `i32x4.extmul_low_i16x8_${sign}`, x, y);
    const high = vop(c.b, `i32x4.extmul_high_i16x8_${sign}`, x, y);
    return everySecond(c.b, low, high, 2, 1);
  };

/** 64-bit products of the even 32-bit lanes. */
export const multiplyEven =
  (signed: boolean): Binary =>
  (c, x, y) => {
    const even = (v: V): V => everySecond(c.b, v, v, 4, 0);
    return vop(c.b, signed ? 'i64x2.extmul_low_i32x4_s' : 'i64x2.extmul_low_i32x4_u', even(x), even(y));
  };

/** The same of both halves, whose even lanes are brought together first. */
export const multiplyEvenWide =
  (signed: boolean) =>
  (c: Lift, x: Halves, y: Halves): Halves => {
    const [p, q] = [x, y].map(([low, high]) => everySecond(c.b, low as V, high as V, 4, 0)) as [V, V];
    const sign = signed ? 's' : 'u';
    return [vop(c.b, `i64x2.extmul_low_i32x4_${sign}`, p, q), vop(c.b, `i64x2.extmul_high_i32x4_${sign}`, p, q)];
  };

/** Unsigned bytes of x times signed bytes of y, neighbours added with saturation. */
export const multiplyAddBytes: Binary = (c, x, y) => {
  const { b } = c;
  const eight = b.i32(8);
  const even = b.op('i16x8.mul', [b.op('v128.and', [x, vector16(b, 0xff)]), b.op('i16x8.shr_s', [b.op('i16x8.shl', [y, eight]), eight])]);
  const odd = b.op('i16x8.mul', [b.op('i16x8.shr_u', [x, eight]), b.op('i16x8.shr_s', [y, eight])]);
  return b.op('i16x8.add_sat_s', [even, odd]);
};

/** The IR's op saturates -1 * -1; here it stays -1. */
export const multiplyRound: Binary = (c, x, y) => {
  const { b } = c;
  const edge = vector16(b, 0x8000);
  const both = b.op('v128.and', [b.op('i16x8.eq', [x, edge]), b.op('i16x8.eq', [y, edge])]);
  return b.op('v128.xor', [b.op('i16x8.q15mulr_sat_s', [x, y]), both]);
};

/** x negated, zeroed or kept by the sign of y. */
export const sign =
  (shape: 'i8x16' | 'i16x8' | 'i32x4'): Binary =>
  (c, x, y) => {
    const { b } = c;
    const zero = vectorZero(b);
    const signed = b.op('v128.bitselect', [vop(b, `${shape}.neg`, x), x, vop(b, `${shape}.lt_s`, y, zero)]);
    return b.op('v128.andnot', [signed, vop(b, `${shape}.eq`, y, zero)]);
  };

/** Sums of absolute differences of 8 bytes. */
export const sumDifferences: Binary = (c, x, y) => {
  const { b } = c;
  const difference = b.op('i8x16.sub', [b.op('i8x16.max_u', [x, y]), b.op('i8x16.min_u', [x, y])]);
  const fours = b.op('i32x4.extadd_pairwise_i16x8_u', [b.op('i16x8.extadd_pairwise_i8x16_u', [difference])]);
  return b.op('i64x2.add', [b.op('v128.and', [fours, vector64(b, -1, 0)]), b.op('i64x2.shr_u', [fours, b.i32(32)])]);
};

/** MPSADBW: eight sums of four differences; for the upper half the control bits are 5..3. */
export const sumDifferencesOffset: Binary = (c, x, y, half) => {
  const { b } = c;
  const control = imm8(c) >> (3 * half);
  const fromX = (control & 4) !== 0 ? 4 : 0;
  const fromY = (control & 3) * 4;
  let sum: V | undefined;
  for (let k = 0; k < 4; k++) {
    const bytesX = b.shuffle(
      x,
      x,
      ALL.map((i) => (i < 8 ? fromX + k + i : 0)),
    );
    const bytesY = b.shuffle(
      y,
      y,
      ALL.map(() => fromY + k),
    );
    const difference = b.op('i16x8.abs', [
      b.op('i16x8.sub', [b.op('i16x8.extend_low_i8x16_u', [bytesX]), b.op('i16x8.extend_low_i8x16_u', [bytesY])]),
    ]);
    sum = sum === undefined ? difference : b.op('i16x8.add', [sum, difference]);
  }
  return sum as V;
};

/** PHMINPOSUW: smallest word in bits 15..0, its number in bits 18..16. */
export const minimumPosition: Unary = (c, x) => {
  const { b } = c;
  const sixteen = b.i32(16);
  const numbers = (first: number): V => b.v128(new Uint8Array(Uint32Array.of(first, first + 1, first + 2, first + 3).buffer));
  const low = b.op('v128.or', [b.op('i32x4.shl', [b.op('i32x4.extend_low_i16x8_u', [x]), sixteen]), numbers(0)]);
  const high = b.op('v128.or', [b.op('i32x4.shl', [b.op('i32x4.extend_high_i16x8_u', [x]), sixteen]), numbers(4)]);
  let least = b.op('i32x4.min_u', [low, high]);
  least = b.op('i32x4.min_u', [least, b.shuffle(least, least, laneBytes([2, 3, 2, 3], 4))]);
  least = b.op('i32x4.min_u', [least, b.shuffle(least, least, laneBytes([1, 1, 1, 1], 4))]);
  const word = b.op('i32.rotl', [b.op('i32x4.extract_lane', [least], 0), sixteen]);
  return b.op('i32x4.replace_lane', [vectorZero(b), word], 0);
};

export const andNot: Binary = (c, x, y) => c.b.op('v128.andnot', [y, x]);

/** PSHUFB: bytes of x picked by y, zero where bit 7 is set. */
export const shuffleBytes: Binary = (c, x, y) => c.b.op('i8x16.pick', [x, y]);

/** Bytes of (x above y) from byte `count` on, for operands of `width` bytes. */
export function alignRight(b: Builder, x: V, y: V, count: number): V {
  if (count >= 32) return vectorZero(b);
  if (count > 16)
    return b.shuffle(
      x,
      vectorZero(b),
      ALL.map((i) => i + count - 16),
    );
  return b.shuffle(
    y,
    x,
    ALL.map((i) => i + count),
  );
}
export const align: Binary = (c, x, y) => alignRight(c.b, x, y, imm8(c));
/** PALIGNR on MMX registers, operands splatted. */
export const alignMmx: Binary = (c, x, y) => {
  const joined = c.b.shuffle(y, x, laneBytes([0, 2], 8));
  return alignRight(c.b, vectorZero(c.b), joined, Math.min(imm8(c), 16));
};

// ---- shifts

export type ShiftKind = 'shl' | 'shr_u' | 'shr_s';
const SHAPE_OF = { 16: 'i16x8', 32: 'i32x4', 64: 'i64x2' } as const;

/** Lanes shifted by a count known now; beyond the width logical shifts give 0, arithmetic ones the sign. */
export function shiftConstant(b: Builder, v: V, kind: ShiftKind, width: 16 | 32 | 64, count: number): V {
  if (kind !== 'shr_s' && count >= width) return vectorZero(b);
  if (count === 0) return v;
  return vop(b, `${SHAPE_OF[width]}.${kind}`, v, b.i32(Math.min(count, width - 1)));
}
/** Lanes shifted by a 64-bit count. */
export function shiftVariable(b: Builder, v: V, kind: ShiftKind, width: 16 | 32 | 64, count: Value<'i64'>): V {
  const inside = b.ltU(count, b.i64(width));
  const low = b.wrap(count);
  if (kind === 'shr_s') return vop(b, `${SHAPE_OF[width]}.${kind}`, v, b.select(inside, low, b.i32(width - 1)));
  return b.select(inside, vop(b, `${SHAPE_OF[width]}.${kind}`, v, low), vectorZero(b));
}
/** The whole register shifted by bytes, left or right. */
export function shiftBytes(b: Builder, v: V, left: boolean, count: number): V {
  if (count >= 16) return vectorZero(b);
  return left
    ? b.shuffle(
        vectorZero(b),
        v,
        ALL.map((i) => 16 + i - count),
      )
    : b.shuffle(
        v,
        vectorZero(b),
        ALL.map((i) => i + count),
      );
}
/** Each lane by the lane of y (VPSLLVD and its like). */
export const shiftEach =
  (kind: ShiftKind, width: 32 | 64): Binary =>
  (c, x, y) => {
    const { b } = c;
    if (width === 32) {
      let out = vectorZero(b);
      for (let i = 0; i < 4; i++) {
        const count = b.op('i32x4.extract_lane', [y], i);
        const value = b.op('i32x4.extract_lane', [x], i);
        const inside = b.ltU(count, b.i32(32));
        const lane =
          kind === 'shr_s'
            ? b.shrS(value, b.select(inside, count, b.i32(31)))
            : b.select(inside, kind === 'shl' ? b.shl(value, count) : b.shrU(value, count), b.i32(0));
        out = b.op('i32x4.replace_lane', [out, lane], i);
      }
      return out;
    }
    let out = vectorZero(b);
    for (let i = 0; i < 2; i++) {
      const count = b.op('i64x2.extract_lane', [y], i);
      const value = b.op('i64x2.extract_lane', [x], i);
      const lane = b.select(b.ltU(count, b.i64(64)), kind === 'shl' ? b.shl(value, count) : b.shrU(value, count), b.i64(0));
      out = b.op('i64x2.replace_lane', [out, lane], i);
    }
    return out;
  };

// ---- widening

/** Lanes of `from` bytes, the `half`th run of them, extended to `to` bytes. */
export function extend(b: Builder, v: V, from: 1 | 2 | 4, to: 2 | 4 | 8, signed: boolean, half: number): V {
  const skip = (half * 16 * from) / to;
  let out =
    skip === 0
      ? v
      : b.shuffle(
          v,
          v,
          ALL.map((i) => (i + skip) & 15),
        );
  for (let width: number = from; width < to; width *= 2) {
    const name = { 1: 'i16x8.extend_low_i8x16_', 2: 'i32x4.extend_low_i16x8_', 4: 'i64x2.extend_low_i32x4_' }[width] as string;
    out = vop(b, `${name}${signed ? 's' : 'u'}` as OpName, out);
  }
  return out;
}

/** Lanes of 4 (PSHUFD), or of the low or high 4 words (PSHUFLW, PSHUFHW), in the order of the immediate's pairs of bits. */
export function shuffleByImmediate(b: Builder, v: V, control: number, kind: 'd' | 'lw' | 'hw'): V {
  const picks = [0, 2, 4, 6].map((at) => (control >> at) & 3);
  if (kind === 'd') return b.shuffle(v, v, laneBytes(picks, 4));
  const words = kind === 'lw' ? [...picks, 4, 5, 6, 7] : [0, 1, 2, 3, ...picks.map((p) => p + 4)];
  return b.shuffle(v, v, laneBytes(words, 2));
}

/** Lanes of y where the immediate has a bit, else of x. */
export function blendByImmediate(b: Builder, x: V, y: V, control: number, width: 2 | 4 | 8): V {
  const count = 16 / width;
  return b.shuffle(
    x,
    y,
    laneBytes(
      Array.from({ length: count }, (_, i) => ((control >> i) & 1 ? i + count : i)),
      width,
    ),
  );
}
/** y where the top bit of mask's lane is set, else x. */
export function blendByMask(b: Builder, x: V, y: V, mask: V, width: 1 | 4 | 8): V {
  const name = ({ 1: 'i8x16.shr_s', 4: 'i32x4.shr_s', 8: 'i64x2.shr_s' } as const)[width];
  return b.op('v128.bitselect', [y, x, b.op(name, [mask, b.i32(width * 8 - 1)])]);
}

/** ZF and CF of PTEST and VTESTPx: (x & y) = 0, (~x & y) = 0, over the bits of `mask` where given. */
export function testFlags(c: Lift, xs: readonly V[], ys: readonly V[], mask?: V): void {
  const { b } = c;
  const any = (f: (x: V, y: V) => V): Value<'i32'> => {
    const parts = xs.map((x, i) => f(x, ys[i] as V));
    const all = parts.length === 2 ? b.op('v128.or', [parts[0] as V, parts[1] as V]) : (parts[0] as V);
    return b.op('v128.any_true', [mask ? b.op('v128.and', [all, mask]) : all]);
  };
  const zf = b.eqz(any((x, y) => b.op('v128.and', [x, y])));
  const cf = b.eqz(any((x, y) => b.op('v128.andnot', [y, x])));
  c.setFlagBits(b.or(b.shl(zf, b.i32(6)), cf));
}
