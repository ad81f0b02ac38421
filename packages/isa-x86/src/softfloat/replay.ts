// One instruction of the vectors (see host-vectors.test.ts) on the software floating point: the glue that instruction helpers have, in its shortest form.

import { add, divide, multiply, multiplyAdd, squareRoot, subtract } from './arithmetic.ts';
import { compare, maximum, minimum, type Order } from './compare.ts';
import { convert, fromInteger, roundToIntegral, toInteger, unpackHalf } from './convert.ts';
import { FloatEnv } from './float-env.ts';
import { EXT, F16, F32, F64, type Format } from './format.ts';
import { extract, scale } from './scale.ts';
import { INCOMPLETE, NO_QUOTIENT, remainder } from './remainder.ts';
import { Unpacked } from './unpacked.ts';
import { fromPackedBcd, toPackedBcd } from './packed-bcd.ts';

const env = new FloatEnv();
const a = new Unpacked();
const b = new Unpacked();
const c = new Unpacked();

const C0 = 0x100;
const C1 = 0x200;
const C2 = 0x400;
const C3 = 0x4000;

type Binary = (env: FloatEnv, format: Format, a: Unpacked, b: Unpacked) => bigint;
type Run = (rawA: bigint, rawB: bigint, rawC: bigint) => bigint;

const binary = (format: Format, operation: Binary): Run => (x, y) => operation(env, format, a.set(format, x, env), b.set(format, y, env));
const raw = (format: Format, operation: typeof minimum): Run => (x, y) => operation(env, format, mask(x, format), mask(y, format));
const mask = (x: bigint, format: Format): bigint => x & ((2n << format.signShift) - 1n);
const fused = (format: Format, order: readonly [number, number, number]): Run => (...operands) => {
  const [x, y, z] = order.map((i) => operands[i]) as [bigint, bigint, bigint];
  return multiplyAdd(env, format, a.set(format, x, env), b.set(format, y, env), c.set(format, z, env));
};
const sqrt = (format: Format): Run => (x) => squareRoot(env, format, a.set(format, x, env));
/** Flags as UCOMISS sets them: CF 0, PF 2, ZF 6. */
const EFLAGS: Readonly<Record<Order, bigint>> = { [-1]: 1n, 0: 0x40n, 1: 0n, 2: 0x45n };
const comparison = (format: Format, signalling: boolean): Run => (x, y) => EFLAGS[compare(env, a.set(format, x, env), b.set(format, y, env), signalling)];
const integer = (format: Format, bits: 32 | 64, truncate: boolean): Run => (x) =>
  BigInt.asUintN(bits, toInteger(env, a.set(format, x, env), bits, truncate ? 3 : env.rounding));
const floating = (format: Format, bits: number): Run => (x) => fromInteger(env, format, BigInt.asIntN(bits, x));
const rounded = (format: Format, rounding: number, inexact: boolean): Run => (x) =>
  roundToIntegral(env, format, a.set(format, x, env), rounding < 0 ? env.rounding : rounding, inexact);

export const SSE: Readonly<Record<string, Run>> = {
  addss: binary(F32, add), subss: binary(F32, subtract), mulss: binary(F32, multiply), divss: binary(F32, divide), sqrtss: sqrt(F32),
  minss: raw(F32, minimum), maxss: raw(F32, maximum),
  addsd: binary(F64, add), subsd: binary(F64, subtract), mulsd: binary(F64, multiply), divsd: binary(F64, divide), sqrtsd: sqrt(F64),
  minsd: raw(F64, minimum), maxsd: raw(F64, maximum),
  vfmadd132ss: fused(F32, [0, 2, 1]), vfmadd213ss: fused(F32, [1, 0, 2]), vfmadd231ss: fused(F32, [1, 2, 0]),
  vfmadd132sd: fused(F64, [0, 2, 1]), vfmadd213sd: fused(F64, [1, 0, 2]), vfmadd231sd: fused(F64, [1, 2, 0]),
  ucomiss: comparison(F32, false), comiss: comparison(F32, true), ucomisd: comparison(F64, false), comisd: comparison(F64, true),
  cvtss2sd: (x) => convert(env, F32, F64, a.set(F32, x, env)),
  cvtsd2ss: (x) => convert(env, F64, F32, a.set(F64, x, env)),
  vcvtph2ps: (x) => convert(env, F16, F32, unpackHalf(a, x, env)),
  vcvtps2ph: (x) => convert(env, F32, F16, a.set(F32, x, env)),
  cvtss2si32: integer(F32, 32, false), cvtss2si64: integer(F32, 64, false), cvtsd2si32: integer(F64, 32, false), cvtsd2si64: integer(F64, 64, false),
  cvttss2si32: integer(F32, 32, true), cvttsd2si64: integer(F64, 64, true),
  cvtsi2ss32: floating(F32, 32), cvtsi2ss64: floating(F32, 64), cvtsi2sd64: floating(F64, 64),
  roundss: rounded(F32, -1, true), 'roundss.nearby': rounded(F32, -1, false), roundsd: rounded(F64, -1, true), 'roundsd.floor': rounded(F64, 1, true),
};

/** Condition bits that an x87 instruction sets beside C1. */
let conditions = 0;
/** Result in ST(1) of instructions that give two. */
let second: bigint | undefined;
/** What an x87 store or flag-setting instruction writes instead of ST(0); undefined: nothing. */
let stored: bigint | undefined;

