// x87 arithmetic in the IR: zeros and normal numbers, any precision and rounding control. (x, y, destination's physical register) -> status bits
// to set, or REFUSED where an operand is special or the result near the ends of the range: then nothing has changed and the helper computes it
// (operation.ts), whose results these are, bit for bit. SDM Vol. 2, FADD, FMUL, FDIV, FSQRT, FCOM.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import {
  BIAS, controlWord, EXPONENT, exponentOf, type Extended, type I32, type I64, isNormal, isZero, orZero, SIGN, signOf, topBit, writeRegister,
} from './extended-ir.ts';
import { isRoundedUp, outcomeOf, REFUSED, roundingControl, roundInto, type Unrounded } from './round-ir.ts';
import { STATUS } from './fpu.ts';
import { X64 } from '@anillo/ir/vcpu-header';

type Compute<Operands extends readonly Extended[]> = (b: Builder, operands: Operands, to: I32, out: Slot<'i32'>) => void;
type One = readonly [Extended];
type Two = readonly [Extended, Extended];

const operandsOf = (params: readonly Value[], count: number): readonly Extended[] =>
  Array.from({ length: count }, (_, i) => ({ m: params[2 * i] as I64, e: params[2 * i + 1] as I32 }));

const arithmetic = <Operands extends One | Two>(name: string, count: Operands['length'], compute: Compute<Operands>): Routine =>
  routine({
    name,
    params: [...Array.from({ length: count }, () => ['i64', 'i32'] as const).flat(), 'i32'],
    result: 'i32',
    reads: 'none',
    writes: 'none',
    traps: false,
    build: (b, params) => {
      const out = b.temp('i32', b.i32(REFUSED));
      compute(b, operandsOf(params, count) as unknown as Operands, params[2 * count] as I32, out);
      return b.get(out);
    },
  });
const unary = (name: string, compute: Compute<One>): Routine => arithmetic(name, 1, compute);
export const binary = (name: string, compute: Compute<Two>): Routine => arithmetic(name, 2, compute);

const isFiniteValue = (b: Builder, x: Extended): I32 => b.or(isNormal(b, x), isZero(b, x));
/** Are both numbers normal? By integer bits and exponents above 0 and below the largest, all at once in the sign of one word. */
function areNormal(b: Builder, x: I64, y: I64, aboveZero: readonly I32[], belowLargest: readonly I32[]): I32 {
  const signs = [...aboveZero.map((e) => b.sub(b.i32(0), e)), ...belowLargest.map((e) => b.sub(e, b.i32(EXPONENT)))];
  return b.ltS(b.and(b.and(x, y), b.extendS(signs.reduce((p, q) => b.and(p, q)))), b.i64(0));
}

const ROUND_DOWN = 1;
const signOfDifference = (b: Builder): I32 => b.shl(b.eq(roundingControl(b, controlWord(b)), b.i32(ROUND_DOWN)), b.i32(15));

export function writeZero(b: Builder, to: I32, sign: I32, out: Slot<'i32'>): void {
  writeRegister(b, to, { m: b.i64(0), e: sign });
  b.set(out, b.i32(0));
}

// ---- addition

/** The smaller of two addends beside the larger: shifted right into two words, the last bit sticky. */
function align(b: Builder, m: I64, by: I32): { readonly high: Slot<'i64'>; readonly below: Slot<'i64'> } {
  const shift = b.extendU(by);
  const high = b.temp('i64', b.shrU(m, shift));
  const below = b.temp('i64', b.shl(b.shl(m, b.i64(1)), b.sub(b.i64(63), shift)));
  b.ifRarely(b.gtU(by, b.i32(63)), () => {
    // Shifts count modulo 64.
    const isFar = b.gtU(by, b.i32(127));
    const sticky = b.or(isFar, b.and(b.gtU(by, b.i32(64)), b.eqz(b.eqz(b.shl(m, b.sub(b.i64(0), shift))))));
    b.set(below, b.or(orZero(b, b.eqz(isFar), b.get(high)), b.extendU(sticky)));
    b.set(high, b.i64(0));
  });
  return { high, below };
}

