// Breakpoints in DR0..DR3 as DR7 enables them: what they watch, and which an access meets. SDM Vol. 3B 17.2.4, 17.2.5.

import type { X86Context } from './helper-map.ts';
import { CR4 } from './mode.ts';
import { setWord, signedField, word, WORD } from './state-words.ts';

/** RWn of DR7. */
const TYPE = { EXECUTE: 0, WRITE: 1, IO: 2, ACCESS: 3 } as const;

const isEnabled = (dr7: number, i: number): boolean => ((dr7 >> (2 * i)) & 3) !== 0;
const typeOf = (dr7: number, i: number): number => (dr7 >> (16 + 4 * i)) & 3;
/** Bytes that breakpoint i watches. */
const bytesOf = (dr7: number, i: number): number => [1, 2, 8, 4][(dr7 >> (18 + 4 * i)) & 3] as number;

/** A data or I/O breakpoint is enabled. */
export function hasTrapBreakpoint(dr7: number): boolean {
  if ((dr7 & 0xff) === 0) return false;
  for (let i = 0; i < 4; i++) if (isEnabled(dr7, i) && typeOf(dr7, i) !== TYPE.EXECUTE) return true;
  return false;
}

/** Does the page of `linear` have a data breakpoint? Then none of its accesses may be served from the TLB. */
export function pageHasBreakpoint(cpu: X86Context, linear: number): boolean {
  const dr7 = word(cpu, WORD.dr + 14);
  for (let i = 0; i < 4; i++) {
    if (!isEnabled(dr7, i) || typeOf(dr7, i) === TYPE.EXECUTE || typeOf(dr7, i) === TYPE.IO) continue;
    const at = signedField(cpu, WORD.dr + 2 * i);
    if (at - (at & 0xfff) === linear - (linear & 0xfff)) return true;
  }
  return false;
}

/** Records the breakpoints that an access meets. */
export function noteAccess(cpu: X86Context, linear: number, byteCount: number, isWrite: boolean): void {
  const dr7 = word(cpu, WORD.dr + 14);
  for (let i = 0; i < 4; i++) {
    const type = typeOf(dr7, i);
    if (!isEnabled(dr7, i) || !(type === TYPE.ACCESS || (isWrite && type === TYPE.WRITE))) continue;
    const size = bytesOf(dr7, i);
    const at = signedField(cpu, WORD.dr + 2 * i);
    const start = at - (at & (size - 1));
    if (linear < start + size && linear + byteCount > start) setWord(cpu, WORD.pendingDr6, word(cpu, WORD.pendingDr6) | (1 << i));
  }
}

/** Records the I/O breakpoints (CR4.DE) that an access to ports meets. */
export function notePort(cpu: X86Context, port: number, byteCount: number): void {
  const dr7 = word(cpu, WORD.dr + 14);
  if ((dr7 & 0xff) === 0 || (word(cpu, WORD.cr4) & CR4.DE) === 0) return;
  for (let i = 0; i < 4; i++) {
    if (!isEnabled(dr7, i) || typeOf(dr7, i) !== TYPE.IO) continue;
    const size = bytesOf(dr7, i);
    const start = word(cpu, WORD.dr + 2 * i) & ~(size - 1);
    if (port < start + size && port + byteCount > start) setWord(cpu, WORD.pendingDr6, word(cpu, WORD.pendingDr6) | (1 << i));
  }
}

/** Breakpoints enabled in DR7 for execution at `linear`, as DR6 bits. */
export function breakpointsAt(cpu: X86Context, linear: number): number {
  const dr7 = word(cpu, WORD.dr + 14);
  let hits = 0;
  for (let i = 0; i < 4; i++) {
    if (isEnabled(dr7, i) && typeOf(dr7, i) === TYPE.EXECUTE && signedField(cpu, WORD.dr + 2 * i) === linear) hits |= 1 << i;
  }
  return hits;
}
