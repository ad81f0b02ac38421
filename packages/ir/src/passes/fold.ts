// Constant folding and identities of single ops. 64-bit constants are two words; no BigInt, for this runs on every translated instruction.

import { Inst, withArg } from '../block.ts';
import { OPS, opTable, type OpName } from '../ops.ts';

type Fold32 = (a: number, b: number) => number;

const FOLD32 = opTable<Fold32, undefined>(
  {
    'i32.add': (a, b) => a + b,
    'i32.sub': (a, b) => a - b,
    'i32.mul': Math.imul,
    'i32.and': (a, b) => a & b,
    'i32.or': (a, b) => a | b,
    'i32.xor': (a, b) => a ^ b,
    'i32.shl': (a, b) => a << b,
    'i32.shr_s': (a, b) => a >> b,
    'i32.shr_u': (a, b) => a >>> b,
    'i32.eq': (a, b) => Number(a === b),
    'i32.ne': (a, b) => Number(a !== b),
    'i32.lt_s': (a, b) => Number(a < b),
    'i32.lt_u': (a, b) => Number(a >>> 0 < b >>> 0),
    'i32.gt_s': (a, b) => Number(a > b),
    'i32.gt_u': (a, b) => Number(a >>> 0 > b >>> 0),
    'i32.le_s': (a, b) => Number(a <= b),
    'i32.le_u': (a, b) => Number(a >>> 0 <= b >>> 0),
    'i32.ge_s': (a, b) => Number(a >= b),
    'i32.ge_u': (a, b) => Number(a >>> 0 >= b >>> 0),
  },
  undefined,
);

const INTEGERS = ['i32', 'i64'] as const;
/** The integer ops of these names have the entry. */
const integerOps = <T>(names: readonly string[], entry: T): Partial<Record<OpName, T>> =>
  Object.fromEntries(INTEGERS.flatMap((type) => names.map((name) => [`${type}.${name}`, entry])));

const COMMUTES = opTable(integerOps(['add', 'mul', 'and', 'or', 'xor', 'eq', 'ne'], true), false);

/** Integer comparisons by their opposite. */
const INVERSE = opTable<OpName, undefined>(
  Object.fromEntries(
    INTEGERS.flatMap((type) =>
      (
        [
          ['eq', 'ne'],
          ['lt_s', 'ge_s'],
          ['lt_u', 'ge_u'],
          ['gt_s', 'le_s'],
          ['gt_u', 'le_u'],
        ] as const
      ).flatMap(([x, y]) => [[`${type}.${x}`, `${type}.${y}`] as const, [`${type}.${y}`, `${type}.${x}`] as const]),
    ),
  ),
  undefined,
);

/** Ops that with the constant 0 are their first argument; those that with twice the same are that, or 0. */
const ZERO_IS_NEUTRAL = opTable(integerOps(['add', 'sub', 'or', 'xor', 'shl', 'shr_u', 'shr_s', 'rotl', 'rotr'], true), false);
const OF_SAME = opTable<'same' | 'zero', undefined>(
  { ...integerOps(['and', 'or'], 'same'), ...integerOps(['sub', 'xor'], 'zero') },
  undefined,
);

/** The value is 0 or 1. */
const isTruth = (v: Inst): boolean => v.op === 'i32.eqz' || v.op === 'i64.eqz' || INVERSE[v.spec.code] !== undefined;

/** Bits of an i32 that may be 1. */
function possibleBits(v: Inst): number {
  switch (v.op) {
    case 'i32.const':
      return v.imm;
    case 'i32.load8_u':
    case 'i8x16.extract_lane_u':
      return 0xff;
    case 'i32.load16_u':
    case 'i16x8.extract_lane_u':
      return 0xffff;
    case 'i32.and':
      return v.args[1].op === 'i32.const' ? v.args[1].imm : -1;
    default:
      return isTruth(v) ? 1 : -1;
  }
}

