// x87 arithmetic and comparison in lifted code: routines for zeros and normal numbers, helpers (operation.ts, elementary.ts) for the rest.

import type { Value } from '@anillo/ir/block';
import type { Callee, Routine } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import { X64 } from '@anillo/ir/vcpu-header';
import type { Lift } from '../lift.ts';
import { COMPARE, X87_ARITHMETIC } from './arithmetic-routines.ts';
import { PAIR_INDEX } from './elementary.ts';
import { BIAS, changeSign, exponentOf, type Extended, type I32, isNormal, isZero, signOf } from './extended-ir.ts';
import { CONDITIONS, STATUS } from './fpu.ts';
import { type Bits, loadOperand, passOperand, signed } from './lift-transfer.ts';
import { callHelper, LiftedStack, type Need, rm } from './lift-stack.ts';
import { type Converted, fromFloat, fromInteger } from './operand-ir.ts';
import { QUIET, SOURCE, TO_EFLAGS } from './operation.ts';
import { QUICK, QUICK_CALLEE } from './quick.ts';
import { REFUSED } from './round-ir.ts';

/** By ModRM.reg of D8; 2 and 3 are comparisons. The first operand is ST(0). */
const { add, multiply, divide } = X87_ARITHMETIC;
type Arrange = (c: Lift, x: Extended, y: Extended) => readonly [Extended, Extended];
const OPERATIONS: readonly (readonly [Routine, Arrange] | undefined)[] = [
  [add, (_, x, y) => [x, y]],
  [multiply, (_, x, y) => [x, y]],
  undefined,
  undefined,
  [add, (c, x, y) => [x, changeSign(c.b, y)]],
  [add, (c, x, y) => [changeSign(c.b, x), y]],
  [divide, (_, x, y) => [x, y]],
  [divide, (_, x, y) => [y, x]],
];

/** A callee with an outcome where it is ready to be called, else REFUSED. */
function outcomeWhere(c: Lift, isReady: I32, r: Callee, args: () => readonly Value[]): I32 {
  const { b } = c;
  const out = b.temp('i32', b.i32(REFUSED));
  b.if(isReady, () => b.set(out, b.call(r, args()) as I32));
  return b.get(out);
}
const succeeded = (c: Lift, outcome: I32): I32 => c.b.op('i32.ge_s', [outcome, c.b.i32(0)]);

interface Operation {
  readonly operation: number;
  readonly need: Need;
  readonly y: (stack: LiftedStack) => Converted<Extended>;
  readonly destination: number;
  readonly pops: 0 | 1;
  readonly helper: () => void;
}
function liftOperation(c: Lift, o: Operation): void {
  const { b } = c;
  const [r, arrange] = OPERATIONS[o.operation] as readonly [Routine, Arrange];
  const stack = new LiftedStack(c);
  const y = o.y(stack);
  const outcome = outcomeWhere(c, b.and(stack.isReady(o.need), y.isRight), r, () => {
    const [first, second] = arrange(c, stack.read(0), y.value);
    return [first.m, first.e, second.m, second.e, stack.physical(o.destination)];
  });
  stack.unless(
    succeeded(c, outcome),
    () => {
      stack.commit(outcome);
      stack.pop(o.pops);
    },
    o.helper,
  );
}

/** With ST(i). */
export function liftArithmetic(c: Lift, operation: number, toIndexed: boolean, pops: 0 | 1): void {
  const i = rm(c);
  const destination = toIndexed ? i : 0;
  liftOperation(c, {
    operation,
    need: { used: [0, i] },
    y: (stack) => ({ value: stack.read(i), isRight: c.b.i32(1) }),
    destination,
    pops,
    helper: () => callHelper(c, 'x87Arithmetic', operation, i, destination, pops),
  });
}

const IS_INTEGER: ReadonlySet<number> = new Set([SOURCE.I32, SOURCE.I16]);
/** A memory operand, and how a helper is given it. */
function memoryOperand(c: Lift, bits: Bits, source: number): { readonly y: Converted<Extended>; readonly pass: () => void } {
  const { b } = c;
  const raw = loadOperand(c, bits);
  const y = IS_INTEGER.has(source) ? { value: fromInteger(b, signed(c, raw.low, bits)), isRight: b.i32(1) } : fromFloat(b, raw.low, bits as 32 | 64);
  return { y, pass: () => passOperand(c, raw) };
}

export function liftArithmeticMemory(c: Lift, operation: number, bits: Bits, source: number): void {
  const { y, pass } = memoryOperand(c, bits, source);
  liftOperation(c, {
    operation,
    need: { used: [0] },
    y: () => y,
    destination: 0,
    pops: 0,
    helper: () => {
      pass();
      callHelper(c, 'x87Arithmetic', operation | (source << 3), 0, 0, 0);
    },
  });
}

