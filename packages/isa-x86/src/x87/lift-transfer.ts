// Loads, stores and moves of the x87 in lifted code: the usual case inline, the rest by the helpers of transfer.ts. Memory operands are loaded before
// anything changes; what is stored is written before anything else changes, or after the helper has said that it may be.

import type { Slot } from '@anillo/ir/slot';
import { X64, X64_HIGH } from '@anillo/ir/vcpu-header';
import type { Address } from '../effective-address.ts';
import type { Lift } from '../lift.ts';
import { TO_INTEGER } from './arithmetic-routines.ts';
import { controlWord, EXPONENT, type Extended, type I32, type I64, SIGN } from './extended-ir.ts';
import { callHelper, LiftedStack, rm } from './lift-stack.ts';
import { fromFloat, fromInteger, toFloat } from './operand-ir.ts';
import { callPending } from './pending.ts';
import { CONSTANTS, OPERAND, POP, TRUNCATE } from './transfer.ts';

export type Bits = 16 | 32 | 64 | 80;

/** Bytes of a memory operand: zero-extended, the upper 16 of 80 bits apart. */
export interface RawOperand {
  readonly low: I64;
  readonly high: I64 | undefined;
}

/** What is pending comes before what the access may raise. */
export function loadOperand(c: Lift, bits: Bits): RawOperand {
  callPending(c);
  const a = c.memory(bits / 8);
  const low = c.to64(c.load(a, bits === 80 ? 64 : bits));
  return { low, high: bits === 80 ? c.to64(c.load(c.offset(a, 8), 16)) : undefined };
}
/** Hands the operand to a helper. */
export function passOperand(c: Lift, { low, high }: RawOperand): void {
  c.b.set(X64[0] as Slot<'i64'>, low);
  if (high) c.b.set(X64_HIGH[0] as Slot<'i64'>, high);
}

export const signed = (c: Lift, low: I64, bits: Bits): I64 =>
  bits === 64 ? low : c.b.op(bits === 32 ? 'i64.extend32_s' : 'i64.extend16_s', [low]);

/** The operand's value and whether it is that; undefined for decimals. */
function loadedValue(c: Lift, { low, high }: RawOperand, bits: Bits, kind: number): { readonly value: Extended; readonly isRight?: I32 } | undefined {
  switch (kind) {
    case OPERAND.M32:
    case OPERAND.M64:
      return fromFloat(c.b, low, bits as 32 | 64);
    case OPERAND.M80:
      return { value: { m: low, e: c.b.wrap(high as I64) } };
    case OPERAND.BCD:
      return undefined;
    default:
      return { value: fromInteger(c.b, signed(c, low, bits)) };
  }
}

/** FLD, FILD, FBLD. */
export function liftLoad(c: Lift, bits: Bits, kind: number): void {
  const { b } = c;
  const raw = loadOperand(c, bits);
  const callLoad = (): void => {
    passOperand(c, raw);
    callHelper(c, 'x87Load', kind);
  };
  const loaded = loadedValue(c, raw, bits, kind);
  if (loaded === undefined) {
    callLoad();
    return;
  }
  const stack = new LiftedStack(c);
  const isReady = stack.isReady({ free: [7] });
  stack.unless(loaded.isRight ? b.and(isReady, loaded.isRight) : isReady, () => push(stack, loaded.value), callLoad);
}

function push(stack: LiftedStack, x: Extended): void {
  stack.push(x);
  stack.commit();
}

/** Where a store of 10 bytes lies in two pages the second could fault after the first. */
function probeExtended(c: Lift, a: Address): void {
  const { b } = c;
  b.ifRarely(b.gtU(b.and(b.wrap(c.sum(a)), b.i32(0xfff)), b.i32(0x1000 - 10)), () => {
    c.probeWrite(a, 64);
    c.probeWrite(c.offset(a, 8), 16);
  });
}
function storeBytes(c: Lift, a: Address, bits: Bits, low: I64, high: I64 | I32): void {
  if (bits !== 80) {
    c.store(a, bits, low);
    return;
  }
  c.store(a, 64, low);
  c.store(c.offset(a, 8), 16, high);
}

/** The helper leaves the bytes in x0 and says in x1 whether they are to be written. */
function storeByHelper(c: Lift, a: Address, bits: Bits, kind: number): void {
  const { b } = c;
  // #AC before anything has changed; the store itself comes too late for that.
  c.checkAlignment(a, bits === 80 ? 8 : bits / 8);
  c.probeWrite(a, bits === 80 ? 64 : bits);
  if (bits === 80) c.probeWrite(c.offset(a, 8), 16);
  callHelper(c, 'x87Store', kind);
  b.if(b.wrap(b.get(X64[1] as Slot<'i64'>)), () => storeBytes(c, a, bits, b.get(X64[0] as Slot<'i64'>), b.get(X64_HIGH[0] as Slot<'i64'>)));
}

