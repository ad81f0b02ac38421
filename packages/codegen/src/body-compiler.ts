// Compiles the straight-line part of blocks and routines: IR insts -> WebAssembly, with values as expressions or in locals.

import type { Inst } from '@anillo/ir/block';
import type { Callee } from '@anillo/ir/callee';
import { opTable, type OpName, type OpSpec, type Type } from '@anillo/ir/ops';
import type { Slot } from '@anillo/ir/slot';
import { EMIT_BY_CODE } from './emit.ts';
import type { Emitter } from './emitter.ts';
import { ExpressionPlan, isPc, PLACE } from './expression-plan.ts';
import type { FunctionCode, Label, Local } from './function-code.ts';
import { HEADER, loadHeader32, storeHeader32 } from './header-access.ts';
import { MEMORY_OPS } from './memory-op.ts';
import { ScratchLocals } from './scratch-locals.ts';
import { emitSlotLoad, emitSlotStore } from './slot-access.ts';
import type { SlotCache } from './slot-cache.ts';
import type { SlotSet } from './slot-set.ts';
import { opcodeOf } from './wasm-opcodes.ts';
import type { RelaxedSimd } from './relaxed-simd.ts';

const O = {
  add: opcodeOf('i32.add'),
  add64: opcodeOf('i64.add'),
  drop: opcodeOf('drop'),
  f64Const: opcodeOf('f64.const'),
  v128Const: opcodeOf('v128.const'),
} as const;

/** Function indices of what compiled code calls, in the module being written. */
export interface Linkage {
  slow(op: OpName): number;
  /** Its variant for accesses through the stack pointer; undefined where those are accesses like others. */
  readonly stackSlow: ((op: OpName) => number) | undefined;
  callee(callee: Callee): number;
  /** (cpu, at, code): records a trap. */
  readonly trap: number;
}

/** What differs between a block in a region and a routine. */
export interface BodyFrame {
  readonly f: FunctionCode;
  readonly cpu: Local;
  readonly cache: SlotCache;
  readonly linkage: Linkage;
  readonly atomics: boolean;
  readonly relaxed: RelaxedSimd;
  /** Local with the TLB's address; undefined when nothing in the function reaches guest memory. */
  readonly tlb: Local | undefined;
  /** Where to branch on a fault with these slots still to be written back. */
  readonly fault: (dirty: SlotSet) => Label;
  /** Reported to slow paths and traps for an inst: see `trapAt` in runtime-module.ts. Undefined in a routine, whose caller reports. */
  atOf: ((inst: Inst) => number) | undefined;
  /** Writes what is to be done before such a branch, whether it is taken or not. */
  readonly leaving: (() => void) | undefined;
  /** Pushes the block's pc; undefined in a routine, where pc is a slot like others. */
  pushPc: (() => void) | undefined;
}

/** Does code for the op need the TLB's address? */
export const usesTlb = ({ effect, name }: OpSpec): boolean =>
  effect === 'load' || effect === 'store' || (effect === 'stateLoad' && name.startsWith('tlb.'));

const OFFSETS = opTable({ 'i64.add': true, 'i64.sub': true, 'i32.add': true, 'i32.sub': true }, false);
const WIDTH_CHANGES = opTable({ 'i32.wrap_i64': true, 'i64.extend_i32_u': true }, false);

/** Is the address of a memory op the stack pointer, moved by constants? Not where it is atomic. */
export function isStackAccess(inst: Inst, atomics: boolean): boolean {
  if (atomics && MEMORY_OPS.get(inst.op)?.kind === 'rmw') return false;
  let address = inst.args[0] as Inst;
  for (;;) {
    if (address.op === 'get') return address.slot?.isStackPointer === true;
    const { args, spec } = address;
    const isOffset = OFFSETS[spec.code] && (args[1].op === 'i64.const' || args[1].op === 'i32.const');
    if (!isOffset && !WIDTH_CHANGES[spec.code]) return false;
    address = args[0];
  }
}

export class BodyCompiler implements Emitter {
  readonly f: FunctionCode;
  readonly cpu: Local;
  readonly atomics: boolean;
  readonly relaxed: RelaxedSimd;
  readonly #frame: BodyFrame;
  readonly #plan = new ExpressionPlan();
  readonly #scratch: ScratchLocals;
  readonly #free: Record<Type, Local[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  /** Locals of values (by inst id) and of IR temps. */
  readonly #valueLocal: Local[] = [];
  readonly #tempLocal = new Map<Slot, Local>();
  /** Values whose local is free after a position, as lists: first by position, next by inst id; -1 ends. */
  readonly #expires: number[] = [];
  readonly #nextExpiring: number[] = [];
  #insts: readonly Inst[] = [];
  #inst: Inst | undefined;
  readonly #loops: Label[] = [];

