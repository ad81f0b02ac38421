// Frames that the processor itself builds on a stack (interrupts, far calls, call gates) and reads from it (returns). SDM Vol. 3A 6.12, 5.8.
// All or nothing: a frame that cannot be written whole leaves memory and registers alone, with the fault recorded.

import { ACCESS } from '@anillo/ir/frontend';
import { raise, type X86Context } from './helper-map.ts';
import { probe, readLinear, readWords, writeBytes, writeLinear, IMPLICIT } from './linear-memory.ts';
import { ATTRIBUTE, CR4, TLB_CLASS } from './mode.ts';
import { isInLimit, isNull, checkStackSegment, segmentAttributes, segmentBase, segmentLimit, segmentSelector } from './segments.ts';
import { EFLAG, RSP, SS, TR, VECTOR } from './state.ts';
import { setWord, setWords, signedField, signedWords, word, WORD } from './state-words.ts';

/** TLB class of explicit accesses at privilege level `cpl`, with EFLAGS.AC as it is. */
export function privilegeClass(cpu: X86Context, cpl: number): number {
  if (cpl === 3) return TLB_CLASS.USER;
  return (word(cpu, WORD.flags) & EFLAG.AC) !== 0 && (word(cpu, WORD.cr4) & CR4.SMAP) !== 0 ? TLB_CLASS.SUPERVISOR_AC : TLB_CLASS.SUPERVISOR;
}

/** A stack: where it is and how its pointer wraps. */
export interface Stack {
  base: number;
  limit: number;
  attributes: number;
  /** Stack pointer; within 32 bits (legacy), or a signed number (64-bit). */
  pointer: number;
  /** TLB class of the accesses. */
  privilege: number;
  /** Error code of the #SS when the frame does not fit. */
  faultCode: number;
}

export const newStack = (): Stack => ({ base: 0, limit: 0, attributes: 0, pointer: 0, privilege: 0, faultCode: 0 });

const pointerMask = (stack: Stack): number => ((stack.attributes & ATTRIBUTE.DB) !== 0 ? 0xffff_ffff : 0xffff);

/** The stack that SS:(E)SP names now (not for 64-bit code). */
export function currentStack(cpu: X86Context, cpl: number, into: Stack): Stack {
  into.base = segmentBase(cpu, SS);
  into.limit = segmentLimit(cpu, SS);
  into.attributes = segmentAttributes(cpu, SS);
  into.pointer = (word(cpu, WORD.gpr + 2 * RSP) & pointerMask(into)) >>> 0;
  into.privilege = privilegeClass(cpu, cpl);
  into.faultCode = 0;
  return into;
}

const bytes = new Uint8Array(512);
const view = new DataView(bytes.buffer);

/** Pushes values in order (the first at the highest address), each of `size` bytes. False: fault recorded, nothing written. */
export function pushFrame(cpu: X86Context, stack: Stack, size: 2 | 4, values: readonly number[], count: number): boolean {
  const mask = pointerMask(stack);
  const total = size * count;
  const bottom = stack.pointer - total;
  if (bottom >= 0) {
    if (!isInLimit(stack.attributes, stack.limit, bottom, total)) return stackFault(cpu, stack);
    for (let i = 0; i < count; i++) {
      if (size === 4) view.setUint32(total - 4 * (i + 1), values[i], true);
      else view.setUint16(total - 2 * (i + 1), values[i], true);
    }
    if (!writeBytes(cpu, (stack.base + bottom) >>> 0, bytes.subarray(0, total), stack.privilege)) return false;
    stack.pointer = bottom;
    return true;
  }
  // The frame wraps at the bottom of the segment.
  for (let i = 1; i <= count; i++) {
    const offset = ((stack.pointer - size * i) & mask) >>> 0;
    if (!isInLimit(stack.attributes, stack.limit, offset, size)) return stackFault(cpu, stack);
    if (!probe(cpu, stack.base + offset, size, ACCESS.WRITE, stack.privilege)) return false;
  }
  for (let i = 1; i <= count; i++) writeLinear(cpu, stack.base + (((stack.pointer - size * i) & mask) >>> 0), size, values[i - 1], stack.privilege);
  stack.pointer = (bottom & mask) >>> 0;
  return true;
}

