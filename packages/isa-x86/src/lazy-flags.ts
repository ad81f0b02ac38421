// What the lifter knows of the arithmetic flags at a point of a block, and how it sets and reads them (flags.ts has the encoding). At the start of a
// block nothing is known: then a patch may have to materialise what an earlier patch did, and conditions go by ccOp at run time.

import type { Builder, Deferred } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import type { Slot } from '@anillo/ir/slot';
import { COMPUTE_FLAGS, topDistance } from './compute-flags.ts';
import { CC, CC_BASE_MASK, type CcKind, ccOp, type IntBits, parityFlag, PATCH, PATCH_SHIFT, type PatchKind, patchOp } from './flags.ts';
import type { Int, Lift } from './lift.ts';
import { CC_AUX, CC_DST, CC_OP, CC_PATCH, CC_SRC, EFLAG } from './state.ts';

type I32 = Value<'i32'>;
type I64 = Value<'i64'>;

/** Values that an instruction's flags come from: as in flags.ts, and the first operand where it is at hand. */
interface Base {
  readonly kind: CcKind;
  readonly bits: IntBits;
  readonly dst: Int;
  readonly src: Int | undefined;
  readonly aux: Int | undefined;
  readonly first: Int | undefined;
}
interface Patch {
  readonly kind: PatchKind;
  readonly bits: IntBits;
  /** Result of INC, DEC, ROL, ROR. */
  readonly dst: Int | undefined;
  /** Operand of INC and DEC. */
  readonly first: Int | undefined;
  readonly carry: I32 | undefined;
  readonly overflow: I32 | undefined;
}
const isStep = (patch: Patch): boolean => patch.kind === PATCH.INC || patch.kind === PATCH.DEC;
const stepKind = (patch: Patch): CcKind => (patch.kind === PATCH.INC ? CC.INC : CC.DEC);
const patchOf = (kind: PatchKind, bits: IntBits, dst?: Int, first?: Int, carry?: I32, overflow?: I32): Patch => ({ kind, bits, dst, first, carry, overflow });
const NO_PATCH = patchOf(PATCH.NONE, 64);

/** Condition codes of Jcc, SETcc and CMOVcc without their lowest bit, which inverts. SDM Vol. 1, appendix B. */
const PAIR = { O: 0, C: 1, Z: 2, BE: 3, S: 4, P: 5, L: 6, LE: 7 } as const;
const isResultFlag = (pair: number): boolean => pair === PAIR.Z || pair === PAIR.S || pair === PAIR.P;

export class LazyFlags implements Deferred {
  readonly #c: Lift;
  readonly #b: Builder;
  /** Undefined: known at run time only. A known base has a known patch. */
  #base: Base | undefined = undefined;
  #patch: Patch | undefined = undefined;
  /** What the state does not hold yet. */
  #baseIsNew = false;
  #patchIsNew = false;
  /** Patches of before the block that the new one would lose: these become flags as bits first. */
  #lost: readonly [PatchKind, PatchKind] | undefined = undefined;

  constructor(c: Lift) {
    this.#c = c;
    this.#b = c.b;
  }

  /** Something else has written the flags, or may have. */
  forget(): void {
    this.#flush();
    this.#base = undefined;
    this.#patch = undefined;
  }

  // ---- setting: the state is written when somebody can look at it

  /** An instruction that sets all flags. */
  set(kind: CcKind, bits: IntBits, dst: Int, src: Int | undefined, aux: Int | undefined, first: Int | undefined): void {
    this.#base = { kind, bits, dst, src, aux, first };
    this.#patch = NO_PATCH;
    this.#baseIsNew = true;
    this.#patchIsNew = false;
    this.#lost = undefined;
    this.#defer();
  }

