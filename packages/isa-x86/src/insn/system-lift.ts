// What system instructions share while they are lifted: calls of helpers and of routines before them, checks of privilege, ways to the next block.
// Most hand their operands to a helper (x0, x1) and end the block, since what follows may be translated in another mode.

import type { Value } from '@anillo/ir/block';
import { helper, type Helper, type Routine } from '@anillo/ir/callee';
import { slot, type Slot } from '@anillo/ir/slot';
import { PC, X64 } from '@anillo/ir/vcpu-header';
import type { Lift } from '../lift.ts';
import { MODE } from '../mode.ts';
import { TRAP, X86State } from '../state.ts';
import { StateBuilder } from '../state-builder.ts';

export const X0 = X64[0] as Slot<'i64'>;
export const X1 = X64[1] as Slot<'i64'>;
export const stateSlot = (name: 'cr0' | 'cr2' | 'cr3' | 'cr4' | 'tscAux' | 'kernelGsBase'): Slot<'i64'> =>
  slot(name, 'i64', X86State.offset[name], true);

export const traps = (name: string, argCount: number): Helper => helper(name, argCount, { traps: true });

export function callHelper(c: Lift, h: Helper, ...args: (number | Value<'i32'>)[]): void {
  c.b.call(h, args.map((a) => (typeof a === 'number' ? c.b.i32(a) : a)));
}
/** Calls a routine that does the frequent case, and where it has not, the helper that does all. */
export function callEither(c: Lift, r: Routine, routineArgs: readonly Value[], h: Helper, ...helperArgs: (number | Value<'i32'>)[]): void {
  c.b.if(c.b.eqz(c.b.call(r, routineArgs) as Value<'i32'>), () => callHelper(c, h, ...helperArgs));
}

export const isProtected = (c: Lift): boolean => (c.mode & MODE.PROTECTED) !== 0;
export const isStepping = (c: Lift): boolean => (c.mode & MODE.STEP) !== 0;
export const isLevel3 = (c: Lift): boolean => (c.mode & MODE.CPL3) !== 0;
/** Is this 32-bit code outside long mode, with flat segments and stack? */
export function isFlat32(c: Lift): boolean {
  const flat32 = 1 | MODE.STACK32 | MODE.FLAT | MODE.PROTECTED;
  return (c.mode & (MODE.CODE_SIZE | MODE.STACK32 | MODE.FLAT | MODE.PROTECTED | MODE.LONG)) === flat32;
}

/** Ends in `trapCode` outside level 0. The mode tells level 3 and virtual-8086 mode, where this answers false; levels 1 and 2 are told at run time. */
export function requireLevel0(c: Lift, trapCode: number = TRAP.GP0): boolean {
  if ((c.mode & (MODE.CPL3 | MODE.V86)) !== 0) {
    c.trap(trapCode);
    return false;
  }
  if (isProtected(c)) c.b.raiseIf(c.b.eqz(new StateBuilder(c.b).isLevel0()), trapCode);
  return true;
}

/** Goes on after this instruction by looking the next block up: the mode may have changed. */
export function leave(c: Lift): void {
  const { b } = c;
  c.flags.forget();
  b.set(PC, c.to64(c.cut(b.add(b.get(PC), b.i64(c.next)), c.pcBits)));
  c.dispatch();
}
/** After a helper that has set pc. */
export function transferred(c: Lift): void {
  c.flags.forget();
  c.dispatch();
}
