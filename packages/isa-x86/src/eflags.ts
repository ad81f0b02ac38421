// EFLAGS as one number for helpers, without BigInt where the arithmetic flags are already materialised (see flags.ts).

import { CC, readFlags } from './flags.ts';
import type { X86Context } from './helper-map.ts';
import { ARITHMETIC_FLAGS } from './state.ts';
import { setWords, word, WORD } from './state-words.ts';

export const getEflags = (cpu: X86Context): number =>
  word(cpu, WORD.ccOp) >> 2 === CC.EFLAGS ? (word(cpu, WORD.flags) & ~ARITHMETIC_FLAGS) | 2 | (word(cpu, WORD.ccSrc) & ARITHMETIC_FLAGS) : readFlags(cpu.view);

/** Sets all of EFLAGS; the caller has decided which bits may change, and calls syncMode afterwards. */
export function setEflags(cpu: X86Context, eflags: number): void {
  setWords(cpu, WORD.ccOp, 0, 0);
  setWords(cpu, WORD.ccSrc, eflags & ARITHMETIC_FLAGS, 0);
  setWords(cpu, WORD.flags, (eflags & ~ARITHMETIC_FLAGS) | 2, 0);
}
