// Memory at linear addresses for helpers: descriptor tables and TSS as the supervisor (SDM Vol. 3A 4.6.1 "implicit" accesses), stacks and
// operands with the current or the coming privilege. Every function that can fault says so in its result and has then recorded the fault.
// Linear addresses are signed numbers (state-words.ts). Outside long mode they wrap at 4 GiB.

import { ACCESS, type Access, type Translation } from '@anillo/ir/frontend';
import { raise, type X86Context } from './helper-map.ts';
import { raisePageFault, walk } from './mmu.ts';
import { EFER, TLB_CLASS, tlbClassOf } from './mode.ts';
import { NON_CANONICAL } from './state.ts';
import { isCanonical, signedWords, word, WORD } from './state-words.ts';

/** With whose rights an access is made: a TLB class. IMPLICIT: system structures; EFLAGS.AC does not lift SMAP. */
export const IMPLICIT = TLB_CLASS.SUPERVISOR;
export const currentPrivilege = tlbClassOf;

// Filled by each walk and read before the next one.
const found: Translation = { gpa: 0, grants: 0, pageBytes: 4096, isGlobal: false };

const FAULT = -1;
const INDIRECT = -2;

/** A linear address as the processor's mode cuts it. */
export const wrapLinear = (cpu: X86Context, linear: number): number => ((word(cpu, WORD.efer) & EFER.LMA) !== 0 ? linear : linear >>> 0);

function physicalOf(cpu: X86Context, linear: number, access: Access, privilege: number): boolean {
  if ((word(cpu, WORD.efer) & EFER.LMA) !== 0 && !isCanonical(linear)) {
    raise(cpu, NON_CANONICAL, 0);
    return false;
  }
  const write = access === ACCESS.WRITE ? 1 : 0;
  const known = cpu.walkCache.find(linear, write, privilege);
  if (known >= 0) {
    found.gpa = known;
    return true;
  }
  const fault = walk(cpu, linear, access, privilege, found);
  if (fault < 0) {
    cpu.walkCache.add(linear, write, privilege, found.gpa);
    return true;
  }
  raisePageFault(cpu, linear, fault);
  return false;
}

/**
 * Byte offset in the machine's memory of `byteCount` bytes at `linear` when they lie in one page of RAM; FAULT; or INDIRECT, where the access
 * must go byte by byte or to a device.
 */
function locate(cpu: X86Context, linear: number, byteCount: number, access: Access, privilege: number): number {
  if ((linear & 0xfff) + byteCount > 0x1000) return INDIRECT;
  if (!physicalOf(cpu, linear, access, privilege)) return FAULT;
  const at = cpu.ports.ramAt(found.gpa, byteCount, access === ACCESS.WRITE);
  return at >= 0 ? at : INDIRECT;
}

/** Would an access to all of the bytes go well? False: fault recorded. A write probe marks the pages dirty. */
export function probe(cpu: X86Context, linear: number, byteCount: number, access: Access, privilege: number): boolean {
  const first = wrapLinear(cpu, linear);
  if (!physicalOf(cpu, first, access, privilege)) return false;
  const last = wrapLinear(cpu, linear + byteCount - 1);
  if ((first & 0xfff) + byteCount <= 0x1000) return true;
  return physicalOf(cpu, last - (last & 0xfff), access, privilege);
}

/** Byte offset in the machine's memory of `byteCount` bytes at `linear` that lie in one page of RAM, for this access; -1 where it faults, -2 for all else. */
export const reachRam = (cpu: X86Context, linear: number, byteCount: number, access: Access, privilege: number): number =>
  locate(cpu, wrapLinear(cpu, linear), byteCount, access, privilege);

/** Reads 1, 2 or 4 bytes; unsigned. -1: fault recorded. */
export function readLinear(cpu: X86Context, address: number, byteCount: 1 | 2 | 4, privilege: number): number {
  const linear = wrapLinear(cpu, address);
  const at = locate(cpu, linear, byteCount, ACCESS.READ, privilege);
  if (at >= 0) return byteCount === 4 ? cpu.data.getUint32(at, true) : byteCount === 2 ? cpu.data.getUint16(at, true) : cpu.bytes[at];
  if (at === FAULT) return -1;
  if ((linear & 0xfff) + byteCount <= 0x1000) return cpu.ports.readPhysical(found.gpa, byteCount) >>> 0;
  if (!probe(cpu, linear, byteCount, ACCESS.READ, privilege)) return -1;
  let value = 0;
  for (let i = byteCount - 1; i >= 0; i--) value = value * 256 + readLinear(cpu, linear + i, 1, privilege);
  return value;
}

