// x87 part of the FXSAVE and XSAVE legacy image: bytes 0-23 and 32-159 (SDM 1, 10.5.1, table 10-2). MXCSR and XMM registers are not touched.
// `wide`: the 64-bit form (REX.W), with 64-bit instruction and data pointers in place of selectors.

import type { X86Context } from '../helper-map.ts';
import { setWord, setWords, word, WORD } from '../state-words.ts';
import { initializeFpu } from './environment.ts';
import { physical, setControlWord, setStatusWord, statusWord, syncSummary } from './fpu.ts';

/** Writes the x87 state into an image of at least 160 bytes that begins at words[at]. */
export function writeX87Image(cpu: X86Context, words: Uint32Array, at: number, wide: boolean): void {
  words[at] = (word(cpu, WORD.fpuControl) & 0xffff) | (statusWord(cpu) << 16);
  words[at + 1] = (word(cpu, WORD.fpuTags) & 0xff) | (word(cpu, WORD.fpuOpcode) << 16);
  words[at + 2] = word(cpu, WORD.fpuIp);
  words[at + 3] = wide ? word(cpu, WORD.fpuIp + 1) : word(cpu, WORD.fpuCs);
  words[at + 4] = word(cpu, WORD.fpuDp);
  words[at + 5] = wide ? word(cpu, WORD.fpuDp + 1) : word(cpu, WORD.fpuDs);
  for (let i = 0; i < 8; i++) {
    const n = physical(cpu, i);
    const to = at + 8 + 4 * i;
    words[to] = word(cpu, WORD.fpuMantissa + 2 * n);
    words[to + 1] = word(cpu, WORD.fpuMantissa + 2 * n + 1);
    words[to + 2] = word(cpu, WORD.fpuExponent + n) & 0xffff;
    words[to + 3] = 0;
  }
}

/** Loads the x87 state from an image that begins at words[at]. */
export function readX87Image(cpu: X86Context, words: Uint32Array, at: number, wide: boolean): void {
  setControlWord(cpu, words[at] & 0xffff);
  setStatusWord(cpu, words[at] >>> 16);
  setWord(cpu, WORD.fpuTags, words[at + 1] & 0xff);
  setWord(cpu, WORD.fpuOpcode, (words[at + 1] >>> 16) & 0x7ff);
  setWords(cpu, WORD.fpuIp, words[at + 2], wide ? words[at + 3] : 0);
  setWords(cpu, WORD.fpuDp, words[at + 4], wide ? words[at + 5] : 0);
  setWord(cpu, WORD.fpuCs, wide ? 0 : words[at + 3] & 0xffff);
  setWord(cpu, WORD.fpuDs, wide ? 0 : words[at + 5] & 0xffff);
  for (let i = 0; i < 8; i++) {
    const n = physical(cpu, i);
    const from = at + 8 + 4 * i;
    setWords(cpu, WORD.fpuMantissa + 2 * n, words[from], words[from + 1]);
    setWord(cpu, WORD.fpuExponent + n, words[from + 2] & 0xffff);
  }
  syncSummary(cpu);
}

/** Initial configuration, as XRSTOR loads it where XSTATE_BV says so (SDM 1, 13.6): FNINIT's and registers of 0. */
export function resetX87State(cpu: X86Context): void {
  initializeFpu(cpu);
  for (let n = 0; n < 8; n++) {
    setWords(cpu, WORD.fpuMantissa + 2 * n, 0, 0);
    setWord(cpu, WORD.fpuExponent + n, 0);
  }
}

/** XINUSE[0] (SDM 1, 13.6): the x87 state differs from its initial configuration. */
export function isX87InUse(cpu: X86Context): boolean {
  if (word(cpu, WORD.fpuControl) !== 0x37f) return true;
  let bits = statusWord(cpu) | word(cpu, WORD.fpuTags) | word(cpu, WORD.fpuOpcode);
  bits |= word(cpu, WORD.fpuIp) | word(cpu, WORD.fpuIp + 1) | word(cpu, WORD.fpuDp) | word(cpu, WORD.fpuDp + 1);
  for (let n = 0; n < 8; n++) bits |= word(cpu, WORD.fpuMantissa + 2 * n) | word(cpu, WORD.fpuMantissa + 2 * n + 1) | word(cpu, WORD.fpuExponent + n);
  return bits !== 0;
}
