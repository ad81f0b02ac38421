// Descriptors and segment registers. SDM Vol. 3A 3.4 (segments), 5.2-5.8 (checks), 3.5 (LDT and TSS descriptors); Vol. 2 MOV, LLDT, LTR.
// A null or unusable register has attributes without P. Functions that can fault return false (or 1 where they are helpers) with the fault
// recorded. `ext` is 1 while an external event is being delivered (it goes into error codes), else 0.

import { raise, type X86Context } from './helper-map.ts';
import { IMPLICIT, readLinear, readWords, writeLinear } from './linear-memory.ts';
import { ATTRIBUTE, CR0, cplOf, EFER, MODE, syncMode } from './mode.ts';
import { CS, EFLAG, ES, FS, LDTR, SS, TR, VECTOR } from './state.ts';
import { isCanonical, setSignedField, setWord, setWords, signedField, signedWords, word, WORD } from './state-words.ts';

/** A descriptor's words (four for system descriptors of long mode). One is reused by each caller. */
export const newDescriptor = (): Uint32Array => new Uint32Array(4);

export const descriptorBase = (d: Uint32Array): number => ((d[0] >>> 16) | ((d[1] & 0xff) << 16) | (d[1] & 0xff00_0000)) >>> 0;
export function descriptorLimit(d: Uint32Array): number {
  const limit = (d[0] & 0xffff) | (d[1] & 0x000f_0000);
  return (d[1] & 0x0080_0000) !== 0 ? ((limit << 12) | 0xfff) >>> 0 : limit;
}
export const descriptorAttributes = (d: Uint32Array): number => (d[1] >>> 8) & 0xf0ff;
export const descriptorDpl = (d: Uint32Array): number => (d[1] >>> 13) & 3;
export const isPresent = (d: Uint32Array): boolean => (d[1] & 0x8000) !== 0;
/** Code or data (S = 1). */
export const isUserDescriptor = (d: Uint32Array): boolean => (d[1] & 0x1000) !== 0;
export const isCode = (d: Uint32Array): boolean => (d[1] & 0x1800) === 0x1800;
export const isConforming = (d: Uint32Array): boolean => (d[1] & 0x1c00) === 0x1c00;
export const isWritableData = (d: Uint32Array): boolean => (d[1] & 0x1a00) === 0x1200;
/** Type field of a system descriptor. */
export const systemType = (d: Uint32Array): number => (d[1] >>> 8) & 15;

export const isNull = (selector: number): boolean => (selector & 0xfffc) === 0;
export const inLongMode = (cpu: X86Context): boolean => (word(cpu, WORD.efer) & EFER.LMA) !== 0;
export const in64BitCode = (cpu: X86Context): boolean => inLongMode(cpu) && (word(cpu, WORD.segmentAttributes + CS) & ATTRIBUTE.L) !== 0;
/** Protected mode, virtual-8086 mode excluded. */
export const isProtected = (cpu: X86Context): boolean => (word(cpu, WORD.cr0) & CR0.PE) !== 0 && (word(cpu, WORD.flags) & EFLAG.VM) === 0;
export const isV86 = (cpu: X86Context): boolean => (word(cpu, WORD.flags) & EFLAG.VM) !== 0;

export const segmentBase = (cpu: X86Context, segment: number): number => signedField(cpu, WORD.segmentBase + 2 * segment);
export const segmentLimit = (cpu: X86Context, segment: number): number => word(cpu, WORD.segmentLimit + segment);
export const segmentAttributes = (cpu: X86Context, segment: number): number => word(cpu, WORD.segmentAttributes + segment);
export const segmentSelector = (cpu: X86Context, segment: number): number => word(cpu, WORD.segmentSelector + segment);