  /** INC and DEC. */
  step(isInc: boolean, bits: IntBits, dst: Int, first: Int): void {
    if (this.#patch === undefined) this.#lost = [PATCH.ROL, PATCH.CARRY];
    else if (this.#patch.kind > PATCH.DEC) {
      this.set(isInc ? CC.INC : CC.DEC, bits, dst, this.#carry(), undefined, first);
      return;
    }
    this.#setPatch(patchOf(isInc ? PATCH.INC : PATCH.DEC, bits, dst, first));
  }

  /** ROL and ROR by a count that is not 0. */
  rotate(isLeft: boolean, bits: IntBits, dst: Int): void {
    this.#keepOthers();
    this.#setPatch(patchOf(isLeft ? PATCH.ROL : PATCH.ROR, bits, dst));
  }

  /** CF and OF, each 0 or 1. */
  setCarryOverflow(carry: I32, overflow: I32): void {
    this.#keepOthers();
    this.#setPatch(patchOf(PATCH.BOTH, 64, undefined, undefined, carry, overflow));
  }

  /** CF alone, 0 or 1. */
  setCarry(carry: I32): void {
    const patch = this.#patch;
    if (patch === undefined) this.#lost = [PATCH.INC, PATCH.BOTH];
    else if (patch.kind >= PATCH.ROL && patch.kind <= PATCH.BOTH) {
      this.setCarryOverflow(carry, this.#overflow());
      return;
    } else if (patch.dst !== undefined) {
      this.set(stepKind(patch), patch.bits, patch.dst, carry, undefined, patch.first);
      return;
    }
    this.#setPatch(patchOf(PATCH.CARRY, 64, undefined, undefined, carry));
  }

  /** Before CF and OF are patched: what INC or DEC have set becomes the base. */
  #keepOthers(): void {
    const patch = this.#patch;
    if (patch === undefined) this.#lost = [PATCH.INC, PATCH.DEC];
    else if (patch.dst !== undefined && isStep(patch)) this.set(stepKind(patch), patch.bits, patch.dst, undefined, undefined, patch.first);
  }

  #setPatch(patch: Patch): void {
    this.#patch = patch;
    this.#patchIsNew = true;
    this.#defer();
  }

  #defer(): void {
    this.#b.defer(this);
  }
  #flush(): void {
    this.#b.defer(undefined);
    this.writeDeferred();
  }

  /** Brings the state up to date. */
  writeDeferred(): void {
    const b = this.#b;
    const c = this.#c;
    const base = this.#base;
    if (this.#baseIsNew && base !== undefined) {
      b.set(CC_DST, c.to64(base.dst));
      if (base.src !== undefined) b.set(CC_SRC, c.to64(base.src));
      if (base.aux !== undefined) b.set(CC_AUX, c.to64(base.aux));
    }
    const patch = this.#patchIsNew ? this.#patch : undefined;
    if (patch !== undefined) {
      if (this.#lost !== undefined) this.#materialise(this.#lost);
      b.set(CC_PATCH, this.#patchValue(patch));
    }
    if (base !== undefined && (this.#baseIsNew || patch !== undefined)) {
      b.set(CC_OP, b.i64(ccOp(base.kind, base.bits) | (patch === undefined ? 0 : patchOp(patch.kind, patch.bits))));
    } else if (patch !== undefined) {
      b.set(CC_OP, b.or(b.and(b.get(CC_OP), b.i64(CC_BASE_MASK)), b.i64(patchOp(patch.kind, patch.bits))));
    }
    this.#baseIsNew = false;
    this.#patchIsNew = false;
    this.#lost = undefined;
  }
  #patchValue(patch: Patch): I64 {
    const b = this.#b;
    if (patch.dst !== undefined) return this.#c.to64(patch.dst);
    const carry = patch.carry as I32;
    return b.extendU(patch.overflow === undefined ? carry : b.or(carry, b.shl(patch.overflow, b.i32(11))));
  }
  /** Where ccOp has one of the patches, the flags become bits in ccSrc, with no patch. */
  #materialise([from, to]: readonly [PatchKind, PatchKind]): void {
    const b = this.#b;
    const op = b.sub(b.get(CC_OP), b.i64(from << PATCH_SHIFT));
    b.ifRarely(b.ltU(op, b.i64((to - from + 1) << PATCH_SHIFT)), () => {
      b.set(CC_SRC, b.extendU(this.#compute(b.get(CC_OP))));
      b.set(CC_OP, b.i64(ccOp(CC.EFLAGS, 8)));
    });
  }

  // ---- reading

  /** The arithmetic flags as EFLAGS bits. */
  bits(): I32 {
    this.#flush();
    return this.#compute(this.#b.get(CC_OP));
  }
  #compute(op: I64): I32 {
    const b = this.#b;
    return b.call(COMPUTE_FLAGS, [op, b.get(CC_DST), b.get(CC_SRC), b.get(CC_AUX), b.get(CC_PATCH)]) as I32;
  }

  carry(): I32 {
    return this.#carry();
  }

  /** Condition code 0..15 as 0 or 1. */
  condition(cc: number): I32 {
    const value = this.#positive(cc >> 1);
    return (cc & 1) === 0 ? value : this.#b.eqz(value);
  }

  #positive(pair: number): I32 {
    const b = this.#b;
    const base = this.#base;
    const direct = this.#direct(pair);
    if (direct !== undefined) return direct;
    if (this.#patch === undefined) return this.#atRunTime(pair);
    if (base?.kind === CC.EFLAGS && (this.#patch.kind === PATCH.NONE || isResultFlag(pair))) return this.#pick(this.#c.to32(base.src as Int), pair);
    switch (pair) {
      case PAIR.O: return this.#overflow();
      case PAIR.C: return this.#carry();
      case PAIR.BE: return b.or(this.#carry(), this.#positive(PAIR.Z));
      case PAIR.L: return b.xor(this.#positive(PAIR.S), this.#overflow());
      case PAIR.LE: return b.or(this.#positive(PAIR.Z), this.#positive(PAIR.L));
      default: return this.#atRunTime(pair);
    }
  }

  /** From what the base or patch did, in one or two operations. */
  #direct(pair: number): I32 | undefined {
    const patch = this.#patch;
    const step = patch?.dst !== undefined && isStep(patch);
    const k = step ? { kind: stepKind(patch), bits: patch.bits, dst: patch.dst, src: undefined, aux: undefined, first: patch.first } : this.#base;
    if (k === undefined || k.kind === CC.EFLAGS) return undefined;
    if (pair === PAIR.Z) return k.kind === CC.SUB && k.first !== undefined && k.src !== undefined ? this.#b.eq(k.first, k.src) : this.#zero(k);
    if (pair === PAIR.S) return this.#sign(k);
    if (pair === PAIR.P) return this.#b.shrU(parityFlag(this.#b, this.#c.to32(k.dst)), this.#b.i32(2));
    if (step) return pair === PAIR.C || pair === PAIR.BE ? undefined : this.#stepped(k, pair);
    return patch?.kind === PATCH.NONE ? this.#compared(k, pair) : undefined;
  }

  #zero(k: Base): I32 {
    return this.#b.eqz(this.#c.cut(k.dst, k.bits));
  }
  #sign(k: Base): I32 {
    const v = this.#signed(k);
    return this.#b.ltS(v, this.#b.int(v.type, 0));
  }
  #signed(k: Base): Int {
    return k.bits === 64 ? k.dst : this.#c.signedValue(this.#c.to32(k.dst), k.bits);
  }

  /** Order of the operands of a comparison, or of a result and 0. */
  #compared(k: Base, pair: number): I32 | undefined {
    const b = this.#b;
    const c = this.#c;
    if (k.kind === CC.LOGIC) {
      if (pair === PAIR.O || pair === PAIR.C) return b.i32(0);
      if (pair === PAIR.BE) return this.#zero(k);
      if (pair === PAIR.L) return this.#sign(k);
      const v = this.#signed(k);
      return b.leS(v, b.int(v.type, 0));
    }
    if (k.kind === CC.INC || k.kind === CC.DEC) return this.#stepped(k, pair);
    if (k.kind !== CC.SUB || k.first === undefined || k.src === undefined) return undefined;
    const [x, y] = [k.first, k.src];
    if (pair === PAIR.C) return b.ltU(x, y);
    if (pair === PAIR.BE) return b.leU(x, y);
    const [sx, sy] = [c.signedValue(x, k.bits), c.signedValue(y, k.bits)];
    if (pair === PAIR.L) return b.ltS(sx, sy);
    return pair === PAIR.LE ? b.leS(sx, sy) : undefined;
  }
  /** INC compares with -1, DEC with 1. */
  #stepped(k: Base, pair: number): I32 | undefined {
    const b = this.#b;
    if (k.first === undefined || (pair !== PAIR.L && pair !== PAIR.LE)) return undefined;
    const x = this.#c.signedValue(k.first, k.bits);
    const other = b.int(x.type, k.kind === CC.INC ? -1 : 1);
    return pair === PAIR.L ? b.ltS(x, other) : b.leS(x, other);
  }

  #carry(): I32 {
    const b = this.#b;
    const patch = this.#patch;
    switch (patch?.kind) {
      case PATCH.ROL: return this.#bitOf(patch.dst as Int, 0);
      case PATCH.ROR: return this.#bitOf(patch.dst as Int, patch.bits - 1);
      case PATCH.BOTH: case PATCH.CARRY: return patch.carry as I32;
    }
    const k = this.#base;
    if (k === undefined) return this.#atRunTime(PAIR.C);
    const src = k.src;
    if (src === undefined) return k.kind === CC.LOGIC ? b.i32(0) : this.#fromBits(0);
    const y = this.#c.cut(src, k.bits);
    switch (k.kind) {
      case CC.LOGIC: return b.i32(0);
      case CC.ADD: return b.ltU(this.#c.cut(k.dst, k.bits), y);
      case CC.ADC: return this.#belowWith(this.#c.cut(k.dst, k.bits), y, k.aux);
      case CC.SUB: return k.first === undefined ? this.#fromBits(0) : b.ltU(k.first, y);
      case CC.SBB: return k.first === undefined ? this.#fromBits(0) : this.#belowWith(k.first, y, k.aux);
      case CC.SHL: return this.#bitOf(src, k.bits - 1);
      case CC.MUL: return b.ne(src, b.int(src.type, 0));
      case CC.IMUL: return this.#isCut(k);
      default: return this.#bitOf(src, 0);
    }
  }
  /** x < y, or x = y and a carry comes in. */
  #belowWith(x: Int, y: Int, carryIn: Int | undefined): I32 {
    const b = this.#b;
    return b.select(this.#c.to32(carryIn as Int), b.leU(x, y), b.ltU(x, y));
  }

  /** Did a product of src and aux not fit? */
  #isCut(k: Base): I32 {
    const b = this.#b;
    const c = this.#c;
    const [x, y] = [k.src as Int, k.aux as Int];
    if (k.bits === 64) return b.ne(b.op('i64.mulhi_s', [c.to64(x), c.to64(y)]), b.shrS(c.to64(k.dst), b.i64(63)));
    const product = b.mul(c.signExtend(x, k.bits, 64) as I64, c.signExtend(y, k.bits, 64) as I64);
    return b.ne(product, c.signExtend(c.cut(product, k.bits), k.bits, 64) as I64);
  }

  #overflow(): I32 {
    const b = this.#b;
    const c = this.#c;
    const patch = this.#patch;
    switch (patch?.kind) {
      case PATCH.ROL: return b.xor(this.#bitOf(patch.dst as Int, 0), this.#bitOf(patch.dst as Int, patch.bits - 1));
      case PATCH.ROR: return b.xor(this.#bitOf(patch.dst as Int, patch.bits - 2), this.#bitOf(patch.dst as Int, patch.bits - 1));
      case PATCH.BOTH: return patch.overflow as I32;
      case PATCH.INC: return this.#isEdge(patch.dst as Int, patch.bits, true);
      case PATCH.DEC: return this.#isEdge(patch.dst as Int, patch.bits, false);
    }
    const k = this.#base;
    if (k === undefined) return this.#atRunTime(PAIR.O);
    const top = (v: Int): I32 => this.#bitOf(v, k.bits - 1);
    switch (k.kind) {
      case CC.LOGIC: case CC.BITS: return b.i32(0);
      case CC.INC: case CC.DEC: return this.#isEdge(k.dst, k.bits, k.kind === CC.INC);
    }
    if (k.src === undefined) return this.#fromBits(11);
    switch (k.kind) {
      case CC.MUL: return b.ne(k.src, b.int(k.src.type, 0));
      case CC.IMUL: return this.#isCut(k);
      case CC.SHL: case CC.SHR: return b.xor(top(k.src), top(k.dst));
    }
    if (k.kind === CC.EFLAGS || k.first === undefined) return this.#fromBits(11);
    const [x, y, r] = [k.first, c.cut(k.src, k.bits), c.cut(k.dst, k.bits)];
    return top(b.and(b.xor(x, r), k.kind <= CC.ADD ? b.xor(y, r) : b.xor(x, y)));
  }
  #isEdge(result: Int, bits: IntBits, isInc: boolean): I32 {
    const b = this.#b;
    const least = bits === 64 ? b.i64Words(0, -0x8000_0000) : b.i32(2 ** (bits - 1));
    return b.eq(this.#c.cut(result, bits), isInc ? least : b.sub(least, b.int(least.type, 1)));
  }

  #bitOf(v: Int, n: number): I32 {
    const b = this.#b;
    return b.and(this.#c.to32(b.shrU(v, b.int(v.type, n))), b.i32(1));
  }
  /** One flag by way of all of them. */
  #fromBits(n: number): I32 {
    const b = this.#b;
    return b.and(b.shrU(this.bits(), b.i32(n)), b.i32(1));
  }

  // ---- where ccOp is known only at run time

  /** A condition by ccOp: inline for the usual kinds, so that it folds where the compiler sees what ccOp is. A known patch is not asked. */
  #atRunTime(pair: number): I32 {
    const b = this.#b;
    this.#flush();
    const op = this.#patch === undefined || this.#patch.kind === PATCH.NONE ? b.get(CC_OP) : b.and(b.get(CC_OP), b.i64(CC_BASE_MASK));
    if (pair === PAIR.O) return this.#pick(this.#compute(op), pair);
    const isResult = isResultFlag(pair);
    const first = ccOp(isResult ? CC.ADC : CC.SUB, 8);
    const count = ccOp(CC.LOGIC, 64) - first + 1;
    const out: Slot<'i32'> = b.temp('i32');
    b.ifRarely(
      b.geU(b.sub(op, b.i64(first)), b.i64(isResult ? CC_BASE_MASK + 1 - first : count)),
      () => b.set(out, this.#pick(this.#compute(op), pair)),
      () => b.set(out, this.#usual(pair, b.wrap(op))),
    );
    return b.get(out);
  }

  /** Z, S, P of a result; the rest for SUB and LOGIC. */
  #usual(pair: number, op: I32): I32 {
    const b = this.#b;
    if (pair === PAIR.P) return b.shrU(parityFlag(b, b.wrap(b.get(CC_DST))), b.i32(2));
    const shift = topDistance(b, op);
    const result = b.shl(b.get(CC_DST), shift);
    if (pair === PAIR.Z) return b.eqz(result);
    if (pair === PAIR.S) return b.ltS(result, b.i64(0));
    const src = b.select(b.ltU(op, b.i32(ccOp(CC.LOGIC, 8))), b.get(CC_SRC), b.i64(0));
    const y = b.shl(src, shift);
    const x = b.add(result, y);
    switch (pair) {
      case PAIR.C: return b.ltU(x, y);
      case PAIR.BE: return b.leU(x, y);
      case PAIR.L: return b.ltS(x, y);
      default: return b.leS(x, y);
    }
  }

  #pick(flags: I32, pair: number): I32 {
    const b = this.#b;
    const bit = (n: number): I32 => b.and(b.shrU(flags, b.i32(n)), b.i32(1));
    switch (pair) {
      case PAIR.O: return bit(11);
      case PAIR.C: return bit(0);
      case PAIR.Z: return bit(6);
      case PAIR.BE: return b.ne(b.and(flags, b.i32(EFLAG.CF | EFLAG.ZF)), b.i32(0));
      case PAIR.S: return bit(7);
      case PAIR.P: return bit(2);
      case PAIR.L: return b.xor(bit(7), bit(11));
      default: return b.or(bit(6), b.xor(bit(7), bit(11)));
    }
  }
}
