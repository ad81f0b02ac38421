// FSCALE, FPREM and FPREM1 in the IR, for normal numbers: as arithmetic-routines.ts, they refuse what else there is. Results are exact. SDM Vol. 2.

import type { Builder } from '@anillo/ir/builder';
import type { Routine } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import { binary, writeZero } from './arithmetic-routines.ts';
import { BIAS, EXPONENT, exponentOf, type Extended, type I32, type I64, isNormal, isZero, signOf, writeRegister } from './extended-ir.ts';

const isInRange = (b: Builder, exponent: I32): I32 => b.ltU(b.sub(exponent, b.i32(1)), b.i32(EXPONENT - 1));

/** ST(0) * 2^trunc(ST(1)). */
const SCALE = binary('x87Scale', (b, [x, y], to, out) => {
  const power = b.sub(exponentOf(b, y), b.i32(BIAS));
  // Powers of 2^15 and more leave the range.
  const isUsual = b.and(isNormal(b, x), b.or(isZero(b, y), b.and(isNormal(b, y), b.op('i32.lt_s', [power, b.i32(15)]))));
  b.if(isUsual, () => {
    const whole = b.wrap(b.shrU(y.m, b.extendU(b.sub(b.i32(63), power))));
    const magnitude = b.select(b.op('i32.lt_s', [power, b.i32(0)]), b.i32(0), whole);
    const exponent = b.add(exponentOf(b, x), b.select(signOf(b, y), b.sub(b.i32(0), magnitude), magnitude));
    b.if(isInRange(b, exponent), () => {
      writeRegister(b, to, { m: x.m, e: b.or(signOf(b, x), exponent) });
      b.set(out, b.i32(0));
    });
  });
});

/** Bit 2 of a quotient in C0, bit 1 in C3, bit 0 in C1. */
function conditionsOf(b: Builder, quotient: I32): I32 {
  const bit = (n: number, left: number): I32 => b.shl(b.and(quotient, b.i32(n)), b.i32(left));
  return b.or(bit(4, 6), b.or(bit(2, 13), bit(1, 9)));
}

/** In units of the divisor's last place: what is left, and the low bits of the quotient. */
interface Division {
  readonly rest: Slot<'i64'>;
  readonly quotient: Slot<'i32'>;
}

/** Bit by bit: x is `steps` binary places above y. */
function divide(b: Builder, x: I64, y: I64, steps: I32, { rest, quotient }: Division): void {
  b.set(rest, x);
  const left = b.temp('i32', steps);
  const carry = b.temp('i64', b.i64(0));
  b.loopWhile(() => {
    const isLarge = b.or(b.wrap(b.get(carry)), b.eqz(b.ltU(b.get(rest), y)));
    b.set(quotient, b.or(b.shl(b.get(quotient), b.i32(1)), isLarge));
    b.set(rest, b.sub(b.get(rest), b.select(isLarge, y, b.i64(0))));
    const goesOn = b.ne(b.get(left), b.i32(0));
    b.if(goesOn, () => {
      b.set(carry, b.shrU(b.get(rest), b.i64(63)));
      b.set(rest, b.shl(b.get(rest), b.i64(1)));
      b.set(left, b.sub(b.get(left), b.i32(1)));
    });
    return goesOn;
  });
}

/** The quotient to nearest, even: 1 where it was raised, and what is left is negative. */
function roundQuotient(b: Builder, y: I64, { rest, quotient }: Division): I32 {
  const other = b.sub(y, b.get(rest));
  const up = b.or(b.gtU(b.get(rest), other), b.and(b.eq(b.get(rest), other), b.get(quotient)));
  b.set(rest, b.select(up, other, b.get(rest)));
  b.set(quotient, b.add(b.get(quotient), up));
  return up;
}

function writeRest(b: Builder, x: Extended, exponent: I32, flip: I32, { rest, quotient }: Division, to: I32, out: Slot<'i32'>): void {
  const outcome = conditionsOf(b, b.get(quotient));
  b.if(
    b.eqz(b.get(rest)),
    () => {
      writeZero(b, to, signOf(b, x), out);
      b.set(out, outcome);
    },
    () => {
      const left = b.op('i64.clz', [b.get(rest)]);
      const field = b.sub(exponent, b.wrap(left));
      b.if(b.op('i32.gt_s', [field, b.i32(0)]), () => {
        writeRegister(b, to, { m: b.shl(b.get(rest), left), e: b.or(b.xor(signOf(b, x), b.shl(flip, b.i32(15))), field) });
        b.set(out, outcome);
      });
    },
  );
}

/** ST(0) rem ST(1) where their exponents differ by less than 64: more takes several instructions (C2). */
const remainder = (name: string, isNearest: boolean): Routine =>
  binary(name, (b, [x, y], to, out) => {
    const distance = b.sub(exponentOf(b, x), exponentOf(b, y));
    b.if(b.and(b.and(isNormal(b, x), isNormal(b, y)), b.op('i32.lt_s', [distance, b.i32(64)])), () => {
      const division: Division = { rest: b.temp('i64', x.m), quotient: b.temp('i32', b.i32(0)) };
      const flip = b.temp('i32', b.i32(0));
      const exponent = b.temp('i32', exponentOf(b, x));
      b.if(b.op('i32.ge_s', [distance, b.i32(0)]), () => {
        divide(b, x.m, y.m, distance, division);
        b.set(exponent, exponentOf(b, y));
        if (isNearest) b.set(flip, roundQuotient(b, y.m, division));
      });
      if (isNearest) {
        // Between half and all of the divisor, in units of the dividend's last place.
        b.if(b.and(b.eq(distance, b.i32(-1)), b.gtU(x.m, y.m)), () => {
          b.set(division.rest, b.sub(b.shl(y.m, b.i64(1)), x.m));
          b.set(division.quotient, b.i32(1));
          b.set(flip, b.i32(1));
        });
      }
      writeRest(b, x, b.get(exponent), b.get(flip), division, to, out);
    });
  });

export const X87_SCALING = { scale: SCALE, remainder: remainder('x87Rest', false), nearest: remainder('x87RestNearest', true) } as const;
