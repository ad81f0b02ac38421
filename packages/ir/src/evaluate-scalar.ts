// The meaning of the scalar pure ops in BigInt arithmetic, written from the WebAssembly specification's numerics (4.3) and from ops.ts,
// independently of codegen's emit table. For tests.

/** i32 and i64: unsigned. f32 and f64: numbers. */
export type ScalarValue = bigint | number;
export type ScalarEvaluator = (...args: never[]) => ScalarValue;

export const unsigned = (bits: number, x: bigint): bigint => BigInt.asUintN(bits, x);
export const signed = (bits: number, x: bigint): bigint => BigInt.asIntN(bits, x);
const flag = (condition: boolean): bigint => (condition ? 1n : 0n);

export function nearest(x: number): number {
  if (!Number.isFinite(x) || Math.abs(x) >= 2 ** 52) return x;
  const floor = Math.floor(x);
  const rest = x - floor;
  const even = floor % 2 === 0 ? floor : floor + 1;
  const rounded = rest < 0.5 ? floor : rest > 0.5 ? floor + 1 : even;
  return rounded === 0 && (x < 0 || Object.is(x, -0)) ? -0 : rounded;
}

export function truncSat(bits: number, x: number): bigint {
  if (Number.isNaN(x)) return 0n;
  const top = 2n ** BigInt(bits - 1);
  if (x >= Number(top)) return top - 1n;
  if (x <= -Number(top)) return unsigned(bits, -top);
  return unsigned(bits, BigInt(Math.trunc(x)));
}

function rotateLeft(bits: number, x: bigint, by: bigint): bigint {
  const n = by % BigInt(bits);
  return unsigned(bits, (x << n) | (x >> (BigInt(bits) - n)));
}

function leadingZeros(bits: number, x: bigint): bigint {
  return BigInt(x === 0n ? bits : bits - x.toString(2).length);
}

function trailingZeros(bits: number, x: bigint): bigint {
  let n = 0n;
  while (n < bits && ((x >> n) & 1n) === 0n) n += 1n;
  return n;
}

const countOnes = (x: bigint): bigint => BigInt(x.toString(2).replaceAll('0', '').length);

function reverseBytes(bits: number, x: bigint): bigint {
  let out = 0n;
  for (let i = 0n; i < bits; i += 8n) out = (out << 8n) | ((x >> i) & 0xffn);
  return out;
}

type Evaluators = Record<string, ScalarEvaluator>;

/** Integer ops of one width. */
function integers(bits: 32 | 64): Evaluators {
  const n = `i${bits}`;
  const u = (x: bigint): bigint => unsigned(bits, x);
  const s = (x: bigint): bigint => signed(bits, x);
  const by = (x: bigint): bigint => x % BigInt(bits);
  const binary: Record<string, (a: bigint, b: bigint) => bigint> = {
    add: (a, b) => u(a + b),
    sub: (a, b) => u(a - b),
    mul: (a, b) => u(a * b),
    and: (a, b) => a & b,
    or: (a, b) => a | b,
    xor: (a, b) => a ^ b,
    shl: (a, b) => u(a << by(b)),
    shr_u: (a, b) => a >> by(b),
    shr_s: (a, b) => u(s(a) >> by(b)),
    rotl: (a, b) => rotateLeft(bits, a, b),
    rotr: (a, b) => rotateLeft(bits, a, BigInt(bits) - by(b)),
    eq: (a, b) => flag(a === b),
    ne: (a, b) => flag(a !== b),
    lt_s: (a, b) => flag(s(a) < s(b)),
    lt_u: (a, b) => flag(a < b),
    gt_s: (a, b) => flag(s(a) > s(b)),
    gt_u: (a, b) => flag(a > b),
    le_s: (a, b) => flag(s(a) <= s(b)),
    le_u: (a, b) => flag(a <= b),
    ge_s: (a, b) => flag(s(a) >= s(b)),
    ge_u: (a, b) => flag(a >= b),
    div_s: (a, b) => u(s(a) / s(b)),
    div_u: (a, b) => a / b,
    rem_s: (a, b) => u(s(a) % s(b)),
    rem_u: (a, b) => a % b,
  };
  const unary: Record<string, (a: bigint) => bigint> = {
    eqz: (a) => flag(a === 0n),
    clz: (a) => leadingZeros(bits, a),
    ctz: (a) => trailingZeros(bits, a),
    popcnt: countOnes,
    extend8_s: (a) => u(signed(8, a)),
    extend16_s: (a) => u(signed(16, a)),
    bswap: (a) => reverseBytes(bits, a),
  };
  return Object.fromEntries(Object.entries({ ...binary, ...unary }).map(([name, f]) => [`${n}.${name}`, f as ScalarEvaluator]));
}

