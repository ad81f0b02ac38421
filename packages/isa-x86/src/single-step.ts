// Debug exceptions of the processor itself: single-step, and the traps and faults of breakpoints (breakpoint.ts). SDM Vol. 3B 17.2, 17.3.

import { helper, type Helper } from '@anillo/ir/callee';
import { raise, type HelperMap, type X86Context } from './helper-map.ts';
import { breakpointsAt, hasTrapBreakpoint } from './breakpoint.ts';
import { EFLAG, VECTOR } from './state.ts';
import { setWord, signedField, word, WORD } from './state-words.ts';
import { deliverEvent, EVENT } from './trap.ts';

export const DR6_BS = 0x4000;
/** Of `stackShadow`: MOV SS or POP SS has just run, or ran before the instruction that is being stepped. */
const SHADOW = { FRESH: 1, PREVIOUS: 2 } as const;

/** Must instructions run one by one, each followed by `deliverStep`? Asked before each; starts the instruction's records anew. */
export function beginStep(cpu: X86Context): boolean {
  const stepping = (word(cpu, WORD.flags) & EFLAG.TF) !== 0 || hasTrapBreakpoint(word(cpu, WORD.dr + 14));
  if (stepping) {
    setWord(cpu, WORD.stackShadow, word(cpu, WORD.stackShadow) === SHADOW.FRESH ? SHADOW.PREVIOUS : 0);
    setWord(cpu, WORD.stepFlags, word(cpu, WORD.flags) & EFLAG.TF);
    setWord(cpu, WORD.gathered, 0);
  }
  return stepping;
}

/** The instruction begun after `beginStep` has completed: single-step and data breakpoint traps. False: shutdown. */
export function deliverStep(cpu: X86Context): boolean {
  const status = word(cpu, WORD.pendingDr6) | (word(cpu, WORD.stepFlags) !== 0 ? DR6_BS : 0);
  // MOV SS and POP SS: a single-step trap is lost, breakpoints wait for the next instruction.
  if (word(cpu, WORD.stackShadow) === SHADOW.FRESH) return true;
  setWord(cpu, WORD.pendingDr6, 0);
  if (status === 0) return true;
  setWord(cpu, WORD.faultDr6, status);
  const pc = signedField(cpu, WORD.pc);
  return deliverEvent(cpu, VECTOR.DB, -1, EVENT.EXCEPTION, pc, pc);
}

/**
 * A gather that has loaded elements before it faults: traps that are due are delivered in lieu of the fault, with RF set. SDM Vol. 2C, VGATHERDPS.
 * Called when a fault is about to be delivered.
 */
export function settleGather(cpu: X86Context): void {
  if (word(cpu, WORD.gathered) === 0) return;
  setWord(cpu, WORD.gathered, 0);
  const flags = word(cpu, WORD.flags);
  const status = word(cpu, WORD.pendingDr6) | ((flags & EFLAG.TF) !== 0 ? DR6_BS : 0);
  if (status === 0) return;
  setWord(cpu, WORD.pendingDr6, 0);
  setWord(cpu, WORD.faultDr6, status);
  setWord(cpu, WORD.flags, flags | EFLAG.RF);
  raise(cpu, VECTOR.DB);
}

/** Called at the start of every block while an instruction breakpoint is armed (MODE.BREAK). */
export const CHECK_BREAKPOINT: Helper = helper('checkBreakpoint', 0, { traps: true });

export const SINGLE_STEP_HELPERS: HelperMap = {
  /** RF lets one instruction pass; so does MOV SS or POP SS before it, on Intel's processors (SDM Vol. 3A 6.8.3). */
  checkBreakpoint(cpu) {
    const shadowed = word(cpu, WORD.stackShadow) !== 0;
    setWord(cpu, WORD.stackShadow, 0);
    if (shadowed && cpu.model.vendor !== 'AuthenticAMD') return 0;
    const flags = word(cpu, WORD.flags);
    if ((flags & EFLAG.RF) !== 0) {
      setWord(cpu, WORD.flags, flags & ~EFLAG.RF);
      return 0;
    }
    const linear = signedField(cpu, WORD.pc) + signedField(cpu, WORD.codeBase);
    const hits = breakpointsAt(cpu, linear);
    if (hits === 0) return 0;
    setWord(cpu, WORD.faultDr6, hits);
    return raise(cpu, VECTOR.DB);
  },
};