interface Addends {
  readonly large: I64;
  readonly largeExponent: I32;
  readonly small: I64;
  readonly smallExponent: I32;
  readonly sign: I32;
  readonly differ: I32;
}
function inOrder(b: Builder, x: Extended, y: Extended): Addends {
  const [ex, ey] = [exponentOf(b, x), exponentOf(b, y)];
  const swap = b.or(b.ltU(ex, ey), b.and(b.eq(ex, ey), b.ltU(x.m, y.m)));
  return {
    large: b.select(swap, y.m, x.m),
    largeExponent: b.select(swap, ey, ex),
    small: b.select(swap, x.m, y.m),
    smallExponent: b.select(swap, ex, ey),
    sign: b.and(b.select(swap, y.e, x.e), b.i32(SIGN)),
    differ: b.and(b.xor(x.e, y.e), b.i32(SIGN)),
  };
}

function addNormal(b: Builder, { large, largeExponent, small, smallExponent, sign, differ }: Addends, to: I32, out: Slot<'i32'>): void {
  const { high, below } = align(b, small, b.sub(largeExponent, smallExponent));
  const m = b.temp('i64');
  const exponent = b.temp('i32', largeExponent);
  const isNonzero = b.temp('i32', b.i32(1));
  b.if(
    differ,
    () => {
      b.set(m, b.sub(b.sub(large, b.get(high)), b.extendU(b.eqz(b.eqz(b.get(below))))));
      b.set(below, b.sub(b.i64(0), b.get(below)));
      b.ifRarely(b.eqz(b.get(m)), () => {
        b.set(m, b.get(below));
        b.set(below, b.i64(0));
        b.set(exponent, b.sub(b.get(exponent), b.i32(64)));
        b.set(isNonzero, b.eqz(b.eqz(b.get(m))));
      });
      const left = b.op('i64.clz', [b.get(m)]);
      const moved = b.shrU(b.shrU(b.get(below), b.i64(1)), b.sub(b.i64(63), left));
      b.set(m, b.or(b.shl(b.get(m), left), moved));
      b.set(below, b.shl(b.get(below), left));
      b.set(exponent, b.sub(b.get(exponent), b.wrap(left)));
    },
    () => {
      const sum = b.add(large, b.get(high));
      b.set(m, sum);
      b.if(b.ltU(sum, large), () => {
        b.set(below, b.or(b.or(b.shrU(b.get(below), b.i64(1)), b.and(b.get(below), b.i64(1))), b.shl(sum, b.i64(63))));
        b.set(m, b.or(b.shrU(sum, b.i64(1)), topBit(b)));
        b.set(exponent, b.add(b.get(exponent), b.i32(1)));
      });
    },
  );
  b.ifRarely(
    b.eqz(b.get(isNonzero)),
    () => writeZero(b, to, signOfDifference(b), out),
    () => roundInto(b, { m: b.get(m), below: b.get(below), exponent: b.get(exponent), sign }, to, out),
  );
}

const ADD = binary('x87Add', (b, [x, y], to, out) => {
  const addends = inOrder(b, x, y);
  b.if(
    areNormal(b, x.m, y.m, [addends.smallExponent], [addends.largeExponent]),
    () => addNormal(b, addends, to, out),
    () => {
      const [zx, zy] = [isZero(b, x), isZero(b, y)];
      const [nx, ny] = [isNormal(b, x), isNormal(b, y)];
      b.if(b.and(zx, zy), () => {
        const isSame = b.eq(signOf(b, x), signOf(b, y));
        writeZero(b, to, b.select(isSame, signOf(b, x), signOfDifference(b)), out);
      });
      b.if(b.or(b.and(zx, ny), b.and(nx, zy)), () => {
        const rest: Extended = { m: b.or(x.m, y.m), e: b.select(zx, y.e, x.e) };
        roundInto(b, { m: rest.m, below: b.i64(0), exponent: exponentOf(b, rest), sign: signOf(b, rest) }, to, out);
      });
    },
  );
});

// ---- multiplication and division