/** Floating-point ops of one width. */
function floats(type: 'f32' | 'f64'): Evaluators {
  const r = type === 'f32' ? Math.fround : (x: number): number => x;
  const all: Record<string, (a: number, b: number) => ScalarValue> = {
    add: (a, b) => r(a + b),
    sub: (a, b) => r(a - b),
    mul: (a, b) => r(a * b),
    div: (a, b) => r(a / b),
    sqrt: (a) => r(Math.sqrt(a)),
    nearest,
    floor: Math.floor,
    ceil: Math.ceil,
    trunc: Math.trunc,
    abs: Math.abs,
    neg: (a) => -a,
    eq: (a, b) => flag(a === b),
    ne: (a, b) => flag(a !== b),
    lt: (a, b) => flag(a < b),
    gt: (a, b) => flag(a > b),
    le: (a, b) => flag(a <= b),
    ge: (a, b) => flag(a >= b),
  };
  return Object.fromEntries(Object.entries(all).map(([name, f]) => [`${type}.${name}`, f as ScalarEvaluator]));
}

const convert = new DataView(new ArrayBuffer(8));
export const f32Bits = (x: number): bigint => {
  convert.setFloat32(0, x);
  return BigInt(convert.getUint32(0));
};
export const f32Of = (x: bigint): number => {
  convert.setUint32(0, Number(x));
  return convert.getFloat32(0);
};
export const f64Bits = (x: number): bigint => {
  convert.setFloat64(0, x);
  return convert.getBigUint64(0);
};
export const f64Of = (x: bigint): number => {
  convert.setBigUint64(0, x);
  return convert.getFloat64(0);
};

/** Nearest f32 to an integer, without the double rounding of Math.fround(Number(x)). */
export function f32OfInteger(x: bigint): number {
  const magnitude = x < 0n ? -x : x;
  const excess = BigInt(Math.max(0, magnitude.toString(2).length - 24));
  const unit = 1n << excess;
  const low = magnitude / unit;
  const rest = (magnitude % unit) * 2n;
  const up = rest > unit || (rest === unit && low % 2n === 1n);
  const rounded = Number((low + (up ? 1n : 0n)) * unit);
  return x < 0n ? -rounded : rounded;
}

const conversions: Evaluators = {
  'i32.wrap_i64': (a: bigint) => unsigned(32, a),
  'i64.extend_i32_u': (a: bigint) => a,
  'i64.extend_i32_s': (a: bigint) => unsigned(64, signed(32, a)),
  'i64.extend32_s': (a: bigint) => unsigned(64, signed(32, a)),
  'i32.reinterpret_f32': f32Bits,
  'f32.reinterpret_i32': f32Of,
  'i64.reinterpret_f64': f64Bits,
  'f64.reinterpret_i64': f64Of,
  'i32.trunc_sat_f64_s': (a: number) => truncSat(32, a),
  'i32.trunc_sat_f32_s': (a: number) => truncSat(32, a),
  'i64.trunc_sat_f64_s': (a: number) => truncSat(64, a),
  'i64.trunc_sat_f32_s': (a: number) => truncSat(64, a),
  'f32.convert_i32_s': (a: bigint) => f32OfInteger(signed(32, a)),
  'f32.convert_i64_s': (a: bigint) => f32OfInteger(signed(64, a)),
  'f64.convert_i32_s': (a: bigint) => Number(signed(32, a)),
  'f64.convert_i64_s': (a: bigint) => Number(signed(64, a)),
  'f32.demote_f64': Math.fround,
  'f64.promote_f32': (a: number) => a,
};

const special: Evaluators = {
  // The oracle's relaxed_madd rounds twice.
  'i32.relaxed_fuses': () => 0n,
  'i64.mulhi_u': (a: bigint, b: bigint) => (a * b) >> 64n,
  'i64.mulhi_s': (a: bigint, b: bigint) => unsigned(64, (signed(64, a) * signed(64, b)) >> 64n),
  'i64.insert8': (a: bigint, b: bigint) => (a & ~0xffn) | (b & 0xffn),
  'i64.insert8h': (a: bigint, b: bigint) => (a & ~0xff00n) | ((b & 0xffn) << 8n),
  'i64.insert16': (a: bigint, b: bigint) => (a & ~0xffffn) | (b & 0xffffn),
  ...Object.fromEntries(
    ['i32', 'i64', 'f32', 'f64'].map((t) => [
      `${t}.select`,
      ((a: ScalarValue, b: ScalarValue, c: bigint) => (c !== 0n ? a : b)) as ScalarEvaluator,
    ]),
  ),
};

export const SCALAR: Readonly<Evaluators> = {
  ...integers(32),
  ...integers(64),
  ...floats('f32'),
  ...floats('f64'),
  ...conversions,
  ...special,
};