/** Writes 1, 2 or 4 bytes. False: fault recorded and nothing written. */
export function writeLinear(cpu: X86Context, address: number, byteCount: 1 | 2 | 4, value: number, privilege: number): boolean {
  const linear = wrapLinear(cpu, address);
  const at = locate(cpu, linear, byteCount, ACCESS.WRITE, privilege);
  if (at >= 0) {
    if (byteCount === 4) cpu.data.setUint32(at, value, true);
    else if (byteCount === 2) cpu.data.setUint16(at, value, true);
    else cpu.bytes[at] = value;
    return true;
  }
  if (at === FAULT) return false;
  if ((linear & 0xfff) + byteCount <= 0x1000) {
    cpu.ports.writePhysical(found.gpa, byteCount, value >>> 0);
    return true;
  }
  if (!probe(cpu, linear, byteCount, ACCESS.WRITE, privilege)) return false;
  for (let i = 0; i < byteCount; i++) writeLinear(cpu, linear + i, 1, (value >>> (8 * i)) & 0xff, privilege);
  return true;
}

/** Reads 32-bit words into `into`. False: fault recorded (`into` may be partly written). */
export function readWords(cpu: X86Context, address: number, count: number, privilege: number, into: Uint32Array): boolean {
  const linear = wrapLinear(cpu, address);
  const at = locate(cpu, linear, 4 * count, ACCESS.READ, privilege);
  if (at >= 0) {
    for (let i = 0; i < count; i++) into[i] = cpu.data.getUint32(at + 4 * i, true);
    return true;
  }
  if (at === FAULT) return false;
  for (let i = 0; i < count; i++) {
    const value = readLinear(cpu, linear + 4 * i, 4, privilege);
    if (value < 0) return false;
    into[i] = value;
  }
  return true;
}

/** Writes 32-bit words, all or none. False: fault recorded. */
export function writeWords(cpu: X86Context, address: number, count: number, privilege: number, from: Uint32Array): boolean {
  const linear = wrapLinear(cpu, address);
  const at = locate(cpu, linear, 4 * count, ACCESS.WRITE, privilege);
  if (at >= 0) {
    for (let i = 0; i < count; i++) cpu.data.setUint32(at + 4 * i, from[i], true);
    return true;
  }
  if (at === FAULT || !probe(cpu, linear, 4 * count, ACCESS.WRITE, privilege)) return false;
  for (let i = 0; i < count; i++) writeLinear(cpu, linear + 4 * i, 4, from[i], privilege);
  return true;
}

/** Reads bytes into `into`. False: fault recorded. */
export function readBytes(cpu: X86Context, address: number, into: Uint8Array, privilege: number): boolean {
  for (let done = 0; done < into.length; ) {
    const linear = wrapLinear(cpu, address + done);
    const count = Math.min(into.length - done, 0x1000 - (linear & 0xfff));
    const at = locate(cpu, linear, count, ACCESS.READ, privilege);
    if (at === FAULT) return false;
    if (at >= 0) into.set(cpu.bytes.subarray(at, at + count), done);
    else for (let i = 0; i < count; i++) into[done + i] = cpu.ports.readPhysical(found.gpa + i, 1);
    done += count;
  }
  return true;
}

/** Writes bytes (at most a page), all or none. False: fault recorded. */
export function writeBytes(cpu: X86Context, address: number, from: Uint8Array, privilege: number): boolean {
  if (!probe(cpu, address, from.length, ACCESS.WRITE, privilege)) return false;
  for (let done = 0; done < from.length; ) {
    const linear = wrapLinear(cpu, address + done);
    const count = Math.min(from.length - done, 0x1000 - (linear & 0xfff));
    const at = locate(cpu, linear, count, ACCESS.WRITE, privilege);
    if (at === FAULT) return false;
    if (at >= 0) cpu.bytes.set(from.subarray(done, done + count), at);
    else for (let i = 0; i < count; i++) cpu.ports.writePhysical(found.gpa + i, 1, from[done + i]);
    done += count;
  }
  return true;
}

/** The linear address in the two words of a 64-bit value. */
export const linearOf = signedWords;
