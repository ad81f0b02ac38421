// Emits of the guest memory ops: TLB check inline, access inline on a hit, call of the op's slow function on a miss.
// A page tag hits when ((va + size - 1) & ~0xfff) equals it, so an access that crosses its page misses. Atomic forms compare
// va & ~(0xfff ^ (size - 1)) instead, so an unaligned one misses.

import type { Emitter } from './emitter.ts';
import type { MemoryOp } from './memory-op.ts';
import { TLB_INDEX_MASK, TLB_INDEX_SHIFT, TlbEntry } from './tlb-layout.ts';
import { opcodeOf } from './wasm-opcodes.ts';
import type { Local } from './function-code.ts';

const O = {
  wrap: opcodeOf('i32.wrap_i64'),
  shrU: opcodeOf('i32.shr_u'),
  and: opcodeOf('i32.and'),
  add: opcodeOf('i32.add'),
  load32: opcodeOf('i32.load'),
  load64: opcodeOf('i64.load'),
  add64: opcodeOf('i64.add'),
  and64: opcodeOf('i64.and'),
  ne64: opcodeOf('i64.ne'),
  sub64: opcodeOf('i64.sub'),
  eq: { i32: opcodeOf('i32.eq'), i64: opcodeOf('i64.eq') },
  select: opcodeOf('select'),
} as const;

const PAGE_MASK = -4096;

export interface SiteLocals {
  readonly va: Local;
  readonly entry: Local;
  readonly operands: readonly Local[];
}

/** Address on the stack -> the tag at byte `tag` of its TLB entry. */
function emitTag(e: Emitter, at: SiteLocals, tag: number): void {
  const { f } = e;
  f.tee(at.va);
  f.op(O.wrap);
  f.i32(TLB_INDEX_SHIFT);
  f.op(O.shrU);
  f.i32(TLB_INDEX_MASK);
  f.op(O.and);
  e.pushTlb();
  f.op(O.add);
  f.tee(at.entry);
  f.memory(O.load64, tag);
}

/** tlb.read, tlb.write: address on the stack -> byte offset in the machine's memory, or -1. */
export function emitTlbLookup(e: Emitter, tag: 'tagRead' | 'tagWrite'): void {
  const { f } = e;
  const at: SiteLocals = { va: e.scratch('i64', 0), entry: e.scratch('i32', 0), operands: [] };
  emitTag(e, at, TlbEntry.offset[tag]);
  f.get(at.va);
  f.i64(PAGE_MASK, -1);
  f.op(O.and64);
  f.op(O.ne64);
  f.if('i32');
  f.i32(-1);
  f.else();
  emitHostAddress(e, at);
  f.end();
}

/** Takes the address off the stack into a local, the TLB entry's address into another; leaves "misses" on the stack. */
export function emitCheck(e: Emitter, op: MemoryOp, at: SiteLocals): void {
  const { f } = e;
  emitTag(e, at, op.kind === 'load' ? TlbEntry.offset.tagRead : TlbEntry.offset.tagWrite);
  f.get(at.va);
  const lastByte = (1 << op.sizeLog2) - 1;
  const aligned = e.atomics && op.kind === 'rmw';
  if (lastByte > 0 && !aligned) {
    f.i64(lastByte, 0);
    f.op(O.add64);
  }
  f.i64(aligned ? PAGE_MASK | lastByte : PAGE_MASK, -1);
  f.op(O.and64);
  // Not `ne`: V8 would load the tag a second time, as that compare's memory operand.
  f.op(O.sub64);
  f.i64(0, 0);
  f.op(O.ne64);
}

/** Pushes the host address of a hit. */
export function emitHostAddress(e: Emitter, at: SiteLocals): void {
  e.f.get(at.entry);
  e.f.memory(O.load32, TlbEntry.offset.addend);
  e.f.get(at.va);
  e.f.op(O.wrap);
  e.f.op(O.add);
}

function emitSlowCall(e: Emitter, op: MemoryOp, at: SiteLocals): void {
  e.f.get(e.cpu);
  e.pushAt();
  e.f.get(at.va);
  for (const operand of at.operands) e.f.get(operand);
  e.callSlow(op.name);
  e.leaveIfFault();
}

/** (address[, operands]) on the stack -> result. */
export function emitMemory(e: Emitter, op: MemoryOp): void {
  const operandType = op.operand;
  const at: SiteLocals = {
    va: e.scratch('i64', 0),
    entry: e.scratch('i32', 0),
    operands: operandType ? Array.from({ length: op.operandCount }, (_, i) => e.scratch(operandType, 1 + i)) : [],
  };
  for (let i = op.operandCount - 1; i >= 0; i--) e.f.set(at.operands[i]);
  e.addDisp();
  emitCheck(e, op, at);
  e.f.ifRarely(op.result);
  emitSlowCall(e, op, at);
  if (op.kind !== 'probe') {
    e.f.else();
    emitHostAddress(e, at);
    emitAccess(e, op, at.operands);
  }
  e.f.end();
}

/** Host address on the stack -> result; operands in locals. */
export function emitAccess(e: Emitter, op: MemoryOp, operands: readonly Local[]): void {
  const { f } = e;
  if (op.kind === 'load') {
    f.memory(op.loadOpcode, 0);
  } else if (op.kind === 'store') {
    f.get(operands[0]);
    f.memory(op.storeOpcode, 0);
  } else if (e.atomics) {
    emitAtomic(e, op, operands);
  } else {
    emitPlainRmw(e, op, operands);
  }
}

function emitAtomic(e: Emitter, op: MemoryOp, operands: readonly Local[]): void {
  e.f.get(operands[0]);
  if (op.rmw === 'cmpxchg') {
    emitCutToSize(e, op);
    e.f.get(operands[1]);
  }
  e.f.atomic(op.atomicOpcode, op.sizeLog2);
}

/** The expected value of a narrow cmpxchg counts only in its low bytes. */
function emitCutToSize(e: Emitter, op: MemoryOp): void {
  if (op.operand !== 'i32' || op.sizeLog2 === 2) return;
  e.f.i32(2 ** (8 << op.sizeLog2) - 1);
  e.f.op(O.and);
}

function emitPlainRmw(e: Emitter, op: MemoryOp, operands: readonly Local[]): void {
  const { f } = e;
  const type = op.operand === 'i64' ? 'i64' : 'i32';
  const host = e.scratch('i32', 0);
  const old = e.scratch(type, 3);
  f.tee(host);
  f.memory(op.loadOpcode, 0);
  f.set(old);
  f.get(host);
  emitNewValue(e, op, type, old, operands);
  f.memory(op.storeOpcode, 0);
  f.get(old);
}

/** Pushes what a read-modify-write stores. */
export function emitNewValue(e: Emitter, op: MemoryOp, type: 'i32' | 'i64', old: Local, operands: readonly Local[]): void {
  const { f } = e;
  if (op.rmw === 'xchg') {
    f.get(operands[0]);
  } else if (op.rmw === 'cmpxchg') {
    f.get(operands[1]);
    f.get(old);
    f.get(old);
    f.get(operands[0]);
    emitCutToSize(e, op);
    f.op(O.eq[type]);
    f.op(O.select);
  } else {
    f.get(old);
    f.get(operands[0]);
    f.op(op.rmwOpcode);
  }
}
