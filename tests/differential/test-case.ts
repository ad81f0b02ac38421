// A test case and its result as flat records that machine code can read: the layout below is also written down in host-trampoline.s.

import { CODE_BASE, DATA_BYTES } from './memory-map.ts';

export type Mode = 64 | 32;

/** Byte offsets in a CPU image (little-endian). An image begins with what POP and IRETQ can load: 16 registers, RIP, CS, RFLAGS, RSP, SS. */
export const IMAGE = {
  /** 16 x u64 in encoding order: RAX RCX RDX RBX RSP RBP RSI RDI R8..R15. */
  gpr: 0,
  rip: 128,
  /** Initial image only: selector CS. */
  cs: 136,
  rflags: 144,
  /** Initial image only: RSP again, and selector SS. */
  iretRsp: 152,
  ss: 160,
  /** Result only: exception vector (u32), NO_FAULT when the code ran to its end. */
  vector: 168,
  /** Result only: error code (u32), 0 for vectors without one. */
  errorCode: 172,
  /** Result only: CR2 (u64), meaningful for vector 14. */
  faultAddress: 176,
  /** Result only, host only: signal number (u32) and si_code (u32). */
  signal: 184,
  /** XSAVE image in standard form, 832 bytes: legacy region (FXSAVE64 layout), header with XSTATE_BV = 7, YMM_Hi128 at +576. */
  fpu: 192,
  fcw: 192,
  fsw: 194,
  /** Abridged tag byte: bit i is 1 when physical register i is not empty. */
  ftw: 196,
  fop: 198,
  fip: 200,
  fdp: 208,
  mxcsr: 216,
  mxcsrMask: 220,
  /** ST(0)..ST(7) (relative to TOP), 16 bytes apart, 10 used. MMX registers are their physical registers' low 8 bytes. */
  st: 224,
  /** XMM0..15, 16 bytes each. */
  xmm: 352,
  xstateHeader: 704,
  /** Upper halves of YMM0..15, 16 bytes each. */
  ymmHigh: 768,
} as const;

export const IMAGE_BYTES = 1024;
export const NO_FAULT = 0xffff_ffff;

/** Record of a case: the initial image, then these, then the data area. */
export const CASE_CODE_OFFSET = 1024;
export const CASE_CODE_BYTES = 1032;
export const CASE_CODE = 1088;
export const CASE_CODE_CAPACITY = 128;
export const CASE_DATA = CASE_CODE + CASE_CODE_CAPACITY;
export const CASE_STRIDE = CASE_DATA + DATA_BYTES;

/** Record of a result: the final image, then the data area. */
export const RESULT_DATA = IMAGE_BYTES;
export const RESULT_STRIDE = RESULT_DATA + DATA_BYTES;

/** Bits of RFLAGS that a case may set at the start, beside bit 1 and IF, which are always 1. */
export const FLAG = {
  cf: 1,
  pf: 4,
  af: 16,
  zf: 64,
  sf: 128,
  tf: 256,
  if: 512,
  df: 1024,
  of: 2048,
  nt: 0x4000,
  rf: 0x10000,
  ac: 0x40000,
  id: 0x200000,
} as const;
export const STATUS_FLAGS = 0x8d5;

/** A floating-point result that the architecture gives only approximately. */
export interface Tolerance {
  /** Lanes of f32 in an XMM register (RCPPS, RSQRTPS), or the top one or two x87 registers (FSIN and its like). */
  readonly kind: 'f32' | 'x87';
  /** XMM register number, or count of x87 registers from ST(0). */
  readonly register: number;
}

/** What the comparison must leave out, because the manuals leave it undefined; undefined flags follow from the instructions' effects. */
export interface Undefined {
  /** Ranges of the data area, as [start, end) offsets from DATA_BASE. */
  memory: (readonly [number, number])[];
  /** Bit set of vector registers that are undefined when the code faults (a gather that is stopped half-way). */
  vectorsOnFault: number;
  tolerance: Tolerance | undefined;
}

/** What an instruction does to flags: bits that it reads, defines, and leaves undefined. */
export interface FlagEffect {
  readonly read: number;
  readonly written: number;
  readonly undefined: number;
}

/** One instruction as generated. */
export interface Instruction {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Of RFLAGS. */
  readonly flags: FlagEffect;
  /** Of the x87 status word (C0-C3). */
  readonly fsw: FlagEffect;
}

/** The bits that are undefined after `count` of the instructions. */
export function undefinedBits(instructions: readonly Instruction[], count: number, of: 'flags' | 'fsw'): number {
  let bits = 0;
  for (let i = 0; i < count; i++) bits = (bits & ~instructions[i][of].written) | instructions[i][of].undefined;
  return bits;
}

export interface TestCase {
  readonly seed: number;
  readonly index: number;
  readonly mode: Mode;
  readonly instructions: readonly Instruction[];
  /** The instructions' bytes, one after the other. The code has ended when RIP is codeAddress + code.length; those bytes and what follows are the executor's. */
  readonly code: Uint8Array;
  /** Linear address of the first byte, in the code area. When codeAddress + code.length exceeds the code area's end, the rest does not exist. */
  readonly codeAddress: number;
  /** Initial CPU image (IMAGE, IMAGE_BYTES long). In 32-bit mode the upper halves and R8-R15 are 0. */
  readonly state: Uint8Array;
  /** Initial content of the data area (DATA_BYTES long). */
  readonly data: Uint8Array;
  readonly undefined: Undefined;
}

export type Outcome = 'end' | 'fault' | 'died';

export interface TestResult {
  /** 'end': ran to the end of the code; 'fault': exception `vector`; 'died': the executor itself failed (`note` says how). */
  readonly outcome: Outcome;
  readonly state: Uint8Array;
  readonly data: Uint8Array;
  readonly note?: string;
}

export const codeOffset = (c: TestCase): number => c.codeAddress - CODE_BASE;

export const u32 = (image: Uint8Array, at: number): number =>
  (image[at] | (image[at + 1] << 8) | (image[at + 2] << 16) | (image[at + 3] << 24)) >>> 0;
export const u16 = (image: Uint8Array, at: number): number => image[at] | (image[at + 1] << 8);
export const u64 = (image: Uint8Array, at: number): bigint => (BigInt(u32(image, at + 4)) << 32n) | BigInt(u32(image, at));

export function setU32(image: Uint8Array, at: number, value: number): void {
  image[at] = value;
  image[at + 1] = value >> 8;
  image[at + 2] = value >> 16;
  image[at + 3] = value >> 24;
}
export function setU16(image: Uint8Array, at: number, value: number): void {
  image[at] = value;
  image[at + 1] = value >> 8;
}
export function setU64(image: Uint8Array, at: number, value: bigint): void {
  setU32(image, at, Number(value & 0xffff_ffffn));
  setU32(image, at + 4, Number((value >> 32n) & 0xffff_ffffn));
}

/** An image with the reset values that cases start from: all registers 0, RFLAGS 0x202, FCW 0x37f, MXCSR 0x1f80. */
export function emptyImage(): Uint8Array {
  const image = new Uint8Array(IMAGE_BYTES);
  setU32(image, IMAGE.rflags, 0x202);
  setU16(image, IMAGE.fcw, 0x37f);
  setU32(image, IMAGE.mxcsr, 0x1f80);
  image[IMAGE.xstateHeader] = 7;
  return image;
}

export const emptyUndefined = (): Undefined => ({ memory: [], vectorsOnFault: 0, tolerance: undefined });
