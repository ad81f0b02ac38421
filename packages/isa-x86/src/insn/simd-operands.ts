// Vector and MMX operands of an instruction: reading, writing, alignment, the x87 state that MMX shares. SDM Vol. 1 9.5, 10.4, 14.9; Vol. 3A 12.
// A vector operand is a list of 128-bit halves: one, or two for 256 bits. Legacy SSE leaves bits 255..128 of the destination, VEX clears them.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import type { Slot } from '@anillo/ir/slot';
import type { Address } from '../effective-address.ts';
import type { Lift } from '../lift.ts';
import type { Operand } from '../row.ts';
import { FPU_STATUS, FPU_TAGS, FPU_TOP, MM, TRAP, X86State, XMM, YMM_HIGH } from '../state.ts';
import { loadWide, storeWide } from './wide-access.ts';

export type V = Value<'v128'>;
export type Halves = readonly V[];

const FPU_EXPONENT = X86State.offset.fpuExponent;
const STATUS_ES = 0x80;

export const vectorZero = (b: Builder): V => b.v128(new Uint8Array(16));
/** Constant of four equal 32-bit lanes. */
export const vector32 = (b: Builder, word: number): V => b.v128(new Uint8Array(Uint32Array.of(word, word, word, word).buffer));
export const vector16 = (b: Builder, word: number): V => vector32(b, (word & 0xffff) | (word << 16));
/** Constant of two equal 64-bit lanes. */
export const vector64 = (b: Builder, low: number, high: number): V => b.v128(new Uint8Array(Uint32Array.of(low, high, low, high).buffer));

/** Bytes of a vector or scalar operand. */
export function bytesOf(c: Lift, o: Operand): number {
  if (o.size === 'x') return c.d.vexL ? 32 : 16;
  if (typeof o.size !== 'number' || o.size === 0) throw new TypeError(`${c.d.row.encoding}: operand of size ${o.size} is not a vector`);
  return o.size / 8;
}

export const imm8 = (c: Lift): number => c.imm() & 0xff;

/** Register number of a vector operand in its register form. */
export function vectorRegister(c: Lift, i: number): number {
  const { d } = c;
  switch (c.operand(i).kind) {
    case 'V':
      return d.reg;
    case 'W':
    case 'U':
      return d.rm;
    case 'H':
      return d.vexV;
    case 'L':
      return (imm8(c) >> 4) & (c.is64 ? 15 : 7);
    default:
      throw new TypeError(`${d.row.encoding}: operand ${i} is not a vector operand`);
  }
}

/** Is operand i in memory? */
export function isMemory(c: Lift, i: number): boolean {
  return c.isMemory && 'WQME'.includes(c.operand(i).kind);
}

/** Address of the memory operand; `aligned`: #GP(0) unless it is a multiple of byteCount; otherwise #AC(0) where alignment checking is on. */
export function vectorAddress(c: Lift, byteCount: number, write: boolean, aligned: boolean): Address {
  const a = c.memory(byteCount, write);
  // Alignment checking asks for no more than 16 bytes.
  if (aligned) c.b.raiseIf(c.b.and(c.b.wrap(c.sum(a)), c.b.i32(byteCount - 1)), TRAP.GP0);
  else c.checkAlignment(a, Math.min(byteCount, 16));
  return a;
}

export const loadVector = (b: Builder, a: Address): V => b.op('v128.load', [a.base], a.disp);

export const getXmm = (c: Lift, n: number): V => c.b.get(XMM[n] as Slot<'v128'>);
export const getYmmHigh = (c: Lift, n: number): V => c.b.get(YMM_HIGH[n] as Slot<'v128'>);

/** Reads a whole vector operand. Memory of legacy SSE must be aligned, of VEX not, unless `aligned` says otherwise. */
export function readVector(c: Lift, i: number, aligned = !c.d.row.vex): Halves {
  const byteCount = bytesOf(c, c.operand(i));
  if (isMemory(c, i)) {
    const a = vectorAddress(c, byteCount, false, aligned);
    return byteCount === 32 ? loadWide(c, a) : [loadVector(c.b, a)];
  }
  const n = vectorRegister(c, i);
  return byteCount === 32 ? [getXmm(c, n), getYmmHigh(c, n)] : [getXmm(c, n)];
}

/** The low bytes of an operand as a vector; bytes above byteCount are undefined. Memory is read no further than that. */
export function readPart(c: Lift, i: number, byteCount: number): V {
  const { b } = c;
  if (!isMemory(c, i)) return getXmm(c, vectorRegister(c, i));
  const a = c.memory(byteCount);
  switch (byteCount) {
    case 1:
      return b.op('i8x16.splat', [c.load(a, 8) as Value<'i32'>]);
    case 2:
      return b.op('i16x8.splat', [c.load(a, 16) as Value<'i32'>]);
    case 4:
      return b.op('i32x4.splat', [c.load(a, 32) as Value<'i32'>]);
    case 8:
      return b.op('i64x2.splat', [c.load(a, 64) as Value<'i64'>]);
    default:
      return loadVector(b, vectorAddress(c, byteCount, false, false));
  }
}

