// The meaning of the vector ops, lane by lane (WebAssembly 3.0, 4.3.6), independently of codegen's emit table. For tests.

import { f32Bits, f32Of, f64Bits, f64Of, SCALAR, signed, truncSat, unsigned, type ScalarValue } from './evaluate-scalar.ts';

/** A v128 is 16 bytes, little-endian. */
export type VectorValue = Uint8Array;
type Lanes = bigint[];

export function lanesOf(v: VectorValue, bits: number): Lanes {
  const out: Lanes = [];
  for (let i = 0; i < 16; i += bits / 8) {
    let lane = 0n;
    for (let b = bits / 8 - 1; b >= 0; b--) lane = (lane << 8n) | BigInt(v[i + b]);
    out.push(lane);
  }
  return out;
}

export function vectorOf(lanes: readonly bigint[], bits: number): VectorValue {
  const v = new Uint8Array(16);
  lanes.forEach((lane, i) => {
    for (let b = 0; b < bits / 8; b++) v[(i * bits) / 8 + b] = Number((lane >> BigInt(8 * b)) & 0xffn);
  });
  return v;
}

const clamp = (x: bigint, low: bigint, high: bigint): bigint => (x < low ? low : x > high ? high : x);
const satS = (bits: number, x: bigint): bigint => unsigned(bits, clamp(x, -(1n << BigInt(bits - 1)), (1n << BigInt(bits - 1)) - 1n));
const satU = (bits: number, x: bigint): bigint => clamp(x, 0n, (1n << BigInt(bits)) - 1n);
const mask = (bits: number, condition: boolean): bigint => (condition ? unsigned(bits, -1n) : 0n);

type LaneOp = (bits: number, a: bigint, b: bigint) => bigint;
const LANE: Readonly<Record<string, LaneOp>> = {
  add: (n, a, b) => unsigned(n, a + b),
  sub: (n, a, b) => unsigned(n, a - b),
  mul: (n, a, b) => unsigned(n, a * b),
  add_sat_s: (n, a, b) => satS(n, signed(n, a) + signed(n, b)),
  add_sat_u: (n, a, b) => satU(n, a + b),
  sub_sat_s: (n, a, b) => satS(n, signed(n, a) - signed(n, b)),
  sub_sat_u: (n, a, b) => satU(n, a - b),
  min_s: (n, a, b) => (signed(n, a) < signed(n, b) ? a : b),
  // biome-ignore lint/complexity/useMathMinMax: Math.min and Math.max take no BigInt.
  min_u: (_, a, b) => (a < b ? a : b),
  max_s: (n, a, b) => (signed(n, a) > signed(n, b) ? a : b),
  // biome-ignore lint/complexity/useMathMinMax: Math.min and Math.max take no BigInt.
  max_u: (_, a, b) => (b < a ? a : b),
  avgr_u: (_, a, b) => (a + b + 1n) >> 1n,
  eq: (n, a, b) => mask(n, a === b),
  gt_s: (n, a, b) => mask(n, signed(n, a) > signed(n, b)),
  lt_s: (n, a, b) => mask(n, signed(n, a) < signed(n, b)),
  q15mulr_sat_s: (n, a, b) => satS(n, (signed(n, a) * signed(n, b) + 0x4000n) >> 15n),
  abs: (n, a) => unsigned(n, signed(n, a) < 0n ? -signed(n, a) : a),
  neg: (n, a) => unsigned(n, -a),
  popcnt: (_, a) => BigInt(a.toString(2).replaceAll('0', '').length),
};

function shift(name: string, bits: number, lane: bigint, by: bigint): bigint {
  const n = by % BigInt(bits);
  if (name === 'shl') return unsigned(bits, lane << n);
  return name === 'shr_u' ? lane >> n : unsigned(bits, signed(bits, lane) >> n);
}

