// Lazy flags. An instruction that sets the arithmetic flags stores what it did (ccOp), its result (ccDst) and an operand (ccSrc, ccAux);
// whoever needs a flag computes it from these. Bits of ccDst and ccSrc above the operation's size are undefined. SDM Vol. 1, 3.4.3.1.
//
//   kind     ccSrc                       ccAux        CF                    OF
//   EFLAGS   the flags                                bit 0                 bit 11
//   ADC/ADD  second operand              carry in     unsigned overflow     signed overflow
//   SBB/SUB  second operand              borrow in    unsigned borrow       signed overflow
//   LOGIC                                             0                     0
//   INC/DEC  CF before                                unchanged             signed overflow
//   SHL      value << (count - 1)                     its top bit           top bit changed
//   SHR      value >> (count - 1) (SAR)               its bit 0             top bit changed
//   MUL      not 0: product did not fit               ccSrc != 0            ccSrc != 0
//   BITS     CF                                       bit 0                 0            (AF 0; ZF, SF, PF from ccDst)
//   IMUL     factor                      factor       product does not fit  the same
//
// An instruction that sets only some flags patches those of the one before: bits 8 and up of ccOp say how, with the size in bits 7..6, ccPatch with what.
//
//   patch    ccPatch    sets
//   INC/DEC  result     all but CF
//   ROL/ROR  result     CF: the bit that wrapped; OF: top bit not CF (ROL), top two bits differ (ROR)
//   BOTH     flags      CF from bit 0, OF from bit 11
//   CARRY    flags      CF from bit 0

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { EFLAG, ARITHMETIC_FLAGS, X86State, type X86View } from './state.ts';

// The order is used: odd kinds below LOGIC take a carry in; LOGIC is a SUB of 0.
export const CC = { EFLAGS: 0, ADC: 1, ADD: 2, SBB: 3, SUB: 4, LOGIC: 5, INC: 6, DEC: 7, SHL: 8, SHR: 9, MUL: 10, BITS: 11, IMUL: 12 } as const;
export type CcKind = (typeof CC)[keyof typeof CC];
export type IntBits = 8 | 16 | 32 | 64;

/** log2 of a size in bytes. */
const sizeLog = (bits: IntBits): number => 28 - Math.clz32(bits);
/** ccOp: kind, times 4, plus log2 of the size in bytes. */
export const ccOp = (kind: CcKind, bits: IntBits): number => kind * 4 + sizeLog(bits);
/** Bits of ccOp that `ccOp` gives. */
export const CC_BASE_MASK = 0x3f;

// The order is used: those that replace a result first, CARRY last.
export const PATCH = { NONE: 0, INC: 1, DEC: 2, ROL: 3, ROR: 4, BOTH: 5, CARRY: 6 } as const;
export type PatchKind = (typeof PATCH)[keyof typeof PATCH];
export const PATCH_SHIFT = 8;
/** What a patch adds to ccOp. */
export const patchOp = (kind: PatchKind, bits: IntBits): number => (kind << PATCH_SHIFT) | (sizeLog(bits) << 6);

/** Parity of the low byte: 4 (PF) when the number of ones is even. */
export function parityFlag(b: Builder, result: Value<'i32'>): Value<'i32'> {
  const ones = b.op('i32.popcnt', [b.and(result, b.i32(0xff))]);
  return b.xor(b.shl(b.and(ones, b.i32(1)), b.i32(2)), b.i32(EFLAG.PF));
}

const parityOf = (byte: number): number => {
  let v = byte & 0xff;
  v ^= v >> 4;
  v ^= v >> 2;
  v ^= v >> 1;
  return (v & 1) === 0 ? EFLAG.PF : 0;
};

const logical = (result: bigint, top: boolean): number => (result === 0n ? EFLAG.ZF : 0) | (top ? EFLAG.SF : 0) | parityOf(Number(result & 0xffn));

