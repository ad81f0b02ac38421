// The lifter's view of one instruction: operands, addresses, flags, control flow. Instruction rows (insn/*.ts) are written against this class.
//
// Rules for a row's meaning: whatever can fault comes before the first change of state (the instruction restarts from its beginning);
// integer values of 8 and 16 bits are zero-extended i32, 32 bits i32, 64 bits i64; `write` cuts to the operand's size.

import { Builder } from '@anillo/ir/builder';
import type { Terminal, Value } from '@anillo/ir/block';
import type { Slot } from '@anillo/ir/slot';
import { EXIT } from '@anillo/ir/frontend';
import { CHECK_SEGMENT } from './check-segment.ts';
import type { Decoded } from './decode.ts';
import { effectiveAddress, type Address } from './effective-address.ts';
import { CC, type CcKind, type IntBits } from './flags.ts';
import { FloatFacts } from './insn/float-facts.ts';
import { LazyFlags } from './lazy-flags.ts';
import { MODE } from './mode.ts';
import type { Operand } from './row.ts';
import { CS, DS, FLAGS, FS, GPR, INTERRUPT_SHADOW, RSP, SEGMENT_BASE, SS, TRAP } from './state.ts';

/** Integer value: i32 for sizes up to 32 bits, i64 for 64. */
export type Int = Value<'i32' | 'i64'>;

const LOAD = { 8: 'i32.load8_u', 16: 'i32.load16_u', 32: 'i32.load', 64: 'i64.load' } as const;
const STORE = { 8: 'i32.store8', 16: 'i32.store16', 32: 'i32.store' } as const;
const rmw = <K extends string>(kind: K) => ({ 8: `i32.rmw8.${kind}`, 16: `i32.rmw16.${kind}`, 32: `i32.rmw.${kind}`, 64: `i64.rmw.${kind}` }) as const;
const RMW = { add: rmw('add'), and: rmw('and'), or: rmw('or'), xor: rmw('xor'), xchg: rmw('xchg'), cmpxchg: rmw('cmpxchg') };
const PROBE_WRITE = { 8: 'probe_write8', 16: 'probe_write16', 32: 'probe_write32', 64: 'probe_write64' } as const;

export class Lift {
  readonly b: Builder = new Builder();
  readonly d: Decoded;
  readonly mode: number;
  readonly flags: LazyFlags;
  #floats: FloatFacts | undefined = undefined;
  /** Byte offsets, from the block's start, of this instruction and of the next. */
  at = 0;
  next = 0;
  /** Set by the instruction that ends the block. */
  terminal: Terminal | undefined = undefined;
  /** Set by an instruction after which interrupts are held off for one more (STI, MOV SS). */
  shadow = false;
  private modified: Int | undefined = undefined;
  #mem: Address | undefined = undefined;
  #memChecked = 0;

  constructor(mode: number, decoded: Decoded) {
    this.mode = mode;
    this.d = decoded;
    this.flags = new LazyFlags(this);
  }

  /** Called by the block loop before each instruction. */
  begin(at: number, next: number): void {
    this.at = at;
    this.next = next;
    this.b.at = at;
    this.#mem = undefined;
  }

  get floats(): FloatFacts {
    this.#floats ??= new FloatFacts(this.b);
    return this.#floats;
  }
  get is64(): boolean {
    return this.d.codeSize === 64;
  }
  get isFlat(): boolean {
    return (this.mode & MODE.FLAT) !== 0;
  }
  /** Width to which addresses of code and new values of pc are cut. */
  get pcBits(): 16 | 32 | 64 {
    return this.d.codeSize;
  }

  // ---- sizes and values