  /** `temps`: IR temps that have a local already (a routine's parameters). */
  constructor(frame: BodyFrame, temps: readonly (readonly [Slot, Local])[] = []) {
    this.#frame = frame;
    for (const [slot, local] of temps) this.#tempLocal.set(slot, local);
    this.f = frame.f;
    this.cpu = frame.cpu;
    this.atomics = frame.atomics;
    this.relaxed = frame.relaxed;
    this.#scratch = new ScratchLocals(frame.f);
  }

  /** Starts a body and writes its insts; `pushValue` then gives the `results`. */
  write(insts: readonly Inst[], results: readonly Inst[]): void {
    const count = insts.length;
    this.#insts = insts;
    this.#plan.run(insts, results);
    const { placement } = this.#plan;
    for (let i = 0; i <= count; i++) this.#expires[i] = -1;
    for (let i = 0; i < count; i++) {
      const inst = insts[i];
      if (placement[i] === PLACE.LOCAL || inst.type === undefined || inst.spec.effect === 'call') this.#writeInst(inst, i);
      else if (placement[i] === PLACE.SKIP && inst.spec.effect !== 'pure') this.#writeUnused(inst);
      if (this.#expires[i] >= 0) this.#expire(i);
    }
  }

  /** Gives the locals of the body just written back to the pool. */
  finish(): void {
    this.#expire(this.#insts.length);
    for (const [slot, local] of this.#tempLocal) this.#free[slot.type].push(local);
    this.#tempLocal.clear();
  }

  /** Loads whose result nobody uses still may fault, read-modify-writes still write. */
  #writeUnused(inst: Inst): void {
    const { effect } = inst.spec;
    if (effect !== 'load' && effect !== 'store' && effect !== 'stateStore') return;
    this.#pushExpression(inst);
    this.f.op(O.drop);
  }

  #expire(position: number): void {
    for (let id = this.#expires[position]; id >= 0; id = this.#nextExpiring[id]) {
      this.#free[this.#insts[id].type as Type].push(this.#valueLocal[id]);
    }
    this.#expires[position] = -1;
  }

