// FXSAVE, FXRSTOR and the XSAVE family over x87, SSE and AVX state. SDM Vol. 1 10.5 (FXSAVE image), chapter 13 (XSAVE). The linear address is
// in x0; outside 64-bit code registers 8..15 are neither stored nor loaded. A restore reads everything before it changes anything.

import { raise, type HelperMap, type X86Context } from './helper-map.ts';
import { ACCESS, type Access } from '@anillo/ir/frontend';
import { currentPrivilege, probe, reachRam, readBytes, writeBytes } from './linear-memory.ts';
import { CR4, EFER } from './mode.ts';
import { in64BitCode } from './segments.ts';
import { NON_CANONICAL, RAX, VECTOR } from './state.ts';
import { isCanonical, setWord, signedField, word, WORD } from './state-words.ts';
import { isX87InUse, readX87Image, resetX87State, writeX87Image } from './x87/fxsave-image.ts';
import { writePkru } from './protection-keys.ts';
import { compactedPkruOffset, XCR0, XSAVE_AVX_BYTES, XSAVE_AVX_OFFSET, XSAVE_LEGACY_BYTES, XSAVE_PKRU_BYTES, XSAVE_PKRU_OFFSET } from './xsave-layout.ts';

const X87_BYTES = 24;
const X87_STACK_OFFSET = 32;
const MXCSR_OFFSET = 24;
const XMM_OFFSET = 160;
const FXSAVE_BYTES = 512;
const HEADER_OFFSET = 512;
const HEADER_BYTES = 64;
const MXCSR_MASK = 0xffff;
const MXCSR_RESET = 0x1f80;
const COMPACTED = 0x8000_0000;

const image = new Uint8Array(XSAVE_LEGACY_BYTES + XSAVE_AVX_BYTES);
const imageWords = new Uint32Array(image.buffer);

/** Where an area is written and read: in place, where it is aligned and lies in one page of RAM, or else in `image`. Indices are of words. */
const area: { words: Uint32Array; at: number } = { words: imageWords, at: 0 };
const isInPlace = (): boolean => area.words !== imageWords;
const areaWord = (offset: number): number => area.words[area.at + (offset >> 2)] as number;
function setAreaWord(offset: number, value: number): void {
  area.words[area.at + (offset >> 2)] = value;
}

/** Finds the area for an access. False: fault recorded. */
function openArea(cpu: X86Context, linear: number, byteCount: number, access: Access): boolean {
  const at = reachRam(cpu, linear, byteCount, access, currentPrivilege(cpu));
  if (at === -1) return false;
  area.words = at >= 0 && (at & 3) === 0 ? cpu.words : imageWords;
  area.at = isInPlace() ? at >>> 2 : 0;
  if (isInPlace()) return true;
  if (access === ACCESS.READ) return readBytes(cpu, linear, image.subarray(0, byteCount), currentPrivilege(cpu));
  return probe(cpu, linear, byteCount, ACCESS.WRITE, currentPrivilege(cpu));
}

const gp = (cpu: X86Context): 1 => raise(cpu, VECTOR.GP, 0);

/** True: fault recorded. That an address is not canonical comes before its alignment. */
function isMisaligned(cpu: X86Context, linear: number, byteCount: number): boolean {
  if ((linear & (byteCount - 1)) === 0) return false;
  raise(cpu, (word(cpu, WORD.efer) & EFER.LMA) !== 0 && !isCanonical(linear) ? NON_CANONICAL : VECTOR.GP, 0);
  return true;
}
/** Bytes of the vector registers that the present code can name. */
const vectorBytes = (cpu: X86Context): number => (in64BitCode(cpu) ? 256 : 128);

function isZero(cpu: X86Context, field: 'xmm' | 'ymmHigh', byteCount: number): boolean {
  const at = WORD[field];
  for (let i = 0; i < byteCount / 4; i++) if (word(cpu, at + i) !== 0) return false;
  return true;
}

/** XINUSE. SDM Vol. 1 13.6. */
function componentsInUse(cpu: X86Context): number {
  const bytes = vectorBytes(cpu);
  let bits = isX87InUse(cpu) ? XCR0.X87 : 0;
  if (!isZero(cpu, 'xmm', bytes) || word(cpu, WORD.mxcsr) !== MXCSR_RESET) bits |= XCR0.SSE;
  if (!isZero(cpu, 'ymmHigh', bytes)) bits |= XCR0.AVX;
  if (word(cpu, WORD.pkru) !== 0) bits |= XCR0.PKRU;
  return bits;
}

/** Writes part of the area to the guest, where it is not in place. */
const put = (cpu: X86Context, linear: number, offset: number, byteCount: number): boolean =>
  isInPlace() || writeBytes(cpu, linear + offset, image.subarray(offset, offset + byteCount), currentPrivilege(cpu));

