// Exceptions and software interrupts through interrupt and trap gates to level 0, in IR: the frequent cases of `deliver` in trap.ts. From 64-bit and flat
// 32-bit code in long mode, and from flat 32-bit code outside it. What is traced, stepped or watched, what is met while delivering, task gates, 16-bit gates,
// virtual-8086 and real mode are left to trap.ts, with nothing changed. SDM Vol. 3A 6.12 to 6.14.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import { CODE_BASE, PC } from '@anillo/ir/vcpu-header';
import { CURRENT_FLAGS } from './current-flags.ts';
import { CODE, type Descriptor, DescriptorBuilder, LONG_CODE, WRITABLE_DATA } from './descriptor-builder.ts';
import { MODE, TLB_CLASS } from './mode.ts';
import { REACH } from './reach.ts';
import { CC_AUX, CC_DST, CC_OP, CC_PATCH, CC_SRC, CS, EFLAG, FLAGS, GPR, RSP, SEGMENT_LIMIT_OFFSET, SEGMENT_BASE, SS, TR, VECTOR, X86State } from './state.ts';
import { StateBuilder, TRANSFER_WRITES } from './state-builder.ts';

type I32 = Value<'i32'>;
type I64 = Value<'i64'>;

const at = X86State.offset;
const STACK_POINTER = GPR[RSP] as Slot<'i64'>;
const PAGE_BYTES = 4096;
const FLAGS_READ = [CC_OP, CC_DST, CC_SRC, CC_AUX, CC_PATCH, FLAGS];
/** Second word of a gate: present and type, without the bit that tells trap gates (8). */
const GATE = { MASK: 0x9e00, IS: 0x8e00, TRAP: 0x100 } as const;
const TR_IS_32 = 8;
/** Exceptions whose handlers see DR6 change, or that have rules of their own. */
const LEFT_TO_HOST = (1 << VECTOR.DB) | (1 << VECTOR.DF) | (1 << VECTOR.MC);
/** Faults whose return image has RF set (trap.ts). */
const WITHOUT_RF = (1 << VECTOR.BP) | (1 << VECTOR.OF);

/** What is delivered, as temps that several arms of code read. */
interface Event {
  readonly vector: Slot<'i32'>;
  /** -1: none. */
  readonly error: Slot<'i32'>;
  /** 1: INT n, whose gate must allow it. */
  readonly software: Slot<'i32'>;
  readonly returnPc: Slot<'i64'>;
  /** EFLAGS as they are pushed. */
  readonly image: Slot<'i32'>;
}

interface Target {
  readonly selector: Slot<'i32'>;
  readonly code: Descriptor;
  readonly pc: Slot<'i64'>;
  readonly gateHigh: Slot<'i32'>;
}

class DeliveryBuilder {
  readonly #b: Builder;
  readonly #s: StateBuilder;
  readonly #descriptors: DescriptorBuilder;
  readonly #wide: boolean;
  readonly #event: Event;
  readonly #level: Slot<'i32'>;
  readonly #done: Slot<'i32'>;

