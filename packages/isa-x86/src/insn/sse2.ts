// SSE2: double-precision moves and comparisons, conversions (with the single-precision and MMX forms), integer moves and shuffles. SDM Vol. 1 chapter 11.

import type { Value } from '@anillo/ir/block';
import type { Feature } from '../cpu-model.ts';
import type { Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { callConvert, callFromInteger, callToInteger, convertRoutine, highToLow } from './simd-convert-routines.ts';
import { callHalves, firstSource, mergeScalar, readScalar, upperResult, type ScalarKind } from './simd-float-rows.ts';
import { laneBytes, shuffleByImmediate, unpack } from './simd-integer.ts';
import {
  bytesOf,
  checkMmx,
  enterMmx,
  fromLow32,
  fromLow64,
  getXmm,
  imm8,
  isMemory,
  low64,
  mmRegister,
  readLow64,
  readMm,
  readPart,
  readVector,
  setMm,
  setVector,
  vectorRegister,
  writeVector,
  type Halves,
  type V,
} from './simd-operands.ts';
import { floatMoveRows, unaryRows, type Binary } from './simd-rows.ts';
import {
  bitwiseRows,
  compareFlagsRows,
  comparePackedRows,
  compareScalarRows,
  halfMoveRows,
  maskedStore,
  moveRows,
  scalarMoveRows,
  signMaskRows,
  streamRows,
} from './sse.ts';

const shufpd: Binary = (c, x, y, half) => {
  const control = imm8(c) >> (2 * half);
  return c.b.shuffle(x, y, laneBytes([control & 1, 2 + ((control >> 1) & 1)], 8));
};

// ---- conversions

/** Integer register or memory to scalar. */
function fromIntegerRows(kind: ScalarKind, feature: Feature): Row[] {
  const prefix = kind === 'ss' ? 'F3' : 'F2';
  const lift = (c: Lift): void => {
    const first = firstSource(c);
    const value = c.read(first + 1);
    const merge = getXmm(c, vectorRegister(c, first));
    const r = callFromInteger(c.b, value, kind === 'ss' ? 'f32' : 'f64');
    setVector(c, vectorRegister(c, 0), [mergeScalar(c, merge, r, kind)]);
  };
  return [
    insn(`${prefix} 0F 2A`, `cvtsi2${kind} Vdq,Ey`, feature, lift),
    insn(`VEX ${prefix} 0F 2A`, `vcvtsi2${kind} Vdq,Hdq,Ey`, 'avx', lift),
  ];
}
/** Scalar to integer register. */
function toIntegerRows(kind: ScalarKind, feature: Feature): Row[] {
  const prefix = kind === 'ss' ? 'F3' : 'F2';
  const size = kind === 'ss' ? 'd' : 'q';
  return (
    [
      ['2C', 't'],
      ['2D', ''],
    ] as const
  ).flatMap(([opcode, truncate]) => {
    const lift = (c: Lift): void => {
      const value = readScalar(c, 1, kind) as Value<'f32' | 'f64'>;
      c.write(0, callToInteger(c.b, value, c.bits(0) === 64 ? 'i64' : 'i32', truncate === 't'));
    };
    return [
      insn(`${prefix} 0F ${opcode}`, `cvt${truncate}${kind}2si Gy,W${size}`, feature, lift),
      insn(`VEX ${prefix} 0F ${opcode}`, `vcvt${truncate}${kind}2si Gy,W${size}`, 'avx', lift),
    ];
  });
}

/** Same number of bytes in and out. */
function convertSameRows(prefix: string, opcode: string, name: string): Row[] {
  const lift = (c: Lift): void =>
    writeVector(
      c,
      0,
      callHalves(c, (shape) => convertRoutine(shape === 'ps256' ? `${name}256` : name), 'ps', [readVector(c, 1)]),
    );
  return [
    insn(`${prefix} 0F ${opcode}`, `${name} Vdq,Wdq`, 'sse2', lift),
    insn(`VEX ${prefix} 0F ${opcode}`, `v${name} Vx,Wx`, 'avx', lift),
  ];
}
/** Twice as many bytes in as out: the result is 128 bits at most. */
function convertNarrowRows(prefix: string, opcode: string, name: string): Row[] {
  const lift = (c: Lift): void => {
    const source = readVector(c, 1);
    setVector(c, vectorRegister(c, 0), [c.b.call(convertRoutine(source.length === 2 ? `${name}256` : name), source) as V]);
  };
  return [
    insn(`${prefix} 0F ${opcode}`, `${name} Vdq,Wdq`, 'sse2', lift),
    insn(`VEX ${prefix} 0F ${opcode}`, `v${name} Vdq,Wx`, 'avx', lift),
  ];
}
/** Half as many bytes in as out. */
function convertWidenRows(prefix: string, opcode: string, name: string, convert: (c: Lift, v: V, two: boolean) => Halves): Row[] {
  const lift = (c: Lift): void => {
    const two = bytesOf(c, c.operand(0)) === 32;
    setVector(c, vectorRegister(c, 0), convert(c, readPart(c, 1, two ? 16 : 8), two));
  };
  return [
    insn(`${prefix} 0F ${opcode}`, `${name} Vdq,Wq`, 'sse2', lift),
    insn(`VEX ${prefix} 0F ${opcode}`, `v${name} Vx,Wx`, 'avx', lift),
  ];
}

/** Double from single and single from double: sizes differ from the destination's lane. */
const convertScalar =
  (from: ScalarKind, to: ScalarKind) =>
  (c: Lift): void => {
    const first = firstSource(c);
    const value = readScalar(c, first + 1, from) as Value<'f32' | 'f64'>;
    const merge = getXmm(c, vectorRegister(c, first));
    setVector(c, vectorRegister(c, 0), [mergeScalar(c, merge, callConvert(c.b, value), to)]);
  };
const widen = convertScalar('ss', 'sd');
const narrow = convertScalar('sd', 'ss');

/** From MMX register or memory to XMM; a memory operand leaves the x87 state alone. */
const fromMmx =
  (single: boolean) =>
  (c: Lift): void => {
    const memory = isMemory(c, 1);
    if (!memory) checkMmx(c);
    const value = fromLow64(c.b, readMm(c, 1));
    if (!memory) enterMmx(c);
    const dst = vectorRegister(c, 0);
    const result = single
      ? c.b.shuffle(c.b.call(convertRoutine('cvtdq2ps'), [value]) as V, getXmm(c, dst), laneBytes([0, 3], 8))
      : c.b.op('f64x2.convert_low_i32x4_s', [value]);
    setVector(c, dst, [result]);
  };
/** To an MMX register. CPUs enter MMX mode even where the conversion then raises #XM. */
const toMmx =
  (single: boolean, truncate: boolean) =>
  (c: Lift): void => {
    checkMmx(c);
    const value = single ? fromLow64(c.b, readLow64(c, 1)) : (readVector(c, 1)[0] as V);
    enterMmx(c);
    const r = c.b.call(convertRoutine(`cvt${truncate ? 't' : ''}${single ? 'ps' : 'pd'}2dq`), [value]) as V;
    setMm(c, mmRegister(c, 0), low64(c.b, r));
  };

// ---- moves between register files

const fromGeneral = (c: Lift): void => {
  const value = c.read(1);
  setVector(c, vectorRegister(c, 0), [
    value.type === 'i64' ? fromLow64(c.b, value as Value<'i64'>) : fromLow32(c.b, value as Value<'i32'>),
  ]);
};
const toGeneral = (c: Lift): void => {
  const v = getXmm(c, vectorRegister(c, 1));
  c.write(0, c.bits(0) === 64 ? low64(c.b, v) : c.b.op('i32x4.extract_lane', [v], 0));
};
const moveLow = (c: Lift): void => setVector(c, vectorRegister(c, 0), [fromLow64(c.b, readLow64(c, 1))]);
const storeLow = (c: Lift): void => {
  const value = low64(c.b, getXmm(c, vectorRegister(c, 1)));
  if (isMemory(c, 0)) c.store(c.memory(8, true), 64, value);
  else setVector(c, vectorRegister(c, 0), [fromLow64(c.b, value)]);
};
const insertWord = (c: Lift): void => {
  const first = firstSource(c);
  const word = c.to32(c.read(first + 1));
  setVector(c, vectorRegister(c, 0), [c.b.op('i16x8.replace_lane', [getXmm(c, vectorRegister(c, first)), word], imm8(c) & 7)]);
};
const extractWord = (c: Lift): void => c.write(0, c.b.op('i16x8.extract_lane_u', [getXmm(c, vectorRegister(c, 1))], imm8(c) & 7));
const byteMask = (c: Lift): void => {
  const [low, high] = readVector(c, 1).map((v) => c.b.op('i8x16.bitmask', [v])) as [Value<'i32'>, Value<'i32'>?];
  c.write(0, high ? c.b.or(low, c.b.shl(high, c.b.i32(16))) : low);
};
const maskedStoreXmm = (c: Lift): void => maskedStore(c, getXmm(c, vectorRegister(c, 0)), getXmm(c, vectorRegister(c, 1)), 16);

export const SSE2_ROWS: readonly Row[] = [
  ...moveRows('66', '10', '11', 'movupd', 'sse2', false),
  ...moveRows('66', '28', '29', 'movapd', 'sse2', true),
  ...moveRows('66', '6F', '7F', 'movdqa', 'sse2', true),
  ...moveRows('F3', '6F', '7F', 'movdqu', 'sse2', false),
  ...streamRows('66', '2B', 'movntpd', 'sse2'),
  ...streamRows('66', 'E7', 'movntdq', 'sse2'),
  ...scalarMoveRows('sd'),
  ...halfMoveRows('66', '12', '13', 'movlpd', 'sse2', 0),
  ...halfMoveRows('66', '16', '17', 'movhpd', 'sse2', 1),
  ...signMaskRows('66', 'movmskpd', 'sse2', 'i64x2.bitmask'),
  ...bitwiseRows('66', 'pd'),
  ...floatMoveRows('66', '0F 14', 'unpcklpd', 'sse2', unpack(8, false)),
  ...floatMoveRows('66', '0F 15', 'unpckhpd', 'sse2', unpack(8, true)),
  ...floatMoveRows('66', '0F C6', 'shufpd', 'sse2', shufpd, true),
  ...comparePackedRows('pd'),
  ...compareScalarRows('sd'),
  ...compareFlagsRows('sd'),

  ...fromIntegerRows('ss', 'sse'),
  ...fromIntegerRows('sd', 'sse2'),
  ...toIntegerRows('ss', 'sse'),
  ...toIntegerRows('sd', 'sse2'),
  ...convertSameRows('NP', '5B', 'cvtdq2ps'),
  ...convertSameRows('66', '5B', 'cvtps2dq'),
  ...convertSameRows('F3', '5B', 'cvttps2dq'),
  ...convertNarrowRows('F2', 'E6', 'cvtpd2dq'),
  ...convertNarrowRows('66', 'E6', 'cvttpd2dq'),
  ...convertNarrowRows('66', '5A', 'cvtpd2ps'),
  ...convertWidenRows('F3', 'E6', 'cvtdq2pd', (c, v, two) => {
    const low = c.b.op('f64x2.convert_low_i32x4_s', [v]);
    return two ? [low, c.b.op('f64x2.convert_low_i32x4_s', [highToLow(c.b, v)])] : [low];
  }),
  ...convertWidenRows('NP', '5A', 'cvtps2pd', (c, v, two) =>
    two ? [c.b.call(convertRoutine('cvtps2pd256'), [v]) as V, upperResult(c)] : [c.b.call(convertRoutine('cvtps2pd'), [v]) as V],
  ),
  insn('F3 0F 5A', 'cvtss2sd Vdq,Wd', 'sse2', widen),
  insn('VEX F3 0F 5A', 'vcvtss2sd Vdq,Hdq,Wd', 'avx', widen),
  insn('F2 0F 5A', 'cvtsd2ss Vdq,Wq', 'sse2', narrow),
  insn('VEX F2 0F 5A', 'vcvtsd2ss Vdq,Hdq,Wq', 'avx', narrow),
  insn('NP 0F 2A', 'cvtpi2ps Vdq,Qq', 'sse', fromMmx(true)),
  insn('66 0F 2A', 'cvtpi2pd Vdq,Qq', 'sse2', fromMmx(false)),
  insn('NP 0F 2C', 'cvttps2pi Pq,Wq', 'sse', toMmx(true, true)),
  insn('NP 0F 2D', 'cvtps2pi Pq,Wq', 'sse', toMmx(true, false)),
  insn('66 0F 2C', 'cvttpd2pi Pq,Wdq', 'sse2', toMmx(false, true)),
  insn('66 0F 2D', 'cvtpd2pi Pq,Wdq', 'sse2', toMmx(false, false)),

  insn('66 0F 6E', 'movd Vdq,Ey', 'sse2', fromGeneral),
  insn('VEX 66 0F 6E L0', 'vmovd Vdq,Ey', 'avx', fromGeneral),
  insn('66 0F 7E', 'movd Ey,Vdq', 'sse2', toGeneral),
  insn('VEX 66 0F 7E L0', 'vmovd Ey,Vdq', 'avx', toGeneral),
  insn('F3 0F 7E', 'movq Vdq,Wq', 'sse2', moveLow),
  insn('VEX F3 0F 7E L0', 'vmovq Vdq,Wq', 'avx', moveLow),
  insn('66 0F D6', 'movq Wq,Vdq', 'sse2', storeLow),
  insn('VEX 66 0F D6 L0', 'vmovq Wq,Vdq', 'avx', storeLow),
  insn('F3 0F D6', 'movq2dq Vdq,Nq', 'sse2', (c) => {
    checkMmx(c);
    const value = fromLow64(c.b, readMm(c, 1));
    enterMmx(c);
    setVector(c, vectorRegister(c, 0), [value]);
  }),
  insn('F2 0F D6', 'movdq2q Pq,Udq', 'sse2', (c) => {
    checkMmx(c);
    const value = readLow64(c, 1);
    enterMmx(c);
    setMm(c, mmRegister(c, 0), value);
  }),

  ...unaryRows('66', '0F 70', 'pshufd', 'sse2', (c, v) => shuffleByImmediate(c.b, v, imm8(c), 'd'), { imm: true }),
  ...unaryRows('F3', '0F 70', 'pshufhw', 'sse2', (c, v) => shuffleByImmediate(c.b, v, imm8(c), 'hw'), { imm: true }),
  ...unaryRows('F2', '0F 70', 'pshuflw', 'sse2', (c, v) => shuffleByImmediate(c.b, v, imm8(c), 'lw'), { imm: true }),
  insn('66 0F C4', 'pinsrw Vdq,Ew,Ib', 'sse2', insertWord),
  insn('VEX 66 0F C4 L0', 'vpinsrw Vdq,Hdq,Ew,Ib', 'avx', insertWord),
  insn('66 0F C5', 'pextrw Gd,Udq,Ib', 'sse2', extractWord),
  insn('VEX 66 0F C5 L0', 'vpextrw Gd,Udq,Ib', 'avx', extractWord),
  insn('66 0F D7', 'pmovmskb Gd,Udq', 'sse2', byteMask),
  insn('VEX 66 0F D7 L0', 'vpmovmskb Gd,Ux', 'avx', byteMask),
  insn('VEX 66 0F D7 L1', 'vpmovmskb Gd,Ux', 'avx2', byteMask),
  insn('66 0F F7', 'maskmovdqu Vdq,Udq', 'sse2', maskedStoreXmm),
  insn('VEX 66 0F F7 L0', 'vmaskmovdqu Vdq,Udq', 'avx', maskedStoreXmm),
];
