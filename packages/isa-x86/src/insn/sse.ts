// SSE: single-precision floating point (with the double and AVX forms of the same opcodes where one meaning serves all), moves, MXCSR,
// and what SSE added to MMX. SDM Vol. 1 chapter 10, Vol. 2.

import type { Value } from '@anillo/ir/block';
import type { Slot } from '@anillo/ir/slot';
import type { Feature } from '../cpu-model.ts';
import type { Lift } from '../lift.ts';
import { MODE } from '../mode.ts';
import { insn, type Row } from '../row.ts';
import { DS, GPR, MXCSR, RDI, TRAP } from '../state.ts';
import { requireAvx, requireSse } from '../usable.ts';
import { MASKED_STORE } from './masked-store.ts';
import { RECIPROCAL, RECIPROCAL_ROOT } from './simd-approximation.ts';
import {
  arithmeticRows,
  featureOf,
  firstSource,
  mergeLane,
  mergeScalar,
  onHalves,
  readScalar,
  SCALAR_SIZE,
  scalarOf,
  splatScalar,
  type PackedKind,
  type ScalarKind,
} from './simd-float-rows.ts';
import { callCompare, compareToFlags } from './simd-float-routines.ts';
import { andNot, laneBytes, shuffleByImmediate, unpack } from './simd-integer.ts';
import {
  checkMmx,
  enterMmx,
  fromLow32,
  fromLow64,
  getXmm,
  imm8,
  low64,
  mmRegister,
  readLow32,
  readLow64,
  readMm,
  readVector,
  setMm,
  setVector,
  splat64,
  vectorRegister,
  writeVector,
  type V,
} from './simd-operands.ts';
import { floatMoveRows, op2, type Binary } from './simd-rows.ts';

// ---- moves

/** Load and store of a whole register. */
export function moveRows(prefix: string, load: string, store: string | undefined, name: string, feature: Feature, aligned: boolean): Row[] {
  const lift = (c: Lift): void => writeVector(c, 0, readVector(c, 1, aligned), aligned);
  const rows = [
    insn(`${prefix} 0F ${load}`, `${name} Vdq,Wdq`, feature, lift),
    insn(`VEX ${prefix} 0F ${load}`, `v${name} Vx,Wx`, 'avx', lift),
  ];
  if (store)
    rows.push(
      insn(`${prefix} 0F ${store}`, `${name} Wdq,Vdq`, feature, lift),
      insn(`VEX ${prefix} 0F ${store}`, `v${name} Wx,Vx`, 'avx', lift),
    );
  return rows;
}
/** Store past the caches: memory only, aligned. */
export function streamRows(prefix: string, opcode: string, name: string, feature: Feature): Row[] {
  const lift = (c: Lift): void => writeVector(c, 0, readVector(c, 1), true);
  return [
    insn(`${prefix} 0F ${opcode} mem`, `${name} Wdq,Vdq`, feature, lift),
    insn(`VEX ${prefix} 0F ${opcode} mem`, `v${name} Wx,Vx`, 'avx', lift),
  ];
}

const storeLow = (c: Lift, kind: ScalarKind): void => {
  const v = getXmm(c, vectorRegister(c, 1));
  if (kind === 'ss') c.store(c.memory(4, true), 32, c.b.op('i32x4.extract_lane', [v], 0));
  else c.store(c.memory(8, true), 64, low64(c.b, v));
};

/** MOVSS and MOVSD: memory clears the rest of the register, registers merge. */
export function scalarMoveRows(kind: ScalarKind): Row[] {
  const prefix = kind === 'ss' ? 'F3' : 'F2';
  const size = SCALAR_SIZE[kind];
  const feature = featureOf(kind);
  const load = (c: Lift): void =>
    setVector(c, vectorRegister(c, 0), [kind === 'ss' ? fromLow32(c.b, readLow32(c, 1)) : fromLow64(c.b, readLow64(c, 1))]);
  const merge = (c: Lift): void => {
    const first = firstSource(c);
    setVector(c, vectorRegister(c, 0), [mergeLane(c, getXmm(c, vectorRegister(c, first)), getXmm(c, vectorRegister(c, first + 1)), kind)]);
  };
  const store = (c: Lift): void => storeLow(c, kind);
  return [
    insn(`${prefix} 0F 10 mem`, `mov${kind} Vdq,W${size}`, feature, load),
    insn(`${prefix} 0F 10 reg`, `mov${kind} Vdq,W${size}`, feature, merge),
    insn(`${prefix} 0F 11 mem`, `mov${kind} W${size},Vdq`, feature, store),
    insn(`${prefix} 0F 11 reg`, `mov${kind} W${size},Vdq`, feature, merge),
    insn(`VEX ${prefix} 0F 10 mem`, `vmov${kind} Vdq,W${size}`, 'avx', load),
    insn(`VEX ${prefix} 0F 10 reg`, `vmov${kind} Vdq,Hdq,W${size}`, 'avx', merge),
    insn(`VEX ${prefix} 0F 11 mem`, `vmov${kind} W${size},Vdq`, 'avx', store),
    insn(`VEX ${prefix} 0F 11 reg`, `vmov${kind} W${size},Hdq,Vdq`, 'avx', merge),
  ];
}