function putX87(cpu: X86Context, linear: number, wide: boolean): boolean {
  writeX87Image(cpu, area.words, area.at, wide);
  return put(cpu, linear, 0, X87_BYTES) && put(cpu, linear, X87_STACK_OFFSET, 128);
}

function putMxcsr(cpu: X86Context, linear: number): boolean {
  setAreaWord(MXCSR_OFFSET, word(cpu, WORD.mxcsr));
  setAreaWord(MXCSR_OFFSET + 4, MXCSR_MASK);
  return put(cpu, linear, MXCSR_OFFSET, 8);
}

function putVector(cpu: X86Context, linear: number, field: 'xmm' | 'ymmHigh', offset: number): boolean {
  const { words, at } = area;
  const count = vectorBytes(cpu) / 4;
  const to = at + offset / 4;
  for (let i = 0; i < count; i++) words[to + i] = word(cpu, WORD[field] + i);
  return put(cpu, linear, offset, 4 * count);
}

/** `wide`: 1 with REX.W. */
function fxsave(cpu: X86Context, wide: number): number {
  const linear = signedField(cpu, WORD.x);
  if (isMisaligned(cpu, linear, 16)) return 1;
  if (!openArea(cpu, linear, FXSAVE_BYTES, ACCESS.WRITE)) return 1;
  return putX87(cpu, linear, wide !== 0) && putMxcsr(cpu, linear) && putVector(cpu, linear, 'xmm', XMM_OFFSET) ? 0 : 1;
}

function loadVector(cpu: X86Context, field: 'xmm' | 'ymmHigh', offset: number): void {
  const { words, at } = area;
  const count = vectorBytes(cpu) / 4;
  const from = at + offset / 4;
  for (let i = 0; i < count; i++) setWord(cpu, WORD[field] + i, words[from + i] as number);
}
function clearVector(cpu: X86Context, field: 'xmm' | 'ymmHigh'): void {
  const count = vectorBytes(cpu) / 4;
  for (let i = 0; i < count; i++) setWord(cpu, WORD[field] + i, 0);
}

function fxrstor(cpu: X86Context, wide: number): number {
  const linear = signedField(cpu, WORD.x);
  if (isMisaligned(cpu, linear, 16)) return 1;
  if (!openArea(cpu, linear, FXSAVE_BYTES, ACCESS.READ)) return 1;
  const mxcsr = areaWord(MXCSR_OFFSET);
  if ((mxcsr & ~MXCSR_MASK) !== 0) return gp(cpu);
  readX87Image(cpu, area.words, area.at, wide !== 0);
  setWord(cpu, WORD.mxcsr, mxcsr);
  loadVector(cpu, 'xmm', XMM_OFFSET);
  return 0;
}

/** Components that the instruction's mask asks for; -1: fault recorded. */
function requested(cpu: X86Context, linear: number): number {
  if ((word(cpu, WORD.cr4) & CR4.OSXSAVE) === 0) return raise(cpu, VECTOR.UD) - 2;
  if (isMisaligned(cpu, linear, 64)) return -1;
  return word(cpu, WORD.gpr + 2 * RAX) & word(cpu, WORD.xcr0);
}

/** Where PKRU begins, with `components` in the area. */
const pkruOffset = (isCompacted: boolean, components: number): number => (isCompacted ? compactedPkruOffset(components) : XSAVE_PKRU_OFFSET);

const pkru = new DataView(new ArrayBuffer(XSAVE_PKRU_BYTES));
const pkruBytes = new Uint8Array(pkru.buffer);

function putPkru(cpu: X86Context, linear: number): boolean {
  pkru.setUint32(0, word(cpu, WORD.pkru), true);
  pkru.setUint32(4, 0, true);
  return writeBytes(cpu, linear, pkruBytes, currentPrivilege(cpu));
}

export const XSAVE_FORM = { XSAVE: 0, XSAVEOPT: 1, XSAVEC: 2 } as const;

