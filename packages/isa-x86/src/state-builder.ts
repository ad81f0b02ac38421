// Privileged state in IR, for the routines that do the frequent cases of what helpers do in full: segment registers, EFLAGS as a whole, the TLB in force.
// A routine of this kind answers 1 when it has done the work, and otherwise 0 with nothing changed; then the helper does it.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import type { Slot } from '@anillo/ir/slot';
import { PC } from '@anillo/ir/vcpu-header';
import { CC, ccOp } from './flags.ts';
import { CR0, CR4, TLB_CLASS } from './mode.ts';
import { ARITHMETIC_FLAGS, CC_OP, CC_SRC, CS, EFLAG, FLAGS, SEGMENT_ATTRIBUTES_OFFSET, SEGMENT_BASE, SEGMENT_LIMIT_OFFSET, SS, X86State } from './state.ts';

type I32 = Value<'i32'>;
type I64 = Value<'i64'>;

const at = X86State.offset;

/** What a change of privilege writes, besides general registers: pc, EFLAGS, CS and SS. */
export const TRANSFER_WRITES: readonly Slot[] = [PC, CC_OP, CC_SRC, FLAGS, SEGMENT_BASE[CS], SEGMENT_BASE[SS]];

export interface SegmentValue {
  readonly selector: I32;
  readonly base: I64;
  readonly limit: I32;
  readonly attributes: I32;
}

export class StateBuilder {
  readonly b: Builder;

  constructor(b: Builder) {
    this.b = b;
  }

  word(offset: number): I32 {
    return this.b.op('state.load32', [this.b.i32(0)], offset);
  }
  quad(offset: number): I64 {
    return this.b.op('state.load64', [this.b.i32(0)], offset);
  }
  setWord(offset: number, value: I32): void {
    this.b.op('state.store32', [this.b.i32(0), value], offset);
  }

  /** (value & mask) === expected. */
  matches(value: I32, mask: number, expected: number): I32 {
    return this.b.eq(this.b.and(value, this.b.i32(mask)), this.b.i32(expected));
  }
  all(...conditions: readonly [I32, ...I32[]]): I32 {
    return conditions.reduce((x, y) => this.b.and(x, y));
  }
  isCanonical(linear: I64): I32 {
    const { b } = this;
    return b.eq(b.shrS(b.shl(linear, b.i64(16)), b.i64(16)), linear);
  }

  attributes(segment: number): I32 {
    return this.word(SEGMENT_ATTRIBUTES_OFFSET + 4 * segment);
  }
  isLevel0(): I32 {
    return this.matches(this.attributes(SS), 0x60, 0);
  }

  /** Not 0: these EFLAGS make level 3 check alignment (EFLAGS.AC and CR0.AM are the same bit). */
  checksAlignment(eflags: I32): I32 {
    return this.b.and(this.b.and(eflags, this.word(at.cr0)), this.b.i32(CR0.AM));
  }

  /** The TLB in force is that of supervisor accesses to supervisor pages, which is what the processor's own look-ups may reach (SDM Vol. 3A 4.6.1). */
  isSupervisorTlb(): I32 {
    return this.b.eq(this.word(at.tlb), this.word(at.tlbs + 4 * TLB_CLASS.SUPERVISOR));
  }

  setSegment(segment: number, { selector, base, limit, attributes }: SegmentValue): void {
    this.b.set(SEGMENT_BASE[segment] as Slot<'i64'>, base);
    this.setWord(SEGMENT_LIMIT_OFFSET + 4 * segment, limit);
    this.setWord(SEGMENT_ATTRIBUTES_OFFSET + 4 * segment, attributes);
    this.setWord(at.segmentSelector + 4 * segment, selector);
  }
  /** Base 0, limit 4 GiB. */
  setFlat(segment: number, selector: I32, attributes: number): void {
    const { b } = this;
    this.setSegment(segment, { selector: b.and(selector, b.i32(0xffff)), base: b.i64(0), limit: b.i32(-1), attributes: b.i32(attributes) });
  }

  /** Sets all of EFLAGS. */
  setFlags(eflags: I32): void {
    const { b } = this;
    b.set(CC_OP, b.i64(ccOp(CC.EFLAGS, 8)));
    b.set(CC_SRC, b.extendU(b.and(eflags, b.i32(ARITHMETIC_FLAGS))));
    b.set(FLAGS, b.extendU(b.or(b.and(eflags, b.i32(~ARITHMETIC_FLAGS)), b.i32(2))));
  }

  /** Puts the TLB of user accesses in force. */
  selectUserTlb(): void {
    this.setWord(at.tlb, this.word(at.tlbs + 4 * TLB_CLASS.USER));
  }
  /** Puts the TLB of supervisor accesses in force, for these EFLAGS. */
  selectSupervisorTlb(eflags: I32): void {
    const { b } = this;
    const withAc = b.and(b.and(b.shrU(eflags, b.i32(Math.log2(EFLAG.AC))), b.shrU(this.word(at.cr4), b.i32(Math.log2(CR4.SMAP)))), b.i32(1));
    this.setWord(at.tlb, b.op('state.load32', [b.mul(withAc, b.i32(4 * (TLB_CLASS.SUPERVISOR_AC - TLB_CLASS.SUPERVISOR)))], at.tlbs + 4 * TLB_CLASS.SUPERVISOR));
  }
}