/** Low 64 bits of a vector operand, or an 8-byte memory operand. */
export function readLow64(c: Lift, i: number): Value<'i64'> {
  if (isMemory(c, i)) return c.load(c.memory(8), 64) as Value<'i64'>;
  return c.b.op('i64x2.extract_lane', [getXmm(c, vectorRegister(c, i))], 0);
}
export function readLow32(c: Lift, i: number): Value<'i32'> {
  if (isMemory(c, i)) return c.load(c.memory(4), 32) as Value<'i32'>;
  return c.b.op('i32x4.extract_lane', [getXmm(c, vectorRegister(c, i))], 0);
}
export function readDouble(c: Lift, i: number): Value<'f64'> {
  if (isMemory(c, i)) return c.b.op('f64.reinterpret_i64', [readLow64(c, i)]);
  return c.b.op('f64x2.extract_lane', [getXmm(c, vectorRegister(c, i))], 0);
}
export function readSingle(c: Lift, i: number): Value<'f32'> {
  if (isMemory(c, i)) return c.b.op('f32.reinterpret_i32', [readLow32(c, i)]);
  return c.b.op('f32x4.extract_lane', [getXmm(c, vectorRegister(c, i))], 0);
}

/** Writes vector register n. */
export function setVector(c: Lift, n: number, halves: Halves): void {
  const { b } = c;
  b.set(XMM[n] as Slot<'v128'>, halves[0] as V);
  if (c.d.row.vex) b.set(YMM_HIGH[n] as Slot<'v128'>, halves[1] ?? vectorZero(b));
}

/** Stores to the memory operand, all or nothing. */
export function storeVector(c: Lift, halves: Halves, aligned: boolean): void {
  const { b } = c;
  const a = vectorAddress(c, halves.length * 16, true, aligned);
  const [low, high] = halves;
  if (high === undefined) b.op('v128.store', [a.base, low as V], a.disp);
  else storeWide(c, a, low as V, high);
}

/** Writes vector operand i. */
export function writeVector(c: Lift, i: number, halves: Halves, aligned = !c.d.row.vex): void {
  if (isMemory(c, i)) storeVector(c, halves, aligned);
  else setVector(c, vectorRegister(c, i), halves);
}

// ---- MMX

export const mmRegister = (c: Lift, i: number): number => (c.operand(i).kind === 'P' ? c.d.reg : c.d.rm) & 7;

/** First step of every MMX instruction: a pending x87 exception is #MF. */
export function checkMmx(c: Lift): void {
  c.b.raiseIf(c.b.and(c.b.get(FPU_STATUS), c.b.i32(STATUS_ES)), TRAP.MF);
}
/** Transition to MMX: TOP is 0, all registers are in use. After the last step that can fault. */
export function enterMmx(c: Lift): void {
  const { b } = c;
  b.set(FPU_TOP, b.i32(0));
  b.set(FPU_TAGS, b.i32(0xff));
}
/** EMMS: all registers are empty. */
export function leaveMmx(c: Lift): void {
  const { b } = c;
  b.set(FPU_TOP, b.i32(0));
  b.set(FPU_TAGS, b.i32(0));
}
export function readMm(c: Lift, i: number, byteCount: 4 | 8 = 8): Value<'i64'> {
  if (!isMemory(c, i)) return c.b.get(MM[mmRegister(c, i)] as Slot<'i64'>);
  return c.to64(c.load(c.memory(byteCount), byteCount === 8 ? 64 : 32));
}
/** Writes register n: its exponent field becomes all ones. */
export function setMm(c: Lift, n: number, v: Value<'i64'>): void {
  const { b } = c;
  b.set(MM[n] as Slot<'i64'>, v);
  b.op('state.store32', [b.i32(0), b.i32(0xffff)], FPU_EXPONENT + 4 * n);
}

export const low64 = (b: Builder, v: V): Value<'i64'> => b.op('i64x2.extract_lane', [v], 0);
export const splat64 = (b: Builder, v: Value<'i64'>): V => b.op('i64x2.splat', [v]);
/** Vector with `v` below and zeros above. */
export const fromLow64 = (b: Builder, v: Value<'i64'>): V => b.op('i64x2.replace_lane', [vectorZero(b), v], 0);
export const fromLow32 = (b: Builder, v: Value<'i32'>): V => b.op('i32x4.replace_lane', [vectorZero(b), v], 0);