function stackFault(cpu: X86Context, stack: Stack): false {
  raise(cpu, VECTOR.SS, stack.faultCode);
  return false;
}

/** The value `index` places of `size` bytes up from the stack pointer, unsigned. -1: fault recorded. */
export function peekStack(cpu: X86Context, stack: Stack, size: 2 | 4, index: number): number {
  const offset = ((stack.pointer + size * index) & pointerMask(stack)) >>> 0;
  if (!isInLimit(stack.attributes, stack.limit, offset, size)) {
    raise(cpu, VECTOR.SS, stack.faultCode);
    return -1;
  }
  return readLinear(cpu, stack.base + offset, size, stack.privilege);
}

/** Writes (E)SP as wide as the stack segment says; upper bits stay. */
export function setStackPointer(cpu: X86Context, attributes: number, pointer: number): void {
  const old = word(cpu, WORD.gpr + 2 * RSP);
  if ((attributes & ATTRIBUTE.DB) !== 0) setWords(cpu, WORD.gpr + 2 * RSP, pointer, 0);
  else setWord(cpu, WORD.gpr + 2 * RSP, (old & 0xffff_0000) | (pointer & 0xffff));
}

/** Stack selector found in the TSS by the last `innerStack`. */
export const inner = { selector: 0, descriptor: new Uint32Array(4) };

/** Stack of inner privilege level `cpl` from the TSS (16- or 32-bit), checked. False: fault recorded. */
export function innerStack(cpu: X86Context, cpl: number, ext: number, into: Stack): boolean {
  const wide = (segmentAttributes(cpu, TR) & 8) !== 0;
  const at = wide ? 4 + 8 * cpl : 2 + 4 * cpl;
  if (at + (wide ? 5 : 3) > segmentLimit(cpu, TR)) {
    raise(cpu, VECTOR.TS, (segmentSelector(cpu, TR) & 0xfffc) | ext);
    return false;
  }
  const base = segmentBase(cpu, TR) + at;
  const pointer = readLinear(cpu, base, wide ? 4 : 2, IMPLICIT);
  const selector = pointer < 0 ? -1 : readLinear(cpu, base + (wide ? 4 : 2), 2, IMPLICIT);
  if (selector < 0) return false;
  if (isNull(selector)) {
    raise(cpu, VECTOR.TS, ext);
    return false;
  }
  const d = inner.descriptor;
  if (!checkStackSegment(cpu, selector, cpl, VECTOR.TS, ext, d)) return false;
  inner.selector = selector;
  into.base = ((d[0] >>> 16) | ((d[1] & 0xff) << 16) | (d[1] & 0xff00_0000)) >>> 0;
  const limit = (d[0] & 0xffff) | (d[1] & 0x000f_0000);
  into.limit = (d[1] & 0x0080_0000) !== 0 ? ((limit << 12) | 0xfff) >>> 0 : limit;
  into.attributes = (d[1] >>> 8) & 0xf0ff;
  into.pointer = (pointer & pointerMask(into)) >>> 0;
  into.privilege = privilegeClass(cpu, cpl);
  into.faultCode = (selector & 0xfffc) | ext;
  return true;
}

const quad = new Uint32Array(2);

/** A stack pointer of the 64-bit TSS (offset 4 + 8 * level, or an interrupt stack) as a signed number; NaN: fault recorded. */
export function longStackPointer(cpu: X86Context, offset: number, ext: number): number {
  if (offset + 7 > segmentLimit(cpu, TR)) {
    raise(cpu, VECTOR.TS, (segmentSelector(cpu, TR) & 0xfffc) | ext);
    return Number.NaN;
  }
  if (!readWords(cpu, segmentBase(cpu, TR) + offset, 2, IMPLICIT, quad)) return Number.NaN;
  return signedWords(quad[0], quad[1]);
}

/** RSP as a signed number. */
export const stackPointer64 = (cpu: X86Context): number => signedField(cpu, WORD.gpr + 2 * RSP);