/** MOVLPx, MOVHPx: one half of a register from and to memory. */
export function halfMoveRows(prefix: 'NP' | '66', load: string, store: string, name: string, feature: Feature, lane: 0 | 1): Row[] {
  const fromMemory = (c: Lift): void => {
    const first = firstSource(c);
    const value = readLow64(c, first + 1);
    setVector(c, vectorRegister(c, 0), [c.b.op('i64x2.replace_lane', [getXmm(c, vectorRegister(c, first)), value], lane)]);
  };
  const toMemory = (c: Lift): void => c.store(c.memory(8, true), 64, c.b.op('i64x2.extract_lane', [getXmm(c, vectorRegister(c, 1))], lane));
  return [
    insn(`${prefix} 0F ${load} mem`, `${name} Vdq,Wq`, feature, fromMemory),
    insn(`${prefix} 0F ${store} mem`, `${name} Wq,Vdq`, feature, toMemory),
    insn(`VEX ${prefix} 0F ${load} mem L0`, `v${name} Vdq,Hdq,Wq`, 'avx', fromMemory),
    insn(`VEX ${prefix} 0F ${store} mem L0`, `v${name} Wq,Vdq`, 'avx', toMemory),
  ];
}
/** MOVHLPS, MOVLHPS: 64-bit lanes of (x, y). */
function crossMoveRows(opcode: string, name: string, lanes: readonly [number, number]): Row[] {
  const lift = (c: Lift): void => {
    const first = firstSource(c);
    const x = getXmm(c, vectorRegister(c, first));
    setVector(c, vectorRegister(c, 0), [c.b.shuffle(x, getXmm(c, vectorRegister(c, first + 1)), laneBytes(lanes, 8))]);
  };
  return [
    insn(`NP 0F ${opcode} reg`, `${name} Vdq,Udq`, 'sse', lift),
    insn(`VEX NP 0F ${opcode} reg L0`, `v${name} Vdq,Hdq,Udq`, 'avx', lift),
  ];
}

/** Sign bits of the lanes to a general register. */
export function signMaskRows(prefix: 'NP' | '66', name: string, feature: Feature, op: 'i32x4.bitmask' | 'i64x2.bitmask'): Row[] {
  const lift = (c: Lift): void => {
    const masks = readVector(c, 1).map((v) => c.b.op(op, [v]));
    const [low, high] = masks as [Value<'i32'>, Value<'i32'>?];
    c.write(0, high ? c.b.or(low, c.b.shl(high, c.b.i32(op === 'i32x4.bitmask' ? 4 : 2))) : low);
  };
  return [insn(`${prefix} 0F 50`, `${name} Gd,Udq`, feature, lift), insn(`VEX ${prefix} 0F 50`, `v${name} Gd,Ux`, 'avx', lift)];
}

// ---- comparisons