/** Linear address of a selector's descriptor, or NaN when it lies beyond its table. `byteCount`: 8, or 16 for long mode's system descriptors. */
export function descriptorAddress(cpu: X86Context, selector: number, byteCount = 8): number {
  const index = selector & 0xfff8;
  if ((selector & 4) === 0) return index + byteCount - 1 > word(cpu, WORD.gdtLimit) ? Number.NaN : signedField(cpu, WORD.gdtBase) + index;
  if ((segmentAttributes(cpu, LDTR) & ATTRIBUTE.P) === 0 || index + byteCount - 1 > segmentLimit(cpu, LDTR)) return Number.NaN;
  return segmentBase(cpu, LDTR) + index;
}

/** Reads a descriptor. False: page fault, or `vector` with the selector as its error code when it lies beyond its table. */
export function readDescriptor(cpu: X86Context, selector: number, vector: number, ext: number, into: Uint32Array): boolean {
  const address = descriptorAddress(cpu, selector);
  if (Number.isNaN(address)) {
    raise(cpu, vector, (selector & 0xfffc) | ext);
    return false;
  }
  return readWords(cpu, address, 2, IMPLICIT, into);
}

/** Sets bits in the second word of a descriptor in memory (accessed: 0x100; busy: 0x200). False: page fault. */
export function markDescriptor(cpu: X86Context, selector: number, d: Uint32Array, bits: number): boolean {
  if ((d[1] & bits) === bits) return true;
  d[1] |= bits;
  return writeLinear(cpu, descriptorAddress(cpu, selector) + 4, 4, d[1], IMPLICIT);
}

export const ACCESSED_BIT = 0x100;

export function setSegment(cpu: X86Context, segment: number, selector: number, base: number, limit: number, attributes: number): void {
  setWord(cpu, WORD.segmentSelector + segment, selector & 0xffff);
  setSignedField(cpu, WORD.segmentBase + 2 * segment, base);
  setWord(cpu, WORD.segmentLimit + segment, limit);
  setWord(cpu, WORD.segmentAttributes + segment, attributes);
}

/** Loads a register from a descriptor already checked. */
export const setFromDescriptor = (cpu: X86Context, segment: number, selector: number, d: Uint32Array): void =>
  setSegment(cpu, segment, selector, descriptorBase(d), descriptorLimit(d), descriptorAttributes(d) | (segment < LDTR ? ATTRIBUTE.ACCESSED : 0));

/** Makes a register null. SS keeps the privilege level in its DPL. */
export const setNull = (cpu: X86Context, segment: number, selector: number, dpl = 0): void => setSegment(cpu, segment, selector, 0, 0, dpl << 5);

export const V86_ATTRIBUTES = 0xf3;
export const setV86Segment = (cpu: X86Context, segment: number, selector: number): void => setSegment(cpu, segment, selector, (selector & 0xffff) << 4, 0xffff, V86_ATTRIBUTES);

/** Real-address mode load: the limit and the size bit stay ("unreal" mode), the rest becomes what reset has. */
export function setRealSegment(cpu: X86Context, segment: number, selector: number): void {
  const old = segmentAttributes(cpu, segment);
  const kept = (old & ATTRIBUTE.P) !== 0 ? old & (ATTRIBUTE.DB | ATTRIBUTE.G) : 0;
  setSegment(cpu, segment, selector, (selector & 0xffff) << 4, (old & ATTRIBUTE.P) !== 0 ? segmentLimit(cpu, segment) : 0xffff, 0x93 | kept);
}

const loaded = newDescriptor();

/** Loads ES, SS, DS, FS or GS with every check of the present mode. 1: fault recorded. */
export function loadSegment(cpu: X86Context, segment: number, selector: number): number {
  if (isProtected(cpu)) {
    if (!(segment === SS ? loadStackSegment(cpu, selector, cplOf(cpu), VECTOR.GP, 0) : loadDataSegment(cpu, segment, selector, cplOf(cpu), VECTOR.GP))) return 1;
  } else if (isV86(cpu)) {
    setV86Segment(cpu, segment, selector);
  } else {
    setRealSegment(cpu, segment, selector);
  }
  if (segment < FS && (word(cpu, WORD.mode) & MODE.CODE_SIZE) !== 2) syncMode(cpu);
  return 0;
}

