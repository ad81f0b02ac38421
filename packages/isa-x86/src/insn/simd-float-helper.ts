// The slow path of SSE, AVX, FMA and F16C floating point: exact results and exceptions lane by lane. SDM Vol. 1, 11.5 and 14.5, 14.9.
// Operands and result are in the state's simdX (see state.ts). Generated code takes it when its own arithmetic might differ.

import { helper, type Helper } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import { CR4 } from '../mode.ts';
import { raise, type HelperFunction, type HelperMap, type X86Context } from '../helper-map.ts';
import { add, divide, multiply, multiplyAdd, squareRoot, subtract } from '../softfloat/arithmetic.ts';
import { compare, maximum, minimum } from '../softfloat/compare.ts';
import { convert, fromInteger, roundToIntegral, toInteger, unpackHalf } from '../softfloat/convert.ts';
import { FloatEnv, ROUND, type Rounding } from '../softfloat/float-env.ts';
import { F16, F32, F64, type Format } from '../softfloat/format.ts';
import { KIND, Unpacked } from '../softfloat/unpacked.ts';
import { setWord, word, WORD } from '../state-words.ts';
import { MXCSR, SIMD_X, VECTOR, X86State } from '../state.ts';

const env = new FloatEnv();
const first = new Unpacked();
const second = new Unpacked();
const third = new Unpacked();

type Width = (double: boolean) => 2 | 4 | 8;
interface Operation {
  readonly operands: 1 | 2 | 3;
  readonly from: Width;
  readonly to: Width;
  readonly run: (format: Format, x: bigint, y: bigint, z: bigint, extra: number, lane: number) => bigint;
}

const own: Width = (double) => (double ? 8 : 4);
const other: Width = (double) => (double ? 4 : 8);
const ALL_ONES = (1n << 64n) - 1n;

type Arithmetic = (env: FloatEnv, format: Format, a: Unpacked, b: Unpacked) => bigint;
const two = (f: Arithmetic): Operation => ({
  operands: 2,
  from: own,
  to: own,
  run: (format, x, y) => f(env, format, first.set(format, x, env), second.set(format, y, env)),
});
const raw = (f: typeof minimum): Operation => ({ operands: 2, from: own, to: own, run: (format, x, y) => f(env, format, x, y) });

/** For which of less, equal, greater, unordered (bits 0..3) each predicate 0..15 holds; 16..31 are the same with the other signalling. */
export const PREDICATE_TRUTH = [2, 1, 3, 8, 13, 14, 12, 7, 10, 9, 11, 0, 5, 6, 4, 15] as const;
const PREDICATE_SIGNALS = [1, 2, 5, 6, 9, 10, 13, 14];
const signals = (predicate: number): boolean => PREDICATE_SIGNALS.includes(predicate & 15) !== predicate >= 16;

const comparePredicate: Operation = {
  operands: 2,
  from: own,
  to: own,
  run: (format, x, y, _z, predicate) => {
    const order = compare(env, first.set(format, x, env), second.set(format, y, env), signals(predicate));
    return ((PREDICATE_TRUTH[predicate & 15] as number) >> (order + 1)) & 1 ? ALL_ONES : 0n;
  },
};

/** CF, PF, ZF of (U)COMISx: less, equal, greater, unordered. */
const COMPARE_FLAGS = [1n, 0x40n, 0n, 0x45n] as const;
const compareFlags: Operation = {
  operands: 2,
  from: own,
  to: own,
  run: (format, x, y, _z, signalling) =>
    COMPARE_FLAGS[(compare(env, first.set(format, x, env), second.set(format, y, env), signalling !== 0) + 1) as 0],
};

const negate = (u: Unpacked): Unpacked => {
  if (u.kind < KIND.QNAN) u.sign ^= 1;
  return u;
};
/** Bits of `extra`: 0 the product is negated, 1 and 2 the addend is, in even and in odd lanes. */
const fused: Operation = {
  operands: 3,
  from: own,
  to: own,
  run: (format, x, y, z, extra, lane) => {
    first.set(format, x, env);
    second.set(format, y, env);
    third.set(format, z, env);
    if (extra & 1) negate(first);
    if ((extra >> (1 + (lane & 1))) & 1) negate(third);
    return multiplyAdd(env, format, first, second, third);
  },
};

const modeOf = (immediate: number): Rounding => (immediate & 4 ? env.rounding : immediate & 3) as Rounding;

const toInt = (bits: 32 | 64): Operation => ({
  operands: 1,
  from: own,
  to: () => (bits === 64 ? 8 : 4),
  run: (format, x, _y, _z, truncate) => toInteger(env, first.set(format, x, env), bits, truncate ? ROUND.ZERO : env.rounding),
});
const fromInt = (bits: 32 | 64): Operation => ({
  operands: 1,
  from: () => (bits === 64 ? 8 : 4),
  to: own,
  run: (format, x) => fromInteger(env, format, BigInt.asIntN(bits, x)),
});

