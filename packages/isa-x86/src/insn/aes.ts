// AES-NI: one round of FIPS 197 a routine. The state's byte i is row i % 4 of column i / 4. SDM Vol. 1, 12.13; Vol. 2.

import type { Builder } from '@anillo/ir/builder';
import { routine, type Routine } from '@anillo/ir/callee';
import type { Row } from '../row.ts';
import { insn } from '../row.ts';
import { imm8, vector32, vectorZero, type V } from './simd-operands.ts';
import { liftUnary, rows128 } from './simd-rows.ts';

const multiply2 = (x: number): number => ((x << 1) ^ (x & 0x80 ? 0x11b : 0)) & 0xff;

/** The S-box: inverse in GF(2^8), then the affine map. */
function makeSubstitution(): Uint8Array {
  const box = new Uint8Array(256);
  let p = 1;
  let q = 1;
  do {
    p ^= multiply2(p); // times 3, a generator
    q ^= q << 1;
    q ^= q << 2;
    q ^= q << 4;
    q &= 0xff;
    if (q & 0x80) q ^= 0x09; // divided by 3
    const rotate = (n: number): number => ((q << n) | (q >> (8 - n))) & 0xff;
    box[p] = q ^ rotate(1) ^ rotate(2) ^ rotate(3) ^ rotate(4) ^ 0x63;
  } while (p !== 1);
  box[0] = 0x63;
  return box;
}
const SUBSTITUTION = makeSubstitution();
const INVERSE_SUBSTITUTION = Uint8Array.from({ length: 256 }, (_, value) => SUBSTITUTION.indexOf(value));

/** Table look-up of 16 bytes: swizzle gives 0 for numbers beyond its 16 bytes, so one part of 16 answers each. */
function substitute(b: Builder, x: V, table: Uint8Array): V {
  let out: V | undefined;
  for (let part = 0; part < 16; part++) {
    const at = part === 0 ? x : b.op('i8x16.sub', [x, vector32(b, part * 0x10101010)]);
    const bytes = b.op('i8x16.swizzle', [b.v128(table.slice(16 * part, 16 * part + 16)), at]);
    out = out === undefined ? bytes : b.op('v128.or', [out, bytes]);
  }
  return out as V;
}

const ALL = Array.from({ length: 16 }, (_, i) => i);
const permute = (b: Builder, x: V, from: (row: number, column: number) => number): V =>
  b.shuffle(
    x,
    x,
    ALL.map((i) => from(i & 3, i >> 2)),
  );
const shiftRows = (b: Builder, x: V): V => permute(b, x, (row, column) => row + 4 * ((column + row) & 3));
const inverseShiftRows = (b: Builder, x: V): V => permute(b, x, (row, column) => row + 4 * ((column - row) & 3));
const rotateColumns = (b: Builder, x: V, by: number): V => permute(b, x, (row, column) => ((row + by) & 3) + 4 * column);

/** Each byte times 2 in GF(2^8). */
const times2 = (b: Builder, x: V): V =>
  b.op('v128.xor', [b.op('i8x16.shl', [x, b.i32(1)]), b.op('v128.and', [b.op('i8x16.shr_s', [x, b.i32(7)]), vector32(b, 0x1b1b1b1b)])]);

/** 2 a0 + 3 a1 + a2 + a3 in each row. */
function mixColumns(b: Builder, x: V): V {
  const next = rotateColumns(b, x, 1);
  const pair = b.op('v128.xor', [x, next]);
  return b.op('v128.xor', [b.op('v128.xor', [times2(b, pair), next]), rotateColumns(b, pair, 2)]);
}
/** The inverse is mixColumns after adding 4 (a0 + a2) to each row. */
function inverseMixColumns(b: Builder, x: V): V {
  const four = times2(b, times2(b, b.op('v128.xor', [x, rotateColumns(b, x, 2)])));
  return mixColumns(b, b.op('v128.xor', [x, four]));
}

const aesRoutine = (name: string, params: 1 | 2, compute: (b: Builder, x: V) => V): Routine =>
  routine({
    name,
    params: params === 2 ? ['v128', 'v128'] : ['v128'],
    result: 'v128',
    reads: 'none',
    writes: 'none',
    traps: false,
    pure: true,
    build: (b, [x, key]) => {
      const state = compute(b, x as V);
      return key ? b.op('v128.xor', [state, key as V]) : state;
    },
  });

const encryptLast = aesRoutine('aesenclast', 2, (b, x) => substitute(b, shiftRows(b, x), SUBSTITUTION));
const encrypt = aesRoutine('aesenc', 2, (b, x) => mixColumns(b, substitute(b, shiftRows(b, x), SUBSTITUTION)));
const decryptLast = aesRoutine('aesdeclast', 2, (b, x) => substitute(b, inverseShiftRows(b, x), INVERSE_SUBSTITUTION));
const decrypt = aesRoutine('aesdec', 2, (b, x) => inverseMixColumns(b, substitute(b, inverseShiftRows(b, x), INVERSE_SUBSTITUTION)));
const mixKey = aesRoutine('aesimc', 1, inverseMixColumns);
/** SubWord of words 1 and 3, each beside its rotation. */
const expandKey = aesRoutine('aeskeygen', 1, (b, x) => {
  const words = substitute(b, x, SUBSTITUTION);
  return b.shuffle(words, vectorZero(b), [4, 5, 6, 7, 5, 6, 7, 4, 12, 13, 14, 15, 13, 14, 15, 12]);
});

export const AES_ROUTINES: readonly Routine[] = [encrypt, encryptLast, decrypt, decryptLast, mixKey, expandKey];

const call = liftUnary((c, x) => c.b.call(mixKey, [x]) as V);
const keyGeneration = liftUnary((c, x) => {
  const constants = c.b.v128(new Uint8Array(Uint32Array.of(0, imm8(c), 0, imm8(c)).buffer));
  return c.b.op('v128.xor', [c.b.call(expandKey, [x]) as V, constants]);
});

export const AES_ROWS: readonly Row[] = [
  insn('66 0F38 DB', 'aesimc Vdq,Wdq', 'aes', call),
  insn('VEX 66 0F38 DB L0', 'vaesimc Vdq,Wdq', 'aes', call),
  ...(
    [
      ['DC', encrypt],
      ['DD', encryptLast],
      ['DE', decrypt],
      ['DF', decryptLast],
    ] as const
  ).flatMap(([opcode, r]) => rows128('66', `0F38 ${opcode}`, r.name, 'aes', 'aes', (c, x, y) => c.b.call(r, [x, y]) as V)),
  insn('66 0F3A DF', 'aeskeygenassist Vdq,Wdq,Ib', 'aes', keyGeneration),
  insn('VEX 66 0F3A DF L0', 'vaeskeygenassist Vdq,Wdq,Ib', 'aes', keyGeneration),
];