/** `vector` is #GP, or #TS in a task switch. */
export function loadDataSegment(cpu: X86Context, segment: number, selector: number, cpl: number, vector: number): boolean {
  if (isNull(selector)) {
    setNull(cpu, segment, selector);
    return true;
  }
  if (!readDescriptor(cpu, selector, vector, 0, loaded)) return false;
  const readable = isUserDescriptor(loaded) && (!isCode(loaded) || (loaded[1] & 0x200) !== 0);
  const dpl = descriptorDpl(loaded);
  if (!readable || (!isConforming(loaded) && ((selector & 3) > dpl || cpl > dpl))) {
    raise(cpu, vector, selector & 0xfffc);
    return false;
  }
  if (!isPresent(loaded)) {
    raise(cpu, VECTOR.NP, selector & 0xfffc);
    return false;
  }
  if (!markDescriptor(cpu, selector, loaded, ACCESSED_BIT)) return false;
  setFromDescriptor(cpu, segment, selector, loaded);
  return true;
}

/** Checks a stack selector for privilege level `cpl` and reads its descriptor into `d`. Null selectors are the caller's. */
export function checkStackSegment(cpu: X86Context, selector: number, cpl: number, vector: number, ext: number, d: Uint32Array): boolean {
  const code = (selector & 0xfffc) | ext;
  if (!readDescriptor(cpu, selector, vector, ext, d)) return false;
  if ((selector & 3) !== cpl || !isWritableData(d) || descriptorDpl(d) !== cpl) {
    raise(cpu, vector, code);
    return false;
  }
  if (!isPresent(d)) {
    raise(cpu, VECTOR.SS, code);
    return false;
  }
  return true;
}

/** Loads SS for privilege level `cpl`. */
export function loadStackSegment(cpu: X86Context, selector: number, cpl: number, vector: number, ext: number): boolean {
  if (isNull(selector)) {
    if (in64BitCode(cpu) && cpl < 3 && (selector & 3) === cpl) {
      setNull(cpu, SS, selector, cpl);
      return true;
    }
    raise(cpu, vector, vector === VECTOR.TS ? selector & 0xfffc : 0);
    return false;
  }
  if (!checkStackSegment(cpu, selector, cpl, vector, ext, loaded)) return false;
  if (!markDescriptor(cpu, selector, loaded, ACCESSED_BIT)) return false;
  setFromDescriptor(cpu, SS, selector, loaded);
  return true;
}

/** Reads an LDT or TSS descriptor for LLDT and LTR (16 bytes in long mode) and sets `base`'s high word in loaded[2]. */
function readSystemDescriptor(cpu: X86Context, selector: number): boolean {
  const wide = inLongMode(cpu);
  const address = (selector & 4) !== 0 ? Number.NaN : descriptorAddress(cpu, selector, wide ? 16 : 8);
  if (Number.isNaN(address)) {
    raise(cpu, VECTOR.GP, selector & 0xfffc);
    return false;
  }
  loaded[2] = 0;
  loaded[3] = 0;
  return readWords(cpu, address, wide ? 4 : 2, IMPLICIT, loaded);
}

/** LLDT after its privilege check. 1: fault recorded. */
export function loadLdtr(cpu: X86Context, selector: number): number {
  if (isNull(selector)) {
    setNull(cpu, LDTR, selector);
    return 0;
  }
  if (!readSystemDescriptor(cpu, selector)) return 1;
  if (isUserDescriptor(loaded) || systemType(loaded) !== 2) return raise(cpu, VECTOR.GP, selector & 0xfffc);
  if (!isPresent(loaded)) return raise(cpu, VECTOR.NP, selector & 0xfffc);
  const base = signedWords(descriptorBase(loaded), loaded[2]);
  if (!isCanonical(base)) return raise(cpu, VECTOR.GP, selector & 0xfffc);
  setSegment(cpu, LDTR, selector, base, descriptorLimit(loaded), descriptorAttributes(loaded));
  return 0;
}

