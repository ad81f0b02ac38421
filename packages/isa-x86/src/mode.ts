// Mode bits: the part of the CPU's state that the translation of code depends on. They are in every block's key, so lifted code may rely on
// them without a run-time check; whoever changes a source of a bit calls `syncMode`.

import type { X86Context } from './helper-map.ts';
import { setWord, setWords, word, WORD } from './state-words.ts';
import { CS, DS, EFLAG, ES, SS } from './state.ts';

export const MODE = {
  /** Code size: 0 16-bit, 1 32-bit, 2 64-bit. */
  CODE_SIZE: 3,
  /** SS.B: the stack pointer is ESP (else SP). Not used in 64-bit code. */
  STACK32: 1 << 2,
  /** CS, DS, ES, SS are flat (base 0, limit 4 GiB, usable, writable where data): no segment arithmetic or checks. Always set in 64-bit code. */
  FLAT: 1 << 3,
  /** CR0.PE and not EFLAGS.VM: segment loads use descriptors. */
  PROTECTED: 1 << 4,
  /** x87/MMX usable: CR0.EM = 0 and CR0.TS = 0. With X87 clear: MMX raises #UD if CR0.EM (bit EM) else #NM. */
  X87: 1 << 5,
  EM: 1 << 6,
  /** SSE usable: CR0.EM = 0, CR4.OSFXSR = 1 (else #UD); with TS: #NM (X87 clear). */
  SSE: 1 << 7,
  /** AVX usable: CR4.OSXSAVE = 1 and XCR0[2:1] = 3 and protected mode (else #UD). */
  AVX: 1 << 8,
  /** EFLAGS.TF: blocks of one instruction, each followed by #DB. */
  STEP: 1 << 9,
  CPL3: 1 << 10,
  /** CR0.AM and EFLAGS.AC at CPL 3: data accesses check alignment. */
  ALIGN: 1 << 11,
  /** EFER.LMA. */
  LONG: 1 << 12,
  /** An instruction breakpoint is armed in DR7: blocks of one instruction, each preceded by a check. */
  BREAK: 1 << 13,
  /** EFLAGS.VM. */
  V86: 1 << 14,
  /** CR0.MP and CR0.TS: WAIT raises #NM. */
  WAIT_NM: 1 << 15,
  CPL0: 1 << 16,
} as const;

export const CR0 = { PE: 1 << 0, MP: 1 << 1, EM: 1 << 2, TS: 1 << 3, ET: 1 << 4, NE: 1 << 5, WP: 1 << 16, AM: 1 << 18, NW: 1 << 29, CD: 1 << 30, PG: 1 << 31 } as const;
export const CR4 = {
  VME: 1 << 0, PVI: 1 << 1, TSD: 1 << 2, DE: 1 << 3, PSE: 1 << 4, PAE: 1 << 5, MCE: 1 << 6, PGE: 1 << 7, PCE: 1 << 8, OSFXSR: 1 << 9, OSXMMEXCPT: 1 << 10,
  UMIP: 1 << 11, FSGSBASE: 1 << 16, PCIDE: 1 << 17, OSXSAVE: 1 << 18, SMEP: 1 << 20, SMAP: 1 << 21, PKE: 1 << 22, PKS: 1 << 24,
} as const;
export const EFER = { SCE: 1 << 0, LME: 1 << 8, LMA: 1 << 10, NXE: 1 << 11 } as const;

/** Segment attribute bits: descriptor bits 40..55. */
export const ATTRIBUTE = { ACCESSED: 1, WRITABLE: 2, DOWN: 4, CODE: 8, S: 0x10, P: 0x80, AVL: 1 << 12, L: 1 << 13, DB: 1 << 14, G: 1 << 15 } as const;

/** Classes of privilege with a TLB of their own. */
export const TLB_CLASS = { SUPERVISOR: 0, USER: 1, SUPERVISOR_AC: 2 } as const;

/** Current privilege level: SS.DPL, which real mode leaves 0 and virtual-8086 mode 3 (SDM Vol. 3A 5.5, as VMX keeps it). */
export const cplOf = (cpu: X86Context): number => (word(cpu, WORD.segmentAttributes + SS) >> 5) & 3;

const flatData = (cpu: X86Context, segment: number): boolean => {
  const attributes = word(cpu, WORD.segmentAttributes + segment);
  return (
    (attributes & (ATTRIBUTE.P | ATTRIBUTE.S | ATTRIBUTE.CODE | ATTRIBUTE.DOWN | ATTRIBUTE.WRITABLE)) === (ATTRIBUTE.P | ATTRIBUTE.S | ATTRIBUTE.WRITABLE) &&
    word(cpu, WORD.segmentLimit + segment) === 0xffff_ffff &&
    word(cpu, WORD.segmentBase + 2 * segment) === 0
  );
};

