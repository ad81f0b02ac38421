// IRET to the same level or to level 3, in 64-bit code (64-bit operands) and in flat 32-bit code outside long mode (32-bit operands): the frequent case of
// interrupt-return.ts, in IR. It begins at level 0 with a frame within one page, and ends in code of the same kind, without single-stepping.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import { PC } from '@anillo/ir/vcpu-header';
import { MODE } from './mode.ts';
import { WIDE_COMMON } from './interrupt-return.ts';
import { CS, DS, EFLAG, ES, FLAGS, FS, GPR, GS, RSP, SS, X86State } from './state.ts';
import { CODE, type Descriptor, DescriptorBuilder, LONG_CODE, WRITABLE_DATA } from './descriptor-builder.ts';
import { REACH } from './reach.ts';
import { StateBuilder, TRANSFER_WRITES, type SegmentValue } from './state-builder.ts';

type I32 = Value<'i32'>;
type I64 = Value<'i64'>;

const at = X86State.offset;
const STACK_POINTER = GPR[RSP] as Slot<'i64'>;
const PAGE_BYTES = 4096;
/** Flags that IRET loads at level 0. RF has no use without instruction breakpoints. */
const LOADED = (WIDE_COMMON | EFLAG.IF | EFLAG.IOPL | EFLAG.VIF | EFLAG.VIP) & ~EFLAG.RF;

class ReturnBuilder {
  readonly #b: Builder;
  readonly #s: StateBuilder;
  readonly #descriptors: DescriptorBuilder;
  readonly #wide: boolean;
  readonly #mode: I32;
  readonly #done: Slot<'i32'>;

  constructor(b: Builder, wide: boolean, mode: I32) {
    this.#b = b;
    this.#s = new StateBuilder(b);
    this.#descriptors = new DescriptorBuilder(this.#s, wide);
    this.#wide = wide;
    this.#mode = mode;
    this.#done = b.temp('i32', b.i32(0));
  }

