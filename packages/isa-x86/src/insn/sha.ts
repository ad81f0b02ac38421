// SHA-1 and SHA-256 instructions. SDM Vol. 2; FIPS 180-4. Words are numbered by their 32-bit lane.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import type { Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { XMM } from '../state.ts';
import { laneBytes } from './simd-integer.ts';
import { imm8, vectorZero, type V } from './simd-operands.ts';
import { liftBinary, type Binary } from './simd-rows.ts';

type W = Value<'i32'>;
const lane = (b: Builder, v: V, i: number): W => b.op('i32x4.extract_lane', [v], i);
const join = (b: Builder, lanes: readonly W[]): V => lanes.reduce<V>((v, w, i) => b.op('i32x4.replace_lane', [v, w], i), vectorZero(b));
const rotateLeft = (b: Builder, x: W, by: number): W => b.rotl(x, b.i32(by));
const xor3 = (b: Builder, x: W, y: W, z: W): W => b.xor(b.xor(x, y), z);
const choose = (b: Builder, x: W, y: W, z: W): W => b.xor(z, b.and(x, b.xor(y, z)));
const majority = (b: Builder, x: W, y: W, z: W): W => b.or(b.and(x, y), b.and(z, b.or(x, y)));

const shaRoutine = (name: string, operands: 2 | 3, compute: (b: Builder, x: V, y: V, z: V) => V): Routine =>
  routine({
    name,
    params: Array.from({ length: operands }, () => 'v128' as const),
    result: 'v128',
    reads: 'none',
    writes: 'none',
    traps: false,
    pure: true,
    build: (b, [x, y, z]) => compute(b, x as V, y as V, z as V),
  });

const SHA1_ROUND = [
  { f: choose, k: 0x5a82_7999 },
  { f: xor3, k: 0x6ed9_eba1 },
  { f: majority, k: 0x8f1b_bcdc },
  { f: xor3, k: 0xca62_c1d6 },
] as const;
const sha1Rounds = SHA1_ROUND.map(({ f, k }, number) =>
  shaRoutine(`sha1rnds${number}`, 2, (b, x, y) => {
    let [d, c2, b2, a] = [0, 1, 2, 3].map((i) => lane(b, x, i)) as [W, W, W, W];
    let e = b.i32(0);
    for (let round = 0; round < 4; round++) {
      const sum = b.add(b.add(b.add(f(b, b2, c2, d), rotateLeft(b, a, 5)), b.add(lane(b, y, 3 - round), b.i32(k))), e);
      [e, d, c2, b2, a] = [d, c2, rotateLeft(b, b2, 30), a, sum];
    }
    return join(b, [d, c2, b2, a]);
  }),
);

const sha1Message2 = shaRoutine('sha1msg2', 2, (b, x, y) => {
  const w16 = rotateLeft(b, b.xor(lane(b, x, 3), lane(b, y, 2)), 1);
  const w17 = rotateLeft(b, b.xor(lane(b, x, 2), lane(b, y, 1)), 1);
  const w18 = rotateLeft(b, b.xor(lane(b, x, 1), lane(b, y, 0)), 1);
  const w19 = rotateLeft(b, b.xor(lane(b, x, 0), w16), 1);
  return join(b, [w19, w18, w17, w16]);
});
const sha1Message1: Binary = (c, x, y) => c.b.op('v128.xor', [x, c.b.shuffle(y, x, laneBytes([2, 3, 4, 5], 4))]);
const sha1NextE: Binary = (c, x, y) => {
  const { b } = c;
  return b.op('i32x4.replace_lane', [y, b.add(lane(b, y, 3), rotateLeft(b, lane(b, x, 3), 30))], 3);
};

const rotateRight = (b: Builder, x: W, by: number): W => b.op('i32.rotr', [x, b.i32(by)]);
const bigSigma = (b: Builder, x: W, by: readonly [number, number, number]): W =>
  xor3(b, rotateRight(b, x, by[0]), rotateRight(b, x, by[1]), rotateRight(b, x, by[2]));
/** Two rotations and a shift. */
const smallSigma = (b: Builder, x: W, by: readonly [number, number, number]): W =>
  xor3(b, rotateRight(b, x, by[0]), rotateRight(b, x, by[1]), b.shrU(x, b.i32(by[2])));

const sha256Rounds = shaRoutine('sha256rnds2', 3, (b, x, y, z) => {
  let [f, e, b2, a] = [0, 1, 2, 3].map((i) => lane(b, y, i)) as [W, W, W, W];
  let [h, g, d, c2] = [0, 1, 2, 3].map((i) => lane(b, x, i)) as [W, W, W, W];
  for (let round = 0; round < 2; round++) {
    const t1 = b.add(b.add(choose(b, e, f, g), bigSigma(b, e, [6, 11, 25])), b.add(lane(b, z, round), h));
    const t2 = b.add(majority(b, a, b2, c2), bigSigma(b, a, [2, 13, 22]));
    [h, g, f, e, d, c2, b2, a] = [g, f, e, b.add(t1, d), c2, b2, a, b.add(t1, t2)];
  }
  return join(b, [f, e, b2, a]);
});
const sha256Message1 = shaRoutine('sha256msg1', 2, (b, x, y) => {
  const next = [lane(b, x, 1), lane(b, x, 2), lane(b, x, 3), lane(b, y, 0)];
  return b.op('i32x4.add', [
    x,
    join(
      b,
      next.map((w) => smallSigma(b, w, [7, 18, 3])),
    ),
  ]);
});
const sha256Message2 = shaRoutine('sha256msg2', 2, (b, x, y) => {
  const sigma = (w: W): W => smallSigma(b, w, [17, 19, 10]);
  const w16 = b.add(lane(b, x, 0), sigma(lane(b, y, 2)));
  const w17 = b.add(lane(b, x, 1), sigma(lane(b, y, 3)));
  return join(b, [w16, w17, b.add(lane(b, x, 2), sigma(w16)), b.add(lane(b, x, 3), sigma(w17))]);
});

export const SHA_ROUTINES: readonly Routine[] = [...sha1Rounds, sha1Message2, sha256Rounds, sha256Message1, sha256Message2];

const by =
  (r: Routine): Binary =>
  (c, x, y) =>
    c.b.call(r, [x, y]) as V;
// Unlike other legacy SSE instructions these take unaligned operands, as CPUs do (the manual lists #GP).
const lift = (f: Binary): ((c: Lift) => void) => liftBinary(f, false);
const row = (opcode: string, name: string, f: Binary): Row => insn(`NP 0F38 ${opcode}`, `${name} Vdq,Wdq`, 'sha', lift(f));

export const SHA_ROWS: readonly Row[] = [
  row('C8', 'sha1nexte', sha1NextE),
  row('C9', 'sha1msg1', sha1Message1),
  row('CA', 'sha1msg2', by(sha1Message2)),
  row('CB', 'sha256rnds2', (c, x, y) => c.b.call(sha256Rounds, [x, y, c.b.get(XMM[0] as Slot<'v128'>)]) as V),
  row('CC', 'sha256msg1', by(sha256Message1)),
  row('CD', 'sha256msg2', by(sha256Message2)),
  insn(
    'NP 0F3A CC',
    'sha1rnds4 Vdq,Wdq,Ib',
    'sha',
    lift((c, x, y) => c.b.call(sha1Rounds[imm8(c) & 3] as Routine, [x, y]) as V),
  ),
];