  operand(i: number): Operand {
    return this.d.row.operands[i] as Operand;
  }
  /** Size of integer operand i in bits. */
  bits(i: number): IntBits {
    return this.sizeOf(this.operand(i));
  }
  sizeOf(o: Operand): IntBits {
    const { bits } = o;
    if (bits === 8 || bits === 16 || bits === 32 || bits === 64) return bits;
    if (o.size === 'v' || o.size === 'z') return this.d.operandSize;
    if (o.size === 'y') return this.d.operandSize === 64 || (this.d.row.vex && this.d.w === 1 && this.is64) ? 64 : 32;
    throw new TypeError(`${this.d.row.encoding}: operand of size ${o.size} is not an integer`);
  }
  /** Constant of an operation size. */
  const(bits: IntBits, value: number): Int {
    return bits === 64 ? this.b.i64(value) : this.b.i32(bits === 32 ? value : value & ((1 << bits) - 1));
  }
  /** Zero-extends or cuts to i64 / i32. */
  to64(v: Int): Value<'i64'> {
    return v.type === 'i64' ? (v as Value<'i64'>) : this.b.extendU(v as Value<'i32'>);
  }
  to32(v: Int): Value<'i32'> {
    return v.type === 'i32' ? (v as Value<'i32'>) : this.b.wrap(v as Value<'i64'>);
  }
  /** Cuts a value to `bits`, zero-extended, in the type of that size. */
  cut(v: Int, bits: IntBits): Int {
    if (bits === 64) return this.to64(v);
    const low = this.to32(v);
    return bits === 32 ? low : this.b.and(low, this.b.i32((1 << bits) - 1));
  }
  /** Sign-extends a value of `from` bits to `to` bits. */
  signExtend(v: Int, from: IntBits, to: IntBits): Int {
    const { b } = this;
    if (from === to) return v;
    if (to === 64) {
      if (from === 32) return b.extendS(this.to32(v));
      return b.op(from === 8 ? 'i64.extend8_s' : 'i64.extend16_s', [this.to64(v)]);
    }
    const wide = from === 8 ? b.op('i32.extend8_s', [this.to32(v)]) : b.op('i32.extend16_s', [this.to32(v)]);
    return to === 16 ? b.and(wide, b.i32(0xffff)) : wide;
  }
  /** As signExtend, but to the full width of the value's type (for signed comparisons). */
  signedValue(v: Int, bits: IntBits): Int {
    return bits === 8 || bits === 16 ? this.signExtend(v, bits, 32) : v;
  }
  /** Immediate number n as a signed 32-bit number. */
  imm(n = 0): number {
    return this.d.immLow[n] as number;
  }
  /** Immediate n as a constant of `bits`. */
  immValue(n: number, bits: IntBits): Int {
    const low = this.d.immLow[n] as number;
    return bits === 64 ? this.b.i64Words(low, this.d.immHigh[n] as number) : this.const(bits, low);
  }

  // ---- registers