function isFlat(cpu: X86Context, real: boolean): boolean {
  const code = word(cpu, WORD.segmentAttributes + CS);
  return (
    (real || (code & (ATTRIBUTE.CODE | ATTRIBUTE.WRITABLE)) === (ATTRIBUTE.CODE | ATTRIBUTE.WRITABLE)) &&
    word(cpu, WORD.segmentLimit + CS) === 0xffff_ffff &&
    word(cpu, WORD.segmentBase + 2 * CS) === 0 &&
    flatData(cpu, DS) &&
    flatData(cpu, SS) &&
    flatData(cpu, ES)
  );
}

/** An instruction breakpoint (DR7.RWn = 0) is enabled. */
export function hasInstructionBreakpoint(dr7: number): boolean {
  for (let i = 0; i < 4; i++) {
    if (((dr7 >> (2 * i)) & 3) !== 0 && ((dr7 >> (16 + 4 * i)) & 3) === 0) return true;
  }
  return false;
}

/** Mode bits as the state has them now. */
export function modeOf(cpu: X86Context): number {
  const cr0 = word(cpu, WORD.cr0);
  const cr4 = word(cpu, WORD.cr4);
  const flags = word(cpu, WORD.flags);
  const code = word(cpu, WORD.segmentAttributes + CS);
  const long = (word(cpu, WORD.efer) & EFER.LMA) !== 0;
  const v86 = (flags & EFLAG.VM) !== 0;
  const user = cplOf(cpu) === 3;
  let mode = 0;
  if (long && (code & ATTRIBUTE.L) !== 0) mode = 2 | MODE.FLAT;
  else {
    if ((code & ATTRIBUTE.DB) !== 0) mode = 1;
    if ((word(cpu, WORD.segmentAttributes + SS) & ATTRIBUTE.DB) !== 0) mode |= MODE.STACK32;
    if (isFlat(cpu, (cr0 & CR0.PE) === 0 || v86)) mode |= MODE.FLAT;
  }
  if (long) mode |= MODE.LONG;
  if ((cr0 & CR0.PE) !== 0) {
    if (v86) mode |= MODE.V86;
    else {
      mode |= MODE.PROTECTED;
      if ((cr4 & CR4.OSXSAVE) !== 0 && (word(cpu, WORD.xcr0) & 6) === 6) mode |= MODE.AVX;
    }
  }
  if ((cr0 & (CR0.EM | CR0.TS)) === 0) mode |= MODE.X87;
  if ((cr0 & CR0.EM) !== 0) mode |= MODE.EM;
  else if ((cr4 & CR4.OSFXSR) !== 0) mode |= MODE.SSE;
  if ((cr0 & (CR0.MP | CR0.TS)) === (CR0.MP | CR0.TS)) mode |= MODE.WAIT_NM;
  if ((flags & EFLAG.TF) !== 0) mode |= MODE.STEP;
  if (user) {
    mode |= MODE.CPL3;
    if ((cr0 & CR0.AM) !== 0 && (flags & EFLAG.AC) !== 0) mode |= MODE.ALIGN;
  }
  const dr7 = word(cpu, WORD.dr + 14);
  if ((dr7 & 0xff) !== 0 && hasInstructionBreakpoint(dr7)) mode |= MODE.BREAK;
  return mode;
}

/** The TLB class of explicit accesses now. With SMAP off EFLAGS.AC does not matter and one supervisor class is enough. */
export function tlbClassOf(cpu: X86Context): number {
  if (cplOf(cpu) === 3) return TLB_CLASS.USER;
  return (word(cpu, WORD.flags) & EFLAG.AC) !== 0 && (word(cpu, WORD.cr4) & CR4.SMAP) !== 0 ? TLB_CLASS.SUPERVISOR_AC : TLB_CLASS.SUPERVISOR;
}

/** Brings the header (mode bits, code base, TLB in force) in line with the state. Whatever changes a source of them calls this last. */
export function syncMode(cpu: X86Context): void {
  const mode = modeOf(cpu);
  setWord(cpu, WORD.mode, mode);
  if ((mode & MODE.CODE_SIZE) === 2) setWords(cpu, WORD.codeBase, 0, 0);
  else setWords(cpu, WORD.codeBase, word(cpu, WORD.segmentBase + 2 * CS), 0);
  setWord(cpu, WORD.tlb, word(cpu, WORD.tlbs + tlbClassOf(cpu)));
  setWord(cpu, WORD.upperQuarter, (mode & MODE.LONG) === 0 ? 1 : 0);
  // Single steps are the vCPU loop's work.
  if ((mode & MODE.STEP) !== 0) cpu.ports.requestExit();
}
