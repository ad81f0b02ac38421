// Rounding in the IR: to the x87's format under precision and rounding control, and to whole numbers. SDM Vol. 1, 4.8.4 and 8.1.5.
// Outcomes are bits of the status word: PE where the result is inexact, C1 where rounding made it larger. REFUSED: softfloat must do it.

import type { Builder } from '@anillo/ir/builder';
import type { Slot } from '@anillo/ir/slot';
import { controlWord, EXPONENT, type I32, type I64, topBit, writeRegister } from './extended-ir.ts';

export const REFUSED = -1;
const PM = 0x20;
const PE_BIT = 5;
const C1_BIT = 9;
/** RC, PC and PM; to nearest, 64 bits, masked. */
const USUAL = { mask: 0xf20, value: 0x320 } as const;

/** What is to be rounded: significand, the bits below it (the last one sticky), exponent before a carry, sign in bit 15. */
export interface Unrounded {
  readonly m: I64;
  readonly below: I64;
  readonly exponent: I32;
  readonly sign: I32;
}

/** 1 where `kept` is to be increased by rounding `below` to nearest, even. */
const upToNearest = (b: Builder, kept: I64, below: I64): I32 => b.gtU(below, b.sub(topBit(b), b.and(kept, b.i64(1))));

/** The same under a rounding control. */
export function isRoundedUp(b: Builder, rounding: I32, sign: I32, kept: I64, below: I64): I32 {
  const away = b.temp('i32', b.i32(0));
  b.if(
    b.eqz(rounding),
    () => b.set(away, upToNearest(b, kept, below)),
    () => {
      const towards = b.select(sign, b.i32(1), b.i32(2));
      b.set(away, b.and(b.eq(rounding, towards), b.eqz(b.eqz(below))));
    },
  );
  return b.get(away);
}

export const roundingControl = (b: Builder, control: I32): I32 => b.and(b.shrU(control, b.i32(10)), b.i32(3));

/** Status bits of a rounding, REFUSED where PE is not masked. */
export function outcomeOf(b: Builder, control: I32, below: I64, up: I32): I32 {
  const isInexact = b.eqz(b.eqz(below));
  const bits = b.or(b.shl(isInexact, b.i32(PE_BIT)), b.shl(up, b.i32(C1_BIT)));
  return b.select(b.and(isInexact, b.eqz(b.and(control, b.i32(PM)))), b.i32(REFUSED), bits);
}

/** Rounds into physical register `to` and sets `out`, unless the result is near the ends of the range. */
export function roundInto(b: Builder, x: Unrounded, to: I32, out: Slot<'i32'>): void {
  const control = controlWord(b);
  const sum = b.temp('i64');
  const outcome = b.temp('i32');
  b.ifRarely(
    b.ne(b.and(control, b.i32(USUAL.mask)), b.i32(USUAL.value)),
    () => roundBy(b, control, x, sum, outcome),
    () => {
      const up = upToNearest(b, x.m, x.below);
      b.set(sum, b.add(x.m, b.extendU(up)));
      b.set(outcome, b.or(b.shl(b.eqz(b.eqz(x.below)), b.i32(PE_BIT)), b.shl(up, b.i32(C1_BIT))));
    },
  );
  // Out of range where refused.
  const exponent = b.or(x.exponent, b.and(b.get(outcome), b.i32(~EXPONENT)));
  b.if(b.ltU(b.sub(exponent, b.i32(1)), b.i32(EXPONENT - 2)), () => {
    const hasCarried = b.eqz(b.get(sum));
    writeRegister(b, to, { m: b.select(hasCarried, topBit(b), b.get(sum)), e: b.or(x.sign, b.add(x.exponent, hasCarried)) });
    b.set(out, b.get(outcome));
  });
}

/** Any precision and rounding control: significand, 0 after a carry, and outcome. */
function roundBy(b: Builder, control: I32, x: Unrounded, sum: Slot<'i64'>, outcome: Slot<'i32'>): void {
  const kept = b.temp('i64', x.m);
  const below = b.temp('i64', x.below);
  const dropped = b.temp('i64', b.i64(0));
  const precision = b.and(b.shrU(control, b.i32(8)), b.i32(3));
  b.if(b.eqz(b.and(precision, b.i32(1))), () => {
    // 24 or 53 bits.
    b.set(dropped, b.select(precision, b.i64(11), b.i64(40)));
    b.set(below, b.or(b.shl(x.m, b.sub(b.i64(64), b.get(dropped))), b.extendU(b.eqz(b.eqz(x.below)))));
    b.set(kept, b.shrU(x.m, b.get(dropped)));
  });
  const up = isRoundedUp(b, roundingControl(b, control), x.sign, b.get(kept), b.get(below));
  b.set(sum, b.shl(b.add(b.get(kept), b.extendU(up)), b.get(dropped)));
  b.set(outcome, outcomeOf(b, control, b.get(below), up));
}
