// Instructions that IOPL, CPL or CR4 bits permit: I/O, the interrupt flag, PUSHF/POPF, time stamps, descriptor-table registers, FS/GS bases.
// SDM Vol. 1 chapter 19 (I/O protection), Vol. 3A 20.3.3 (VME, PVI), Vol. 2 for each. Operands and results are in x0 and x1.

import { getEflags, setEflags } from './eflags.ts';
import { notePort } from './breakpoint.ts';
import { raise, type HelperMap, type X86Context } from './helper-map.ts';
import { ATTRIBUTE, CR0, CR4, cplOf, syncMode } from './mode.ts';
import { in64BitCode, inspectDescriptor, isCode, isConforming, isProtected, isUserDescriptor, isV86, descriptorDpl, descriptorLimit, loadLdtr, loadSegment, loadTr, newDescriptor, inLongMode, readTss, segmentAttributes, segmentLimit, segmentSelector, systemType } from './segments.ts';
import { ARITHMETIC_FLAGS, EFLAG, RAX, RCX, RDX, TR, VECTOR } from './state.ts';
import { isCanonical, setSignedField, setWord, setWords, signedField, word, WORD } from './state-words.ts';
import { storeTsc } from './time-stamp-counter.ts';

const gp = (cpu: X86Context): 1 => raise(cpu, VECTOR.GP, 0);
const iopl = (cpu: X86Context): number => (word(cpu, WORD.flags) >> 12) & 3;
const x = WORD.x;
type Width = 1 | 2 | 4;

/** May ports [port, port + byteCount) be used? 1: fault recorded. */
function checkIo(cpu: X86Context, port: number, byteCount: number): number {
  if ((word(cpu, WORD.cr0) & CR0.PE) === 0 || (!isV86(cpu) && cplOf(cpu) <= iopl(cpu))) return 0;
  const limit = segmentLimit(cpu, TR);
  if ((segmentAttributes(cpu, TR) & (ATTRIBUTE.P | 8)) !== (ATTRIBUTE.P | 8) || limit < 0x67) return gp(cpu);
  const map = readTss(cpu, 0x66, 2);
  if (map < 0) return 1;
  const at = map + (port >> 3);
  if (at + 1 > limit) return gp(cpu);
  const bits = readTss(cpu, at, 2);
  if (bits < 0) return 1;
  return ((bits >> (port & 7)) & ((1 << byteCount) - 1)) !== 0 ? gp(cpu) : 0;
}

/** CLI (set 0) and STI (set 1) where IOPL or the virtual interrupt flag decide. */
function changeInterruptFlag(cpu: X86Context, set: number): number {
  const flags = word(cpu, WORD.flags);
  if ((word(cpu, WORD.cr0) & CR0.PE) === 0 || (iopl(cpu) >= cplOf(cpu))) {
    setWord(cpu, WORD.flags, set !== 0 ? flags | EFLAG.IF : flags & ~EFLAG.IF);
    return 0;
  }
  const virtual = isV86(cpu) ? CR4.VME : CR4.PVI;
  if (cplOf(cpu) !== 3 || (word(cpu, WORD.cr4) & virtual) === 0 || (set !== 0 && (flags & EFLAG.VIP) !== 0)) return gp(cpu);
  setWord(cpu, WORD.flags, set !== 0 ? flags | EFLAG.VIF : flags & ~EFLAG.VIF);
  return 0;
}

/** The image that PUSHF stores, into x0. `bits`: operand size. */
function pushfImage(cpu: X86Context, bits: number): number {
  let flags = getEflags(cpu) & ~(EFLAG.VM | EFLAG.RF);
  if (isV86(cpu) && iopl(cpu) < 3) {
    if (bits !== 16 || (word(cpu, WORD.cr4) & CR4.VME) === 0) return gp(cpu);
    flags = (flags & ~EFLAG.IF) | EFLAG.IOPL | ((flags & EFLAG.VIF) !== 0 ? EFLAG.IF : 0);
  }
  setWords(cpu, x, flags, 0);
  return 0;
}

