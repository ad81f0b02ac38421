// Debug exceptions of the processor itself: single-step and instruction breakpoints. SDM Vol. 3B 17.2, 17.3.

import { helper, type Helper } from '@anillo/ir/callee';
import { raise, type HelperMap, type X86Context } from './helper-map.ts';
import { EFLAG, VECTOR } from './state.ts';
import { setWord, signedField, word, WORD } from './state-words.ts';
import { deliverEvent, EVENT } from './trap.ts';

const DR6_BS = 0x4000;

/** The instruction begun with EFLAGS.TF set has completed. False: shutdown. */
export function deliverStep(cpu: X86Context): boolean {
  setWord(cpu, WORD.faultDr6, DR6_BS);
  const pc = signedField(cpu, WORD.pc);
  return deliverEvent(cpu, VECTOR.DB, -1, EVENT.EXCEPTION, pc, pc);
}

/** Breakpoints enabled in DR7 for execution at `linear`, as DR6 bits. */
export function breakpointsAt(cpu: X86Context, linear: number): number {
  const dr7 = word(cpu, WORD.dr + 14);
  let hits = 0;
  for (let i = 0; i < 4; i++) {
    const enabled = ((dr7 >> (2 * i)) & 3) !== 0 && ((dr7 >> (16 + 4 * i)) & 3) === 0;
    if (enabled && signedField(cpu, WORD.dr + 2 * i) === linear) hits |= 1 << i;
  }
  return hits;
}

/** Called at the start of every block while an instruction breakpoint is armed (MODE.BREAK). */
export const CHECK_BREAKPOINT: Helper = helper('checkBreakpoint', 0, { traps: true });

export const SINGLE_STEP_HELPERS: HelperMap = {
  /** RF lets one instruction pass. */
  checkBreakpoint(cpu) {
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
