// Compares two executors' results of one case, leaving out what the manuals leave undefined. FOP, FIP and FDP are not compared: AMD's FXSAVE and
// XSAVE keep them only while an exception is pending (APM 2, 11.4.4).

import { CODE_AREA_BYTES, CODE_BASE, DATA_BASE, DATA_BYTES } from './memory-map.ts';
import { FLAG, IMAGE, type TestCase, type TestResult, u16, u32, u64, undefinedBits } from './test-case.ts';

export interface Difference {
  /** 'rax', 'rflags', 'ymm3', 'st0', 'data+0x120', 'outcome', ... */
  readonly field: string;
  readonly expected: string;
  readonly actual: string;
}

export const GPR_NAMES = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
const DEBUG = 1;
const STACK_FAULT = 12;
const GENERAL_PROTECTION = 13;
const UNDEFINED = 6;
const PAGE_FAULT = 14;
/** Bit of its error code. */
const FETCH = 16;
const ALIGNMENT_CHECK = 17;
const USER_END = 0x7fff_ffff_f000n;
const PRESENT = 1;
/** Of MXCSR. */
const MISALIGNED_MODE = 1 << 17;
/** Intel documents 1.5 * 2^-12 for RCPPS and RSQRTPS; two CPUs may differ by twice that. */
const RECIPROCAL_ERROR = 2 ** -10;

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const bytesHex = (bytes: Uint8Array): string =>
  [...bytes]
    .reverse()
    .map((b) => b.toString(16).padStart(2, '0'))
    .join('');

