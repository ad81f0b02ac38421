// The routine that computes all arithmetic flags from the lazy state, of every kind and patch (see flags.ts).

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { routine } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import { CC, CC_BASE_MASK, type CcKind, parityFlag, PATCH, PATCH_SHIFT } from './flags.ts';
import { ARITHMETIC_FLAGS, EFLAG } from './state.ts';

type I32 = Value<'i32'>;
type I64 = Value<'i64'>;

/** Distance from an operation's top bit to bit 63, by the size in bits 1..0. */
export const topDistance = (b: Builder, size: I32): I64 => b.extendU(b.sub(b.i32(64), b.shl(b.i32(8), b.and(size, b.i32(3)))));

const topTo = (b: Builder, v: I64, bit: number): I32 => b.shl(b.wrap(b.shrU(v, b.i64(63))), b.i32(bit));
/** ZF, SF and PF of a result and of the same moved up to bit 63. */
const logical = (b: Builder, result: I64, up: I64): I32 =>
  b.or(b.or(b.shl(b.eqz(up), b.i32(6)), b.shl(b.ltS(up, b.i64(0)), b.i32(7))), parityFlag(b, b.wrap(result)));

/** Flags of INC and DEC but CF, from the result and from the same moved up to bit 63. */
function stepFlags(b: Builder, result: I64, up: I64, shift: I64, isInc: I32): I32 {
  const least = b.i64Words(0, 0x8000_0000);
  const edge = b.select(isInc, least, b.sub(least, b.shl(b.i64(1), shift)));
  const nibble = b.and(b.wrap(result), b.i32(15));
  const adjust = b.eq(nibble, b.select(isInc, b.i32(0), b.i32(15)));
  return b.or(logical(b, result, up), b.or(b.shl(b.eq(up, edge), b.i32(11)), b.shl(adjust, b.i32(4))));
}

/** Flags of ADC, ADD, SBB and SUB besides ZF, SF and PF. */
function sumFlags(b: Builder, kind: I32, dst: I64, src: I64, aux: I64, shift: I64): I32 {
  const carryIn = b.select(b.and(kind, b.i32(1)), b.and(aux, b.i64(1)), b.i64(0));
  const carryUp = b.shl(carryIn, shift);
  const isSum = b.leU(kind, b.i32(CC.ADD));
  const first = b.select(isSum, b.sub(b.sub(dst, src), carryUp), b.add(b.add(dst, src), carryUp));
  const outcome = b.select(isSum, dst, first);
  const carry = b.or(b.ltU(outcome, src), b.and(b.wrap(carryIn), b.eq(outcome, src)));
  const changed = b.xor(first, dst);
  const overflow = topTo(b, b.and(changed, b.select(isSum, b.xor(src, dst), b.xor(first, src))), 11);
  const adjust = b.and(b.wrap(b.shrU(b.xor(changed, src), shift)), b.i32(EFLAG.AF));
  return b.or(b.or(carry, overflow), adjust);
}

/** Does the signed product not fit? Factors moved up to bit 63. */
function productIsCut(b: Builder, x: I64, y: I64, shift: I64): I32 {
  const [p, q] = [b.shrS(x, shift), b.shrS(y, shift)];
  const low = b.mul(p, q);
  const high = b.op('i64.mulhi_s', [p, q]);
  const fits = b.and(b.eq(high, b.shrS(low, b.i64(63))), b.eq(b.shrS(b.shl(low, shift), shift), low));
  return b.eqz(fits);
}

