// EFLAGS as one number for helpers, without BigInt where the arithmetic flags are already materialised (see flags.ts) or a translator has their routine.

import { arithmeticFlags, CC } from './flags.ts';
import type { X86Context } from './helper-map.ts';
import { ARITHMETIC_FLAGS } from './state.ts';
import { setWords, word, WORD } from './state-words.ts';

function arithmeticNow(cpu: X86Context): number {
  if (word(cpu, WORD.ccOp) >> 2 === CC.EFLAGS) return word(cpu, WORD.ccSrc) & ARITHMETIC_FLAGS;
  return cpu.routines.currentFlags?.(cpu.ports.state) ?? arithmeticFlags(cpu.view);
}

export const getEflags = (cpu: X86Context): number => (word(cpu, WORD.flags) & ~ARITHMETIC_FLAGS) | 2 | arithmeticNow(cpu);

/** Sets all of EFLAGS; the caller has decided which bits may change, and calls syncMode afterwards. */
export function setEflags(cpu: X86Context, eflags: number): void {
  setWords(cpu, WORD.ccOp, 0, 0);
  setWords(cpu, WORD.ccSrc, eflags & ARITHMETIC_FLAGS, 0);
  setWords(cpu, WORD.flags, (eflags & ~ARITHMETIC_FLAGS) | 2, 0);
}