  /** True if register number n of an 8-bit operand means AH CH DH BH. */
  #isHigh(n: number): boolean {
    return n >= 4 && n < 8 && this.d.rex === 0 && !this.d.row.vex;
  }
  reg(n: number, bits: IntBits): Int {
    const { b } = this;
    const whole = b.get(GPR[n] as Slot<'i64'>);
    if (bits === 64) return whole;
    const low = b.wrap(whole);
    return bits === 32 ? low : b.and(low, b.i32(bits === 8 ? 0xff : 0xffff));
  }
  /** Writes a register: 32 bits clear the upper half, 8 and 16 leave the rest. */
  setReg(n: number, bits: IntBits, v: Int): void {
    const { b } = this;
    const slot = GPR[n] as Slot<'i64'>;
    if (bits === 64) b.set(slot, this.to64(v));
    else if (bits === 32) b.set(slot, b.extendU(this.to32(v)));
    else b.set(slot, b.op(bits === 16 ? 'i64.insert16' : 'i64.insert8', [b.get(slot), this.to64(v)]));
  }
  /** Byte register by its encoding (AH..BH included). */
  reg8(n: number): Int {
    if (!this.#isHigh(n)) return this.reg(n, 8);
    const { b } = this;
    return b.and(b.shrU(b.wrap(b.get(GPR[n - 4] as Slot<'i64'>)), b.i32(8)), b.i32(0xff));
  }
  setReg8(n: number, v: Int): void {
    if (!this.#isHigh(n)) {
      this.setReg(n, 8, v);
      return;
    }
    const slot = GPR[n - 4] as Slot<'i64'>;
    this.b.set(slot, this.b.op('i64.insert8h', [this.b.get(slot), this.to64(v)]));
  }

  // ---- memory addresses

  /** Offset part of the memory operand (what LEA computes). */
  effectiveAddress(): Address {
    return effectiveAddress(this.b, this.d, this.next);
  }

  /** Segment of the memory operand: override, or SS for (E)BP/(E)SP based addresses, else DS. */
  get segment(): number {
    const { d } = this;
    if (d.segment >= 0) return d.segment;
    return d.base === 4 || d.base === 5 ? SS : DS;
  }

  /** Linear address of `offset` in `segment`, checked for an access of byteCount bytes where the mode needs that. */
  linear(segment: number, offset: Address, byteCount: number, write: boolean): Address {
    const { b } = this;
    if (this.is64) {
      if (segment < FS) return offset;
      return { base: b.add(b.get(SEGMENT_BASE[segment] as Slot<'i64'>), offset.base), disp: offset.disp };
    }
    // Code segments are never writable, flat or not.
    const isRefused = write && segment === CS && (this.mode & MODE.PROTECTED) !== 0;
    if (this.isFlat && segment < FS && !isRefused) return offset;
    const whole = this.sum(offset);
    b.call(CHECK_SEGMENT, [b.i32(segment), b.wrap(whole), b.i32(byteCount - 1), b.i32(write ? 1 : 0)]);
    const sum = b.add(b.wrap(whole), b.wrap(b.get(SEGMENT_BASE[segment] as Slot<'i64'>)));
    return { base: b.extendU(sum), disp: 0 };
  }

  /** In flat code: do string operands (DS:RSI unless overridden, ES:RDI) have no segment base? */
  segmentIsPlain(usesSource: boolean): boolean {
    return !usesSource || this.d.segment < FS;
  }

  /** Address as one value. */
  sum(a: Address): Value<'i64'> {
    return a.disp === 0 ? a.base : this.b.add(a.base, this.b.i64(a.disp));
  }
  /**
   * Bits that count of a linear address within the memory operand: outside 64-bit code addresses wrap at 4 GiB (SDM Vol. 1, 3.3.7), in it those of 32 bits do (seen
   * on AMD's processors), of a segment that starts at 0.
   */
  addressBits(): Value<'i64'> {
    const isWide = this.is64 && (this.d.addressSize === 64 || this.segment >= FS);
    return this.b.i64Words(-1, isWide ? -1 : 0);
  }
  /** Address moved by a constant. */
  offset(a: Address, bytes: number): Address {
    return { base: a.base, disp: a.disp + bytes };
  }

  /** Linear address of the ModRM memory operand (computed once an instruction). */
  memory(byteCount: number, write = false): Address {
    const key = byteCount * 2 + (write ? 1 : 0);
    if (this.#mem === undefined || ((!this.isFlat || this.segment === CS) && key > this.#memChecked)) {
      this.#mem = this.linear(this.segment, this.effectiveAddress(), byteCount, write);
      this.#memChecked = key;
    }
    return this.#mem;
  }

  /** Raises #AC(0) for a misaligned access when alignment checking is on. An address that is not canonical is left to the access: the greater fault. */
  checkAlignment(a: Address, byteCount: number): void {
    if ((this.mode & MODE.ALIGN) === 0 || byteCount === 1) return;
    const { b } = this;
    const linear = this.sum(a);
    const misaligned = b.and(b.wrap(linear), b.i32(byteCount - 1));
    if (this.is64) b.if(misaligned, () => b.raiseIf(b.eq(b.shrS(b.shl(linear, b.i64(16)), b.i64(16)), linear), TRAP.AC0));
    else b.raiseIf(misaligned, TRAP.AC0);
  }
  load(a: Address, bits: IntBits): Int {
    this.checkAlignment(a, bits / 8);
    return this.b.op(LOAD[bits], [a.base], a.disp) as Int;
  }
  store(a: Address, bits: IntBits, v: Int): void {
    this.checkAlignment(a, bits / 8);
    if (bits === 64) this.b.op('i64.store', [a.base, this.to64(v)], a.disp);
    else this.b.op(STORE[bits], [a.base, this.to32(v)], a.disp);
  }
  /** Load of what is about to be stored: faults as a write (SDM Vol. 3A 4.7, W/R). */
  loadToWrite(a: Address, bits: IntBits): Int {
    this.probeStore(a, bits);
    return this.load(a, bits);
  }
  /** Faults now if a later `store` would. */
  probeStore(a: Address, bits: IntBits): void {
    this.checkAlignment(a, bits / 8);
    this.probeWrite(a, bits);
  }
  /** The same for an access whose alignment is not checked, or has been. */
  probeWrite(a: Address, bits: IntBits): void {
    this.b.op(PROBE_WRITE[bits], [a.base], a.disp);
  }

  // ---- operands

  get isMemory(): boolean {
    return this.d.mod !== 3;
  }
  /** Reads integer operand i. */
  read(i: number): Int {
    const o = this.operand(i);
    const bits = this.sizeOf(o);
    switch (o.kind) {
      case 'E': case 'M': case 'R':
        if (this.isMemory) return this.load(this.memory(bits / 8), bits);
        return bits === 8 ? this.reg8(this.d.rm) : this.reg(this.d.rm, bits);
      case 'G':
        return bits === 8 ? this.reg8(this.d.reg) : this.reg(this.d.reg, bits);
      case 'Z':
        return bits === 8 ? this.reg8(this.d.rm) : this.reg(this.d.rm, bits);
      case 'B':
        return this.reg(this.d.vexV, bits);
      case 'fixed':
        return this.reg(o.register, bits);
      case 'one':
        return this.b.i32(1);
      case 'I':
        return this.immValue(this.d.row.immediateOf[i] as number, this.#immBits(o));
      case 'O':
        return this.load(this.#moffs(bits, false), bits);
      default:
        throw new TypeError(`${this.d.row.encoding}: operand ${i} is not an integer operand`);
    }
  }
  /** An immediate's value has the size of the destination: the first operand (so Ib is sign-extended to Ev's size). */
  #immBits(o: Operand): IntBits {
    const first = this.operand(0);
    return o === first || first.kind === 'I' ? this.sizeOf(o) : this.sizeOf(first);
  }
  #moffs(bits: IntBits, write: boolean): Address {
    const offset = this.b.i64Words(this.imm(0), this.d.immHigh[0] as number);
    return this.linear(this.d.segment >= 0 ? this.d.segment : DS, { base: offset, disp: 0 }, bits / 8, write);
  }
  /** Writes integer operand i. A memory operand may fault: write it before other state changes. */
  write(i: number, v: Int): void {
    const o = this.operand(i);
    const bits = this.sizeOf(o);
    switch (o.kind) {
      case 'E': case 'M': case 'R':
        if (this.isMemory) this.store(this.memory(bits / 8, true), bits, v);
        else if (bits === 8) this.setReg8(this.d.rm, v);
        else this.setReg(this.d.rm, bits, v);
        return;
      case 'G':
        if (bits === 8) this.setReg8(this.d.reg, v);
        else this.setReg(this.d.reg, bits, v);
        return;
      case 'Z':
        if (bits === 8) this.setReg8(this.d.rm, v);
        else this.setReg(this.d.rm, bits, v);
        return;
      case 'B':
        this.setReg(this.d.vexV, bits, v);
        return;
      case 'fixed':
        this.setReg(o.register, bits, v);
        return;
      case 'O':
        this.store(this.#moffs(bits, true), bits, v);
        return;
      default:
        throw new TypeError(`${this.d.row.encoding}: operand ${i} cannot be written`);
    }
  }

  /**
   * Replaces operand i by f(old) and returns old. The memory form is one step where a read-modify-write op does it; else, with LOCK, a
   * compare-and-exchange, and without, a load and a store.
   */
  modify(i: number, f: (old: Int) => Int, atomic?: { op: 'add' | 'and' | 'or' | 'xor'; operand: Int }): Int {
    if (!this.isMemory || this.operand(i).kind !== 'E') {
      const old = this.read(i);
      this.modified = f(old);
      this.write(i, this.modified);
      return old;
    }
    const bits = this.bits(i);
    const a = this.memory(bits / 8, true);
    let old: Int;
    if (atomic) old = this.atomic(a, bits, atomic.op, atomic.operand);
    else if (this.d.lock) old = this.atomicReplace(a, bits, f);
    else {
      old = this.loadToWrite(a, bits);
      this.modified = f(old);
      this.store(a, bits, this.modified);
      return old;
    }
    this.modified = f(old);
    return old;
  }
  /** What the last `modify` wrote (bits above the operand's size undefined). */
  get modifiedValue(): Int {
    return this.modified as Int;
  }
  /** Atomic read-modify-write; returns the old value. */
  atomic(a: Address, bits: IntBits, op: 'add' | 'and' | 'or' | 'xor' | 'xchg', operand: Int): Int {
    this.checkAlignment(a, bits / 8);
    return this.b.op(RMW[op][bits] as 'i64.rmw.add', [a.base, (bits === 64 ? this.to64(operand) : this.to32(operand)) as Value<'i64'>], a.disp) as Int;
  }
  /** Atomic compare-and-exchange; returns the old value. */
  compareExchange(a: Address, bits: IntBits, expected: Int, replacement: Int): Int {
    this.checkAlignment(a, bits / 8);
    return this.b.op(RMW.cmpxchg[bits] as 'i64.rmw.cmpxchg', [a.base, expected as Value<'i64'>, replacement as Value<'i64'>], a.disp) as Int;
  }
  /** Atomic old -> f(old) by compare-and-exchange; returns old. */
  atomicReplace(a: Address, bits: IntBits, f: (old: Int) => Int): Int {
    const { b } = this;
    const type = bits === 64 ? 'i64' : 'i32';
    const seen = b.temp(type) as Slot<'i32' | 'i64'>;
    this.probeStore(a, bits);
    b.loopWhile(() => {
      const old = this.load(a, bits);
      const before = this.compareExchange(a, bits, old, f(old));
      b.set(seen, before);
      return b.ne(before, old);
    });
    return b.get(seen);
  }

  // ---- stack

  /** Size of the stack pointer in bits. */
  get stackBits(): IntBits {
    return this.is64 ? 64 : this.mode & MODE.STACK32 ? 32 : 16;
  }
  /** Linear address `bytes` away from the stack top, for an access of byteCount. */
  stackAddress(bytes: number, byteCount: number, write: boolean): Address {
    const { b } = this;
    const sp = b.get(GPR[RSP] as Slot<'i64'>);
    if (this.is64) return { base: sp, disp: bytes };
    const moved = this.cut(b.add(b.wrap(sp), b.i32(bytes)), this.stackBits);
    return this.linear(SS, { base: this.to64(moved), disp: 0 }, byteCount, write);
  }
  /** Moves the stack pointer. */
  moveStack(bytes: number): void {
    const bits = this.stackBits;
    const { b } = this;
    if (bits === 64) this.setReg(RSP, 64, b.add(b.get(GPR[RSP] as Slot<'i64'>), b.i64(bytes)));
    else this.setReg(RSP, bits, b.add(b.wrap(b.get(GPR[RSP] as Slot<'i64'>)), b.i32(bytes)));
  }
  push(v: Int, bits: IntBits): void {
    this.store(this.stackAddress(-bits / 8, bits / 8, true), bits, v);
    this.moveStack(-bits / 8);
  }
  /** Value on top of the stack; the stack pointer moves only by `moveStack` afterwards. */
  top(bits: IntBits, bytes = 0): Int {
    return this.load(this.stackAddress(bytes, bits / 8, false), bits);
  }

  // ---- flags

  /** Records what set the arithmetic flags. `first`: first operand of the operation, where the caller has it. */
  setFlags(kind: CcKind, bits: IntBits, dst: Int, src?: Int, options: { aux?: Int; first?: Int } = {}): void {
    this.flags.set(kind, bits, dst, src, options.aux, options.first);
  }
  /** Sets all arithmetic flags from EFLAGS bits. */
  setFlagBits(flags: Value<'i32'>): void {
    this.setFlags(CC.EFLAGS, 64, this.b.i64(0), this.b.extendU(flags));
  }
  /** Changes some arithmetic flags: (old & ~mask) | bits. */
  changeFlags(mask: number, bits: Value<'i32'>): void {
    const { b } = this;
    this.setFlagBits(b.or(b.and(this.flags.bits(), b.i32(~mask)), bits));
  }

  /** +size or -size in bytes by EFLAGS.DF. */
  stringStep(byteCount: number): Value<'i64'> {
    const { b } = this;
    const df = b.and(b.shrU(b.get(FLAGS), b.i64(10)), b.i64(1));
    return b.sub(b.i64(byteCount), b.shl(df, b.i64(Math.log2(byteCount) + 1)));
  }

  // ---- leaving the block

  /** Raises a fault for this instruction, always. */
  trap(code: number): void {
    this.terminal = { kind: 'trap', code };
  }
  /** Goes to the address `delta` bytes from the block's start. */
  jumpTo(delta: number): void {
    this.terminal = { kind: 'jump', delta, poll: false };
  }
  /** After a helper that has set pc (and perhaps the mode) itself. */
  dispatch(): void {
    this.terminal = { kind: 'dispatch' };
  }
  /** Ends the block after this instruction: what follows may be translated differently now. */
  endBlock(poll = false): void {
    this.terminal = { kind: 'jump', delta: this.next, poll };
  }
  /** Ends the block with interrupts held off for the next instruction (it could not be lifted into the same block). */
  holdInterrupts(): void {
    this.b.set(INTERRUPT_SHADOW, this.b.i64(1));
    this.exit(EXIT.YIELD);
  }
  /** Ends the block after this instruction and gives control to the vCPU loop. */
  exit(reason: number): void {
    this.terminal = { kind: 'exit', delta: this.next, reason };
  }
}