  /** `wide`: in long mode. */
  constructor(b: Builder, wide: boolean, [vector, error, software, returnPc, image]: readonly Value[]) {
    this.#b = b;
    this.#s = new StateBuilder(b);
    this.#descriptors = new DescriptorBuilder(this.#s, wide);
    this.#wide = wide;
    this.#event = {
      vector: b.temp('i32', vector as I32),
      error: b.temp('i32', error as I32),
      software: b.temp('i32', software as I32),
      returnPc: b.temp('i64', returnPc as I64),
      image: b.temp('i32', image as I32),
    };
    this.#level = b.temp('i32', b.and(b.shrU(this.#s.attributes(SS), b.i32(5)), b.i32(3)));
    this.#done = b.temp('i32', b.i32(0));
  }

  build(): I32 {
    this.#throughGate((selector, low, high, upper) => this.#toCode(selector, low, high, upper));
    return this.#b.get(this.#done);
  }

  /** A linear address as the mode cuts it. */
  #cut(address: I64): I64 {
    return this.#wide ? address : this.#b.extendU(this.#b.wrap(address));
  }

  /** Reads `byteCount` bytes that lie in one page: `then` gets their byte offset in the machine's memory. */
  #reach(address: I64, byteCount: number, then: (host: Slot<'i32'>) => void): void {
    const b = this.#b;
    const linear = b.temp('i64', this.#cut(address));
    b.if(b.leU(b.and(b.wrap(b.get(linear)), b.i32(PAGE_BYTES - 1)), b.i32(PAGE_BYTES - byteCount)), () => {
      const host = b.temp('i32', b.call(REACH, [b.get(linear)]) as I32);
      b.if(b.ne(b.get(host), b.i32(-1)), () => then(host));
    });
  }
  #ram(host: Slot<'i32'>, offset: number): I32 {
    return this.#b.op('i32.ram_load', [this.#b.add(this.#b.get(host), this.#b.i32(offset))]);
  }

  #throughGate(then: (selector: Slot<'i32'>, low: Slot<'i32'>, high: Slot<'i32'>, upper: I32) => void): void {
    const b = this.#b;
    const s = this.#s;
    const gateBytes = this.#wide ? 16 : 8;
    const offset = b.temp('i32', b.mul(b.get(this.#event.vector), b.i32(gateBytes)));
    b.if(b.leU(b.add(b.get(offset), b.i32(gateBytes - 1)), s.word(at.idtLimit)), () =>
      this.#reach(b.add(s.quad(at.idtBase), b.extendU(b.get(offset))), gateBytes, (host) => {
        const low = b.temp('i32', this.#ram(host, 0));
        const high = b.temp('i32', this.#ram(host, 4));
        const selector = b.temp('i32', b.shrU(b.get(low), b.i32(16)));
        const upper = b.temp('i32', this.#wide ? this.#ram(host, 8) : b.i32(0));
        const dpl = b.and(b.shrU(b.get(high), b.i32(13)), b.i32(3));
        const isAllowed = b.or(b.eqz(b.get(this.#event.software)), b.leU(b.get(this.#level), dpl));
        b.if(s.all(s.matches(b.get(high), GATE.MASK, GATE.IS), isAllowed), () => then(selector, low, high, b.get(upper)));
      }),
    );
  }

  #toCode(selector: Slot<'i32'>, low: Slot<'i32'>, gateHigh: Slot<'i32'>, upper: I32): void {
    const b = this.#b;
    const s = this.#s;
    const offset = b.or(b.and(b.get(low), b.i32(0xffff)), b.and(b.get(gateHigh), b.i32(0xffff_0000 | 0)));
    const pc = b.temp('i64', b.or(b.extendU(offset), b.shl(b.extendU(upper), b.i64(32))));
    const pcIsFit = this.#wide ? s.isCanonical(b.get(pc)) : b.i32(1);
    b.if(pcIsFit, () =>
      this.#descriptors.fetch(selector, (code) => {
        const high = b.get(code.high);
        const isCode = this.#wide
          ? s.all(s.matches(high, CODE.MASK, CODE.IS), s.matches(high, LONG_CODE.MASK, LONG_CODE.IS))
          : s.all(s.matches(high, CODE.MASK | CODE.READABLE, CODE.IS | CODE.READABLE), this.#descriptors.isFlat(code));
        b.if(s.all(isCode, b.eqz(this.#descriptors.level(code))), () => {
          const target: Target = { selector, code, pc, gateHigh };
          if (this.#wide) this.#onLongStack(target);
          else b.if(b.get(this.#level), () => this.#onInnerStack(target), () => this.#push(target, b.extendU(b.wrap(b.get(STACK_POINTER))), () => {}));
        });
      }),
    );
  }

  /** The interrupt stack that the gate names, the TSS's for level 0, or the present one. */
  #onLongStack(target: Target): void {
    const b = this.#b;
    const pointer = b.temp('i64', b.get(STACK_POINTER));
    const found = b.temp('i32', b.i32(1));
    const ist = b.temp('i32', b.and(b.get(target.gateHigh), b.i32(7)));
    b.if(b.or(b.get(ist), b.get(this.#level)), () => {
      b.set(found, b.i32(0));
      const offset = b.select(b.get(ist), b.add(b.i32(0x1c), b.shl(b.get(ist), b.i32(3))), b.i32(4));
      this.#fromTss(offset, 8, (host) => {
        b.set(pointer, b.op('i64.ram_load', [b.get(host)]));
        b.set(found, b.i32(1));
      });
    });
    const setStack = (): void =>
      b.if(b.get(this.#level), () => this.#s.setSegment(SS, { selector: b.i32(0), base: b.i64(0), limit: b.i32(0), attributes: b.i32(0) }));
    b.if(b.and(b.get(found), this.#s.isCanonical(b.get(pointer))), () => this.#push(target, b.get(pointer), setStack));
  }

  /** ESP0 and SS0 of a 32-bit TSS. */
  #onInnerStack(target: Target): void {
    const b = this.#b;
    const s = this.#s;
    b.if(b.and(s.attributes(TR), b.i32(TR_IS_32)), () =>
      this.#fromTss(b.i32(4), 6, (host) => {
        const pointer = b.temp('i64', b.extendU(this.#ram(host, 0)));
        const selector = b.temp('i32', b.and(this.#ram(host, 4), b.i32(0xffff)));
        b.if(s.matches(b.get(selector), 3, 0), () =>
          this.#descriptors.fetch(selector, (data) => {
            const isData = s.matches(b.get(data.high), WRITABLE_DATA.MASK, WRITABLE_DATA.IS);
            b.if(s.all(isData, this.#descriptors.isFlat(data), b.eqz(this.#descriptors.level(data))), () =>
              this.#push(target, b.get(pointer), () => s.setSegment(SS, this.#descriptors.segment(selector, data))),
            );
          }),
        );
      }),
    );
  }

  #fromTss(offset: I32, byteCount: number, then: (host: Slot<'i32'>) => void): void {
    const b = this.#b;
    const from = b.temp('i32', offset);
    const limit = this.#s.word(SEGMENT_LIMIT_OFFSET + 4 * TR);
    b.if(b.leU(b.add(b.get(from), b.i32(byteCount - 1)), limit), () =>
      this.#reach(b.add(b.get(SEGMENT_BASE[TR] as Slot<'i64'>), b.extendU(b.get(from))), 8, then),
    );
  }

  /** Writes the frame below `pointer` and goes to the handler. */
  #push(target: Target, pointer: I64, setStack: () => void): void {
    const b = this.#b;
    const s = this.#s;
    const { error, returnPc, image } = this.#event;
    const unit = this.#wide ? 8 : 4;
    const errorBytes = b.temp('i32', b.select(b.ltS(b.get(error), b.i32(0)), b.i32(0), b.i32(unit)));
    const values: I64[] = [b.get(returnPc), b.extendU(s.word(at.segmentSelector + 4 * CS)), b.extendU(b.get(image))];
    const stackValues: I64[] = [b.get(STACK_POINTER), b.extendU(s.word(at.segmentSelector + 4 * SS))];
    const hasStack = this.#wide ? b.i32(1) : b.get(this.#level);
    const byteCount = b.add(b.select(hasStack, b.i32(5 * unit), b.i32(3 * unit)), b.get(errorBytes));
    const top = this.#wide ? b.and(pointer, b.i64(-16)) : pointer;
    const bottom = b.temp('i64', b.sub(top, b.extendU(byteCount)));
    const inPage = b.leU(b.and(b.wrap(b.get(bottom)), b.i32(PAGE_BYTES - 1)), b.i32(PAGE_BYTES - 6 * unit));
    const noWrap = this.#wide ? b.i32(1) : b.leU(b.get(bottom), b.i64(0xffff_ffff));
    b.if(b.and(inPage, noWrap), () => {
      const frame = b.temp('i32', b.op('tlb.write', [b.get(bottom)]));
      b.if(b.ne(b.get(frame), b.i32(-1)), () => {
        const put = (value: I64, n: number): void => {
          const where = b.add(b.add(b.get(frame), b.get(errorBytes)), b.i32(n * unit));
          if (this.#wide) b.op('i64.ram_store', [where, value]);
          else b.op('i32.ram_store', [where, b.wrap(value)]);
        };
        b.if(b.get(errorBytes), () => {
          if (this.#wide) b.op('i64.ram_store', [b.get(frame), b.extendU(b.get(error))]);
          else b.op('i32.ram_store', [b.get(frame), b.get(error)]);
        });
        values.forEach(put);
        const putStack = (): void => stackValues.forEach((value, i) => put(value, 3 + i));
        if (this.#wide) putStack();
        else b.if(b.get(this.#level), putStack);
        setStack();
        b.set(STACK_POINTER, b.get(bottom));
        this.#enter(target);
      });
    });
  }

  #enter({ selector, code, pc, gateHigh }: Target): void {
    const b = this.#b;
    const s = this.#s;
    const segment = this.#descriptors.segment(selector, code);
    s.setSegment(CS, { ...segment, selector: b.and(segment.selector, b.i32(0xfffc)) });
    b.set(PC, b.get(pc));
    const masked = b.select(b.and(b.get(gateHigh), b.i32(GATE.TRAP)), b.i32(0), b.i32(EFLAG.IF));
    const flags = b.temp('i32', b.and(b.get(this.#event.image), b.xor(b.or(b.i32(EFLAG.TF | EFLAG.NT | EFLAG.RF | EFLAG.VM), masked), b.i32(-1))));
    s.setFlags(b.get(flags));
    s.selectSupervisorTlb(b.get(flags));
    b.set(this.#done, b.i32(1));
  }
}

/** (vector, error code or -1, software 0/1, pc to return to, EFLAGS image) -> done. The TLB and mode of level 0 are in force. */
const delivery = (name: string, wide: boolean): Routine =>
  routine({
    name,
    params: ['i32', 'i32', 'i32', 'i64', 'i32'],
    result: 'i32',
    reads: [STACK_POINTER, SEGMENT_BASE[TR] as Slot],
    writes: [...TRANSFER_WRITES, STACK_POINTER],
    traps: true,
    build: (b, params) => new DeliveryBuilder(b, wide, params).build(),
  });

const DELIVER_LONG = delivery('deliverLong', true);
const DELIVER_FLAT = delivery('deliverFlat', false);
const FLAT32 = 1 | MODE.STACK32 | MODE.FLAT;

/** Mode of handlers: that of the interrupted code, at level 0, and in long mode of 64-bit code. */
function handlerMode(b: Builder, mode: I32): I32 {
  const outer = b.and(mode, b.i32(~(MODE.CPL3 | MODE.ALIGN)));
  const long = b.or(b.and(outer, b.i32(~(MODE.CODE_SIZE | MODE.STACK32))), b.i32(2 | MODE.FLAT));
  return b.select(b.and(mode, b.i32(MODE.LONG)), long, outer);
}

/** () -> done: delivers what has trapped. 0: nothing is changed. */
export const DELIVER: Routine = routine({
  name: 'deliverEvent',
  params: [],
  result: 'i32',
  reads: [...FLAGS_READ, PC, STACK_POINTER, SEGMENT_BASE[TR] as Slot],
  writes: [...TRANSFER_WRITES, STACK_POINTER],
  traps: true,
  build: (b) => {
    const s = new StateBuilder(b);
    const done = b.temp('i32', b.i32(0));
    const trapCode = b.temp('i32', s.word(at.trapCode));
    const vector = b.temp('i32', b.select(b.get(trapCode), b.and(b.get(trapCode), b.i32(0xff)), s.word(at.faultVector)));
    const codeError = b.select(b.and(b.get(trapCode), b.i32(0x100)), b.i32(0), b.i32(-1));
    const error = b.temp('i32', b.select(b.get(trapCode), codeError, s.word(at.faultError)));
    const software = b.temp('i32', b.select(b.get(trapCode), b.i32(0), s.word(at.faultSoftware)));
    const mode = b.temp('i32', s.word(at.mode));
    const vectorBit = (vectors: number): I32 => b.and(b.shrU(b.i32(vectors), b.get(vector)), b.i32(1));
    const isException = b.and(b.eqz(b.get(software)), b.and(b.leU(b.get(vector), b.i32(31)), b.eqz(vectorBit(LEFT_TO_HOST))));
    const isInterrupt = b.and(b.eq(b.get(software), b.i32(1)), b.leU(b.get(vector), b.i32(0xff)));
    const unusual = [s.word(at.gathered), s.word(at.pendingDr6), s.word(at.faultInNewTask), b.and(s.word(at.dr + 56), b.i32(0xff)), s.word(at.hostWalks)];
    const usual = s.all(
      b.or(isException, isInterrupt),
      b.eqz(unusual.reduce((x, y) => b.or(x, y))),
      s.matches(b.get(mode), MODE.PROTECTED | MODE.V86 | MODE.STEP | MODE.BREAK | MODE.FLAT, MODE.PROTECTED | MODE.FLAT),
    );
    b.if(usual, () => {
      const flags = b.or(b.or(b.wrap(b.get(FLAGS)), b.call(CURRENT_FLAGS) as I32), b.i32(2));
      const setsRf = b.and(b.eqz(b.get(software)), b.eqz(vectorBit(WITHOUT_RF)));
      const image = b.temp('i32', b.or(flags, b.mul(setsRf, b.i32(EFLAG.RF))));
      const length = b.select(b.get(software), s.word(at.faultInsnBytes), b.i32(0));
      const next = b.add(b.get(PC), b.extendS(b.add(s.word(at.trapAt), length)));
      const is64 = s.matches(b.get(mode), MODE.CODE_SIZE, 2);
      const returnPc = b.temp('i64', b.select(is64, next, b.extendU(b.wrap(next))));
      const tlb = b.temp('i32', s.word(at.tlb));
      const deliver = (r: Routine) => (): void =>
        b.set(done, b.call(r, [b.get(vector), b.get(error), b.get(software), b.get(returnPc), b.get(image)]) as I32);
      // The processor's own look-ups have the rights of level 0, and EFLAGS.AC does not lift SMAP for them.
      const oldFlags = b.temp('i32', s.word(at.flags));
      s.setWord(at.flags, b.and(b.get(oldFlags), b.i32(~EFLAG.AC)));
      s.setWord(at.tlb, s.word(at.tlbs + 4 * TLB_CLASS.SUPERVISOR));
      s.setWord(at.mode, handlerMode(b, b.get(mode)));
      const isFlat32 = s.matches(b.get(mode), MODE.CODE_SIZE | MODE.STACK32 | MODE.FLAT, FLAT32);
      b.if(b.and(b.get(mode), b.i32(MODE.LONG)), () => b.if(b.or(is64, isFlat32), deliver(DELIVER_LONG)), () => b.if(isFlat32, deliver(DELIVER_FLAT)));
      b.if(
        b.get(done),
        () => {
          b.set(CODE_BASE, b.i64(0));
          for (const field of ['trapped', 'trapCode', 'trapAt', 'faultSoftware', 'halted'] as const) s.setWord(at[field], b.i32(0));
          b.op('state.store64', [b.i32(0), b.i64(0)], at.interruptShadow);
        },
        () => {
          s.setWord(at.flags, b.get(oldFlags));
          s.setWord(at.tlb, b.get(tlb));
          s.setWord(at.mode, b.get(mode));
        },
      );
    });
    return b.get(done);
  },
});

/** () -> not 0: maskable interrupts are enabled. */
export const CAN_INTERRUPT: Routine = routine({
  name: 'canInterrupt',
  params: [],
  result: 'i32',
  reads: [FLAGS],
  writes: 'none',
  traps: false,
  build: (b) => b.and(b.wrap(b.get(FLAGS)), b.i32(EFLAG.IF)),
});

export const EVENT_DELIVERY_ROUTINES: readonly Routine[] = [REACH, DELIVER_LONG, DELIVER_FLAT, DELIVER, CAN_INTERRUPT];
