// AES-NI. The state's byte i is row i % 4 of column i / 4. FIPS 197; SDM Vol. 1, 12.13; Vol. 2.

import type { Builder } from '@anillo/ir/builder';
import type { Row } from '../row.ts';
import { insn } from '../row.ts';
import { X86State } from '../state.ts';
import { aesTableAt } from './aes-tables.ts';
import { imm8, vectorZero, type V } from './simd-operands.ts';
import { liftUnary, rows128 } from './simd-rows.ts';

/** Constants of the vCPU struct: V8 makes those in the code anew wherever they are used. */
const table = (b: Builder, name: string): V => b.op('state.load128', [b.i32(0)], X86State.offset.aesTables + aesTableAt(name));
/** Bytes of a table, or permuted bytes. */
const pick = (b: Builder, from: V, indices: V): V => b.op('i8x16.pick', [from, indices]);
const xor = (b: Builder, ...values: readonly [V, ...V[]]): V => values.reduce((x, y) => b.op('v128.xor', [x, y]));

type Direction = 'enc' | 'dec';
/** What the S-box makes of each byte, but for what it adds at the end, as a function of multiples: see aes-tables.ts. */
function substitute(b: Builder, x: V, direction: Direction): (multiple: number) => V {
  const mask = table(b, 'nibble');
  const low = b.op('v128.and', [x, mask]);
  const high = b.op('v128.and', [b.op('i32x4.shr_u', [x, b.i32(4)]), mask]);
  const part = (name: 'I' | 'K'): V => xor(b, pick(b, table(b, `${direction}Low${name}`), low), pick(b, table(b, `${direction}High${name}`), high));
  const [i, k] = [part('I'), part('K')];
  const j = xor(b, i, k);
  const inverse = (v: V): V => pick(b, table(b, 'inverse'), v);
  const aByK = pick(b, table(b, 'quotient'), k);
  const io = xor(b, inverse(xor(b, inverse(i), aByK)), j);
  const jo = xor(b, inverse(xor(b, inverse(j), aByK)), i);
  return (multiple) => xor(b, pick(b, table(b, `${direction}${multiple}io`), io), pick(b, table(b, `${direction}${multiple}jo`), jo));
}
/** Rows shifted, then columns turned. */
const turn = (b: Builder, x: V, direction: Direction, by: number): V => pick(b, x, table(b, `${direction}turn${by}`));

// One round each, with its key. Sums are in the order in which their terms come to be known: rounds wait for each other.

/** ShiftRows, SubBytes. */
const encryptLast = (b: Builder, x: V, key: V): V => xor(b, key, table(b, 'sum'), turn(b, substitute(b, x, 'enc')(1), 'enc', 0));
/** And MixColumns: 2 a0 + 3 a1 + a2 + a3 in each row. What the S-box adds stays as it is, for 2 + 3 + 1 + 1 = 1. */
function encrypt(b: Builder, x: V, key: V): V {
  const times = substitute(b, x, 'enc');
  const [one, two] = [times(1), times(2)];
  const first = xor(b, key, table(b, 'sum'), turn(b, two, 'enc', 0));
  return xor(b, first, xor(b, turn(b, one, 'enc', 2), turn(b, one, 'enc', 3)), turn(b, xor(b, one, two), 'enc', 1));
}
/** InvShiftRows, InvSubBytes. */
const decryptLast = (b: Builder, x: V, key: V): V => xor(b, key, turn(b, substitute(b, x, 'dec')(1), 'dec', 0));
/** And InvMixColumns. */
function decrypt(b: Builder, x: V, key: V): V {
  const times = substitute(b, x, 'dec');
  const first = xor(b, key, turn(b, times(14), 'dec', 0));
  return xor(b, first, turn(b, times(11), 'dec', 1), xor(b, turn(b, times(13), 'dec', 2), turn(b, times(9), 'dec', 3)));
}

/** InvMixColumns is what remains of a round of decryption after its other steps have been undone. */
const mixKey = liftUnary((c, x) => decrypt(c.b, encryptLast(c.b, x, vectorZero(c.b)), vectorZero(c.b)));
/** SubWord of words 1 and 3, each beside its rotation. */
const keyGeneration = liftUnary((c, x) => {
  const { b } = c;
  const words = xor(b, substitute(b, x, 'enc')(1), table(b, 'sum'));
  const constants = b.v128(new Uint8Array(Uint32Array.of(0, imm8(c), 0, imm8(c)).buffer));
  return xor(b, b.shuffle(words, vectorZero(b), [4, 5, 6, 7, 5, 6, 7, 4, 12, 13, 14, 15, 13, 14, 15, 12]), constants);
});

export const AES_ROWS: readonly Row[] = [
  insn('66 0F38 DB', 'aesimc Vdq,Wdq', 'aes', mixKey),
  insn('VEX 66 0F38 DB L0', 'vaesimc Vdq,Wdq', 'aes', mixKey),
  ...(
    [
      ['DC', 'aesenc', encrypt],
      ['DD', 'aesenclast', encryptLast],
      ['DE', 'aesdec', decrypt],
      ['DF', 'aesdeclast', decryptLast],
    ] as const
  ).flatMap(([opcode, name, round]) => rows128('66', `0F38 ${opcode}`, name, 'aes', 'aes', (c, x, key) => round(c.b, x, key))),
  insn('66 0F3A DF', 'aeskeygenassist Vdq,Wdq,Ib', 'aes', keyGeneration),
  insn('VEX 66 0F3A DF L0', 'vaeskeygenassist Vdq,Wdq,Ib', 'aes', keyGeneration),
];
