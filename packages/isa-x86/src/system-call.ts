// SYSCALL, SYSRET, SYSENTER, SYSEXIT. Intel: SYSCALL only in 64-bit code. AMD: in compatibility mode (to CSTAR) and legacy protected mode (to
// STAR) too. SYSRET to a non-canonical address faults before the level changes. SDM Vol. 2, Vol. 3A 5.8.7, 5.8.8; APM Vol. 3. Helpers set `pc`; generated code goes on with `dispatch`.

import { getEflags, setEflags } from './eflags.ts';
import { raise, type HelperMap, type X86Context } from './helper-map.ts';
import { CR0, cplOf, EFER, syncMode } from './mode.ts';
import { in64BitCode, inLongMode, isProtected, setSegment } from './segments.ts';
import { CS, EFLAG, RCX, RDX, RSP, SS, VECTOR } from './state.ts';
import { highWord, isCanonical, setSignedField, setWord, setWords, signedField, signedWords, word, WORD } from './state-words.ts';
import { DR6_BS } from './single-step.ts';
import { cutPc } from './trap.ts';

/** Attributes of the segments that these instructions load without looking at their descriptors. */
export const CODE64 = 0xa09b;
export const CODE32 = 0xc09b;
export const DATA = 0xc093;
export const DPL3 = 0x60;
const WHOLE = 0xffff_ffff;
const R11 = 11;
export const RFLAGS_FROM_R11 = 0x003c_7fd7;

const setFlat = (cpu: X86Context, segment: number, selector: number, attributes: number): void => setSegment(cpu, segment, selector, 0, WHOLE, attributes);

/**
 * Single-step trap of SYSCALL and SYSRET: EFLAGS.TF counts as they leave it, not as they find it. 1: the trap is recorded, for the instruction
 * that comes next.
 */
function trapIfStepping(cpu: X86Context): number {
  setWord(cpu, WORD.stepFlags, 0);
  if ((word(cpu, WORD.flags) & EFLAG.TF) === 0) return 0;
  setWord(cpu, WORD.faultDr6, DR6_BS);
  setWord(cpu, WORD.faultInNewTask, 1);
  return raise(cpu, VECTOR.DB);
}

/** SYSCALL and SYSRET are there in the present mode. */
const isAvailable = (cpu: X86Context): boolean => (word(cpu, WORD.efer) & EFER.SCE) !== 0 && (in64BitCode(cpu) || (cpu.model.vendor === 'AuthenticAMD' && isProtected(cpu)));

/** SYSCALL in legacy protected mode: EIP from STAR; only VM, IF and RF are cleared. */
function legacySyscall(cpu: X86Context, next: number): number {
  setWords(cpu, WORD.gpr + 2 * RCX, next, 0);
  setWords(cpu, WORD.pc, word(cpu, WORD.star), 0);
  setEflags(cpu, getEflags(cpu) & ~(EFLAG.VM | EFLAG.IF | EFLAG.RF));
  const selector = word(cpu, WORD.star + 1) & 0xfffc;
  setFlat(cpu, CS, selector, CODE32);
  setFlat(cpu, SS, selector + 8, DATA);
  syncMode(cpu);
  return 0;
}

function syscall(cpu: X86Context, nextDelta: number): number {
  if (!isAvailable(cpu)) return raise(cpu, VECTOR.UD);
  const next = cutPc(cpu, signedField(cpu, WORD.pc) + nextDelta);
  if (!inLongMode(cpu)) return legacySyscall(cpu, next);
  const entry = in64BitCode(cpu) ? WORD.lstar : WORD.cstar;
  const flags = getEflags(cpu) & ~EFLAG.RF;
  setWords(cpu, WORD.gpr + 2 * RCX, next, highWord(next));
  setWords(cpu, WORD.gpr + 2 * R11, flags, 0);
  setWords(cpu, WORD.pc, word(cpu, entry), word(cpu, entry + 1));
  setEflags(cpu, flags & ~word(cpu, WORD.sfmask));
  const selector = word(cpu, WORD.star + 1) & 0xfffc;
  setFlat(cpu, CS, selector, CODE64);
  setFlat(cpu, SS, selector + 8, DATA);
  syncMode(cpu);
  return trapIfStepping(cpu);
}

