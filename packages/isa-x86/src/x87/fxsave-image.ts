// x87 part of the FXSAVE and XSAVE legacy image: bytes 0-23 and 32-159 (SDM 1, 10.5.1, table 10-2). MXCSR and XMM registers are not touched.
// `wide`: the 64-bit form (REX.W), with 64-bit instruction and data pointers in place of selectors.

import type { X86Context } from '../helper-map.ts';
import { setWord, setWords, word, WORD } from '../state-words.ts';
import { initializeFpu } from './environment.ts';
import { physical, setControlWord, setStatusWord, statusWord, syncSummary } from './fpu.ts';

/** Writes the x87 state into an image of at least 160 bytes. */
export function writeX87Image(cpu: X86Context, image: DataView, wide: boolean): void {
  image.setUint16(0, word(cpu, WORD.fpuControl), true);
  image.setUint16(2, statusWord(cpu), true);
  image.setUint8(4, word(cpu, WORD.fpuTags));
  image.setUint8(5, 0);
  image.setUint16(6, word(cpu, WORD.fpuOpcode), true);
  image.setUint32(8, word(cpu, WORD.fpuIp), true);
  image.setUint32(12, wide ? word(cpu, WORD.fpuIp + 1) : word(cpu, WORD.fpuCs), true);
  image.setUint32(16, word(cpu, WORD.fpuDp), true);
  image.setUint32(20, wide ? word(cpu, WORD.fpuDp + 1) : word(cpu, WORD.fpuDs), true);
  for (let i = 0; i < 8; i++) {
    const n = physical(cpu, i);
    image.setUint32(32 + 16 * i, word(cpu, WORD.fpuMantissa + 2 * n), true);
    image.setUint32(36 + 16 * i, word(cpu, WORD.fpuMantissa + 2 * n + 1), true);
    image.setUint32(40 + 16 * i, word(cpu, WORD.fpuExponent + n) & 0xffff, true);
    image.setUint32(44 + 16 * i, 0, true);
  }
}

/** Loads the x87 state from an image. */
export function readX87Image(cpu: X86Context, image: DataView, wide: boolean): void {
  setControlWord(cpu, image.getUint16(0, true));
  setStatusWord(cpu, image.getUint16(2, true));
  setWord(cpu, WORD.fpuTags, image.getUint8(4));
  setWord(cpu, WORD.fpuOpcode, image.getUint16(6, true) & 0x7ff);
  setWords(cpu, WORD.fpuIp, image.getUint32(8, true), wide ? image.getUint32(12, true) : 0);
  setWords(cpu, WORD.fpuDp, image.getUint32(16, true), wide ? image.getUint32(20, true) : 0);
  setWord(cpu, WORD.fpuCs, wide ? 0 : image.getUint16(12, true));
  setWord(cpu, WORD.fpuDs, wide ? 0 : image.getUint16(20, true));
  for (let i = 0; i < 8; i++) {
    const n = physical(cpu, i);
    setWords(cpu, WORD.fpuMantissa + 2 * n, image.getUint32(32 + 16 * i, true), image.getUint32(36 + 16 * i, true));
    setWord(cpu, WORD.fpuExponent + n, image.getUint16(40 + 16 * i, true));
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
