// PCLMULQDQ. SDM Vol. 2. Carry-less multiplication with integer multiplications: operands are split into four by bit number modulo 4, so that the
// counts of ones that meet at a bit (at most 15 below bit 60, 16 at bits 60..63) never carry into a bit of the same class inside the word.
// That gives bits 63..0; the upper bits are those of the reversed operands, reversed.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import type { Row } from '../row.ts';
import { imm8, vectorZero, type V } from './simd-operands.ts';
import { rows128 } from './simd-rows.ts';

type W = Value<'i64'>;
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

function reverseBits(b: Builder, x: W): W {
  let v = b.op('i64.bswap', [x]);
  for (const [word, by] of [
    [0x0f0f_0f0f, 4],
    [0x3333_3333, 2],
    [0x5555_5555, 1],
  ] as const) {
    v = b.or(b.and(b.shrU(v, b.i64(by)), repeat(b, word)), b.shl(b.and(v, repeat(b, word)), b.i64(by)));
  }
  return v;
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
    const low = multiplyLow(b, x as W, y as W);
    const high = b.shrU(reverseBits(b, multiplyLow(b, reverseBits(b, x as W), reverseBits(b, y as W))), b.i64(1));
    return b.op('i64x2.replace_lane', [b.op('i64x2.replace_lane', [vectorZero(b), low], 0), high], 1);
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