/** `bits`: 64 with REX.W, else 32. */
function sysret(cpu: X86Context, bits: number): number {
  if (!isAvailable(cpu)) return raise(cpu, VECTOR.UD);
  const rcx = WORD.gpr + 2 * RCX;
  if (cplOf(cpu) !== 0 || (bits === 64 && !isCanonical(signedField(cpu, rcx)))) return raise(cpu, VECTOR.GP, 0);
  const selector = word(cpu, WORD.star + 1) >>> 16;
  setWords(cpu, WORD.pc, word(cpu, rcx), bits === 64 ? word(cpu, rcx + 1) : 0);
  setEflags(cpu, inLongMode(cpu) ? word(cpu, WORD.gpr + 2 * R11) & RFLAGS_FROM_R11 & ~EFLAG.RF : getEflags(cpu) | EFLAG.IF);
  setFlat(cpu, CS, (bits === 64 ? selector + 16 : selector) | 3, (bits === 64 ? CODE64 : CODE32) | DPL3);
  setFlat(cpu, SS, (selector + 8) | 3, DATA | DPL3);
  syncMode(cpu);
  return trapIfStepping(cpu);
}

function sysenter(cpu: X86Context): number {
  const selector = word(cpu, WORD.sysenterCs) & 0xfffc;
  if ((word(cpu, WORD.cr0) & CR0.PE) === 0 || selector === 0) return raise(cpu, VECTOR.GP, 0);
  const long = inLongMode(cpu);
  setEflags(cpu, getEflags(cpu) & ~(EFLAG.VM | EFLAG.IF | EFLAG.RF));
  setWords(cpu, WORD.gpr + 2 * RSP, word(cpu, WORD.sysenterEsp), long ? word(cpu, WORD.sysenterEsp + 1) : 0);
  setWords(cpu, WORD.pc, word(cpu, WORD.sysenterEip), long ? word(cpu, WORD.sysenterEip + 1) : 0);
  setFlat(cpu, CS, selector, long ? CODE64 : CODE32);
  setFlat(cpu, SS, selector + 8, DATA);
  syncMode(cpu);
  return 0;
}

/** `bits`: 64 with REX.W, else 32. */
function sysexit(cpu: X86Context, bits: number): number {
  const selector = word(cpu, WORD.sysenterCs) & 0xfffc;
  if ((word(cpu, WORD.cr0) & CR0.PE) === 0 || selector === 0 || cplOf(cpu) !== 0) return raise(cpu, VECTOR.GP, 0);
  const rcx = WORD.gpr + 2 * RCX;
  const rdx = WORD.gpr + 2 * RDX;
  const wide = bits === 64;
  if (wide && (!isCanonical(signedField(cpu, rcx)) || !isCanonical(signedField(cpu, rdx)))) return raise(cpu, VECTOR.GP, 0);
  setSignedField(cpu, WORD.gpr + 2 * RSP, wide ? signedField(cpu, rcx) : word(cpu, rcx));
  setSignedField(cpu, WORD.pc, wide ? signedWords(word(cpu, rdx), word(cpu, rdx + 1)) : word(cpu, rdx));
  setFlat(cpu, CS, (selector + (wide ? 32 : 16)) | 3, (wide ? CODE64 : CODE32) | DPL3);
  setFlat(cpu, SS, (selector + (wide ? 40 : 24)) | 3, DATA | DPL3);
  syncMode(cpu);
  return 0;
}

export const SYSTEM_CALL_HELPERS: HelperMap = { syscall, sysret, sysenter, sysexit };