const ST: { readonly [K in string]: (env: FloatEnv, x: Unpacked, y: Unpacked) => bigint | undefined } = {
  fadd: (e, x, y) => add(e, EXT, x, y),
  fsub: (e, x, y) => subtract(e, EXT, x, y),
  fsubr: (e, x, y) => subtract(e, EXT, y, x),
  fmul: (e, x, y) => multiply(e, EXT, x, y),
  fdiv: (e, x, y) => divide(e, EXT, x, y),
  fdivr: (e, x, y) => divide(e, EXT, y, x),
  fsqrt: (e, x) => squareRoot(e, EXT, x),
  fscale: scale,
  frndint: (e, x) => roundToIntegral(e, EXT, x, e.rounding, true),
  fprem: (e, x, y) => divided(e, x, y, false),
  fprem1: (e, x, y) => divided(e, x, y, true),
  fcom: (e, x, y) => compared(e, x, y, true),
  fucom: (e, x, y) => compared(e, x, y, false),
  fxtract: (e, x) => {
    const parts = { exponent: 0n, significand: 0n };
    extract(e, x, parts);
    second = parts.exponent;
    return parts.significand;
  },
};

function divided(e: FloatEnv, x: Unpacked, y: Unpacked, nearest: boolean): bigint {
  const out = { value: 0n, quotient: 0 };
  remainder(e, x, y, nearest, out);
  const q = out.quotient;
  conditions = q === NO_QUOTIENT ? 0 : q === INCOMPLETE ? C2 : ((q & 4) << 6) | ((q & 2) << 13) | ((q & 1) << 9);
  return out.value;
}

const CONDITIONS: Readonly<Record<Order, number>> = { [-1]: C0, 0: C3, 1: 0, 2: C0 | C2 | C3 };
function compared(e: FloatEnv, x: Unpacked, y: Unpacked, signalling: boolean): undefined {
  conditions = CONDITIONS[compare(e, x, y, signalling)];
  return undefined;
}

const load = (from: Format, into: Unpacked, x: bigint): Unpacked => into.set(from, mask(x, from), env);
const unsigned = (bits: 16 | 32 | 64, rounding: number): bigint => BigInt.asUintN(bits, toInteger(env, a, bits, rounding < 0 ? env.rounding : rounding));

/** Instructions with a memory operand, `x`; a is ST(0). Result: of ST(0), or undefined. */
const MEMORY: { readonly [K in string]: (x: bigint) => bigint | undefined } = {
  fld32: (x) => convert(env, F32, EXT, load(F32, b, x)),
  fld64: (x) => convert(env, F64, EXT, load(F64, b, x)),
  fadd32: (x) => add(env, EXT, a, load(F32, b, x)),
  fmul64: (x) => multiply(env, EXT, a, load(F64, b, x)),
  fdiv64: (x) => divide(env, EXT, a, load(F64, b, x)),
  fcom32: (x) => compared(env, a, load(F32, b, x), true),
  fild64: (x) => fromInteger(env, EXT, BigInt.asIntN(64, x)),
  fbld: (x) => fromPackedBcd(env, x),
};
const STORE: Readonly<Record<string, () => bigint>> = {
  fst32: () => convert(env, EXT, F32, a),
  fst64: () => convert(env, EXT, F64, a),
  fist16: () => unsigned(16, -1),
  fist32: () => unsigned(32, -1),
  fistp64: () => unsigned(64, -1),
  fisttp32: () => unsigned(32, 3),
  fbstp: () => toPackedBcd(env, a),
};

export const X87: readonly string[] = [...Object.keys(ST), ...Object.keys(MEMORY), ...Object.keys(STORE), 'fcomi', 'fucomi'];

/** Text of result and flags. */
export function replay(name: string, control: number, rawA: bigint, rawB: bigint, rawC: bigint): string {
  const sse = SSE[name];
  if (sse) {
    env.loadMxcsr(control);
    const result = sse(rawA, rawB, rawC);
    return env.unmasked() ? `- ${env.flags.toString(16)}` : `${result.toString(16)} ${env.flags.toString(16)}`;
  }
  env.loadControlWord(control);
  a.set(EXT, rawA, env);
  b.set(EXT, rawB, env);
  conditions = 0;
  second = undefined;
  stored = undefined;
  const result = x87(name, rawC);
  const changed = env.roundedUp ? C1 : 0;
  const status = env.flags | conditions | ((env.unmasked() & 7) !== 0 ? 0 : changed);
  const parts = [result, second, stored].filter((part) => part !== undefined).map((part) => part.toString(16));
  return `${parts.length === 0 ? '-' : parts.join(',')} ${status.toString(16)}`;
}

function x87(name: string, memory: bigint): bigint | undefined {
  if (STORE[name]) {
    const value = STORE[name]();
    if ((env.unmasked() & (name.startsWith('fst') ? 0x1f : 7)) === 0) stored = value;
    return undefined;
  }
  if (name === 'fcomi' || name === 'fucomi') {
    const order = compare(env, a, b, name === 'fcomi');
    if ((env.unmasked() & 7) === 0) stored = EFLAGS[order];
    return undefined;
  }
  const result = MEMORY[name] ? MEMORY[name](memory) : (ST[name] as (typeof ST)[string])(env, a, b);
  if ((env.unmasked() & (name.startsWith('fld') ? 1 : 7)) !== 0) {
    second = undefined;
    if (!name.includes('com')) conditions = 0;
    return undefined;
  }
  return result;
}