  #setLocal(inst: Inst, i: number): void {
    const type = inst.type as Type;
    const end = this.#plan.lastUse[i];
    // Locals that end here may be taken over: they have been read.
    this.#expire(i);
    const local = this.#free[type].pop() ?? this.f.local(type);
    this.#valueLocal[i] = local;
    this.#nextExpiring[i] = this.#expires[end];
    this.#expires[end] = i;
    this.f.set(local);
  }

  #writeInst(inst: Inst, i: number): void {
    switch (inst.spec.effect) {
      case 'set':
        this.#writeSet(inst);
        break;
      case 'call':
        this.#writeCall(inst, i);
        break;
      case 'control':
        this.#writeControl(inst);
        break;
      default:
        this.#pushExpression(inst);
        if (inst.type !== undefined) this.#setLocal(inst, i);
    }
  }

  pushValue(value: Inst): void {
    if (this.#plan.placement[value.id] === PLACE.LOCAL) this.f.get(this.#valueLocal[value.id]);
    else this.#pushExpression(value);
  }

  #pushExpression(inst: Inst): void {
    if (inst.op === 'get') {
      this.#pushSlot(inst.slot as Slot);
      return;
    }
    const { args } = inst;
    for (let a = 0; a < args.length; a++) this.pushValue(args[a]);
    this.#inst = inst;
    EMIT_BY_CODE[inst.spec.code](this);
  }

  #pushSlot(slot: Slot): void {
    if (slot.temp) {
      this.f.get(this.#tempOf(slot));
    } else if (isPc(slot) && this.#frame.pushPc) {
      this.#frame.pushPc();
    } else if (slot.pinned) {
      this.f.get(this.cpu);
      emitSlotLoad(this.f, slot.type, slot.offset);
    } else {
      this.f.get(this.#frame.cache.read(slot));
    }
  }

  #tempOf(slot: Slot): Local {
    let local = this.#tempLocal.get(slot);
    if (local === undefined) {
      local = this.#free[slot.type].pop() ?? this.f.local(slot.type);
      this.#tempLocal.set(slot, local);
    }
    return local;
  }

  #writeSet(inst: Inst): void {
    const slot = inst.slot as Slot;
    const inMemory = !slot.temp && (slot.pinned || (isPc(slot) && this.#frame.pushPc !== undefined));
    if (inMemory) {
      this.f.get(this.cpu);
      this.pushValue(inst.args[0]);
      emitSlotStore(this.f, slot.type, slot.offset);
    } else if (slot.temp) {
      this.pushValue(inst.args[0]);
      this.f.set(this.#tempOf(slot));
    } else {
      this.#frame.cache.write(slot, () => this.pushValue(inst.args[0]));
    }
  }

  #writeControl(inst: Inst): void {
    const { f } = this;
    const { cache } = this.#frame;
    switch (inst.op) {
      case 'if':
        this.pushValue(inst.args[0]);
        if (inst.imm === 1) f.ifRarely();
        else f.if();
        cache.openControl();
        break;
      case 'else':
        f.else();
        cache.otherArm();
        break;
      case 'loop':
        this.#loops.push(f.loop());
        cache.openControl();
        break;
      case 'loop_while':
        this.pushValue(inst.args[0]);
        f.brIf(this.#loops.pop() as Label);
        f.end();
        cache.closeControl(true);
        break;
      default:
        f.end();
        cache.closeControl(false);
    }
  }

  #writeCall(inst: Inst, i: number): void {
    const { f } = this;
    const { cache, linkage, pushPc } = this.#frame;
    const callee = inst.callee;
    if (!callee) throw new TypeError('a call without callee');
    cache.beforeCall(callee);
    if (pushPc && (callee.reads === 'all' || (callee.reads !== 'none' && callee.reads.some(isPc)))) {
      f.get(this.cpu);
      pushPc();
      emitSlotStore(f, 'i64', HEADER.pc);
    }
    if (callee.kind === 'routine') f.get(this.cpu);
    for (const arg of inst.args) this.pushValue(arg);
    f.call(linkage.callee(callee));
    if (callee.traps) this.#leaveAfterCall(inst, callee);
    if (callee.result !== undefined) {
      if (this.#plan.placement[i] === PLACE.LOCAL) this.#setLocal(inst, i);
      else f.op(O.drop);
    }
    if (!callee.traps) this.#reload(callee);
  }

  #reload(callee: Callee): void {
    this.#frame.cache.afterCall(callee);
    const { tlb } = this.#frame;
    if (tlb === undefined || callee.writes === 'none') return;
    loadHeader32(this.f, this.cpu, HEADER.tlb);
    this.f.set(tlb);
  }

  /** Trap flag on the stack. */
  #leaveAfterCall(inst: Inst, callee: Callee): void {
    const { f } = this;
    const { atOf, cache } = this.#frame;
    f.ifRarely();
    if (atOf) storeHeader32(f, this.cpu, HEADER.trapAt, () => f.i32(atOf(inst)));
    if (callee.kind === 'helper') storeHeader32(f, this.cpu, HEADER.trapped, () => f.i32(1));
    this.#leave(cache.dirtyBut(callee.writes));
    f.end();
    this.#reload(callee);
  }

  // Emitter
  get #current(): Inst {
    return this.#inst as Inst;
  }
  get lane(): number {
    return this.#current.imm;
  }
  get shuffleMask(): Uint8Array | undefined {
    return this.#current.bytes;
  }
  pushI32(): void {
    this.f.i32(this.#current.imm);
  }
  pushI64(): void {
    this.f.i64(this.#current.imm, this.#current.immHigh);
  }
  pushF64(): void {
    this.f.op(O.f64Const);
    this.f.code.append(this.#current.bytes as Uint8Array);
  }
  pushV128(): void {
    this.f.op(O.v128Const);
    this.f.code.append(this.#current.bytes as Uint8Array);
  }
  addDisp(): void {
    const { imm } = this.#current;
    if (imm === 0) return;
    this.f.i64(imm, imm >> 31);
    this.f.op(O.add64);
  }
  stateAddress(): number {
    const { imm } = this.#current;
    this.f.get(this.cpu);
    this.f.op(O.add);
    if (imm >= 0) return imm;
    this.f.i32(imm);
    this.f.op(O.add);
    return 0;
  }
  pushTlb(): void {
    this.f.get(this.#frame.tlb as Local);
  }
  pushAt(): void {
    this.f.i32(this.#frame.atOf?.(this.#current) ?? 0);
  }
  callSlow(op: OpName): void {
    this.f.call(this.#frame.linkage.slow(op));
  }
  isStackAccess(): boolean {
    return this.#frame.linkage.stackSlow !== undefined && isStackAccess(this.#current, this.atomics);
  }
  callStackSlow(op: OpName): void {
    this.f.call(this.#frame.linkage.stackSlow?.(op) as number);
  }
  leaveIfFault(): void {
    const { cache, fault, leaving } = this.#frame;
    leaving?.();
    this.f.brIfRarely(fault(cache.dirty));
  }
  /** Leaves by way of a fault, with these slots to be written back. */
  #leave(dirty: SlotSet): void {
    const { fault, leaving } = this.#frame;
    leaving?.();
    this.f.br(fault(dirty));
  }
  trapIf(): void {
    const { f } = this;
    const inst = this.#current;
    f.ifRarely();
    f.get(this.cpu);
    this.pushAt();
    f.i32(inst.imm);
    f.call(this.#frame.linkage.trap);
    this.#leave(this.#frame.cache.dirty);
    f.end();
  }
  scratch(type: Type, n: number): Local {
    return this.#scratch.get(type, n);
  }
}