/** Flags without the patch. */
function baseFlags(view: X86View, op: number): number {
  const kind = op >> 2;
  if (kind === CC.EFLAGS) return Number(view.ccSrc) & ARITHMETIC_FLAGS;
  const bits = 8 << (op & 3);
  const cut = (v: bigint): bigint => BigInt.asUintN(bits, v);
  const top = (v: bigint): number => Number((v >> BigInt(bits - 1)) & 1n);
  const dst = cut(view.ccDst);
  const src = cut(view.ccSrc);
  let flags = logical(dst, top(dst) === 1);
  const put = (carry: boolean, overflow: number, adjust: boolean): void => {
    flags |= (carry ? EFLAG.CF : 0) | (overflow ? EFLAG.OF : 0) | (adjust ? EFLAG.AF : 0);
  };
  const carryIn = kind === CC.ADC || kind === CC.SBB ? view.ccAux & 1n : 0n;
  switch (kind) {
    case CC.ADD: case CC.ADC: {
      const first = cut(dst - src - carryIn);
      put(dst < src || (carryIn === 1n && dst === src), top((first ^ dst) & (src ^ dst)), ((first ^ src ^ dst) & 16n) !== 0n);
      break;
    }
    case CC.SUB: case CC.SBB: {
      const first = cut(dst + src + carryIn);
      put(first < src || (carryIn === 1n && first === src), top((first ^ src) & (first ^ dst)), ((first ^ src ^ dst) & 16n) !== 0n);
      break;
    }
    case CC.INC: case CC.DEC:
      return (view.ccSrc & 1n ? EFLAG.CF : 0) | stepFlags(dst, bits, kind === CC.INC);
    case CC.SHL:
      put(top(src) === 1, top(src ^ dst), false);
      break;
    case CC.SHR:
      put((src & 1n) === 1n, top(src ^ dst), false);
      break;
    case CC.MUL:
      put(view.ccSrc !== 0n, view.ccSrc !== 0n ? 1 : 0, false);
      break;
    case CC.BITS:
      put((src & 1n) === 1n, 0, false);
      break;
    case CC.IMUL: {
      const product = BigInt.asIntN(bits, src) * BigInt.asIntN(bits, view.ccAux);
      const lost = product !== BigInt.asIntN(bits, product);
      put(lost, lost ? 1 : 0, false);
      break;
    }
  }
  return flags;
}

/** Flags of INC and DEC without CF. */
function stepFlags(result: bigint, bits: number, isInc: boolean): number {
  const least = 1n << BigInt(bits - 1);
  const overflow = result === (isInc ? least : least - 1n);
  const adjust = (result & 15n) === (isInc ? 0n : 15n);
  return logical(result, result >= least) | (overflow ? EFLAG.OF : 0) | (adjust ? EFLAG.AF : 0);
}

/** The arithmetic flags for host code: the same tables as COMPUTE_FLAGS. */
export function arithmeticFlags(view: X86View): number {
  const op = Number(view.ccOp);
  const flags = baseFlags(view, op & CC_BASE_MASK);
  const patch = op >> PATCH_SHIFT;
  if (patch === PATCH.NONE) return flags;
  const bits = 8 << ((op >> 6) & 3);
  const value = BigInt.asUintN(bits, view.ccPatch);
  if (patch <= PATCH.DEC) return (flags & EFLAG.CF) | stepFlags(value, bits, patch === PATCH.INC);
  const bit = (n: number): number => Number((view.ccPatch >> BigInt(n)) & 1n);
  const top = bit(bits - 1);
  const carry = patch === PATCH.ROR ? top : bit(0);
  if (patch === PATCH.CARRY) return (flags & ~EFLAG.CF) | carry;
  const overflow = patch === PATCH.BOTH ? bit(11) : top ^ (patch === PATCH.ROL ? carry : bit(bits - 2));
  return (flags & ~(EFLAG.CF | EFLAG.OF)) | carry | (overflow << 11);
}

/** EFLAGS as the guest sees them. */
export const readFlags = (view: X86View): number => (Number(view.flags) & ~ARITHMETIC_FLAGS) | 2 | arithmeticFlags(view);

/** Sets EFLAGS from host code; the caller has decided which bits may change, and calls syncMode afterwards. */
export function writeFlags(view: X86View, eflags: number): void {
  view.ccOp = BigInt(ccOp(CC.EFLAGS, 64));
  view.ccSrc = BigInt(eflags & ARITHMETIC_FLAGS);
  view.flags = BigInt(((eflags & ~ARITHMETIC_FLAGS) | 2) >>> 0);
}

/** Byte offset of ccOp, for code that resets it without BigInt. */
export const CC_OP_OFFSET = X86State.offset.ccOp;