/** `exact`: of two normal numbers, with their exponents, but for the sign. `isNothing`: is the result zero? */
const signed = (
  name: string,
  exact: (b: Builder, x: I64, y: I64, ex: I32, ey: I32) => Omit<Unrounded, 'sign'>,
  isNothing: (b: Builder, x: Extended, y: Extended) => I32,
): Routine =>
  binary(name, (b, [x, y], to, out) => {
    const sign = b.and(b.xor(x.e, y.e), b.i32(SIGN));
    const exponents = [exponentOf(b, x), exponentOf(b, y)] as const;
    b.if(
      areNormal(b, x.m, y.m, exponents, exponents),
      () => roundInto(b, { ...exact(b, x.m, y.m, ...exponents), sign }, to, out),
      () => b.if(isNothing(b, x, y), () => writeZero(b, to, sign, out)),
    );
  });

const MULTIPLY = signed(
  'x87Multiply',
  (b, x, y, ex, ey) => {
    const high = b.op('i64.mulhi_u', [x, y]);
    const low = b.mul(x, y);
    const isLarge = b.ltS(high, b.i64(0));
    const exponent = b.add(b.add(ex, ey), b.i32(-BIAS));
    const doubled = b.or(b.shl(high, b.i64(1)), b.shrU(low, b.i64(63)));
    return { m: b.select(isLarge, high, doubled), below: b.select(isLarge, low, b.shl(low, b.i64(1))), exponent: b.add(exponent, isLarge) };
  },
  (b, x, y) => b.and(isFiniteValue(b, x), isFiniteValue(b, y)),
);

/** (high, low) / divisor for a divisor with its top bit set and above `high`: quotient and remainder, 32 bits at a time (Knuth, 4.3.1 D). */
function divideWide(b: Builder, high: I64, low: I64, divisor: I64): { readonly quotient: I64; readonly remainder: I64 } {
  const low32 = b.i64Words(-1, 0);
  const [top, bottom] = [b.shrU(divisor, b.i64(32)), b.and(divisor, low32)];
  const step = (from: I64, next: I64): { readonly digit: I64; readonly rest: I64 } => {
    const digit = b.temp('i64', b.op('i64.div_u', [from, top]));
    const rest = b.temp('i64', b.sub(from, b.mul(b.get(digit), top)));
    const isTooLarge = (): I32 =>
      b.or(
        b.gtU(b.get(digit), low32),
        b.gtU(b.mul(b.get(digit), bottom), b.or(b.shl(b.get(rest), b.i64(32)), next)),
      );
    const decrease = (): void => {
      b.set(digit, b.sub(b.get(digit), b.i64(1)));
      b.set(rest, b.add(b.get(rest), top));
    };
    b.if(isTooLarge(), () => {
      decrease();
      b.if(b.and(b.leU(b.get(rest), low32), isTooLarge()), decrease);
    });
    return { digit: b.get(digit), rest: b.sub(b.or(b.shl(from, b.i64(32)), next), b.mul(b.get(digit), divisor)) };
  };
  const first = step(high, b.shrU(low, b.i64(32)));
  const second = step(first.rest, b.and(low, low32));
  return { quotient: b.or(b.shl(first.digit, b.i64(32)), second.digit), remainder: second.rest };
}

const DIVIDE = signed(
  'x87Divide',
  (b, x, y, ex, ey) => {
    const isLess = b.ltU(x, y);
    const high = b.select(isLess, x, b.shrU(x, b.i64(1)));
    const low = b.select(isLess, b.i64(0), b.shl(x, b.i64(63)));
    const { quotient, remainder } = divideWide(b, high, low, y);
    const rest = b.temp('i64', remainder);
    const other = b.sub(y, b.get(rest));
    const half = b.select(b.eq(b.get(rest), other), topBit(b), b.extendU(b.eqz(b.eqz(b.get(rest)))));
    const exponent = b.sub(b.add(b.sub(ex, ey), b.i32(BIAS)), isLess);
    return { m: quotient, below: b.select(b.gtU(b.get(rest), other), b.i64(-1), half), exponent };
  },
  (b, x, y) => b.and(isZero(b, x), isNormal(b, y)),
);

// ---- square root

/** (high, low) - root^2 in two words. */
function restOfSquare(b: Builder, high: I64, low: I64, root: I64): { readonly high: I64; readonly low: I64 } {
  const square = b.mul(root, root);
  const borrow = b.extendU(b.ltU(low, square));
  return { high: b.sub(b.sub(high, b.op('i64.mulhi_u', [root, root])), borrow), low: b.sub(low, square) };
}

