// Control and debug registers, and what depends on them. SDM Vol. 3A 2.5 (control registers), 9.8.5 (entering long mode), Vol. 3B 17.2 (debug
// registers), Vol. 2 MOV CR/DR, LMSW, CLTS, XSETBV, INVLPG, INVPCID. Operands are in x0. Helpers that change the mode leave `pc` to the row.

import { hasTrapBreakpoint } from './breakpoint.ts';
import { raise, type HelperMap, type X86Context } from './helper-map.ts';
import { readWords, currentPrivilege } from './linear-memory.ts';
import { flushAddressSpace, flushTranslation, flushTranslations, loadPdptes, selectAddressSpace } from './mmu.ts';
import { ATTRIBUTE, CR0, CR4, cplOf, EFER, syncMode } from './mode.ts';
import { in64BitCode, segmentAttributes } from './segments.ts';
import { CS, RAX, RCX, RDX, SS, VECTOR } from './state.ts';
import { isCanonical, setWord, setWords, signedField, signedWords, word, WORD } from './state-words.ts';
import { supportedXcr0, XCR0 } from './xsave-layout.ts';

const CR0_WRITABLE = CR0.PE | CR0.MP | CR0.EM | CR0.TS | CR0.NE | CR0.WP | CR0.AM | CR0.NW | CR0.CD | CR0.PG;
/** Bits 63..40 of CR3, less bit 63 (no flush, with PCID). */
const CR3_RESERVED_HIGH = 0x7fff_ff00;
const NO_FLUSH = 0x8000_0000;

const gp = (cpu: X86Context): 1 => raise(cpu, VECTOR.GP, 0);

/** MOV to CR0. 1: fault recorded. */
export function writeCr0(cpu: X86Context, low: number, high: number): number {
  const old = word(cpu, WORD.cr0);
  const value = ((low & CR0_WRITABLE) | CR0.ET) >>> 0;
  const cr4 = word(cpu, WORD.cr4);
  const efer = word(cpu, WORD.efer);
  if (high !== 0) return gp(cpu);
  if ((value & CR0.PG) !== 0 && (value & CR0.PE) === 0) return gp(cpu);
  if ((value & CR0.NW) !== 0 && (value & CR0.CD) === 0) return gp(cpu);
  const turnsOn = (value & CR0.PG) !== 0 && (old & CR0.PG) === 0;
  const turnsOff = (value & CR0.PG) === 0 && (old & CR0.PG) !== 0;
  if (turnsOn && (efer & EFER.LME) !== 0) {
    if ((cr4 & CR4.PAE) === 0 || (segmentAttributes(cpu, CS) & ATTRIBUTE.L) !== 0) return gp(cpu);
  } else if ((value & CR0.PG) !== 0 && (efer & EFER.LMA) === 0 && (cr4 & CR4.PAE) !== 0 && ((value ^ old) & (CR0.PG | CR0.CD | CR0.NW)) !== 0) {
    if (!loadPdptes(cpu, word(cpu, WORD.cr3))) return gp(cpu);
  }
  if (turnsOff && (in64BitCode(cpu) || (cr4 & CR4.PCIDE) !== 0)) return gp(cpu);
  setWords(cpu, WORD.cr0, value, 0);
  if (turnsOn && (efer & EFER.LME) !== 0) setWord(cpu, WORD.efer, efer | EFER.LMA);
  if (turnsOff) setWord(cpu, WORD.efer, efer & ~EFER.LMA);
  if (((value ^ old) & CR0.PE) !== 0) setWord(cpu, WORD.segmentAttributes + SS, segmentAttributes(cpu, SS) & ~0x60);
  if (((value ^ old) & (CR0.PG | CR0.WP | CR0.PE)) !== 0) flushTranslations(cpu);
  syncMode(cpu);
  return 0;
}

/** Does this value of CR3 ask to keep the translations of its PCID? */
const pcidKeeps = (high: number, cr4: number): boolean => (cr4 & CR4.PCIDE) !== 0 && (high & NO_FLUSH) !== 0;

function writeCr3(cpu: X86Context, low: number, high: number): number {
  const cr4 = word(cpu, WORD.cr4);
  let kept = high;
  if ((word(cpu, WORD.efer) & EFER.LMA) !== 0) {
    const noFlush = (cr4 & CR4.PCIDE) !== 0 ? NO_FLUSH : 0;
    if ((high & CR3_RESERVED_HIGH) !== 0 || (high & NO_FLUSH & ~noFlush) !== 0) return gp(cpu);
    kept = high & 0x7fff_ffff;
  } else {
    if ((word(cpu, WORD.cr0) & CR0.PG) !== 0 && (cr4 & CR4.PAE) !== 0 && !loadPdptes(cpu, low)) return gp(cpu);
  }
  setWords(cpu, WORD.cr3, low, kept);
  const pcid = (cr4 & CR4.PCIDE) !== 0 ? low & 0xfff : 0;
  selectAddressSpace(cpu, pcid, pcidKeeps(high, cr4));
  return 0;
}