/** Are both the same computation on the same values? Asked to a small depth only. */
function isSame(a: Inst, b: Inst, depth = 3): boolean {
  if (a === b) return true;
  if (depth === 0 || a.op !== b.op || a.spec.effect !== 'pure' || a.imm !== b.imm || a.immHigh !== b.immHigh || a.bytes !== b.bytes)
    return false;
  for (let i = 0; i < a.args.length; i++) if (!isSame(a.args[i], b.args[i], depth - 1)) return false;
  return true;
}

export const isConstant = (v: Inst): boolean => v.op === 'i32.const' || v.op === 'i64.const';
const isValue = (v: Inst, low: number, high: number): boolean => v.imm === low && (v.op === 'i32.const' || v.immHigh === high);
const isZero = (v: Inst): boolean => isConstant(v) && isValue(v, 0, 0);
const isOnes = (v: Inst): boolean => isConstant(v) && isValue(v, -1, -1);

const NO_ARGS: readonly Inst[] = [];
function constant32(at: number, value: number): Inst {
  const inst = new Inst(OPS['i32.const'], 'i32', NO_ARGS, at, -1);
  inst.imm = value | 0;
  return inst as Inst;
}
function constant64(at: number, low: number, high: number): Inst {
  const inst = new Inst(OPS['i64.const'], 'i64', NO_ARGS, at, -1);
  inst.imm = low | 0;
  inst.immHigh = high | 0;
  return inst as Inst;
}

function addWords(at: number, a: Inst, low: number, high: number): Inst {
  const sum = (a.imm >>> 0) + (low >>> 0);
  return constant64(at, sum | 0, a.immHigh + high + (sum > 0xffffffff ? 1 : 0));
}

function fold64(inst: Inst, a: Inst, b: Inst): Inst | undefined {
  const { at } = inst;
  switch (inst.op) {
    case 'i64.add':
      return addWords(at, a, b.imm, b.immHigh);
    case 'i64.sub':
      return addWords(at, a, -b.imm | 0, (~b.immHigh + (b.imm === 0 ? 1 : 0)) | 0);
    case 'i64.and':
      return constant64(at, a.imm & b.imm, a.immHigh & b.immHigh);
    case 'i64.or':
      return constant64(at, a.imm | b.imm, a.immHigh | b.immHigh);
    case 'i64.xor':
      return constant64(at, a.imm ^ b.imm, a.immHigh ^ b.immHigh);
    case 'i64.shl': {
      const n = b.imm & 63;
      if (n === 0) return a;
      if (n >= 32) return constant64(at, 0, a.imm << (n - 32));
      return constant64(at, a.imm << n, (a.immHigh << n) | (a.imm >>> (32 - n)));
    }
    case 'i64.shr_u': {
      const n = b.imm & 63;
      if (n === 0) return a;
      if (n >= 32) return constant64(at, a.immHigh >>> (n - 32), 0);
      return constant64(at, (a.imm >>> n) | (a.immHigh << (32 - n)), a.immHigh >>> n);
    }
    case 'i64.eq':
      return constant32(at, Number(a.imm === b.imm && a.immHigh === b.immHigh));
    case 'i64.ne':
      return constant32(at, Number(a.imm !== b.imm || a.immHigh !== b.immHigh));
    default:
      return undefined;
  }
}

