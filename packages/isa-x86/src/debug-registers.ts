// The state as a debugger sees it: gdb's register names (org.gnu.gdb.i386.*), little-endian bytes, and a dump for people.

import { getEflags, setEflags } from './eflags.ts';
import type { X86Context } from './helper-map.ts';
import { cplOf, syncMode } from './mode.ts';
import { in64BitCode, inLongMode, setRealSegment, setV86Segment, isProtected, isV86 } from './segments.ts';
import { EFLAG, FS, GPR, GS } from './state.ts';
import { setWord, setWords, word, WORD } from './state-words.ts';
import { physical, setStatusWord, statusWord } from './x87/fpu.ts';

const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;
const GPR32 = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];

interface DebugRegister {
  readonly byteCount: number;
  read(cpu: X86Context, into: DataView): void;
  write(cpu: X86Context, from: DataView): void;
}

/** A 64-bit field, or its low half. */
const field = (at: number, byteCount: 4 | 8, sync = false): DebugRegister => ({
  byteCount,
  read(cpu, into) {
    into.setUint32(0, word(cpu, at), true);
    if (byteCount === 8) into.setUint32(4, word(cpu, at + 1), true);
  },
  write(cpu, from) {
    setWords(cpu, at, from.getUint32(0, true), byteCount === 8 ? from.getUint32(4, true) : 0);
    if (sync) syncMode(cpu);
  },
});

const word32 = (at: number): DebugRegister => ({
  byteCount: 4,
  read: (cpu, into) => into.setUint32(0, word(cpu, at), true),
  write: (cpu, from) => setWord(cpu, at, from.getUint32(0, true)),
});

const raw = (wordAt: number, byteCount: number): DebugRegister => ({
  byteCount,
  read(cpu, into) {
    for (let i = 0; i < byteCount; i += 4) into.setUint32(i, word(cpu, wordAt + i / 4), true);
  },
  write(cpu, from) {
    for (let i = 0; i < byteCount; i += 4) setWord(cpu, wordAt + i / 4, from.getUint32(i, true));
  },
});

/** A selector; writing it changes the base only where no descriptor is involved. */
const segment = (index: number): DebugRegister => ({
  byteCount: 4,
  read: (cpu, into) => into.setUint32(0, word(cpu, WORD.segmentSelector + index), true),
  write(cpu, from) {
    const selector = from.getUint32(0, true) & 0xffff;
    if (isV86(cpu)) setV86Segment(cpu, index, selector);
    else if (!isProtected(cpu)) setRealSegment(cpu, index, selector);
    else setWord(cpu, WORD.segmentSelector + index, selector);
    syncMode(cpu);
  },
});

/** ST(i): 80 bits. */
const stack = (i: number): DebugRegister => ({
  byteCount: 10,
  read(cpu, into) {
    const n = physical(cpu, i);
    into.setUint32(0, word(cpu, WORD.fpuMantissa + 2 * n), true);
    into.setUint32(4, word(cpu, WORD.fpuMantissa + 2 * n + 1), true);
    into.setUint16(8, word(cpu, WORD.fpuExponent + n), true);
  },
  write(cpu, from) {
    const n = physical(cpu, i);
    setWords(cpu, WORD.fpuMantissa + 2 * n, from.getUint32(0, true), from.getUint32(4, true));
    setWord(cpu, WORD.fpuExponent + n, from.getUint16(8, true));
    setWord(cpu, WORD.fpuTags, word(cpu, WORD.fpuTags) | (1 << n));
  },
});

const eflags: DebugRegister = {
  byteCount: 4,
  read: (cpu, into) => into.setUint32(0, getEflags(cpu), true),
  write(cpu, from) {
    setEflags(cpu, (from.getUint32(0, true) & 0x003f_7fd5) | (getEflags(cpu) & EFLAG.VM));
    syncMode(cpu);
  },
};

const REGISTERS: ReadonlyMap<string, DebugRegister> = new Map<string, DebugRegister>([
  ...GPR.map((slot, i) => [slot.name, field(WORD.gpr + 2 * i, 8)] as const),
  ...GPR32.map((name, i) => [name, field(WORD.gpr + 2 * i, 4)] as const),
  ['rip', field(WORD.pc, 8)],
  ['eip', field(WORD.pc, 4)],
  ['eflags', eflags],
  ...SEGMENTS.map((name, i) => [name, segment(i)] as const),
  ['fs_base', field(WORD.segmentBase + 2 * FS, 8)],
  ['gs_base', field(WORD.segmentBase + 2 * GS, 8)],
  ['k_gs_base', field(WORD.kernelGsBase, 8)],
  ...([['cr0', WORD.cr0], ['cr2', WORD.cr2], ['cr3', WORD.cr3], ['cr4', WORD.cr4], ['efer', WORD.efer]] as const).map(([name, at]) => [name, field(at, 8, true)] as const),
  ['cr8', { byteCount: 8, read: (cpu, into) => into.setUint32(0, cpu.ports.interrupts.getTaskPriority(), true), write: (cpu, from) => cpu.ports.interrupts.setTaskPriority(from.getUint32(0, true) & 15) }],
  ...[0, 1, 2, 3, 6, 7].map((i) => [`dr${i}`, field(WORD.dr + 2 * i, 8, true)] as const),
  ...Array.from({ length: 8 }, (_, i) => [`st${i}`, stack(i)] as const),
  ['fctrl', word32(WORD.fpuControl)],
  ['fstat', { byteCount: 4, read: (cpu, into) => into.setUint32(0, statusWord(cpu), true), write: (cpu, from) => setStatusWord(cpu, from.getUint32(0, true)) }],
  ['ftag', { byteCount: 4, read: (cpu, into) => into.setUint32(0, fullTags(cpu), true), write: (cpu, from) => setWord(cpu, WORD.fpuTags, tagsInUse(from.getUint32(0, true))) }],
  ['fiseg', word32(WORD.fpuCs)],
  ['fioff', field(WORD.fpuIp, 4)],
  ['foseg', word32(WORD.fpuDs)],
  ['fooff', field(WORD.fpuDp, 4)],
  ['fop', word32(WORD.fpuOpcode)],
  ['mxcsr', word32(WORD.mxcsr)],
  ...Array.from({ length: 16 }, (_, i) => [`xmm${i}`, raw(WORD.xmm + 4 * i, 16)] as const),
  ...Array.from({ length: 16 }, (_, i) => [`ymm${i}h`, raw(WORD.ymmHigh + 4 * i, 16)] as const),
]);