interface Stored {
  readonly value: I64;
  readonly high?: I32;
  readonly isRight?: I32;
  readonly outcome?: I32;
}
function storedForm(c: Lift, x: Extended, bits: Bits, kind: number): Stored {
  const { b } = c;
  switch (kind & 7) {
    case OPERAND.M32:
    case OPERAND.M64:
      return toFloat(b, x, bits as 32 | 64);
    case OPERAND.M80:
      return { value: x.m, high: x.e };
    default: {
      const value = b.call(TO_INTEGER, [x.m, x.e, b.i32(bits), b.i32(kind & TRUNCATE ? 1 : 0)]) as I64;
      const outcome = b.wrap(b.get(X64[1] as Slot<'i64'>));
      return { value, outcome, isRight: b.op('i32.ge_s', [outcome, b.i32(0)]) };
    }
  }
}

/** FST, FSTP, FIST, FISTP, FISTTP, FBSTP. */
export function liftStore(c: Lift, bits: Bits, kind: number): void {
  const { b } = c;
  callPending(c);
  const a = c.memory(bits / 8, true);
  if ((kind & 7) === OPERAND.BCD) {
    storeByHelper(c, a, bits, kind);
    return;
  }
  const stack = new LiftedStack(c);
  const isReady = stack.isReady({ used: [0] });
  const { value, high, isRight, outcome } = storedForm(c, stack.read(0), bits, kind);
  stack.unless(
    isRight ? b.and(isReady, isRight) : isReady,
    () => {
      if (bits === 80) {
        c.checkAlignment(a, 8);
        probeExtended(c, a);
      }
      storeBytes(c, a, bits, value, high ?? b.i32(0));
      stack.commit(outcome);
      stack.pop(kind & POP ? 1 : 0);
    },
    () => storeByHelper(c, a, bits, kind),
  );
}

/** FLD1 and its kin. Those that depend on the rounding control stand for rounding to nearest. */
export function liftConstant(c: Lift, index: number): void {
  const { b } = c;
  const [down, nearest, up] = CONSTANTS[index] as (typeof CONSTANTS)[number];
  const bits = down + nearest;
  const value = {
    m: b.i64Words(Number(BigInt.asIntN(32, bits)), Number(BigInt.asIntN(32, bits >> 32n))),
    e: b.i32(Number(bits >> 64n)),
  };
  const stack = new LiftedStack(c);
  const isReady = stack.isReady({ free: [7] });
  const usual = up === 0n ? isReady : b.and(isReady, b.eqz(b.and(controlWord(b), b.i32(ROUNDING))));
  stack.unless(
    usual,
    () => push(stack, value),
    () => callHelper(c, 'x87LoadConstant', index),
  );
}
const ROUNDING = 0xc00;

/** FLD ST(i). */
export function liftLoadRegister(c: Lift): void {
  const stack = new LiftedStack(c);
  const i = rm(c);
  const callLoad = (): void => callHelper(c, 'x87LoadRegister', i);
  // ST(7) would have to be in use and free.
  if (i === 7) callLoad();
  else stack.unless(stack.isReady({ used: [i], free: [7] }), () => push(stack, stack.read(i)), callLoad);
}

/** FXCH. */
export function liftExchange(c: Lift): void {
  const stack = new LiftedStack(c);
  const i = rm(c);
  stack.unless(
    stack.isReady({ used: [0, i] }),
    () => {
      const [first, second] = [stack.read(0), stack.read(i)];
      stack.write(0, second);
      stack.write(i, first);
      stack.commit();
    },
    () => callHelper(c, 'x87Exchange', i),
  );
}

/** FST ST(i), FSTP ST(i). */
export function liftStoreRegister(c: Lift, pops: 0 | 1): void {
  const stack = new LiftedStack(c);
  const i = rm(c);
  stack.unless(
    stack.isReady({ used: [0] }),
    () => {
      stack.write(i, stack.read(0));
      stack.markUsed(i);
      stack.commit();
      stack.pop(pops);
    },
    () => callHelper(c, 'x87StoreRegister', i, pops),
  );
}

/** FCMOVcc. */
export function liftConditionalMove(c: Lift, cc: number): void {
  const { b } = c;
  const i = rm(c);
  const condition = c.flags.condition(cc);
  const stack = new LiftedStack(c);
  stack.unless(
    stack.isReady({ used: [0, i] }),
    () => {
      b.if(condition, () => stack.write(0, stack.read(i)));
      stack.commit(undefined, 0);
    },
    () => callHelper(c, 'x87ConditionalMove', i, condition),
  );
}

/** FCHS and FABS. */
export function liftSign(c: Lift, change: boolean): void {
  const { b } = c;
  const stack = new LiftedStack(c);
  stack.unless(
    stack.isReady({ used: [0] }),
    () => {
      const { m, e } = stack.read(0);
      stack.write(0, { m, e: change ? b.xor(e, b.i32(SIGN)) : b.and(e, b.i32(EXPONENT)) });
      stack.commit();
    },
    () => callHelper(c, 'x87Sign', change ? 1 : 0),
  );
}