function foldUnary(inst: Inst, a: Inst): Inst | undefined {
  if (isConstant(a)) {
    switch (inst.op) {
      case 'i32.wrap_i64':
        return constant32(inst.at, a.imm);
      case 'i64.extend_i32_u':
        return constant64(inst.at, a.imm, 0);
      case 'i64.extend_i32_s':
        return constant64(inst.at, a.imm, a.imm >> 31);
      case 'i32.eqz':
        return constant32(inst.at, Number(a.imm === 0));
      case 'i64.eqz':
        return constant32(inst.at, Number(a.imm === 0 && a.immHigh === 0));
      case 'i32.extend8_s':
        return constant32(inst.at, (a.imm << 24) >> 24);
      case 'i32.extend16_s':
        return constant32(inst.at, (a.imm << 16) >> 16);
      default:
        return undefined;
    }
  }
  if (inst.op === 'i32.extend8_s' || inst.op === 'i32.extend16_s') {
    const mask = inst.op === 'i32.extend8_s' ? 0xff : 0xffff;
    const isCut = a.op === 'i32.and' && a.args[1].op === 'i32.const' && (a.args[1].imm & mask) === mask;
    return isCut ? new Inst(inst.spec, 'i32', [a.args[0]], inst.at, -1) : undefined;
  }
  if (inst.op === 'i32.eqz') {
    const inverse = INVERSE[a.spec.code];
    if (inverse !== undefined) return new Inst(OPS[inverse], 'i32', a.args, inst.at, -1);
    if (a.op === 'i32.eqz' && isTruth(a.args[0])) return a.args[0];
  }
  if (inst.op === 'i32.wrap_i64' && (a.op === 'i64.extend_i32_u' || a.op === 'i64.extend_i32_s')) return a.args[0];
  return undefined;
}

/** x op constant. */
function identity(inst: Inst, a: Inst, b: Inst): Inst | undefined {
  if (ZERO_IS_NEUTRAL[inst.spec.code]) return isZero(b) ? a : undefined;
  if (inst.op !== 'i32.and' && inst.op !== 'i64.and') return undefined;
  if (isOnes(b)) return a;
  if (isZero(b)) return b;
  if (inst.op === 'i32.and' && (possibleBits(a) & ~b.imm) === 0) return a;
  return inst.op === 'i64.and' && isValue(b, -1, 0) && a.op === 'i64.extend_i32_u' ? a : undefined;
}

/** x op x. */
function identityOfSame(inst: Inst, a: Inst, b: Inst): Inst | undefined {
  const what = OF_SAME[inst.spec.code];
  if (what === undefined || !isSame(a, b)) return undefined;
  if (what === 'same') return a;
  return inst.type === 'i64' ? constant64(inst.at, 0, 0) : constant32(inst.at, 0);
}

/**
 * Simplifies an op whose arguments are final: returns the value that replaces it, or undefined. A value with id -1 is new. Constants
 * move to the right of ops that commute.
 */
export function fold(inst: Inst): Inst | undefined {
  const { args } = inst;
  if (args.length === 1) return foldUnary(inst, args[0]);
  if (args.length !== 2) return undefined;
  if (isConstant(args[0]) && !isConstant(args[1]) && COMMUTES[inst.spec.code]) inst.args = [args[1], args[0]];
  const a = inst.args[0];
  const b = inst.args[1];
  if (!isConstant(b)) return identityOfSame(inst, a, b);
  if (!isConstant(a)) return identity(inst, a, b);
  const f = FOLD32[inst.spec.code];
  return f ? constant32(inst.at, f(a.imm, b.imm)) : fold64(inst, a, b);
}

/** A memory op at (x + constant) is one at x with a larger displacement, where that fits. */
export function foldAddress(inst: Inst): void {
  const address = inst.args[0];
  if (address.op !== 'i64.add' || !isConstant(address.args[1])) return;
  const by = address.args[1];
  const disp = inst.imm + by.imm;
  if (by.immHigh !== by.imm >> 31 || disp !== (disp | 0)) return;
  inst.imm = disp;
  inst.args = withArg(inst.args, 0, address.args[0]);
}

/** What a condition tests: (x != 0) is x. */
export function foldCondition(cond: Inst): Inst {
  let c = cond;
  for (;;) {
    if (c.op === 'i32.ne' && isZero(c.args[1])) c = c.args[0];
    else if (c.op === 'i32.eqz' && c.args[0].op === 'i32.eqz') c = c.args[0].args[0];
    else break;
  }
  return c;
}