/** LTR after its privilege check: marks the TSS busy. 1: fault recorded. */
export function loadTr(cpu: X86Context, selector: number): number {
  if (isNull(selector)) return raise(cpu, VECTOR.GP, 0);
  if (!readSystemDescriptor(cpu, selector)) return 1;
  const type = systemType(loaded);
  if (isUserDescriptor(loaded) || !(type === 9 || (type === 1 && !inLongMode(cpu))) || (loaded[3] & 0x1f00) !== 0) return raise(cpu, VECTOR.GP, selector & 0xfffc);
  if (!isPresent(loaded)) return raise(cpu, VECTOR.NP, selector & 0xfffc);
  const base = signedWords(descriptorBase(loaded), loaded[2]);
  if (!isCanonical(base)) return raise(cpu, VECTOR.GP, selector & 0xfffc);
  if (!markDescriptor(cpu, selector, loaded, 0x200)) return 1;
  setSegment(cpu, TR, selector, base, descriptorLimit(loaded), descriptorAttributes(loaded));
  return 0;
}

/** Is [offset, offset + byteCount) inside the segment? Expand-down segments have their valid range above the limit. SDM Vol. 3A 5.3. */
export function isInLimit(attributes: number, limit: number, offset: number, byteCount: number): boolean {
  const last = offset + byteCount - 1;
  if ((attributes & (ATTRIBUTE.CODE | ATTRIBUTE.DOWN | ATTRIBUTE.S)) === (ATTRIBUTE.DOWN | ATTRIBUTE.S)) {
    return offset > limit && last <= ((attributes & ATTRIBUTE.DB) !== 0 ? 0xffff_ffff : 0xffff);
  }
  return last <= limit;
}

/** Outcome of LAR, LSL, VERR and VERW look-ups: the descriptor if its selector can be seen from the current privilege, else undefined. */
export type Visible = 'fault' | 'no' | 'yes';

/** Reads a descriptor without faulting on what the selector is (page faults remain). */
export function inspectDescriptor(cpu: X86Context, selector: number, d: Uint32Array): Visible {
  if (isNull(selector)) return 'no';
  const address = descriptorAddress(cpu, selector);
  if (Number.isNaN(address)) return 'no';
  return readWords(cpu, address, 2, IMPLICIT, d) ? 'yes' : 'fault';
}

/** A byte of the TSS (I/O map, interrupt redirection), or -1: fault recorded. */
export const readTss = (cpu: X86Context, offset: number, byteCount: 1 | 2 | 4): number => readLinear(cpu, segmentBase(cpu, TR) + offset, byteCount, IMPLICIT);

/** Nulls a data register that the new, outer privilege may not use (RET and IRET to an outer level). */
export function dropInnerSegments(cpu: X86Context, cpl: number): void {
  for (const segment of [ES, 3, FS, 5]) {
    const attributes = segmentAttributes(cpu, segment);
    const conforming = (attributes & (ATTRIBUTE.CODE | ATTRIBUTE.DOWN)) === (ATTRIBUTE.CODE | ATTRIBUTE.DOWN);
    if (isNull(segmentSelector(cpu, segment))) setWord(cpu, WORD.segmentSelector + segment, 0);
    else if (!conforming && ((attributes >> 5) & 3) < cpl) {
      setWord(cpu, WORD.segmentSelector + segment, 0);
      setWord(cpu, WORD.segmentAttributes + segment, 0);
      setWord(cpu, WORD.segmentLimit + segment, 0);
      if (segment >= FS && inLongMode(cpu)) continue;
      setWords(cpu, WORD.segmentBase + 2 * segment, 0, 0);
    }
  }
}