/** extend, extmul, extadd: from half-width lanes. */
function widened(name: string, bits: number, a: VectorValue, b: VectorValue): VectorValue | undefined {
  const match = /^(extend|extmul|extadd_pairwise)_(?:(low|high)_)?i\d+x\d+_([su])$/.exec(name);
  if (!match) return undefined;
  const half = bits / 2;
  const lanes = (v: VectorValue): Lanes => lanesOf(v, half).map((x) => (match[3] === 's' ? signed(half, x) : x));
  const count = 128 / bits;
  const from = match[2] === 'high' ? count : 0;
  const [x, y] = [lanes(a), lanes(b)];
  const out = Array.from({ length: count }, (_, i) => {
    if (match[1] === 'extend') return x[from + i];
    return match[1] === 'extmul' ? x[from + i] * y[from + i] : x[2 * i] + x[2 * i + 1];
  });
  return vectorOf(
    out.map((v) => unsigned(bits, v)),
    bits,
  );
}

function narrow(bits: number, isSigned: boolean, a: VectorValue, b: VectorValue): VectorValue {
  const wide = [...lanesOf(a, bits * 2), ...lanesOf(b, bits * 2)].map((x) => signed(bits * 2, x));
  return vectorOf(
    wide.map((x) => (isSigned ? satS(bits, x) : satU(bits, x))),
    bits,
  );
}

function integerVector(name: string, bits: number, args: readonly (ScalarValue | VectorValue)[]): VectorValue | bigint {
  const [a, b] = args as [VectorValue, VectorValue];
  if (name === 'splat')
    return vectorOf(
      Array.from({ length: 128 / bits }, () => unsigned(bits, args[0] as bigint)),
      bits,
    );
  if (name === 'bitmask') return lanesOf(a, bits).reduce((sum, x, i) => sum | ((x >> BigInt(bits - 1)) << BigInt(i)), 0n);
  if (name === 'all_true') return lanesOf(a, bits).every((x) => x !== 0n) ? 1n : 0n;
  if (name.startsWith('sh'))
    return vectorOf(
      lanesOf(a, bits).map((x) => shift(name, bits, x, args[1] as bigint)),
      bits,
    );
  if (name.startsWith('narrow')) return narrow(bits, name.endsWith('_s'), a, b);
  if (name === 'dot_i16x8_s') {
    const [x, y] = [a, b].map((v) => lanesOf(v, 16).map((lane) => signed(16, lane)));
    return vectorOf(
      [0, 2, 4, 6].map((i) => unsigned(32, x[i] * y[i] + x[i + 1] * y[i + 1])),
      32,
    );
  }
  if (name === 'trunc_sat_f32x4_s')
    return vectorOf(
      lanesOf(a, 32).map((x) => truncSat(32, f32Of(x))),
      32,
    );
  if (name === 'trunc_sat_f64x2_s_zero')
    return vectorOf(
      lanesOf(a, 64).map((x) => truncSat(32, f64Of(x))),
      32,
    );
  const wide = widened(name, bits, a, b ?? a);
  if (wide) return wide;
  const y = lanesOf(b instanceof Uint8Array ? b : a, bits);
  return vectorOf(
    lanesOf(a, bits).map((x, i) => LANE[name](bits, x, y[i])),
    bits,
  );
}