/** FCOM and its kin: C3, C2, C0; with TO_EFLAGS ZF, PF, CF, and OF, SF, AF are cleared. */
function liftOrder(c: Lift, stack: LiftedStack, need: Need, y: Converted<Extended>, kind: number, pops: number, helper: () => void): void {
  const { b } = c;
  const x = stack.read(0);
  const order = b.call(COMPARE, [x.m, x.e, y.value.m, y.value.e]) as I32;
  const flags = b.temp('i32', b.shrU(order, b.i32(8)));
  stack.unless(
    b.and(b.and(stack.isReady(need), y.isRight), succeeded(c, order)),
    () => {
      if (kind & TO_EFLAGS) stack.commit(undefined, 0);
      else stack.commit(order, CONDITIONS);
      stack.pop(pops);
    },
    () => {
      helper();
      if (kind & TO_EFLAGS) b.set(flags, b.wrap(b.get(X64[1] as Slot<'i64'>)));
    },
  );
  if (kind & TO_EFLAGS) c.setFlagBits(b.get(flags));
}

/** With ST(i), or zero. */
export function liftCompare(c: Lift, kind: number, i: number, pops: number): void {
  const isZero = (kind & ~(QUIET | TO_EFLAGS)) === SOURCE.ZERO;
  const stack = new LiftedStack(c);
  const value = isZero ? { m: c.b.i64(0), e: c.b.i32(0) } : stack.read(i);
  liftOrder(c, stack, { used: isZero ? [0] : [0, i] }, { value, isRight: c.b.i32(1) }, kind, pops, () => callHelper(c, 'x87Compare', kind, i, pops));
}

export function liftCompareMemory(c: Lift, bits: Bits, source: number, pops: number): void {
  const { y, pass } = memoryOperand(c, bits, source);
  liftOrder(c, new LiftedStack(c), { used: [0] }, y, source, pops, () => {
    pass();
    callHelper(c, 'x87Compare', source, 0, pops);
  });
}

/** FSQRT and FRNDINT. */
export function liftUnary(c: Lift, r: Routine, index: number): void {
  const stack = new LiftedStack(c);
  const outcome = outcomeWhere(c, stack.isReady({ used: [0] }), r, () => {
    const x = stack.read(0);
    return [x.m, x.e, stack.physical(0)];
  });
  stack.unless(
    succeeded(c, outcome),
    () => stack.commit(outcome),
    () => callHelper(c, 'x87Unary', index),
  );
}

/** FSCALE, FPREM, FPREM1: ST(0) by ST(0) and ST(1). */
export function liftScaling(c: Lift, r: Routine, cleared: number, helper: () => void): void {
  const stack = new LiftedStack(c);
  const outcome = outcomeWhere(c, stack.isReady({ used: [0, 1] }), r, () => {
    const [x, y] = [stack.read(0), stack.read(1)];
    return [x.m, x.e, y.m, y.e, stack.physical(0)];
  });
  stack.unless(succeeded(c, outcome), () => stack.commit(outcome, cleared), helper);
}

/** FXTRACT. */
export function liftExtract(c: Lift): void {
  const { b } = c;
  const stack = new LiftedStack(c);
  const x = stack.read(0);
  stack.unless(
    b.and(stack.isReady({ used: [0], free: [7] }), isNormal(b, x)),
    () => {
      stack.write(0, fromInteger(b, b.extendS(b.sub(exponentOf(b, x), b.i32(BIAS)))));
      stack.push({ m: x.m, e: b.or(signOf(b, x), b.i32(BIAS)) });
      stack.commit();
    },
    () => callHelper(c, 'x87Pair', PAIR_INDEX.fxtract),
  );
}

/** FXAM. */
export function liftExamine(c: Lift): void {
  const { b } = c;
  const stack = new LiftedStack(c);
  const x = stack.read(0);
  const zero = isZero(b, x);
  stack.unless(
    b.and(stack.isReady({ used: [0] }), b.or(zero, isNormal(b, x))),
    () => {
      const sign = b.shrU(signOf(b, x), b.i32(6));
      stack.commit(b.or(b.select(zero, b.i32(STATUS.C3), b.i32(STATUS.C2)), sign), CONDITIONS);
    },
    () => callHelper(c, 'x87Examine'),
  );
}

/** A transcendental instruction; those of angles clear C2. */
export function liftTranscendental(c: Lift, name: keyof typeof QUICK, helper: () => void): void {
  const { b } = c;
  const index = QUICK[name];
  const stack = new LiftedStack(c);
  const isPair = index === QUICK.fptan || index === QUICK.fsincos;
  const need = index >= QUICK.fpatan ? { used: [0, 1] } : isPair ? { used: [0], free: [7] } : { used: [0] };
  const outcome = outcomeWhere(c, stack.isReady(need), QUICK_CALLEE, () => [b.i32(index), stack.physical(0)]);
  stack.unless(
    succeeded(c, outcome),
    () => {
      const isOfAngle = index >= QUICK.fsin && index <= QUICK.fsincos;
      stack.commit(outcome, isOfAngle ? STATUS.C1 | STATUS.C2 : STATUS.C1);
      if (isPair) stack.grow();
      if (index >= QUICK.fpatan) stack.pop(1);
    },
    helper,
  );
}
