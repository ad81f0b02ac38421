// Lazy flags. An instruction that sets the arithmetic flags stores what it did (ccOp), its result (ccDst) and an operand (ccSrc, ccAux);
// whoever needs a flag computes it from these. Bits of ccDst and ccSrc above the operation's size are undefined. SDM Vol. 1, 3.4.3.1.
//
//   kind     ccSrc                       ccAux        CF                    OF
//   EFLAGS   the flags                                bit 0                 bit 11
//   ADD/ADC  second operand              carry in     unsigned overflow     signed overflow
//   SUB/SBB  second operand              borrow in    unsigned borrow       signed overflow
//   LOGIC                                             0                     0
//   INC/DEC  CF before                                unchanged             signed overflow
//   SHL      value << (count - 1)                     its top bit           top bit changed
//   SHR      value >> (count - 1) (SAR)               its bit 0             top bit changed
//   MUL      not 0: product did not fit               ccSrc != 0            ccSrc != 0
//   BITS     CF                                       bit 0                 0            (AF 0; ZF, SF, PF from ccDst)

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { routine } from '@anillo/ir/callee';
import { CC_AUX, CC_DST, CC_OP, CC_SRC, EFLAG, ARITHMETIC_FLAGS, X86State, type X86View } from './state.ts';

export const CC = { EFLAGS: 0, ADD: 1, ADC: 2, SUB: 3, SBB: 4, LOGIC: 5, INC: 6, DEC: 7, SHL: 8, SHR: 9, MUL: 10, BITS: 11 } as const;
export type CcKind = (typeof CC)[keyof typeof CC];
export type IntBits = 8 | 16 | 32 | 64;

/** ccOp: kind, times 4, plus log2 of the size in bytes. */
export const ccOp = (kind: CcKind, bits: IntBits): number => kind * 4 + Math.log2(bits / 8);

/** Condition codes of Jcc, SETcc and CMOVcc. SDM Vol. 1, appendix B. */
export const COND = { O: 0, NO: 1, B: 2, AE: 3, E: 4, NE: 5, BE: 6, A: 7, S: 8, NS: 9, P: 10, NP: 11, L: 12, GE: 13, LE: 14, G: 15 } as const;

/** Parity of the low byte: 4 (PF) when the number of ones is even. */
export function parityFlag(b: Builder, result: Value<'i32'>): Value<'i32'> {
  const ones = b.op('i32.popcnt', [b.and(result, b.i32(0xff))]);
  return b.xor(b.shl(b.and(ones, b.i32(1)), b.i32(2)), b.i32(EFLAG.PF));
}

