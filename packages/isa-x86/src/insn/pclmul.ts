// PCLMULQDQ. SDM Vol. 2. Carry-less multiplication with integer multiplications: operands are split into four by bit number modulo 4, so that the
// counts of ones that meet at a bit (at most 15 below bit 60, 16 at bits 60..63) never carry into a bit of the same class inside the word.
// That gives bits 63..0; the upper bits are those of the reversed operands, reversed (four bits at a time by tables).

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import type { Row } from '../row.ts';
import { X86State } from '../state.ts';
import { imm8, type V } from './simd-operands.ts';
import { rows128 } from './simd-rows.ts';

type W = Value<'i64'>;
const reverse4 = (n: number): number => ((n & 1) << 3) | ((n & 2) << 1) | ((n & 4) >> 1) | (n >> 3);
const SIXTEEN = Array.from({ length: 16 }, (_, n) => n);
/** Mask of four bits; what low and high bits of a byte become; bytes of each half in reverse. */
export const REVERSAL: readonly number[] = [SIXTEEN.map(() => 15), SIXTEEN.map((n) => reverse4(n) << 4), SIXTEEN.map(reverse4), SIXTEEN.map((n) => n ^ 7)].flat();

const repeat = (b: Builder, word: number): W => b.i64Words(word, word);

function multiplyLow(b: Builder, x: W, y: W): W {
  const masks = [0x1111_1111, 0x2222_2222, 0x4444_4444, 0x8888_8888].map((word) => repeat(b, word));
  const xs = masks.map((m) => b.and(x, m));
  const ys = masks.map((m) => b.and(y, m));
  let out: W | undefined;
  for (let k = 0; k < 4; k++) {
    let sum: W | undefined;
    for (let i = 0; i < 4; i++) {
      const product = b.mul(xs[i] as W, ys[(k - i) & 3] as W);
      sum = sum === undefined ? product : b.xor(sum, product);
    }
    const part = b.and(sum as W, masks[k] as W);
    out = out === undefined ? part : b.or(out, part);
  }
  return out as W;
}

const table = (b: Builder, number: number): V => b.op('state.load128', [b.i32(0)], X86State.offset.reversal + 16 * number);

/** Each half's bits in reverse. */
function reverseBits(b: Builder, x: V): V {
  const mask = table(b, 0);
  const low = b.op('i8x16.swizzle', [table(b, 1), b.op('v128.and', [x, mask])]);
  const high = b.op('i8x16.swizzle', [table(b, 2), b.op('v128.and', [b.op('i32x4.shr_u', [x, b.i32(4)]), mask])]);
  return b.op('i8x16.swizzle', [b.op('v128.or', [low, high]), table(b, 3)]);
}

const CARRYLESS: Routine = routine({
  name: 'carrylessMultiply',
  params: ['i64', 'i64'],
  result: 'v128',
  reads: 'none',
  writes: 'none',
  traps: false,
  pure: true,
  build: (b, [x, y]) => {
    const factors = b.op('i64x2.replace_lane', [b.op('i64x2.splat', [x as W]), y as W], 1);
    const reversed = reverseBits(b, factors);
    const low = multiplyLow(b, x as W, y as W);
    const high = multiplyLow(b, b.op('i64x2.extract_lane', [reversed], 0), b.op('i64x2.extract_lane', [reversed], 1));
    // Bit 127 is none of the product's.
    const above = b.op('i64x2.shr_u', [reverseBits(b, b.op('i64x2.splat', [high])), b.i32(1)]);
    return b.op('i64x2.replace_lane', [above, low], 0);
  },
});

export const PCLMUL_ROUTINES: readonly Routine[] = [CARRYLESS];

export const PCLMUL_ROWS: readonly Row[] = rows128(
  '66',
  '0F3A 44',
  'pclmulqdq',
  'pclmulqdq',
  'pclmulqdq',
  (c, x, y) =>
    c.b.call(CARRYLESS, [c.b.op('i64x2.extract_lane', [x], imm8(c) & 1), c.b.op('i64x2.extract_lane', [y], (imm8(c) >> 4) & 1)]) as V,
  true,
);