/** POPF of the image in x0. SDM Vol. 2 POPF, table 4-15. */
function popf(cpu: X86Context, bits: number): number {
  let image = word(cpu, x);
  const old = getEflags(cpu);
  let mask = ARITHMETIC_FLAGS | EFLAG.TF | EFLAG.DF | EFLAG.NT;
  if (bits !== 16) mask |= EFLAG.AC | EFLAG.ID;
  if (isV86(cpu)) {
    if (iopl(cpu) === 3) mask |= EFLAG.IF;
    else {
      if (bits !== 16 || (word(cpu, WORD.cr4) & CR4.VME) === 0) return gp(cpu);
      const wantsIf = (image & EFLAG.IF) !== 0;
      if ((wantsIf && (old & EFLAG.VIP) !== 0) || (image & EFLAG.TF) !== 0) return gp(cpu);
      mask |= EFLAG.VIF;
      image = (image & ~EFLAG.VIF) | (wantsIf ? EFLAG.VIF : 0);
    }
  } else {
    const cpl = cplOf(cpu);
    if (cpl <= iopl(cpu)) mask |= EFLAG.IF;
    if (cpl === 0) mask |= EFLAG.IOPL;
  }
  setEflags(cpu, ((old & ~mask) | (image & mask)) & ~EFLAG.RF);
  syncMode(cpu);
  return 0;
}

function readTimeStamp(cpu: X86Context): number {
  if ((word(cpu, WORD.cr4) & CR4.TSD) !== 0 && (word(cpu, WORD.cr0) & CR0.PE) !== 0 && cplOf(cpu) !== 0) return gp(cpu);
  storeTsc(cpu, x);
  setWords(cpu, WORD.gpr + 2 * RAX, word(cpu, x), 0);
  setWords(cpu, WORD.gpr + 2 * RDX, word(cpu, x + 1), 0);
  return 0;
}

/** SGDT, SIDT, SLDT, STR, SMSW outside level 0 with CR4.UMIP: #GP(0). */
const umip = (cpu: X86Context): number => ((word(cpu, WORD.cr4) & CR4.UMIP) !== 0 && (word(cpu, WORD.cr0) & CR0.PE) !== 0 && cplOf(cpu) !== 0 ? gp(cpu) : 0);

/** Base in x0 (cut by the row), limit in x1. */
function loadTable(cpu: X86Context, baseAt: number, limitAt: number): number {
  if (cplOf(cpu) !== 0) return gp(cpu);
  const base = signedField(cpu, x);
  if (in64BitCode(cpu) && !isCanonical(base)) return gp(cpu);
  setSignedField(cpu, baseAt, base);
  setWord(cpu, limitAt, word(cpu, x + 4) & 0xffff);
  return 0;
}

const d = newDescriptor();

const LAR_TYPES = (1 << 1) | (1 << 2) | (1 << 3) | (1 << 4) | (1 << 5) | (1 << 9) | (1 << 11) | (1 << 12);
const LAR_TYPES_LONG = (1 << 2) | (1 << 9) | (1 << 11) | (1 << 12);
const LSL_TYPES = (1 << 1) | (1 << 2) | (1 << 3) | (1 << 9) | (1 << 11);
const LSL_TYPES_LONG = (1 << 2) | (1 << 9) | (1 << 11);

/** Can the descriptor in `d` be seen by LAR or LSL with `selector`? */
function isVisible(cpu: X86Context, selector: number, systemTypes: number): boolean {
  if (!isUserDescriptor(d)) {
    if (((systemTypes >> systemType(d)) & 1) === 0) return false;
  } else if (isConforming(d)) return true;
  return descriptorDpl(d) >= Math.max(cplOf(cpu), selector & 3);
}

/** Selector in x0. Result: x1 has ZF, x0 the value. */
function inspect(cpu: X86Context, types: number, longTypes: number, value: () => number): number {
  const selector = word(cpu, x) & 0xffff;
  const outcome = inspectDescriptor(cpu, selector, d);
  if (outcome === 'fault') return 1;
  const visible = outcome === 'yes' && isVisible(cpu, selector, inLongMode(cpu) ? longTypes : types);
  setWord(cpu, x + 4, visible ? 1 : 0);
  if (visible) setWords(cpu, x, value(), 0);
  return 0;
}