export function comparePackedRows(kind: PackedKind): Row[] {
  const lift = (c: Lift): void => {
    const first = firstSource(c);
    const predicate = imm8(c) & (c.d.row.vex ? 31 : 7);
    const y = readVector(c, first + 1);
    const x = readVector(c, first);
    writeVector(
      c,
      0,
      onHalves(kind, [x, y], (shape, operands) => callCompare(c, shape, operands, predicate)),
    );
  };
  const prefix = kind === 'ps' ? 'NP' : '66';
  return [
    insn(`${prefix} 0F C2`, `cmp${kind} Vdq,Wdq,Ib`, featureOf(kind), lift),
    insn(`VEX ${prefix} 0F C2`, `vcmp${kind} Vx,Hx,Wx,Ib`, 'avx', lift),
  ];
}
export function compareScalarRows(kind: ScalarKind): Row[] {
  const lift = (c: Lift): void => {
    const first = firstSource(c);
    const predicate = imm8(c) & (c.d.row.vex ? 31 : 7);
    const y = readScalar(c, first + 1, kind);
    const merge = getXmm(c, vectorRegister(c, first));
    const [r] = callCompare(c, kind, [scalarOf(c, merge, kind), y], predicate);
    setVector(c, vectorRegister(c, 0), [mergeScalar(c, merge, r as Value, kind)]);
  };
  const prefix = kind === 'ss' ? 'F3' : 'F2';
  const size = SCALAR_SIZE[kind];
  return [
    insn(`${prefix} 0F C2`, `cmp${kind} Vdq,W${size},Ib`, featureOf(kind), lift),
    insn(`VEX ${prefix} 0F C2`, `vcmp${kind} Vdq,Hdq,W${size},Ib`, 'avx', lift),
  ];
}
export function compareFlagsRows(kind: ScalarKind): Row[] {
  const prefix = kind === 'ss' ? 'NP' : '66';
  const size = SCALAR_SIZE[kind];
  return (['ucomi', 'comi'] as const).flatMap((name, i) => {
    const lift = (c: Lift): void => {
      const y = readScalar(c, 1, kind);
      c.setFlagBits(compareToFlags(c, kind, readScalar(c, 0, kind), y, i === 1));
    };
    const opcode = i === 0 ? '2E' : '2F';
    return [
      insn(`${prefix} 0F ${opcode}`, `${name}${kind} V${size},W${size}`, featureOf(kind), lift),
      insn(`VEX ${prefix} 0F ${opcode}`, `v${name}${kind} V${size},W${size}`, 'avx', lift),
    ];
  });
}

// ---- approximations

function approximationRows(opcode: string, name: 'rcp' | 'rsqrt'): Row[] {
  const routine = name === 'rcp' ? RECIPROCAL : RECIPROCAL_ROOT;
  const packed = (c: Lift): void =>
    writeVector(
      c,
      0,
      readVector(c, 1).map((v) => c.b.call(routine, [v]) as V),
    );
  const scalar = (c: Lift): void => {
    const first = firstSource(c);
    const r = c.b.call(routine, [splatScalar(c, first + 1, 'ss')]) as V;
    setVector(c, vectorRegister(c, 0), [mergeLane(c, getXmm(c, vectorRegister(c, first)), r, 'ss')]);
  };
  return [
    insn(`NP 0F ${opcode}`, `${name}ps Vdq,Wdq`, 'sse', packed),
    insn(`VEX NP 0F ${opcode}`, `v${name}ps Vx,Wx`, 'avx', packed),
    insn(`F3 0F ${opcode}`, `${name}ss Vdq,Wd`, 'sse', scalar),
    insn(`VEX F3 0F ${opcode}`, `v${name}ss Vdq,Hdq,Wd`, 'avx', scalar),
  ];
}

/** The four bitwise opcodes, single or double. */
export const bitwiseRows = (prefix: 'NP' | '66', kind: PackedKind): Row[] =>
  (
    [
      ['54', 'and', op2('v128.and')],
      ['55', 'andn', andNot],
      ['56', 'or', op2('v128.or')],
      ['57', 'xor', op2('v128.xor')],
    ] as const
  ).flatMap(([opcode, name, f]) => floatMoveRows(prefix, `0F ${opcode}`, `${name}${kind}`, featureOf(kind), f));

const shufps: Binary = (c, x, y) => {
  const picks = [0, 2, 4, 6].map((at) => (imm8(c) >> at) & 3);
  return c.b.shuffle(
    x,
    y,
    laneBytes(
      picks.map((p, i) => (i < 2 ? p : p + 4)),
      4,
    ),
  );
};

// ---- MXCSR, masked store

const usable = (c: Lift): boolean => (c.d.row.vex ? requireAvx(c) : requireSse(c));

function ldmxcsr(c: Lift): void {
  if (!usable(c)) return;
  const value = c.read(0) as Value<'i32'>;
  c.b.raiseIf(c.b.and(value, c.b.i32(~0xffff)), TRAP.GP0);
  c.floats.forget();
  c.b.set(MXCSR, value);
}
function stmxcsr(c: Lift): void {
  if (!usable(c)) return;
  c.write(0, c.b.get(MXCSR));
}

/** MASKMOVQ, MASKMOVDQU: to DS:rDI. CPUs may fault for bytes that are left out; like AMD's, this one does for all of them. */
export function maskedStore(c: Lift, data: V, mask: V, byteCount: 8 | 16): void {
  const rdi = c.b.get(GPR[RDI] as Slot<'i64'>);
  const offset = c.to64(c.cut(rdi, c.d.addressSize));
  const address = c.sum(c.linear(c.d.segment >= 0 ? c.d.segment : DS, { base: offset, disp: 0 }, byteCount, true));
  if ((c.mode & MODE.ALIGN) !== 0) c.b.raiseIf(c.b.and(c.b.wrap(address), c.b.i32(7)), TRAP.AC0);
  const wrap = c.addressBits();
  for (let at = 0; at < byteCount; at += 8) c.probeWrite({ base: c.b.and(c.b.add(address, c.b.i64(at)), wrap), disp: 0 }, 64);
  c.b.call(MASKED_STORE[1], [address, wrap, data, mask]);
}