const OPERATIONS = {
  add: two(add),
  sub: two(subtract),
  mul: two(multiply),
  div: two(divide),
  min: raw(minimum),
  max: raw(maximum),
  sqrt: { operands: 1, from: own, to: own, run: (format, x) => squareRoot(env, format, first.set(format, x, env)) },
  /** Subtracts in even lanes, adds in odd ones. */
  addsub: {
    operands: 2,
    from: own,
    to: own,
    run: (format, x, y, _z, _extra, lane) =>
      (lane & 1 ? add : subtract)(env, format, first.set(format, x, env), second.set(format, y, env)),
  },
  cmp: comparePredicate,
  comi: compareFlags,
  fma: fused,
  round: {
    operands: 1,
    from: own,
    to: own,
    run: (format, x, _y, _z, immediate) =>
      roundToIntegral(env, format, first.set(format, x, env), modeOf(immediate), (immediate & 8) === 0),
  },
  /** To the other of single and double. */
  convert: {
    operands: 1,
    from: own,
    to: other,
    run: (format, x) => convert(env, format, format === F64 ? F32 : F64, first.set(format, x, env)),
  },
  toInt32: toInt(32),
  toInt64: toInt(64),
  fromInt32: fromInt(32),
  fromInt64: fromInt(64),
  fromHalf: { operands: 1, from: () => 2, to: () => 4, run: (_format, x) => convert(env, F16, F32, unpackHalf(first, x, env)) },
  toHalf: {
    operands: 1,
    from: () => 4,
    to: () => 2,
    run: (_format, x, _y, _z, immediate) => {
      const rounding = env.rounding;
      env.rounding = modeOf(immediate);
      const half = convert(env, F32, F16, first.set(F32, x, env));
      env.rounding = rounding;
      return half;
    },
  },
} as const satisfies Record<string, Operation>;

export type FloatOperation = keyof typeof OPERATIONS;
const LIST = Object.values(OPERATIONS) as readonly Operation[];
const NAMES = Object.keys(OPERATIONS);

/** First argument of the helper. */
export const floatCode = (operation: FloatOperation, double: boolean, lanes: number): number =>
  (NAMES.indexOf(operation) << 8) | (double ? 0x80 : 0) | lanes;

/** State that the helper, and so each routine that may call it, reads and writes. */
export const FLOAT_STATE: readonly Slot[] = [...SIMD_X, MXCSR];
/** (code, extra): what `extra` is depends on the operation. */
export const SIMD_FLOAT: Helper = helper('simdFloat', 2, { reads: FLOAT_STATE, writes: FLOAT_STATE, traps: true });

const readLane = (data: DataView, at: number, width: number): bigint =>
  width === 8 ? data.getBigUint64(at, true) : BigInt(width === 4 ? data.getUint32(at, true) : data.getUint16(at, true));
function writeLane(data: DataView, at: number, width: number, value: bigint): void {
  if (width === 8) data.setBigUint64(at, BigInt.asUintN(64, value), true);
  else if (width === 4) data.setUint32(at, Number(BigInt.asUintN(32, value)), true);
  else data.setUint16(at, Number(BigInt.asUintN(16, value)), true);
}

const results: bigint[] = [0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n];

/** Reports exceptions in MXCSR; 1 when one is unmasked and has been raised. */
function report(cpu: X86Context): number {
  setWord(cpu, WORD.mxcsr, word(cpu, WORD.mxcsr) | env.packedFlags());
  if (env.unmasked() === 0) return 0;
  return raise(cpu, word(cpu, WORD.cr4) & CR4.OSXMMEXCPT ? VECTOR.XM : VECTOR.UD);
}

const simdFloat: HelperFunction = (cpu, code, extra) => {
  const operation = LIST[code >> 8] as Operation;
  const double = (code & 0x80) !== 0;
  const lanes = code & 0x7f;
  const format = double ? F64 : F32;
  const from = operation.from(double);
  const to = operation.to(double);
  const at = cpu.ports.state + X86State.offset.simdX;
  const { data } = cpu;
  env.loadMxcsr(word(cpu, WORD.mxcsr));
  for (let lane = 0; lane < lanes; lane++) {
    const x = readLane(data, at + lane * from, from);
    const y = operation.operands > 1 ? readLane(data, at + 32 + lane * from, from) : 0n;
    const z = operation.operands > 2 ? readLane(data, at + 64 + lane * from, from) : 0n;
    results[lane] = operation.run(format, x, y, z, extra, lane);
  }
  if (report(cpu) !== 0) return 1;
  for (let i = 0; i < 32; i += 8) data.setBigUint64(at + i, 0n, true);
  for (let lane = 0; lane < lanes; lane++) writeLane(data, at + lane * to, to, results[lane] as bigint);
  return 0;
};

export const SIMD_FLOAT_HELPERS: HelperMap = { simdFloat };
