// SSE4.1 and its AVX and AVX2 forms. SDM Vol. 1, 12.10; Vol. 2.

import type { Value } from '@anillo/ir/block';
import type { Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import {
  callPacked,
  firstSource,
  mergeScalar,
  onHalves,
  readScalar,
  SCALAR_SIZE,
  type PackedKind,
  type ScalarKind,
} from './simd-float-rows.ts';
import { callRound } from './simd-float-routines.ts';
import {
  blendByImmediate,
  blendByMask,
  extend,
  laneBytes,
  minimumPosition,
  multiplyEven,
  multiplyEvenWide,
  sumDifferencesOffset,
  testFlags,
} from './simd-integer.ts';
import {
  getXmm,
  getYmmHigh,
  imm8,
  isMemory,
  readLow32,
  readPart,
  readVector,
  setVector,
  vectorRegister,
  vectorZero,
  writeVector,
  type V,
} from './simd-operands.ts';
import { floatMoveRows, integerRows, liftUnary, op2 } from './simd-rows.ts';

// ---- blends with the mask in XMM0, in VEX forms in the register that the immediate names

function blendRows(opcode: string, name: string, vexOpcode: string, width: 1 | 4 | 8, vex256: 'avx' | 'avx2'): Row[] {
  const lift = (c: Lift): void => {
    const first = firstSource(c);
    const y = readVector(c, first + 1);
    const x = readVector(c, first);
    const mask = c.d.row.vex ? vectorRegister(c, 3) : 0;
    const masks = [getXmm(c, mask), ...(x.length === 2 ? [getYmmHigh(c, mask)] : [])];
    setVector(
      c,
      vectorRegister(c, 0),
      x.map((v, i) => blendByMask(c.b, v, y[i] as V, masks[i] as V, width)),
    );
  };
  const vexName = `v${name} Vx,Hx,Wx,Lb`;
  return [
    insn(`66 0F38 ${opcode}`, `${name} Vdq,Wdq`, 'sse4_1', lift),
    insn(`VEX 66 0F3A ${vexOpcode} W0 L0`, vexName, 'avx', lift),
    insn(`VEX 66 0F3A ${vexOpcode} W0 L1`, vexName, vex256, lift),
  ];
}

// ---- widening moves: opcode beside 20 and 30, name, bytes of source and destination lanes

const EXTENSIONS: readonly (readonly [number, string, 1 | 2 | 4, 2 | 4 | 8])[] = [
  [0, 'bw', 1, 2],
  [1, 'bd', 1, 4],
  [2, 'bq', 1, 8],
  [3, 'wd', 2, 4],
  [4, 'wq', 2, 8],
  [5, 'dq', 4, 8],
];
const SIZE_LETTER: Readonly<Record<number, string>> = { 2: 'w', 4: 'd', 8: 'q', 16: 'dq' };

function extensionRows(signed: boolean): Row[] {
  return EXTENSIONS.flatMap(([at, suffix, from, to]) => {
    const name = `pmov${signed ? 's' : 'z'}x${suffix}`;
    const opcode = ((signed ? 0x20 : 0x30) + at).toString(16).toUpperCase();
    const bytes = (16 * from) / to;
    const lift =
      (halves: 1 | 2) =>
      (c: Lift): void => {
        const v = readPart(c, 1, bytes * halves);
        setVector(
          c,
          vectorRegister(c, 0),
          Array.from({ length: halves }, (_, half) => extend(c.b, v, from, to, signed, half)),
        );
      };
    return [
      insn(`66 0F38 ${opcode}`, `${name} Vdq,W${SIZE_LETTER[bytes]}`, 'sse4_1', lift(1)),
      insn(`VEX 66 0F38 ${opcode} L0`, `v${name} Vdq,W${SIZE_LETTER[bytes]}`, 'avx', lift(1)),
      insn(`VEX 66 0F38 ${opcode} L1`, `v${name} Vqq,W${SIZE_LETTER[bytes * 2]}`, 'avx2', lift(2)),
    ];
  });
}

// ---- single lanes

const extractByte = (c: Lift): void => c.write(0, c.b.op('i8x16.extract_lane_u', [getXmm(c, vectorRegister(c, 1))], imm8(c) & 15));
const extractWord = (c: Lift): void => c.write(0, c.b.op('i16x8.extract_lane_u', [getXmm(c, vectorRegister(c, 1))], imm8(c) & 7));
const extractLane = (c: Lift): void => {
  const v = getXmm(c, vectorRegister(c, 1));
  c.write(0, c.bits(0) === 64 ? c.b.op('i64x2.extract_lane', [v], imm8(c) & 1) : c.b.op('i32x4.extract_lane', [v], imm8(c) & 3));
};
const insertByte = (c: Lift): void => {
  const first = firstSource(c);
  // A register gives its low byte, with or without REX: never AH and its like.
  const byte = isMemory(c, first + 1) ? (c.read(first + 1) as Value<'i32'>) : (c.reg(c.d.rm, 32) as Value<'i32'>);
  setVector(c, vectorRegister(c, 0), [c.b.op('i8x16.replace_lane', [getXmm(c, vectorRegister(c, first)), byte], imm8(c) & 15)]);
};
const insertLane = (c: Lift): void => {
  const first = firstSource(c);
  const value = c.read(first + 1);
  const v = getXmm(c, vectorRegister(c, first));
  const result =
    value.type === 'i64'
      ? c.b.op('i64x2.replace_lane', [v, value as Value<'i64'>], imm8(c) & 1)
      : c.b.op('i32x4.replace_lane', [v, value as Value<'i32'>], imm8(c) & 3);
  setVector(c, vectorRegister(c, 0), [result]);
};
/** INSERTPS: source lane (0 from memory) to a lane, then lanes cleared by the low bits. */
const insertSingle = (c: Lift): void => {
  const first = firstSource(c);
  const control = imm8(c);
  const { b } = c;
  const value = isMemory(c, first + 1)
    ? readLow32(c, first + 1)
    : b.op('i32x4.extract_lane', [getXmm(c, vectorRegister(c, first + 1))], control >> 6);
  let v = b.op('i32x4.replace_lane', [getXmm(c, vectorRegister(c, first)), value], (control >> 4) & 3);
  if ((control & 15) !== 0) v = blendByImmediate(b, v, vectorZero(b), control & 15, 4);
  setVector(c, vectorRegister(c, 0), [v]);
};
/** A register destination gets 32 bits, memory only the lane. */
function extractRows(opcode: string, name: string, size: 'b' | 'w', lift: (c: Lift) => void): Row[] {
  return [
    insn(`66 0F3A ${opcode} mem`, `${name} E${size},Vdq,Ib`, 'sse4_1', lift),
    insn(`66 0F3A ${opcode} reg`, `${name} Ed,Vdq,Ib`, 'sse4_1', lift),
    insn(`VEX 66 0F3A ${opcode} mem L0`, `v${name} E${size},Vdq,Ib`, 'avx', lift),
    insn(`VEX 66 0F3A ${opcode} reg L0`, `v${name} Ed,Vdq,Ib`, 'avx', lift),
  ];
}
const extractSingle = (c: Lift): void => c.write(0, c.b.op('i32x4.extract_lane', [getXmm(c, vectorRegister(c, 1))], imm8(c) & 3));

// ---- rounding

function roundPackedRows(opcode: string, kind: PackedKind): Row[] {
  const lift = (c: Lift): void =>
    setVector(
      c,
      vectorRegister(c, 0),
      onHalves(kind, [readVector(c, 1)], (shape, operands) => callRound(c.b, shape, operands, imm8(c) & 15)),
    );
  return [
    insn(`66 0F3A ${opcode}`, `round${kind} Vdq,Wdq,Ib`, 'sse4_1', lift),
    insn(`VEX 66 0F3A ${opcode}`, `vround${kind} Vx,Wx,Ib`, 'avx', lift),
  ];
}
function roundScalarRows(opcode: string, kind: ScalarKind): Row[] {
  const lift = (c: Lift): void => {
    const first = firstSource(c);
    const value = readScalar(c, first + 1, kind);
    const [r] = callRound(c.b, kind, [value], imm8(c) & 15);
    setVector(c, vectorRegister(c, 0), [mergeScalar(c, getXmm(c, vectorRegister(c, first)), r as Value, kind)]);
  };
  const size = SCALAR_SIZE[kind];
  return [
    insn(`66 0F3A ${opcode}`, `round${kind} Vdq,W${size},Ib`, 'sse4_1', lift),
    insn(`VEX 66 0F3A ${opcode}`, `vround${kind} Vdq,Hdq,W${size},Ib`, 'avx', lift),
  ];
}

// ---- dot products: products of the picked lanes, summed in pairs, to the picked lanes

function dotProductRows(opcode: string, kind: PackedKind): Row[] {
  const width = kind === 'ps' ? 4 : 8;
  const count = 16 / width;
  const lift = (c: Lift): void => {
    const { b } = c;
    const first = firstSource(c);
    const y = readVector(c, first + 1);
    const x = readVector(c, first);
    const control = imm8(c);
    const zero = vectorZero(b);
    const call = (name: 'add' | 'mul', ...operands: (readonly V[])[]): readonly V[] => callPacked(c, name, kind, operands);
    const pick = (v: V, bits: number): V => blendByImmediate(b, zero, v, bits, width);
    const swap = (v: V, distance: number): V =>
      b.shuffle(
        v,
        v,
        laneBytes(
          Array.from({ length: count }, (_, i) => i ^ distance),
          width,
        ),
      );
    // Lane 0 holds the sum in the manual's order; the others repeat it.
    const even = (v: V, step: number): V =>
      b.shuffle(
        v,
        v,
        laneBytes(
          Array.from({ length: count }, (_, i) => i & ~step),
          width,
        ),
      );
    let sum = call(
      'mul',
      x.map((v) => pick(v, control >> 4)),
      y.map((v) => pick(v, control >> 4)),
    );
    for (let step = 1; step < count; step *= 2)
      sum = call(
        'add',
        sum,
        sum.map((v) => swap(v, step)),
      ).map((v) => even(v, step));
    setVector(
      c,
      vectorRegister(c, 0),
      sum.map((v) => pick(v, control & 15)),
    );
  };
  const rows = [insn(`66 0F3A ${opcode}`, `dp${kind} Vdq,Wdq,Ib`, 'sse4_1', lift)];
  rows.push(
    kind === 'ps'
      ? insn(`VEX 66 0F3A ${opcode}`, 'vdpps Vx,Hx,Wx,Ib', 'avx', lift)
      : insn(`VEX 66 0F3A ${opcode} L0`, 'vdppd Vdq,Hdq,Wdq,Ib', 'avx', lift),
  );
  return rows;
}

const ptest = (c: Lift): void => {
  const y = readVector(c, 1);
  testFlags(c, readVector(c, 0), y);
};
const streamLoad = (c: Lift): void => writeVector(c, 0, readVector(c, 1, true));
const wordPosition = liftUnary(minimumPosition);

export const SSE41_ROWS: readonly Row[] = [
  ...blendRows('10', 'pblendvb', '4C', 1, 'avx2'),
  ...blendRows('14', 'blendvps', '4A', 4, 'avx'),
  ...blendRows('15', 'blendvpd', '4B', 8, 'avx'),
  insn('66 0F38 17', 'ptest Vdq,Wdq', 'sse4_1', ptest),
  insn('VEX 66 0F38 17', 'vptest Vx,Wx', 'avx', ptest),
  ...extensionRows(true),
  ...extensionRows(false),
  ...integerRows('0F38 28', 'pmuldq', 'sse4_1', multiplyEven(true), { wide: multiplyEvenWide(true) }),
  ...integerRows('0F38 29', 'pcmpeqq', 'sse4_1', op2('i64x2.eq')),
  insn('66 0F38 2A mem', 'movntdqa Vdq,Wdq', 'sse4_1', streamLoad),
  insn('VEX 66 0F38 2A mem L0', 'vmovntdqa Vx,Wx', 'avx', streamLoad),
  insn('VEX 66 0F38 2A mem L1', 'vmovntdqa Vx,Wx', 'avx2', streamLoad),
  ...integerRows('0F38 2B', 'packusdw', 'sse4_1', op2('i16x8.narrow_i32x4_u')),
  ...integerRows('0F38 38', 'pminsb', 'sse4_1', op2('i8x16.min_s')),
  ...integerRows('0F38 39', 'pminsd', 'sse4_1', op2('i32x4.min_s')),
  ...integerRows('0F38 3A', 'pminuw', 'sse4_1', op2('i16x8.min_u')),
  ...integerRows('0F38 3B', 'pminud', 'sse4_1', op2('i32x4.min_u')),
  ...integerRows('0F38 3C', 'pmaxsb', 'sse4_1', op2('i8x16.max_s')),
  ...integerRows('0F38 3D', 'pmaxsd', 'sse4_1', op2('i32x4.max_s')),
  ...integerRows('0F38 3E', 'pmaxuw', 'sse4_1', op2('i16x8.max_u')),
  ...integerRows('0F38 3F', 'pmaxud', 'sse4_1', op2('i32x4.max_u')),
  ...integerRows('0F38 40', 'pmulld', 'sse4_1', op2('i32x4.mul')),
  insn('66 0F38 41', 'phminposuw Vdq,Wdq', 'sse4_1', wordPosition),
  insn('VEX 66 0F38 41 L0', 'vphminposuw Vdq,Wdq', 'avx', wordPosition),
  ...roundPackedRows('08', 'ps'),
  ...roundPackedRows('09', 'pd'),
  ...roundScalarRows('0A', 'ss'),
  ...roundScalarRows('0B', 'sd'),
  ...floatMoveRows('66', '0F3A 0C', 'blendps', 'sse4_1', (c, x, y, half) => blendByImmediate(c.b, x, y, imm8(c) >> (4 * half), 4), true),
  ...floatMoveRows('66', '0F3A 0D', 'blendpd', 'sse4_1', (c, x, y, half) => blendByImmediate(c.b, x, y, imm8(c) >> (2 * half), 8), true),
  ...integerRows('0F3A 0E', 'pblendw', 'sse4_1', (c, x, y) => blendByImmediate(c.b, x, y, imm8(c), 2), { imm: true }),
  ...extractRows('14', 'pextrb', 'b', extractByte),
  ...extractRows('15', 'pextrw', 'w', extractWord),
  insn('66 0F3A 16', 'pextrd Ey,Vdq,Ib', 'sse4_1', extractLane),
  insn('VEX 66 0F3A 16 L0', 'vpextrd Ey,Vdq,Ib', 'avx', extractLane),
  insn('66 0F3A 17', 'extractps Ed,Vdq,Ib', 'sse4_1', extractSingle),
  insn('VEX 66 0F3A 17 L0', 'vextractps Ed,Vdq,Ib', 'avx', extractSingle),
  insn('66 0F3A 20', 'pinsrb Vdq,Eb,Ib', 'sse4_1', insertByte),
  insn('VEX 66 0F3A 20 L0', 'vpinsrb Vdq,Hdq,Eb,Ib', 'avx', insertByte),
  insn('66 0F3A 21', 'insertps Vdq,Wd,Ib', 'sse4_1', insertSingle),
  insn('VEX 66 0F3A 21 L0', 'vinsertps Vdq,Hdq,Wd,Ib', 'avx', insertSingle),
  insn('66 0F3A 22', 'pinsrd Vdq,Ey,Ib', 'sse4_1', insertLane),
  insn('VEX 66 0F3A 22 L0', 'vpinsrd Vdq,Hdq,Ey,Ib', 'avx', insertLane),
  ...dotProductRows('40', 'ps'),
  ...dotProductRows('41', 'pd'),
  ...integerRows('0F3A 42', 'mpsadbw', 'sse4_1', sumDifferencesOffset, { imm: true }),
];