/** VERR (write 0), VERW (write 1): selector in x0, ZF to x1. */
function verify(cpu: X86Context, write: number): number {
  const selector = word(cpu, x) & 0xffff;
  const outcome = inspectDescriptor(cpu, selector, d);
  if (outcome === 'fault') return 1;
  let good = outcome === 'yes' && isUserDescriptor(d) && (isConforming(d) || descriptorDpl(d) >= Math.max(cplOf(cpu), selector & 3));
  const bit1 = (d[1] & 0x200) !== 0;
  if (write !== 0) good = good && !isCode(d) && bit1;
  else good = good && (!isCode(d) || bit1);
  setWord(cpu, x + 4, good ? 1 : 0);
  return 0;
}

export const PRIVILEGED_HELPERS: HelperMap = {
  checkIo,
  /** Result in x0. */
  portIn(cpu, port, byteCount) {
    if (checkIo(cpu, port, byteCount) !== 0) return 1;
    notePort(cpu, port, byteCount);
    setWords(cpu, x, cpu.ports.readPort(port, byteCount as Width), 0);
    return 0;
  },
  portOut(cpu, port, byteCount, value) {
    if (checkIo(cpu, port, byteCount) !== 0) return 1;
    notePort(cpu, port, byteCount);
    cpu.ports.writePort(port, byteCount as Width, byteCount === 4 ? value >>> 0 : value & (byteCount === 2 ? 0xffff : 0xff));
    return 0;
  },
  changeInterruptFlag,
  pushfImage,
  popf,
  rdtsc: readTimeStamp,
  rdtscp(cpu) {
    if (readTimeStamp(cpu) !== 0) return 1;
    setWords(cpu, WORD.gpr + 2 * RCX, word(cpu, WORD.tscAux), 0);
    return 0;
  },
  /** There are no performance counters: every index is #GP(0). */
  rdpmc: gp,
  umip,
  loadGdt: (cpu) => loadTable(cpu, WORD.gdtBase, WORD.gdtLimit),
  loadIdt: (cpu) => loadTable(cpu, WORD.idtBase, WORD.idtLimit),
  /** table 0: GDT, 1: IDT. Base to x0, limit to x1. */
  storeTable(cpu, table) {
    if (umip(cpu) !== 0) return 1;
    const base = table === 0 ? WORD.gdtBase : WORD.idtBase;
    setWords(cpu, x, word(cpu, base), word(cpu, base + 1));
    setWords(cpu, x + 4, word(cpu, table === 0 ? WORD.gdtLimit : WORD.idtLimit), 0);
    return 0;
  },
  lldt(cpu, selector) {
    if (!isProtected(cpu)) return raise(cpu, VECTOR.UD);
    return cplOf(cpu) !== 0 ? gp(cpu) : loadLdtr(cpu, selector);
  },
  ltr(cpu, selector) {
    if (!isProtected(cpu)) return raise(cpu, VECTOR.UD);
    return cplOf(cpu) !== 0 ? gp(cpu) : loadTr(cpu, selector);
  },
  /** Selector of segment register `segment` (LDTR, TR) to x0. */
  storeSelector(cpu, segment) {
    if (!isProtected(cpu)) return raise(cpu, VECTOR.UD);
    if (umip(cpu) !== 0) return 1;
    setWords(cpu, x, segmentSelector(cpu, segment), 0);
    return 0;
  },
  loadSegment,
  lar: (cpu) => inspect(cpu, LAR_TYPES, LAR_TYPES_LONG, () => d[1] & 0x00ff_ff00),
  lsl: (cpu) => inspect(cpu, LSL_TYPES, LSL_TYPES_LONG, () => descriptorLimit(d)),
  verify,
  /** 64 random bits to x0. */
  random(cpu) {
    setWords(cpu, x, cpu.random(), cpu.random());
    return 0;
  },
};

