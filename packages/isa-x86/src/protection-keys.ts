// Protection keys: rights to pages by the key in bits 62..59 of their entries, with 4-level paging. SDM Vol. 3A 4.6.2, Vol. 2 RDPKRU, WRPKRU.

import { raise, type HelperMap, type X86Context } from './helper-map.ts';
import { flushTranslations } from './mmu.ts';
import { CR4 } from './mode.ts';
import { RAX, RCX, RDX, VECTOR } from './state.ts';
import { setWords, word, WORD } from './state-words.ts';

/** Sets PKRU; translations made under the old one go. */
export function writePkru(cpu: X86Context, value: number): void {
  const changed = word(cpu, WORD.pkru) !== value >>> 0;
  setWords(cpu, WORD.pkru, value, 0);
  if (changed && (word(cpu, WORD.cr4) & CR4.PKE) !== 0) flushTranslations(cpu);
}

/** 1: RDPKRU or WRPKRU is not allowed, fault recorded. */
function check(cpu: X86Context): number {
  if ((word(cpu, WORD.cr4) & CR4.PKE) === 0) return raise(cpu, VECTOR.UD);
  return word(cpu, WORD.gpr + 2 * RCX) !== 0 ? raise(cpu, VECTOR.GP, 0) : 0;
}

export const PROTECTION_KEY_HELPERS: HelperMap = {
  rdpkru(cpu) {
    if (check(cpu) !== 0) return 1;
    setWords(cpu, WORD.gpr + 2 * RAX, word(cpu, WORD.pkru), 0);
    setWords(cpu, WORD.gpr + 2 * RDX, 0, 0);
    return 0;
  },
  wrpkru(cpu) {
    if (check(cpu) !== 0) return 1;
    if (word(cpu, WORD.gpr + 2 * RDX) !== 0) return raise(cpu, VECTOR.GP, 0);
    writePkru(cpu, word(cpu, WORD.gpr + 2 * RAX));
    return 0;
  },
};