/** The root of (high, low), at least 2^126, rounded down, and what decides its rounding: 0, less than half, more than half. */
function rootWide(b: Builder, high: I64, low: I64): { readonly root: I64; readonly below: I64 } {
  // 53 bits by the host; in one step of Newton's twice as many, but for the last unit.
  const host = b.op('f64.sqrt', [b.op('f64.convert_i64_s', [b.shrU(high, b.i64(1))])]);
  const root = b.temp('i64', b.shl(b.op('i64.trunc_sat_f64_s', [b.op('f64.mul', [host, b.f64(2 ** 30.5)])]), b.i64(2)));
  // One of nearly 2^64 may have come out as that.
  const keepInRange = (): void => b.ifRarely(b.leU(b.get(root), b.i64Words(0, 0x4000_0000)), () => b.set(root, b.i64(-1)));
  keepInRange();
  const rest = restOfSquare(b, high, low, b.get(root));
  const halfOfRest = b.op('f64.add', [
    b.op('f64.mul', [b.op('f64.convert_i64_s', [rest.high]), b.f64(2 ** 63)]),
    b.op('f64.convert_i64_s', [b.shrU(rest.low, b.i64(1))]),
  ]);
  const step = b.op('f64.floor', [b.op('f64.div', [halfOfRest, b.op('f64.mul', [host, b.f64(2 ** 32.5)])])]);
  b.set(root, b.add(b.get(root), b.op('i64.trunc_sat_f64_s', [step])));
  keepInRange();
  const below = b.temp('i64');
  b.loopWhile(() => {
    const left = restOfSquare(b, high, low, b.get(root));
    const isNegative = b.ltS(left.high, b.i64(0));
    // More than root^2 + 2 root: 65 bits.
    const twice = b.shl(b.get(root), b.i64(1));
    const isLarge = b.or(b.op('i64.gt_s', [left.high, b.i64(1)]), b.and(b.eq(left.high, b.i64(1)), b.gtU(left.low, twice)));
    const isAboveHalf = b.or(b.eq(left.high, b.i64(1)), b.gtU(left.low, b.get(root)));
    b.set(below, b.select(isAboveHalf, b.i64(-1), b.extendU(b.eqz(b.eqz(left.low)))));
    b.set(root, b.add(b.get(root), b.sub(b.extendU(isLarge), b.extendU(isNegative))));
    return b.or(isNegative, isLarge);
  });
  return { root: b.get(root), below: b.get(below) };
}

const ROOT = unary('x87Root', (b, [x], to, out) => {
  b.if(
    b.and(isNormal(b, x), b.eqz(signOf(b, x))),
    () => {
      const isOdd = b.eqz(b.and(x.e, b.i32(1)));
      const { root, below } = rootWide(b, b.select(isOdd, x.m, b.shrU(x.m, b.i64(1))), b.select(isOdd, b.i64(0), b.shl(x.m, b.i64(63))));
      const exponent = b.add(b.shrS(b.sub(x.e, b.i32(BIAS)), b.i32(1)), b.i32(BIAS));
      roundInto(b, { m: root, below, exponent, sign: b.i32(0) }, to, out);
    },
    () => b.if(isZero(b, x), () => writeZero(b, to, x.e, out)),
  );
});

// ---- whole numbers

/** The whole number next to |x| for numbers below 2^63, by a rounding control: 64 bits unsigned. */
function wholePart(b: Builder, x: Extended, rounding: I32): { readonly whole: I64; readonly below: I64; readonly up: I32 } {
  const by = b.sub(b.i32(BIAS + 63), exponentOf(b, x));
  const shift = b.extendU(by);
  const kept = b.temp('i64', b.shrU(x.m, shift));
  const below = b.temp('i64', b.shl(x.m, b.sub(b.i64(64), shift)));
  b.if(b.gtU(by, b.i32(63)), () => {
    b.set(kept, b.i64(0));
    b.set(below, b.select(b.eq(by, b.i32(64)), x.m, b.extendU(b.eqz(b.eqz(x.m)))));
  });
  const up = isRoundedUp(b, rounding, signOf(b, x), b.get(kept), b.get(below));
  return { whole: b.add(b.get(kept), b.extendU(up)), below: b.get(below), up };
}
const isBelow63 = (b: Builder, x: Extended): I32 => b.ltU(exponentOf(b, x), b.i32(BIAS + 63));