/** Two bits a register (11: empty), as FSTENV stores them; used registers are called valid. */
function fullTags(cpu: X86Context): number {
  let tags = 0;
  for (let i = 0; i < 8; i++) if (((word(cpu, WORD.fpuTags) >> i) & 1) === 0) tags |= 3 << (2 * i);
  return tags;
}
function tagsInUse(tags: number): number {
  let bits = 0;
  for (let i = 0; i < 8; i++) if (((tags >> (2 * i)) & 3) !== 3) bits |= 1 << i;
  return bits;
}

/** Undefined: no such register. */
export function readDebugRegister(cpu: X86Context, name: string): Uint8Array | undefined {
  const register = REGISTERS.get(name);
  if (register === undefined) return undefined;
  const bytes = new Uint8Array(register.byteCount);
  register.read(cpu, new DataView(bytes.buffer));
  return bytes;
}

export function writeDebugRegister(cpu: X86Context, name: string, bytes: Uint8Array): boolean {
  const register = REGISTERS.get(name);
  if (register === undefined) return false;
  const padded = new Uint8Array(16);
  padded.set(bytes.subarray(0, 16));
  register.write(cpu, new DataView(padded.buffer));
  return true;
}

/** gdb's architecture name for the code that runs now. */
export const architectureOf = (cpu: X86Context): string => (inLongMode(cpu) ? 'i386:x86-64' : isProtected(cpu) ? 'i386' : 'i8086');

const hex = (value: number, digits: number): string => (value >>> 0).toString(16).padStart(digits, '0');
const quad = (cpu: X86Context, at: number): string => hex(word(cpu, at + 1), 8) + hex(word(cpu, at), 8);

/** Registers as text. */
export function dumpRegisters(cpu: X86Context): string {
  const lines: string[] = [];
  const wide = inLongMode(cpu);
  const count = wide ? 16 : 8;
  for (let i = 0; i < count; i += 4) {
    lines.push([0, 1, 2, 3].map((k) => `${(wide ? GPR[i + k]?.name : GPR32[i + k])?.padEnd(3)}=${wide ? quad(cpu, WORD.gpr + 2 * (i + k)) : hex(word(cpu, WORD.gpr + 2 * (i + k)), 8)}`).join(' '));
  }
  const bits = in64BitCode(cpu) ? 64 : (word(cpu, WORD.mode) & 3) === 1 ? 32 : 16;
  lines.push(`rip=${quad(cpu, WORD.pc)} eflags=${hex(getEflags(cpu), 8)} cpl=${cplOf(cpu)} code=${bits}-bit${isV86(cpu) ? ' virtual-8086' : isProtected(cpu) ? '' : ' real mode'} halted=${word(cpu, WORD.halted)}`);
  for (const [i, name] of [...SEGMENTS, 'ldtr', 'tr'].entries()) {
    const selector = hex(word(cpu, WORD.segmentSelector + i), 4);
    lines.push(`${name.padEnd(4)}=${selector} base=${quad(cpu, WORD.segmentBase + 2 * i)} limit=${hex(word(cpu, WORD.segmentLimit + i), 8)} attributes=${hex(word(cpu, WORD.segmentAttributes + i), 4)}`);
  }
  lines.push(`gdt base=${quad(cpu, WORD.gdtBase)} limit=${hex(word(cpu, WORD.gdtLimit), 4)}  idt base=${quad(cpu, WORD.idtBase)} limit=${hex(word(cpu, WORD.idtLimit), 4)}`);
  lines.push(`cr0=${hex(word(cpu, WORD.cr0), 8)} cr2=${quad(cpu, WORD.cr2)} cr3=${quad(cpu, WORD.cr3)} cr4=${hex(word(cpu, WORD.cr4), 8)} efer=${hex(word(cpu, WORD.efer), 4)}`);
  lines.push(`last fault: vector ${word(cpu, WORD.faultVector)} error ${word(cpu, WORD.faultError) | 0}`);
  return lines.join('\n');
}
