// FXSAVE, FXRSTOR and the XSAVE family over x87, SSE and AVX state. SDM Vol. 1 10.5 (FXSAVE image), chapter 13 (XSAVE). The linear address is
// in x0; outside 64-bit code registers 8..15 are neither stored nor loaded. A restore reads everything before it changes anything.

import { raise, type HelperMap, type X86Context } from './helper-map.ts';
import { ACCESS } from '@anillo/ir/frontend';
import { currentPrivilege, probe, readBytes, writeBytes } from './linear-memory.ts';
import { CR4 } from './mode.ts';
import { in64BitCode } from './segments.ts';
import { RAX, VECTOR, X86State } from './state.ts';
import { setWord, signedField, word, WORD } from './state-words.ts';
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
const data = new DataView(image.buffer);

const gp = (cpu: X86Context): 1 => raise(cpu, VECTOR.GP, 0);
/** Bytes of the vector registers that the present code can name. */
const vectorBytes = (cpu: X86Context): number => (in64BitCode(cpu) ? 256 : 128);
const fieldAt = (cpu: X86Context, field: 'xmm' | 'ymmHigh'): number => cpu.ports.state + X86State.offset[field];

function isZero(cpu: X86Context, field: 'xmm' | 'ymmHigh', byteCount: number): boolean {
  const at = fieldAt(cpu, field) >>> 2;
  for (let i = 0; i < byteCount / 4; i++) if (cpu.words[at + i] !== 0) return false;
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

/** Writes part of the image to the guest. */
const put = (cpu: X86Context, linear: number, offset: number, byteCount: number): boolean =>
  writeBytes(cpu, linear + offset, image.subarray(offset, offset + byteCount), currentPrivilege(cpu));

function putX87(cpu: X86Context, linear: number, wide: boolean): boolean {
  image.fill(0, 0, XMM_OFFSET);
  writeX87Image(cpu, data, wide);
  return put(cpu, linear, 0, X87_BYTES) && put(cpu, linear, X87_STACK_OFFSET, 128);
}

function putMxcsr(cpu: X86Context, linear: number): boolean {
  data.setUint32(MXCSR_OFFSET, word(cpu, WORD.mxcsr), true);
  data.setUint32(MXCSR_OFFSET + 4, MXCSR_MASK, true);
  return put(cpu, linear, MXCSR_OFFSET, 8);
}

const putVector = (cpu: X86Context, linear: number, field: 'xmm' | 'ymmHigh', offset: number): boolean => {
  const at = fieldAt(cpu, field);
  return writeBytes(cpu, linear + offset, cpu.bytes.subarray(at, at + vectorBytes(cpu)), currentPrivilege(cpu));
};

/** `wide`: 1 with REX.W. */
function fxsave(cpu: X86Context, wide: number): number {
  const linear = signedField(cpu, WORD.x);
  if ((linear & 15) !== 0) return gp(cpu);
  if (!probe(cpu, linear, FXSAVE_BYTES, ACCESS.WRITE, currentPrivilege(cpu))) return 1;
  return putX87(cpu, linear, wide !== 0) && putMxcsr(cpu, linear) && putVector(cpu, linear, 'xmm', XMM_OFFSET) ? 0 : 1;
}

const loadVector = (cpu: X86Context, field: 'xmm' | 'ymmHigh', offset: number): void => cpu.bytes.set(image.subarray(offset, offset + vectorBytes(cpu)), fieldAt(cpu, field));

function fxrstor(cpu: X86Context, wide: number): number {
  const linear = signedField(cpu, WORD.x);
  if ((linear & 15) !== 0) return gp(cpu);
  if (!readBytes(cpu, linear, image.subarray(0, FXSAVE_BYTES), currentPrivilege(cpu))) return 1;
  const mxcsr = data.getUint32(MXCSR_OFFSET, true);
  if ((mxcsr & ~MXCSR_MASK) !== 0) return gp(cpu);
  readX87Image(cpu, data, wide !== 0);
  setWord(cpu, WORD.mxcsr, mxcsr);
  loadVector(cpu, 'xmm', XMM_OFFSET);
  return 0;
}

/** Components that the instruction's mask asks for; -1: fault recorded. */
function requested(cpu: X86Context, linear: number): number {
  if ((word(cpu, WORD.cr4) & CR4.OSXSAVE) === 0) return raise(cpu, VECTOR.UD) - 2;
  if ((linear & 63) !== 0) return gp(cpu) - 2;
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
  if (!probe(cpu, linear, XSAVE_LEGACY_BYTES + ((store & XCR0.AVX) !== 0 ? XSAVE_AVX_BYTES : 0), ACCESS.WRITE, privilege)) return 1;
  const pkruAt = linear + pkruOffset(form === XSAVE_FORM.XSAVEC, asked);
  if ((store & XCR0.PKRU) !== 0 && !probe(cpu, pkruAt, XSAVE_PKRU_BYTES, ACCESS.WRITE, privilege)) return 1;
  if (!readBytes(cpu, linear + HEADER_OFFSET, image.subarray(HEADER_OFFSET, HEADER_OFFSET + 16), privilege)) return 1;
  if ((store & XCR0.X87) !== 0 && !putX87(cpu, linear, wide !== 0)) return 1;
  const withMxcsr = form === XSAVE_FORM.XSAVEC ? (store & XCR0.SSE) !== 0 : (asked & (XCR0.SSE | XCR0.AVX)) !== 0;
  if (withMxcsr && !putMxcsr(cpu, linear)) return 1;
  if ((store & XCR0.SSE) !== 0 && !putVector(cpu, linear, 'xmm', XMM_OFFSET)) return 1;
  if ((store & XCR0.AVX) !== 0 && !putVector(cpu, linear, 'ymmHigh', XSAVE_AVX_OFFSET)) return 1;
  if ((store & XCR0.PKRU) !== 0 && !putPkru(cpu, pkruAt)) return 1;
  if (form === XSAVE_FORM.XSAVEC) {
    data.setUint32(HEADER_OFFSET, store, true);
    data.setUint32(HEADER_OFFSET + 4, 0, true);
    data.setUint32(HEADER_OFFSET + 8, asked, true);
    data.setUint32(HEADER_OFFSET + 12, COMPACTED, true);
    return put(cpu, linear, HEADER_OFFSET, 16) ? 0 : 1;
  }
  data.setUint32(HEADER_OFFSET, (data.getUint32(HEADER_OFFSET, true) & ~asked) | (used & asked), true);
  return put(cpu, linear, HEADER_OFFSET, 8) ? 0 : 1;
}

/** The header in the image is one that XRSTOR takes. */
function isHeaderValid(cpu: X86Context): boolean {
  const xcr0 = word(cpu, WORD.xcr0);
  const present = data.getUint32(HEADER_OFFSET, true);
  const compact = data.getUint32(HEADER_OFFSET + 8, true);
  const compactHigh = data.getUint32(HEADER_OFFSET + 12, true);
  if (data.getUint32(HEADER_OFFSET + 4, true) !== 0 || (present & ~xcr0) !== 0) return false;
  const isCompacted = compactHigh === COMPACTED;
  if (isCompacted) {
    if (!cpu.model.features.has('xsavec') || (compact & ~xcr0) !== 0 || (present & ~compact) !== 0) return false;
  } else if (compact !== 0 || compactHigh !== 0) return false;
  for (let i = 16; i < (isCompacted ? HEADER_BYTES : 24); i++) if (image[HEADER_OFFSET + i] !== 0) return false;
  return true;
}

function xrstor(cpu: X86Context, wide: number): number {
  const linear = signedField(cpu, WORD.x);
  const asked = requested(cpu, linear);
  if (asked < 0) return 1;
  const privilege = currentPrivilege(cpu);
  if (!readBytes(cpu, linear, image.subarray(0, XSAVE_LEGACY_BYTES), privilege)) return 1;
  if (!isHeaderValid(cpu)) return gp(cpu);
  const isCompacted = data.getUint32(HEADER_OFFSET + 12, true) === COMPACTED;
  const load = asked & data.getUint32(HEADER_OFFSET, true);
  const clear = asked & ~load;
  if ((load & XCR0.AVX) !== 0 && !readBytes(cpu, linear + XSAVE_AVX_OFFSET, image.subarray(XSAVE_AVX_OFFSET), privilege)) return 1;
  const pkruAt = linear + pkruOffset(isCompacted, data.getUint32(HEADER_OFFSET + 8, true));
  if ((load & XCR0.PKRU) !== 0 && !readBytes(cpu, pkruAt, pkruBytes, privilege)) return 1;
  const mxcsr = data.getUint32(MXCSR_OFFSET, true);
  const loadsMxcsr = isCompacted ? (load & XCR0.SSE) !== 0 : (asked & (XCR0.SSE | XCR0.AVX)) !== 0;
  if (loadsMxcsr && (mxcsr & ~MXCSR_MASK) !== 0) return gp(cpu);

  if ((load & XCR0.X87) !== 0) readX87Image(cpu, data, wide !== 0);
  else if ((clear & XCR0.X87) !== 0) resetX87State(cpu);
  if (loadsMxcsr) setWord(cpu, WORD.mxcsr, mxcsr);
  else if (isCompacted && (clear & XCR0.SSE) !== 0) setWord(cpu, WORD.mxcsr, MXCSR_RESET);
  const vectors = vectorBytes(cpu);
  for (const [bit, field, offset] of [[XCR0.SSE, 'xmm', XMM_OFFSET], [XCR0.AVX, 'ymmHigh', XSAVE_AVX_OFFSET]] as const) {
    if ((load & bit) !== 0) loadVector(cpu, field, offset);
    else if ((clear & bit) !== 0) cpu.bytes.fill(0, fieldAt(cpu, field), fieldAt(cpu, field) + vectors);
  }
  if ((load & XCR0.PKRU) !== 0) writePkru(cpu, pkru.getUint32(0, true));
  else if ((clear & XCR0.PKRU) !== 0) writePkru(cpu, 0);
  return 0;
}

export const XSAVE_HELPERS: HelperMap = { fxsave, fxrstor, xsave, xrstor };