function sameBytes(a: Uint8Array, b: Uint8Array, at: number, count: number): boolean {
  for (let i = at; i < at + count; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** How many instructions had been completed where the case stopped. */
export function completed(c: TestCase, result: TestResult): number {
  if (result.outcome === 'end') return c.instructions.length;
  const offset = Number(u64(result.state, IMAGE.rip)) - c.codeAddress;
  if (offset < 0) return c.instructions.length;
  let at = 0;
  for (let i = 0; i < c.instructions.length; i++) {
    at += c.instructions[i].bytes.length;
    if (offset < at) return i;
  }
  return c.instructions.length;
}

/** Bits of RFLAGS and of the x87 status word that count, for a case that ended like `result`. */
export function definedMasks(c: TestCase, result: TestResult): { flags: number; fsw: number } {
  const count = completed(c, result);
  let flags = undefinedBits(c.instructions, count, 'flags') | FLAG.rf;
  let fsw = undefinedBits(c.instructions, count, 'fsw');
  // A group of instructions that stops inside, and a string instruction that stops half-way, have done part of their work.
  if (count < c.instructions.length) {
    flags |= c.instructions[count].flags.undefined;
    fsw |= c.instructions[count].fsw.undefined;
  }
  return { flags: ~flags, fsw: ~fsw & 0xffff };
}

/** In which order these access their many bytes is the microcode's affair: CR2 may name either of two pages. */
const LONG_ACCESS = new Set(['fxsave', 'fxrstor', 'fnsave', 'frstor', 'fnstenv', 'fldenv']);

/** An access that wraps at 4 GiB in a segment of 4 GiB may raise #GP or #SS, or go on. SDM 3A 5.3. */
function crossesTop(c: TestCase, vector: number, b: Uint8Array): boolean {
  const address = Number(u64(b, IMAGE.faultAddress));
  const isAtEdge = address > 0xffff_ffc0 || address < 0x40;
  const actual = u32(b, IMAGE.vector);
  const goesOn = actual === ALIGNMENT_CHECK || (actual === PAGE_FAULT && isAtEdge);
  return c.mode === 32 && (vector === STACK_FAULT || vector === GENERAL_PROTECTION) && goesOn;
}

/** How much of an undefined instruction is fetched before it is found undefined differs from one opcode to the next. */
function isCutUndefined(a: Uint8Array, b: Uint8Array): boolean {
  const vectors = [u32(a, IMAGE.vector), u32(b, IMAGE.vector)].sort((x, y) => x - y);
  const fetched = u32(a, IMAGE.vector) === PAGE_FAULT ? a : b;
  const isFetch = (u32(fetched, IMAGE.errorCode) & FETCH) !== 0 && Number(u64(fetched, IMAGE.faultAddress)) === CODE_BASE + CODE_AREA_BYTES;
  return vectors[0] === UNDEFINED && vectors[1] === PAGE_FAULT && isFetch;
}

function compareFault(c: TestCase, expected: TestResult, actual: TestResult, out: Difference[]): void {
  const a = expected.state;
  const b = actual.state;
  const vector = u32(a, IMAGE.vector);
  const number = (field: string, x: number | bigint, y: number | bigint): void => {
    if (x !== y) out.push({ field, expected: hex(x), actual: hex(y) });
  };
  if (crossesTop(c, vector, b) || isCutUndefined(a, b)) return;
  number('vector', vector, u32(b, IMAGE.vector));
  // A hypervisor that intercepts #DB gives INT1's with the instruction's own address.
  if (vector !== DEBUG || c.instructions[completed(c, expected)]?.name !== 'int1') number('rip', u64(a, IMAGE.rip), u64(b, IMAGE.rip));
  if (vector !== u32(b, IMAGE.vector)) return;
  // Linux sets the present bit for addresses in its own half.
  const hidden = vector === PAGE_FAULT && u64(a, IMAGE.faultAddress) >= USER_END ? PRESENT : 0;
  number('error code', (u32(a, IMAGE.errorCode) | hidden) >>> 0, (u32(b, IMAGE.errorCode) | hidden) >>> 0);
  if (vector !== PAGE_FAULT) return;
  const pages = [u64(a, IMAGE.faultAddress) >> 12n, u64(b, IMAGE.faultAddress) >> 12n];
  const isLong = LONG_ACCESS.has(c.instructions[completed(c, expected)]?.name);
  if (!isLong || pages[0] - pages[1] > 1n || pages[1] - pages[0] > 1n)
    number('cr2', u64(a, IMAGE.faultAddress), u64(b, IMAGE.faultAddress));
}

function closeF32(a: Uint8Array, b: Uint8Array, at: number): boolean {
  const x = new DataView(a.buffer, a.byteOffset + at, 4).getFloat32(0, true);
  const y = new DataView(b.buffer, b.byteOffset + at, 4).getFloat32(0, true);
  if (sameBytes(a, b, at, 4)) return true;
  return Number.isFinite(x) && Number.isFinite(y) && Math.abs(x - y) <= RECIPROCAL_ERROR * Math.abs(x);
}

function closeLanes(a: Uint8Array, b: Uint8Array, at: number): boolean {
  for (let i = 0; i < 16; i += 4) if (!closeF32(a, b, at + i)) return false;
  return true;
}

/** Within one unit in the last place of the 80-bit format. */
function closeF80(a: Uint8Array, b: Uint8Array, at: number): boolean {
  const value = (image: Uint8Array): bigint => (BigInt(u16(image, at + 8) & 0x7fff) << 63n) | (u64(image, at) & 0x7fff_ffff_ffff_ffffn);
  const distance = value(a) - value(b);
  return a[at + 9] >> 7 === b[at + 9] >> 7 && distance <= 1n && distance >= -1n;
}

function compareVectors(c: TestCase, faulted: boolean, a: Uint8Array, b: Uint8Array, out: Difference[]): void {
  const { tolerance, vectorsOnFault } = c.undefined;
  for (let i = 0; i < (c.mode === 64 ? 16 : 8); i++) {
    const low = IMAGE.xmm + 16 * i;
    const high = IMAGE.ymmHigh + 16 * i;
    if (sameBytes(a, b, low, 16) && sameBytes(a, b, high, 16)) continue;
    if (faulted && (vectorsOnFault >> i) & 1) continue;
    if (tolerance?.kind === 'f32' && tolerance.register === i && closeLanes(a, b, low) && closeLanes(a, b, high)) continue;
    const text = (image: Uint8Array): string => `${bytesHex(image.subarray(high, high + 16))}_${bytesHex(image.subarray(low, low + 16))}`;
    out.push({ field: `ymm${i}`, expected: text(a), actual: text(b) });
  }
}

function compareStack(c: TestCase, masks: { fsw: number }, a: Uint8Array, b: Uint8Array, out: Difference[]): void {
  const { tolerance } = c.undefined;
  const word = (field: string, at: number, mask: number): void => {
    if ((u16(a, at) & mask) !== (u16(b, at) & mask)) out.push({ field, expected: hex(u16(a, at) & mask), actual: hex(u16(b, at) & mask) });
  };
  word('fcw', IMAGE.fcw, 0xffff);
  word('fsw', IMAGE.fsw, masks.fsw);
  word('ftw', IMAGE.ftw, 0xff);
  for (let i = 0; i < 8; i++) {
    const at = IMAGE.st + 16 * i;
    if (sameBytes(a, b, at, 10)) continue;
    if (tolerance?.kind === 'x87' && i < tolerance.register && closeF80(a, b, at)) continue;
    out.push({ field: `st${i}`, expected: bytesHex(a.subarray(at, at + 10)), actual: bytesHex(b.subarray(at, at + 10)) });
  }
}

function compareData(c: TestCase, a: Uint8Array, b: Uint8Array, out: Difference[]): void {
  if (Buffer.compare(a, b) === 0) return;
  for (let i = 0; i < DATA_BYTES; i++) {
    if (a[i] === b[i] || c.undefined.memory.some(([start, end]) => i >= start && i < end)) continue;
    const end = Math.min(i + 16, DATA_BYTES);
    out.push({ field: `data ${hex(DATA_BASE + i)}`, expected: bytesHex(a.subarray(i, end)), actual: bytesHex(b.subarray(i, end)) });
    return;
  }
}

/** The host's MXCSR got MM (misaligned SSE, AMD's), which no CPU model here has: an image in memory was overwritten before it was loaded. APM 2, 3.1.6 and 11.5. */
function hasMisalignedMode(result: TestResult): boolean {
  return (u32(result.state, IMAGE.mxcsr) & MISALIGNED_MODE) !== 0;
}

/** Empty when the two agree. `expected` is the host's. */
export function compareResults(c: TestCase, expected: TestResult, actual: TestResult): Difference[] {
  const out: Difference[] = [];
  if (expected.outcome !== 'died' && hasMisalignedMode(expected)) return out;
  if (expected.outcome !== actual.outcome || expected.outcome === 'died') {
    const text = (r: TestResult): string =>
      `${r.outcome}${r.outcome === 'fault' ? ` ${u32(r.state, IMAGE.vector)} at ${hex(u64(r.state, IMAGE.rip))}` : ''} ${r.note ?? ''}`.trim();
    out.push({ field: 'outcome', expected: text(expected), actual: text(actual) });
    return out;
  }
  const a = expected.state;
  const b = actual.state;
  if (expected.outcome === 'fault') compareFault(c, expected, actual, out);
  const masks = definedMasks(c, expected);
  const low = c.mode === 64 ? 8 : 4;
  for (let i = 0; i < (c.mode === 64 ? 16 : 8); i++) {
    const at = IMAGE.gpr + 8 * i;
    if (!sameBytes(a, b, at, low)) out.push({ field: GPR_NAMES[i], expected: hex(u64(a, at)), actual: hex(u64(b, at)) });
  }
  const flags = [u32(a, IMAGE.rflags) & masks.flags, u32(b, IMAGE.rflags) & masks.flags];
  if (flags[0] !== flags[1]) out.push({ field: 'rflags', expected: hex(flags[0]), actual: hex(flags[1]) });
  const mxcsr = [u32(a, IMAGE.mxcsr), u32(b, IMAGE.mxcsr)];
  if (mxcsr[0] !== mxcsr[1]) out.push({ field: 'mxcsr', expected: hex(mxcsr[0]), actual: hex(mxcsr[1]) });
  compareVectors(c, expected.outcome === 'fault', a, b, out);
  compareStack(c, masks, a, b, out);
  compareData(c, expected.data, actual.data, out);
  return out;
}