/** Bits that CR4 may have with the model's features. */
function cr4Writable(cpu: X86Context): number {
  const { features } = cpu.model;
  const when = (feature: Parameters<typeof features.has>[0], bits: number): number => (features.has(feature) ? bits : 0);
  return (
    CR4.TSD | CR4.PCE | when('vme', CR4.VME | CR4.PVI) | when('de', CR4.DE) | when('pse', CR4.PSE) | when('pae', CR4.PAE) | when('mce', CR4.MCE) | when('pge', CR4.PGE) |
    when('fxsr', CR4.OSFXSR) | when('sse', CR4.OSXMMEXCPT) | when('umip', CR4.UMIP) | when('fsgsbase', CR4.FSGSBASE) | when('pcid', CR4.PCIDE) | when('xsave', CR4.OSXSAVE) |
    when('smep', CR4.SMEP) | when('smap', CR4.SMAP) | when('pku', CR4.PKE) | when('pks', CR4.PKS)
  );
}

function writeCr4(cpu: X86Context, low: number, high: number): number {
  const old = word(cpu, WORD.cr4);
  const changed = low ^ old;
  const long = (word(cpu, WORD.efer) & EFER.LMA) !== 0;
  if (high !== 0 || (low & ~cr4Writable(cpu)) !== 0) return gp(cpu);
  if (long && (low & CR4.PAE) === 0) return gp(cpu);
  if ((changed & low & CR4.PCIDE) !== 0 && (!long || (word(cpu, WORD.cr3) & 0xfff) !== 0)) return gp(cpu);
  if (!long && (word(cpu, WORD.cr0) & CR0.PG) !== 0 && (low & CR4.PAE) !== 0 && (changed & (CR4.PAE | CR4.PGE | CR4.PSE | CR4.SMEP)) !== 0) {
    if (!loadPdptes(cpu, word(cpu, WORD.cr3))) return gp(cpu);
  }
  setWords(cpu, WORD.cr4, low, 0);
  if ((changed & (CR4.PSE | CR4.PAE | CR4.PGE | CR4.SMEP | CR4.SMAP | CR4.PCIDE | CR4.PKE | CR4.PKS)) !== 0) flushTranslations(cpu);
  syncMode(cpu);
  return 0;
}

const isControlRegister = (register: number): boolean => register === 0 || (register >= 2 && register <= 4) || register === 8;

function readControl(cpu: X86Context, register: number): number {
  if (!isControlRegister(register)) return raise(cpu, VECTOR.UD);
  if (cplOf(cpu) !== 0) return gp(cpu);
  if (register === 0) setWords(cpu, WORD.x, word(cpu, WORD.cr0), 0);
  else if (register === 2) setWords(cpu, WORD.x, word(cpu, WORD.cr2), word(cpu, WORD.cr2 + 1));
  else if (register === 3) setWords(cpu, WORD.x, word(cpu, WORD.cr3), word(cpu, WORD.cr3 + 1));
  else if (register === 4) setWords(cpu, WORD.x, word(cpu, WORD.cr4), 0);
  else setWords(cpu, WORD.x, cpu.ports.interrupts.getTaskPriority(), 0);
  return 0;
}

function writeControl(cpu: X86Context, register: number): number {
  const low = word(cpu, WORD.x);
  const high = word(cpu, WORD.x + 1);
  if (!isControlRegister(register)) return raise(cpu, VECTOR.UD);
  if (cplOf(cpu) !== 0) return gp(cpu);
  if (register === 0) return writeCr0(cpu, low, high);
  if (register === 3) return writeCr3(cpu, low, high);
  if (register === 4) return writeCr4(cpu, low, high);
  if (register === 2) {
    setWords(cpu, WORD.cr2, low, high);
    return 0;
  }
  if (high !== 0 || low > 15) return gp(cpu);
  cpu.ports.interrupts.setTaskPriority(low);
  return 0;
}

/** DR4 and DR5 stand for DR6 and DR7 unless CR4.DE. -1: #UD, recorded. */
function debugRegister(cpu: X86Context, register: number): number {
  if (register > 7 || ((register === 4 || register === 5) && (word(cpu, WORD.cr4) & CR4.DE) !== 0)) {
    raise(cpu, VECTOR.UD);
    return -1;
  }
  return register === 4 || register === 5 ? register + 2 : register;
}

const DR7_GD = 0x2000;
const DR6_BD = 0x2000;

/** 1: the access is not allowed; fault recorded. */
function checkDebugAccess(cpu: X86Context): number {
  if (cplOf(cpu) !== 0) return gp(cpu);
  if ((word(cpu, WORD.dr + 14) & DR7_GD) === 0) return 0;
  setWord(cpu, WORD.faultDr6, DR6_BD);
  return raise(cpu, VECTOR.DB);
}

function readDebug(cpu: X86Context, register: number): number {
  const number = debugRegister(cpu, register);
  if (number < 0 || checkDebugAccess(cpu) !== 0) return 1;
  setWords(cpu, WORD.x, word(cpu, WORD.dr + 2 * number), word(cpu, WORD.dr + 2 * number + 1));
  return 0;
}