function baseFlags(b: Builder, op: I32, ccDst: I64, ccSrc: I64, ccAux: I64): Slot<'i32'> {
  const kind = b.shrU(op, b.i32(2));
  const is = (k: CcKind): I32 => b.eq(kind, b.i32(k));
  const out = b.temp('i32');
  b.if(
    b.eqz(kind),
    () => b.set(out, b.and(b.wrap(ccSrc), b.i32(ARITHMETIC_FLAGS))),
    () => {
      // Operands moved up so that the top bit of the operation is bit 63.
      const shift = topDistance(b, op);
      const dst = b.shl(ccDst, shift);
      const src = b.shl(ccSrc, shift);
      const low = b.and(b.wrap(ccSrc), b.i32(1));
      b.set(out, logical(b, ccDst, dst));
      const also = (bits: I32): void => b.set(out, b.or(b.get(out), bits));
      b.if(
        b.ltU(kind, b.i32(CC.LOGIC)),
        () => also(sumFlags(b, kind, dst, src, ccAux, shift)),
        () => {
          b.if(b.ltU(b.sub(kind, b.i32(CC.INC)), b.i32(2)), () => also(b.or(stepFlags(b, ccDst, dst, shift, is(CC.INC)), low)));
          b.if(b.ltU(b.sub(kind, b.i32(CC.SHL)), b.i32(2)), () =>
            also(b.or(b.select(is(CC.SHL), topTo(b, src, 0), low), topTo(b, b.xor(src, dst), 11))),
          );
          b.if(is(CC.MUL), () => also(b.mul(b.ne(ccSrc, b.i64(0)), b.i32(EFLAG.CF | EFLAG.OF))));
          b.if(is(CC.BITS), () => also(low));
          b.if(is(CC.IMUL), () => also(b.mul(productIsCut(b, src, b.shl(ccAux, shift), shift), b.i32(EFLAG.CF | EFLAG.OF))));
        },
      );
    },
  );
  return out;
}

/** The patch's work on `out`. */
function applyPatch(b: Builder, out: Slot<'i32'>, op: I32, patch: I64): void {
  const kind = b.shrU(op, b.i32(PATCH_SHIFT));
  const is = (k: number): I32 => b.eq(kind, b.i32(k));
  const size = b.shrU(op, b.i32(6));
  const shift = topDistance(b, size);
  const up = b.shl(patch, shift);
  const low = b.and(b.wrap(patch), b.i32(1));
  const change = (mask: number, bits: I32): void => b.set(out, b.or(b.and(b.get(out), b.i32(~mask)), bits));
  b.if(
    b.leU(kind, b.i32(PATCH.DEC)),
    () => change(~EFLAG.CF, stepFlags(b, patch, up, shift, is(PATCH.INC))),
    () => {
      b.if(b.leU(kind, b.i32(PATCH.ROR)), () => {
        const top = topTo(b, up, 0);
        const carry = b.select(is(PATCH.ROL), low, top);
        const other = b.select(is(PATCH.ROL), low, topTo(b, b.shl(up, b.i64(1)), 0));
        change(EFLAG.CF | EFLAG.OF, b.or(carry, b.shl(b.xor(top, other), b.i32(11))));
      });
      b.if(is(PATCH.BOTH), () => change(EFLAG.CF | EFLAG.OF, b.and(b.wrap(patch), b.i32(EFLAG.CF | EFLAG.OF))));
      b.if(is(PATCH.CARRY), () => change(EFLAG.CF, low));
    },
  );
}

/** (ccOp, ccDst, ccSrc, ccAux, ccPatch) -> the arithmetic flags as EFLAGS bits. */
export const COMPUTE_FLAGS = routine({
  name: 'computeFlags',
  params: ['i64', 'i64', 'i64', 'i64', 'i64'],
  result: 'i32',
  reads: 'none',
  writes: 'none',
  traps: false,
  pure: true,
  build: (b, params) => {
    const [ccOp, dst, src, aux, patch] = params as readonly I64[] as [I64, I64, I64, I64, I64];
    const op = b.wrap(ccOp);
    const out = baseFlags(b, b.and(op, b.i32(CC_BASE_MASK)), dst, src, aux);
    b.if(b.gtU(op, b.i32(CC_BASE_MASK)), () => applyPatch(b, out, op, patch));
    return b.get(out);
  },
});