function xsave(cpu: X86Context, form: number, wide: number): number {
  const linear = signedField(cpu, WORD.x);
  const asked = requested(cpu, linear);
  if (asked < 0) return 1;
  const privilege = currentPrivilege(cpu);
  const used = componentsInUse(cpu);
  const store = form === XSAVE_FORM.XSAVE ? asked : asked & used;
  if (!openArea(cpu, linear, XSAVE_LEGACY_BYTES + ((store & XCR0.AVX) !== 0 ? XSAVE_AVX_BYTES : 0), ACCESS.WRITE)) return 1;
  const pkruAt = linear + pkruOffset(form === XSAVE_FORM.XSAVEC, asked);
  if ((store & XCR0.PKRU) !== 0 && !probe(cpu, pkruAt, XSAVE_PKRU_BYTES, ACCESS.WRITE, privilege)) return 1;
  if (!isInPlace() && !readBytes(cpu, linear + HEADER_OFFSET, image.subarray(HEADER_OFFSET, HEADER_OFFSET + 16), privilege)) return 1;
  if ((store & XCR0.X87) !== 0 && !putX87(cpu, linear, wide !== 0)) return 1;
  const withMxcsr = form === XSAVE_FORM.XSAVEC ? (store & XCR0.SSE) !== 0 : (asked & (XCR0.SSE | XCR0.AVX)) !== 0;
  if (withMxcsr && !putMxcsr(cpu, linear)) return 1;
  if ((store & XCR0.SSE) !== 0 && !putVector(cpu, linear, 'xmm', XMM_OFFSET)) return 1;
  if ((store & XCR0.AVX) !== 0 && !putVector(cpu, linear, 'ymmHigh', XSAVE_AVX_OFFSET)) return 1;
  if ((store & XCR0.PKRU) !== 0 && !putPkru(cpu, pkruAt)) return 1;
  if (form === XSAVE_FORM.XSAVEC) {
    [store, 0, asked, COMPACTED].forEach((value, i) => setAreaWord(HEADER_OFFSET + 4 * i, value));
    return put(cpu, linear, HEADER_OFFSET, 16) ? 0 : 1;
  }
  setAreaWord(HEADER_OFFSET, (areaWord(HEADER_OFFSET) & ~asked) | (used & asked));
  return put(cpu, linear, HEADER_OFFSET, 8) ? 0 : 1;
}

/** The area's header is one that XRSTOR takes. */
function isHeaderValid(cpu: X86Context): boolean {
  const xcr0 = word(cpu, WORD.xcr0);
  const present = areaWord(HEADER_OFFSET);
  const compact = areaWord(HEADER_OFFSET + 8);
  const compactHigh = areaWord(HEADER_OFFSET + 12);
  if (areaWord(HEADER_OFFSET + 4) !== 0 || (present & ~xcr0) !== 0) return false;
  const isCompacted = compactHigh === COMPACTED;
  if (isCompacted) {
    if (!cpu.model.features.has('xsavec') || (compact & ~xcr0) !== 0 || (present & ~compact) !== 0) return false;
  } else if (compact !== 0 || compactHigh !== 0) return false;
  for (let i = 16; i < (isCompacted ? HEADER_BYTES : 24); i += 4) if (areaWord(HEADER_OFFSET + i) !== 0) return false;
  return true;
}

function xrstor(cpu: X86Context, wide: number): number {
  const linear = signedField(cpu, WORD.x);
  const asked = requested(cpu, linear);
  if (asked < 0) return 1;
  const privilege = currentPrivilege(cpu);
  if (!openArea(cpu, linear, XSAVE_LEGACY_BYTES, ACCESS.READ)) return 1;
  if (!isHeaderValid(cpu)) return gp(cpu);
  const isCompacted = areaWord(HEADER_OFFSET + 12) === COMPACTED;
  const load = asked & areaWord(HEADER_OFFSET);
  const clear = asked & ~load;
  if ((load & XCR0.AVX) !== 0 && !openArea(cpu, linear, XSAVE_LEGACY_BYTES + XSAVE_AVX_BYTES, ACCESS.READ)) return 1;
  const pkruAt = linear + pkruOffset(isCompacted, areaWord(HEADER_OFFSET + 8));
  if ((load & XCR0.PKRU) !== 0 && !readBytes(cpu, pkruAt, pkruBytes, privilege)) return 1;
  const mxcsr = areaWord(MXCSR_OFFSET);
  const loadsMxcsr = isCompacted ? (load & XCR0.SSE) !== 0 : (asked & (XCR0.SSE | XCR0.AVX)) !== 0;
  if (loadsMxcsr && (mxcsr & ~MXCSR_MASK) !== 0) return gp(cpu);

  if ((load & XCR0.X87) !== 0) readX87Image(cpu, area.words, area.at, wide !== 0);
  else if ((clear & XCR0.X87) !== 0) resetX87State(cpu);
  if (loadsMxcsr) setWord(cpu, WORD.mxcsr, mxcsr);
  else if (isCompacted && (clear & XCR0.SSE) !== 0) setWord(cpu, WORD.mxcsr, MXCSR_RESET);
  if ((load & XCR0.SSE) !== 0) loadVector(cpu, 'xmm', XMM_OFFSET);
  else if ((clear & XCR0.SSE) !== 0) clearVector(cpu, 'xmm');
  if ((load & XCR0.AVX) !== 0) loadVector(cpu, 'ymmHigh', XSAVE_AVX_OFFSET);
  else if ((clear & XCR0.AVX) !== 0) clearVector(cpu, 'ymmHigh');
  if ((load & XCR0.PKRU) !== 0) writePkru(cpu, pkru.getUint32(0, true));
  else if ((clear & XCR0.PKRU) !== 0) writePkru(cpu, 0);
  return 0;
}

export const XSAVE_HELPERS: HelperMap = { fxsave, fxrstor, xsave, xrstor };