export const SSE_ROWS: readonly Row[] = [
  ...moveRows('NP', '10', '11', 'movups', 'sse', false),
  ...moveRows('NP', '28', '29', 'movaps', 'sse', true),
  ...streamRows('NP', '2B', 'movntps', 'sse'),
  ...scalarMoveRows('ss'),
  ...halfMoveRows('NP', '12', '13', 'movlps', 'sse', 0),
  ...halfMoveRows('NP', '16', '17', 'movhps', 'sse', 1),
  ...crossMoveRows('12', 'movhlps', [3, 1]),
  ...crossMoveRows('16', 'movlhps', [0, 2]),
  ...signMaskRows('NP', 'movmskps', 'sse', 'i32x4.bitmask'),
  ...bitwiseRows('NP', 'ps'),
  ...floatMoveRows('NP', '0F 14', 'unpcklps', 'sse', unpack(4, false)),
  ...floatMoveRows('NP', '0F 15', 'unpckhps', 'sse', unpack(4, true)),
  ...floatMoveRows('NP', '0F C6', 'shufps', 'sse', shufps, true),
  // Single and double precision, packed and scalar.
  ...arithmeticRows('51', 'sqrt', 1),
  ...arithmeticRows('58', 'add', 2),
  ...arithmeticRows('59', 'mul', 2),
  ...arithmeticRows('5C', 'sub', 2),
  ...arithmeticRows('5D', 'min', 2),
  ...arithmeticRows('5E', 'div', 2),
  ...arithmeticRows('5F', 'max', 2),
  ...approximationRows('52', 'rsqrt'),
  ...approximationRows('53', 'rcp'),
  ...comparePackedRows('ps'),
  ...compareScalarRows('ss'),
  ...compareFlagsRows('ss'),

  insn('NP 0F AE /2 mem', 'ldmxcsr Md', 'sse', ldmxcsr),
  insn('NP 0F AE /3 mem', 'stmxcsr Md', 'sse', stmxcsr),
  insn('VEX NP 0F AE /2 mem L0', 'vldmxcsr Md', 'avx', ldmxcsr),
  insn('VEX NP 0F AE /3 mem L0', 'vstmxcsr Md', 'avx', stmxcsr),

  // Added to MMX by SSE.
  insn('NP 0F 70', 'pshufw Pq,Qq,Ib', 'sse', (c) => {
    checkMmx(c);
    const value = low64(c.b, shuffleByImmediate(c.b, splat64(c.b, readMm(c, 1)), imm8(c), 'lw'));
    enterMmx(c);
    setMm(c, mmRegister(c, 0), value);
  }),
  insn('NP 0F C4', 'pinsrw Pq,Ew,Ib', 'sse', (c) => {
    checkMmx(c);
    const word = c.to32(c.read(1));
    const value = low64(c.b, c.b.op('i16x8.replace_lane', [splat64(c.b, readMm(c, 0)), word], imm8(c) & 3));
    enterMmx(c);
    setMm(c, mmRegister(c, 0), value);
  }),
  insn('NP 0F C5', 'pextrw Gd,Nq,Ib', 'sse', (c) => {
    checkMmx(c);
    const word = c.b.op('i16x8.extract_lane_u', [splat64(c.b, readMm(c, 1))], imm8(c) & 3);
    enterMmx(c);
    c.write(0, word);
  }),
  insn('NP 0F D7', 'pmovmskb Gd,Nq', 'sse', (c) => {
    checkMmx(c);
    const mask = c.b.and(c.b.op('i8x16.bitmask', [splat64(c.b, readMm(c, 1))]), c.b.i32(0xff));
    enterMmx(c);
    c.write(0, mask);
  }),
  insn('NP 0F E7 mem', 'movntq Qq,Pq', 'sse', (c) => {
    checkMmx(c);
    c.store(c.memory(8, true), 64, readMm(c, 1));
    enterMmx(c);
  }),
  insn('NP 0F F7', 'maskmovq Pq,Nq', 'sse', (c) => {
    checkMmx(c);
    // Before the store, for MMX mode is entered even where it faults.
    enterMmx(c);
    maskedStore(c, fromLow64(c.b, readMm(c, 0)), fromLow64(c.b, readMm(c, 1)), 8);
  }),
];