/** The arithmetic flags, as EFLAGS bits, from the lazy state: every kind and size. */
export const COMPUTE_FLAGS = routine({
  name: 'computeFlags',
  params: [],
  result: 'i32',
  reads: [CC_OP, CC_DST, CC_SRC, CC_AUX],
  writes: 'none',
  traps: false,
  build: (b) => {
    const op = b.wrap(b.get(CC_OP));
    const kind = b.temp('i32', b.shrU(op, b.i32(2)));
    // Operands moved up so that the top bit of the operation is bit 63.
    const shift = b.temp('i64', b.extendU(b.sub(b.i32(64), b.shl(b.i32(8), b.and(op, b.i32(3))))));
    const dst = b.temp('i64', b.shl(b.get(CC_DST), b.get(shift)));
    const src = b.temp('i64', b.shl(b.get(CC_SRC), b.get(shift)));
    const out = b.temp('i32', b.i32(0));
    b.if(
      b.eqz(b.get(kind)),
      () => b.set(out, b.and(b.wrap(b.get(CC_SRC)), b.i32(ARITHMETIC_FLAGS))),
      () => {
        const zero = b.shl(b.eqz(b.get(dst)), b.i32(6));
        const sign = b.shl(b.ltS(b.get(dst), b.i64(0)), b.i32(7));
        b.set(out, b.or(b.or(zero, sign), parityFlag(b, b.wrap(b.get(CC_DST)))));
        const is = (k: CcKind): Value<'i32'> => b.eq(b.get(kind), b.i32(k));
        const also = (bits: Value<'i32'>): void => b.set(out, b.or(b.get(out), bits));
        const topTo = (v: Value<'i64'>, bit: number): Value<'i32'> => b.shl(b.wrap(b.shrU(v, b.i64(63))), b.i32(bit));
        b.if(
          b.leU(b.get(kind), b.i32(CC.SBB)),
          () => {
            // kind 1..4: first operand recovered; carry-in at the operation's lowest bit
            const carryIn = b.temp('i64', b.i64(0));
            b.if(b.eqz(b.and(b.get(kind), b.i32(1))), () => b.set(carryIn, b.and(b.get(CC_AUX), b.i64(1))));
            const carryUp = b.shl(b.get(carryIn), b.get(shift));
            const first = b.temp('i64');
            const carry = b.temp('i32');
            b.if(
              b.leU(b.get(kind), b.i32(CC.ADC)),
              () => {
                b.set(first, b.sub(b.sub(b.get(dst), b.get(src)), carryUp));
                b.set(carry, b.or(b.ltU(b.get(dst), b.get(src)), b.and(b.wrap(b.get(carryIn)), b.eq(b.get(dst), b.get(src)))));
                also(topTo(b.and(b.xor(b.get(first), b.get(dst)), b.xor(b.get(src), b.get(dst))), 11));
              },
              () => {
                b.set(first, b.add(b.add(b.get(dst), b.get(src)), carryUp));
                b.set(carry, b.or(b.ltU(b.get(first), b.get(src)), b.and(b.wrap(b.get(carryIn)), b.eq(b.get(first), b.get(src)))));
                also(topTo(b.and(b.xor(b.get(first), b.get(src)), b.xor(b.get(first), b.get(dst))), 11));
              },
            );
            also(b.get(carry));
            const low = b.wrap(b.shrU(b.xor(b.xor(b.get(first), b.get(src)), b.get(dst)), b.get(shift)));
            also(b.and(low, b.i32(EFLAG.AF)));
          },
          () => {
            b.if(is(CC.LOGIC), () => {}, () => {
              b.if(b.leU(b.get(kind), b.i32(CC.DEC)), () => {
                const edge = b.select(is(CC.INC), b.i64Words(0, 0x8000_0000), b.sub(b.i64Words(0, 0x8000_0000), b.shl(b.i64(1), b.get(shift))));
                also(b.shl(b.eq(b.get(dst), edge), b.i32(11)));
                const nibble = b.and(b.wrap(b.get(CC_DST)), b.i32(15));
                also(b.shl(b.eq(nibble, b.select(is(CC.INC), b.i32(0), b.i32(15))), b.i32(4)));
                also(b.and(b.wrap(b.get(CC_SRC)), b.i32(1)));
              });
              b.if(b.or(is(CC.SHL), is(CC.SHR)), () => {
                also(b.select(is(CC.SHL), topTo(b.get(src), 0), b.and(b.wrap(b.get(CC_SRC)), b.i32(1))));
                also(topTo(b.xor(b.get(src), b.get(dst)), 11));
              });
              b.if(is(CC.MUL), () => also(b.mul(b.op('i64.ne', [b.get(CC_SRC), b.i64(0)]), b.i32(EFLAG.CF | EFLAG.OF))));
              b.if(is(CC.BITS), () => also(b.and(b.wrap(b.get(CC_SRC)), b.i32(1))));
            });
          },
        );
      },
    );
    return b.get(out);
  },
});

const parityOf = (byte: number): number => {
  let v = byte & 0xff;
  v ^= v >> 4;
  v ^= v >> 2;
  v ^= v >> 1;
  return (v & 1) === 0 ? EFLAG.PF : 0;
};

/** The arithmetic flags for host code: the same table as COMPUTE_FLAGS. */
export function arithmeticFlags(view: X86View): number {
  const op = Number(view.ccOp);
  const kind = op >> 2;
  if (kind === CC.EFLAGS) return Number(view.ccSrc) & ARITHMETIC_FLAGS;
  const bits = 8 << (op & 3);
  const cut = (v: bigint): bigint => BigInt.asUintN(bits, v);
  const top = (v: bigint): number => Number((v >> BigInt(bits - 1)) & 1n);
  const dst = cut(view.ccDst);
  const src = cut(view.ccSrc);
  const aux = view.ccAux & 1n;
  let flags = (dst === 0n ? EFLAG.ZF : 0) | (top(dst) ? EFLAG.SF : 0) | parityOf(Number(dst & 0xffn));
  const put = (carry: boolean, overflow: number, adjust: boolean): void => {
    flags |= (carry ? EFLAG.CF : 0) | (overflow ? EFLAG.OF : 0) | (adjust ? EFLAG.AF : 0);
  };
  const carryIn = kind === CC.ADC || kind === CC.SBB ? aux : 0n;
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
    case CC.INC:
      put((view.ccSrc & 1n) === 1n, dst === 1n << BigInt(bits - 1) ? 1 : 0, (dst & 15n) === 0n);
      break;
    case CC.DEC:
      put((view.ccSrc & 1n) === 1n, dst === (1n << BigInt(bits - 1)) - 1n ? 1 : 0, (dst & 15n) === 15n);
      break;
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
  }
  return flags;
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