  build(): I32 {
    const b = this.#b;
    const s = this.#s;
    const frameBytes = this.#wide ? 40 : 20;
    const stack = b.temp('i64', this.#wide ? b.get(STACK_POINTER) : b.extendU(b.wrap(b.get(STACK_POINTER))));
    const usual = s.all(
      s.isLevel0(),
      b.eqz(s.word(at.nmiBlocked)),
      s.matches(b.wrap(b.get(FLAGS)), EFLAG.NT, 0),
      s.matches(s.word(at.dr + 56), 0xff, 0),
      s.isSupervisorTlb(),
      b.leU(b.and(b.wrap(b.get(stack)), b.i32(PAGE_BYTES - 1)), b.i32(PAGE_BYTES - frameBytes)),
    );
    b.if(usual, () => {
      const frame = b.temp('i32', b.call(REACH, [b.get(stack)]) as I32);
      b.if(b.ne(b.get(frame), b.i32(-1)), () => this.#checkTarget(stack, frame));
    });
    return b.get(this.#done);
  }

  /** The n-th value of the frame. */
  #popped(frame: Slot<'i32'>, n: number): I64 {
    const b = this.#b;
    const where = b.add(b.get(frame), b.i32(n * (this.#wide ? 8 : 4)));
    return this.#wide ? b.op('i64.ram_load', [where]) : b.extendU(b.op('i32.ram_load', [where]));
  }

  #checkTarget(stack: Slot<'i64'>, frame: Slot<'i32'>): void {
    const b = this.#b;
    const s = this.#s;
    const pc = b.temp('i64', this.#popped(frame, 0));
    const selector = b.temp('i32', b.and(b.wrap(this.#popped(frame, 1)), b.i32(0xffff)));
    const image = b.temp('i32', b.wrap(this.#popped(frame, 2)));
    const level = b.temp('i32', b.and(b.get(selector), b.i32(3)));
    const refusedFlags = this.#wide ? EFLAG.TF : EFLAG.TF | EFLAG.VM;
    const pcIsFit = this.#wide ? s.isCanonical(b.get(pc)) : b.i32(1);
    const levelIsFit = b.or(b.eqz(b.get(level)), b.eq(b.get(level), b.i32(3)));
    b.if(s.all(s.matches(b.get(image), refusedFlags, 0), pcIsFit, levelIsFit), () => {
      this.#descriptors.fetch(selector, (code) => {
        const high = b.get(code.high);
        const isCode = this.#wide
          ? s.all(s.matches(high, CODE.MASK, CODE.IS), s.matches(high, LONG_CODE.MASK, LONG_CODE.IS))
          : s.all(s.matches(high, CODE.MASK | CODE.READABLE, CODE.IS | CODE.READABLE), this.#descriptors.isFlat(code));
        b.if(s.all(isCode, this.#descriptors.hasLevel(code, level)), () => {
          const commit = (setStack: () => void): void => this.#commit({ pc, selector, image, level, code }, setStack);
          const stays = b.eqz(b.get(level));
          if (this.#wide) this.#checkStack(frame, level, commit);
          else b.if(stays, () => commit(() => b.set(STACK_POINTER, b.extendU(b.wrap(b.add(b.get(stack), b.i64(12)))))), () => this.#checkStack(frame, level, commit));
        });
      });
    });
  }

  /** Takes stack pointer and segment from the frame, then commits. */
  #checkStack(frame: Slot<'i32'>, level: Slot<'i32'>, commit: (setStack: () => void) => void): void {
    const b = this.#b;
    const s = this.#s;
    const pointer = b.temp('i64', this.#popped(frame, 3));
    const selector = b.temp('i32', b.and(b.wrap(this.#popped(frame, 4)), b.i32(0xffff)));
    const setWith = (segment: SegmentValue) => () => {
      s.setSegment(SS, segment);
      b.set(STACK_POINTER, b.get(pointer));
    };
    const fromDescriptor = (): void =>
      this.#descriptors.fetch(selector, (d) => {
        const isData = s.matches(b.get(d.high), WRITABLE_DATA.MASK, WRITABLE_DATA.IS);
        const isFit = this.#wide ? isData : b.and(isData, this.#descriptors.isFlat(d));
        b.if(s.all(isFit, this.#descriptors.hasLevel(d, level)), () => commit(setWith(this.#descriptors.segment(selector, d))));
      });
    b.if(b.eq(b.and(b.get(selector), b.i32(3)), b.get(level)), () => {
      if (!this.#wide) return fromDescriptor();
      const zero = b.i32(0);
      b.if(b.get(selector), fromDescriptor, () => commit(setWith({ selector: zero, base: b.i64(0), limit: zero, attributes: zero })));
    });
  }

  /** Are ES, DS, FS and GS such that a return to level 3 leaves them, null ones aside? */
  #keepSegments(): I32 {
    const b = this.#b;
    const s = this.#s;
    const keeps = [ES, DS, FS, GS].map((segment) => {
      const isNull = s.matches(s.word(at.segmentSelector + 4 * segment), 0xfffc, 0);
      return b.or(isNull, s.matches(s.attributes(segment), 0x60, 0x60));
    });
    return s.all(...(keeps as [I32, ...I32[]]));
  }
  /** Null selectors lose their privilege level. */
  #clearNulls(): void {
    const b = this.#b;
    const s = this.#s;
    for (const segment of [ES, DS, FS, GS]) {
      const where = at.segmentSelector + 4 * segment;
      const selector = s.word(where);
      s.setWord(where, b.select(b.and(selector, b.i32(0xfffc)), selector, b.i32(0)));
    }
  }

  #commit(target: { pc: Slot<'i64'>; selector: Slot<'i32'>; image: Slot<'i32'>; level: Slot<'i32'>; code: Descriptor }, setStack: () => void): void {
    const b = this.#b;
    const s = this.#s;
    const image = b.get(target.image);
    b.if(b.or(b.eqz(b.get(target.level)), this.#keepSegments()), () => {
      setStack();
      s.setSegment(CS, this.#descriptors.segment(target.selector, target.code));
      b.set(PC, b.get(target.pc));
      s.setFlags(b.and(image, b.i32(LOADED)));
      b.if(
        b.get(target.level),
        () => {
          this.#clearNulls();
          const alignment = b.select(s.checksAlignment(image), b.i32(MODE.ALIGN), b.i32(0));
          s.setWord(at.mode, b.or(b.or(this.#mode, b.i32(MODE.CPL3)), alignment));
          s.selectUserTlb();
        },
        () => {
          s.setWord(at.mode, this.#mode);
          s.selectSupervisorTlb(image);
        },
      );
      b.set(this.#done, b.i32(1));
    });
  }
}

/** (mode of the same kind of code at level 0) -> done. */
const interruptReturn = (name: string, wide: boolean): Routine =>
  routine({
    name,
    params: ['i32'],
    result: 'i32',
    reads: [FLAGS, STACK_POINTER],
    writes: [...TRANSFER_WRITES, STACK_POINTER],
    traps: true,
    build: (b, [mode]) => new ReturnBuilder(b, wide, mode as I32).build(),
  });

export const IRET64 = interruptReturn('iret64', true);
export const IRET32 = interruptReturn('iret32', false);
export const INTERRUPT_RETURN_ROUTINES: readonly Routine[] = [IRET64, IRET32];