export const DR6_FIXED = 0xffff_0ff0;
export const DR7_FIXED = 0x400;

function writeDebug(cpu: X86Context, register: number): number {
  const number = debugRegister(cpu, register);
  if (number < 0 || checkDebugAccess(cpu) !== 0) return 1;
  const low = word(cpu, WORD.x);
  const high = word(cpu, WORD.x + 1);
  if (number >= 6 && high !== 0) return gp(cpu);
  if (number === 6) setWords(cpu, WORD.dr + 12, (low & 0xe00f) | DR6_FIXED, 0);
  else if (number === 7) {
    setWords(cpu, WORD.dr + 14, (low & 0xffff_2bff) | DR7_FIXED, 0);
    setWord(cpu, WORD.stackShadow, 0);
  } else setWords(cpu, WORD.dr + 2 * number, low, high);
  if (number === 7) syncMode(cpu);
  if (hasTrapBreakpoint(word(cpu, WORD.dr + 14))) {
    // Pages with data breakpoints must not be in the TLB, and traps after instructions are the vCPU loop's work.
    flushTranslations(cpu);
    cpu.ports.requestExit();
  }
  return 0;
}

function xsetbv(cpu: X86Context): number {
  if ((word(cpu, WORD.cr4) & CR4.OSXSAVE) === 0) return raise(cpu, VECTOR.UD);
  const low = word(cpu, WORD.gpr + 2 * RAX);
  const supported = supportedXcr0(cpu.model);
  if (cplOf(cpu) !== 0 || word(cpu, WORD.gpr + 2 * RCX) !== 0 || word(cpu, WORD.gpr + 2 * RDX) !== 0) return gp(cpu);
  if ((low & ~supported) !== 0 || (low & XCR0.X87) === 0 || ((low & XCR0.AVX) !== 0 && (low & XCR0.SSE) === 0)) return gp(cpu);
  setWords(cpu, WORD.xcr0, low, 0);
  syncMode(cpu);
  return 0;
}

function xgetbv(cpu: X86Context): number {
  if ((word(cpu, WORD.cr4) & CR4.OSXSAVE) === 0) return raise(cpu, VECTOR.UD);
  const index = word(cpu, WORD.gpr + 2 * RCX);
  if (index > 1 || (index === 1 && !cpu.model.features.has('xgetbv1'))) return gp(cpu);
  setWords(cpu, WORD.gpr + 2 * RAX, word(cpu, WORD.xcr0), 0);
  setWords(cpu, WORD.gpr + 2 * RDX, 0, 0);
  return 0;
}

const descriptor = new Uint32Array(4);

/** INVPCID: type in x0, linear address of the descriptor in x1. */
function invpcid(cpu: X86Context): number {
  if (cplOf(cpu) !== 0) return gp(cpu);
  const type = word(cpu, WORD.x);
  if (!readWords(cpu, signedField(cpu, WORD.x + 4), 4, currentPrivilege(cpu), descriptor)) return 1;
  if (word(cpu, WORD.x + 1) !== 0 || type > 3 || (type < 2 && (descriptor[0] >>> 12 !== 0 || descriptor[1] !== 0))) return gp(cpu);
  if (type < 2 && descriptor[0] !== 0 && (word(cpu, WORD.cr4) & CR4.PCIDE) === 0) return gp(cpu);
  if (type === 0 && !isCanonical(signedWords(descriptor[2], descriptor[3]))) return gp(cpu);
  if (type === 0) flushTranslation(cpu, descriptor[2], descriptor[3]);
  else if (type === 1) flushAddressSpace(cpu, descriptor[0] & 0xfff);
  else if (type === 2) flushTranslations(cpu);
  else flushAddressSpace(cpu);
  return 0;
}

export const CONTROL_HELPERS: HelperMap = {
  readControl,
  writeControl,
  readDebug,
  writeDebug,
  clts(cpu) {
    if (cplOf(cpu) !== 0) return gp(cpu);
    setWord(cpu, WORD.cr0, word(cpu, WORD.cr0) & ~CR0.TS);
    syncMode(cpu);
    return 0;
  },
  /** Operand in x0. PE cannot be cleared. */
  lmsw(cpu) {
    if (cplOf(cpu) !== 0) return gp(cpu);
    const old = word(cpu, WORD.cr0);
    return writeCr0(cpu, (old & ~0xe) | (word(cpu, WORD.x) & 15), 0);
  },
  xsetbv,
  xgetbv,
  /** Linear address in x0. */
  invlpg(cpu) {
    if (cplOf(cpu) !== 0) return gp(cpu);
    flushTranslation(cpu, word(cpu, WORD.x), word(cpu, WORD.x + 1));
    return 0;
  },
  invpcid,
  hlt(cpu) {
    if (cplOf(cpu) !== 0) return gp(cpu);
    setWord(cpu, WORD.halted, 1);
    setWord(cpu, WORD.interruptShadow, 0);
    return 0;
  },
};