function floatVector(name: string, bits: 32 | 64, args: readonly (ScalarValue | VectorValue)[]): VectorValue {
  const [a, b] = args as [VectorValue, VectorValue];
  const toBits = bits === 32 ? f32Bits : f64Bits;
  const ofBits = bits === 32 ? f32Of : f64Of;
  if (name === 'splat')
    return vectorOf(
      Array.from({ length: 128 / bits }, () => toBits(args[0] as number)),
      bits,
    );
  if (name === 'convert_i32x4_s' || name === 'convert_low_i32x4_s') {
    const to = SCALAR[`f${bits}.convert_i32_s`] as (x: bigint) => number;
    return vectorOf(
      lanesOf(a, 32)
        .slice(0, 128 / bits)
        .map((x) => toBits(to(x))),
      bits,
    );
  }
  if (name === 'demote_f64x2_zero')
    return vectorOf(
      lanesOf(a, 64).map((x) => f32Bits(f64Of(x))),
      32,
    );
  if (name === 'promote_low_f32x4')
    return vectorOf(
      lanesOf(a, 32)
        .slice(0, 2)
        .map((x) => f64Bits(f32Of(x))),
      64,
    );
  const op = SCALAR[`f${bits}.${name}`] as (x: number, y: number) => ScalarValue;
  const y = lanesOf(b ?? a, bits);
  return vectorOf(
    lanesOf(a, bits).map((x, i) => {
      // abs and neg touch the sign bit only, of NaNs too.
      if (name === 'abs') return x & ~(1n << BigInt(bits - 1));
      if (name === 'neg') return x ^ (1n << BigInt(bits - 1));
      const result = op(ofBits(x), ofBits(y[i]));
      return typeof result === 'bigint' ? mask(bits, result === 1n) : toBits(result);
    }),
    bits,
  );
}

function wholeVector(name: string, args: readonly (ScalarValue | VectorValue)[]): VectorValue | bigint {
  const [a, b, c] = args as VectorValue[];
  switch (name) {
    case 'and':
      return a.map((x, i) => x & b[i]);
    case 'or':
      return a.map((x, i) => x | b[i]);
    case 'xor':
      return a.map((x, i) => x ^ b[i]);
    case 'andnot':
      return a.map((x, i) => x & ~b[i]);
    case 'not':
      return a.map((x) => ~x);
    case 'any_true':
      return a.some((x) => x !== 0) ? 1n : 0n;
    case 'bitselect':
      return a.map((x, i) => (x & c[i]) | (b[i] & ~c[i]));
    case 'select':
      return args[2] !== 0n ? a : b;
    default:
      throw new TypeError(`no evaluator for v128.${name}`);
  }
}

function lane(
  name: string,
  bits: number,
  isFloat: boolean,
  args: readonly (ScalarValue | VectorValue)[],
  index: number,
): VectorValue | ScalarValue {
  const lanes = lanesOf(args[0] as VectorValue, bits);
  if (name.startsWith('extract')) {
    if (isFloat) return bits === 32 ? f32Of(lanes[index]) : f64Of(lanes[index]);
    return name.endsWith('_s') ? unsigned(32, signed(bits, lanes[index])) : lanes[index];
  }
  const value = args[1];
  lanes[index] = typeof value === 'number' ? (bits === 32 ? f32Bits(value) : f64Bits(value)) : unsigned(bits, value as bigint);
  return vectorOf(lanes, bits);
}

/** Evaluates the vector op `shape.name`. `imm`: lane; `bytes`: shuffle mask. */
export function evaluateVector(
  op: string,
  args: readonly (ScalarValue | VectorValue)[],
  imm: number,
  bytes: Uint8Array | undefined,
): VectorValue | ScalarValue {
  const [shape, name] = op.split('.');
  if (shape === 'v128') return wholeVector(name, args);
  const isFloat = shape.startsWith('f');
  const bits = Number(/^[if](\d+)x/.exec(shape)?.[1]);
  if (name.includes('_lane')) return lane(name, bits, isFloat, args, imm);
  const [a, b] = args as [VectorValue, VectorValue];
  if (name === 'swizzle') return b.map((i) => (i < 16 ? a[i] : 0));
  if (name === 'pick') return b.map((i) => (i < 128 ? a[i & 15] : 0));
  if (name === 'shuffle') return (bytes as Uint8Array).map((i) => (i < 16 ? a[i] : b[i - 16]));
  if (name === 'relaxed_madd') {
    const product = floatVector('mul', bits as 32 | 64, [a, b]);
    return floatVector('add', bits as 32 | 64, [product, args[2] as VectorValue]);
  }
  return isFloat ? floatVector(name, bits as 32 | 64, args) : integerVector(name, bits, args);
}