/** FRNDINT. */
const ROUND = unary('x87Round', (b, [x], to, out) => {
  b.if(isFiniteValue(b, x), () => {
    b.if(
      isBelow63(b, x),
      () => {
        const control = controlWord(b);
        const { whole, below, up } = wholePart(b, x, roundingControl(b, control));
        const left = b.op('i64.clz', [whole]);
        const exponent = b.select(b.eqz(whole), b.i32(0), b.sub(b.i32(BIAS + 63), b.wrap(left)));
        const outcome = outcomeOf(b, control, below, up);
        b.if(b.ne(outcome, b.i32(REFUSED)), () => {
          writeRegister(b, to, { m: b.shl(whole, left), e: b.or(signOf(b, x), exponent) });
          b.set(out, outcome);
        });
      },
      () => {
        writeRegister(b, to, x);
        b.set(out, b.i32(0));
      },
    );
  });
});

/** FIST: (x, bits of the integer, 1 to truncate) -> integer, with the status bits or REFUSED in x1. */
export const TO_INTEGER: Routine = routine({
  name: 'x87ToInteger',
  params: ['i64', 'i32', 'i32', 'i32'],
  result: 'i64',
  reads: 'none',
  writes: 'none',
  traps: false,
  build: (b, params) => {
    const x: Extended = { m: params[0] as I64, e: params[1] as I32 };
    const result = b.temp('i64', b.i64(0));
    const out = b.temp('i32', b.i32(REFUSED));
    b.if(b.and(isFiniteValue(b, x), isBelow63(b, x)), () => {
      const control = controlWord(b);
      const rounding = b.or(roundingControl(b, control), b.sub(b.i32(0), params[3] as I32));
      const { whole, below, up } = wholePart(b, x, b.and(rounding, b.i32(3)));
      b.set(result, b.select(signOf(b, x), b.sub(b.i64(0), whole), whole));
      // Sign-extended from its bits it must be the same, and rounding must not have carried it into the sign.
      const unused = b.extendU(b.sub(b.i32(64), params[2] as I32));
      const fits = b.eq(b.shrS(b.shl(b.get(result), unused), unused), b.get(result));
      const isKept = b.op('i64.ge_s', [whole, b.i64(0)]);
      b.if(b.and(fits, isKept), () => b.set(out, outcomeOf(b, control, below, up)));
    });
    b.set(X64[1] as Slot<'i64'>, b.extendS(b.get(out)));
    return b.get(result);
  },
});

// ---- comparison

/** (x, y) -> C0 for less, C3 for equal, 0 for greater, or REFUSED. */
export const COMPARE: Routine = routine({
  name: 'x87Order',
  params: ['i64', 'i32', 'i64', 'i32'],
  result: 'i32',
  reads: 'none',
  writes: 'none',
  traps: false,
  pure: true,
  build: (b, params) => {
    const [x, y] = operandsOf(params, 2) as Two;
    const [ex, ey] = [exponentOf(b, x), exponentOf(b, y)];
    const isSmaller = b.or(b.ltU(ex, ey), b.and(b.eq(ex, ey), b.ltU(x.m, y.m)));
    const isNegative = b.eqz(b.eqz(signOf(b, x)));
    const differ = b.and(b.xor(x.e, y.e), b.i32(SIGN));
    const isLess = b.select(differ, isNegative, b.xor(isSmaller, isNegative));
    const isEqual = b.or(b.and(b.eq(x.m, y.m), b.eq(x.e, y.e)), b.eqz(b.or(x.m, y.m)));
    const order = b.select(isEqual, b.i32(STATUS.C3), b.select(isLess, b.i32(STATUS.C0), b.i32(0)));
    return b.select(b.and(isFiniteValue(b, x), isFiniteValue(b, y)), order, b.i32(REFUSED));
  },
});

export const X87_ARITHMETIC = { add: ADD, multiply: MULTIPLY, divide: DIVIDE, root: ROOT, round: ROUND } as const;
export const X87_ROUTINES: readonly Routine[] = [...Object.values(X87_ARITHMETIC), TO_INTEGER, COMPARE];
