// Emits of the guest memory ops: TLB check inline, access inline on a hit, call of the op's slow function on a miss.
// `va xor tag` is the offset in the page on a hit, and must be at most 4096 - size: so an access that crosses its page misses. Atomic forms also
// miss when the offset is not a multiple of the size.

import type { Emitter } from './emitter.ts';
import type { MemoryOp } from './memory-op.ts';
import { emitDistance, emitEntry, emitHostOf, type TlbTag } from './tlb-emit.ts';
import { TLB_STACK_ENTRY } from './tlb-layout.ts';
import { opcodeOf } from './wasm-opcodes.ts';
import type { Local } from './function-code.ts';

const O = {
  and: opcodeOf('i32.and'),
  and64: opcodeOf('i64.and'),
  eqz64: opcodeOf('i64.eqz'),
  gtU64: opcodeOf('i64.gt_u'),
  eqz: opcodeOf('i32.eqz'),
  eq: { i32: opcodeOf('i32.eq'), i64: opcodeOf('i64.eq') },
  select: opcodeOf('select'),
} as const;

const PAGE_BYTES = 4096;

export interface SiteLocals {
  readonly va: Local;
  /** Address of the TLB entry; not used where it is the one of the stack pointer. */
  readonly entry: Local;
  readonly isStack: boolean;
  readonly operands: readonly Local[];
}

/** Takes the address off the stack and its TLB entry's into locals. */
function emitSiteEntry(e: Emitter, at: SiteLocals): void {
  const { f } = e;
  f.tee(at.va);
  emitEntry(f, () => e.pushTlb());
  f.set(at.entry);
}
/** The same, then `va xor tag` of the TLB entry. */
function emitSiteDistance(e: Emitter, at: SiteLocals, tag: TlbTag): void {
  emitSiteEntry(e, at);
  e.f.get(at.entry);
  emitDistance(e.f, at.va, tag);
}

export function siteLocals(e: Emitter, va: Local, operands: readonly Local[], isStack = false): SiteLocals {
  return { va, entry: e.scratch('i32', 0), isStack, operands };
}

/** tlb.read, tlb.write: address on the stack -> byte offset in the machine's memory, or -1. */
export function emitTlbLookup(e: Emitter, tag: TlbTag): void {
  const { f } = e;
  const at = siteLocals(e, e.scratch('i64', 0), []);
  emitSiteDistance(e, at, tag);
  f.i64(PAGE_BYTES - 1, 0);
  f.op(O.gtU64);
  f.if('i32');
  f.i32(-1);
  f.else();
  emitHostAddress(e, at);
  f.end();
}

export function emitTlbDistance(e: Emitter, tag: TlbTag): void {
  emitSiteDistance(e, siteLocals(e, e.scratch('i64', 0), []), tag);
}
export function emitTlbGranted(e: Emitter): void {
  const at = siteLocals(e, e.scratch('i64', 0), []);
  emitSiteEntry(e, at);
  emitHostAddress(e, at);
}

/** Takes the address off the stack into a local, looks its TLB entry up; leaves "misses" on the stack. */
export function emitCheck(e: Emitter, op: MemoryOp, at: SiteLocals): void {
  const { f } = e;
  emitSiteDistance(e, at, op.kind === 'load' ? 'tagRead' : 'tagWrite');
  const size = 1 << op.sizeLog2;
  if (e.atomics && op.kind === 'rmw') {
    f.i64(~(PAGE_BYTES - size), -1);
    f.op(O.and64);
    f.op(O.eqz64);
    f.op(O.eqz);
  } else {
    f.i64(PAGE_BYTES - size, 0);
    f.op(O.gtU64);
  }
}

/** As `emitCheck`, by the TLB's entry for the stack pointer: its page may be written, and so read. */
function emitStackCheck(e: Emitter, op: MemoryOp, at: SiteLocals): void {
  const { f } = e;
  f.set(at.va);
  e.pushTlb();
  emitDistance(f, at.va, 'tagWrite', TLB_STACK_ENTRY);
  f.i64(PAGE_BYTES - (1 << op.sizeLog2), 0);
  f.op(O.gtU64);
}

/** Pushes the host address of a hit. */
export function emitHostAddress(e: Emitter, at: SiteLocals): void {
  if (at.isStack) e.pushTlb();
  else e.f.get(at.entry);
  emitHostOf(e.f, at.va, at.isStack ? TLB_STACK_ENTRY : 0);
}

function emitSlowCall(e: Emitter, op: MemoryOp, at: SiteLocals): void {
  e.f.get(e.cpu);
  e.pushAt();
  e.f.get(at.va);
  for (const operand of at.operands) e.f.get(operand);
  if (at.isStack) e.callStackSlow(op.name);
  else e.callSlow(op.name);
  e.leaveIfFault();
}

/** (address[, operands]) on the stack -> result. */
export function emitMemory(e: Emitter, op: MemoryOp): void {
  const operandType = op.operand;
  const operands = operandType ? Array.from({ length: op.operandCount }, (_, i) => e.scratch(operandType, 1 + i)) : [];
  const isStack = e.isStackAccess();
  const at = siteLocals(e, e.scratch('i64', 0), operands, isStack);
  for (let i = op.operandCount - 1; i >= 0; i--) e.f.set(at.operands[i]);
  e.addDisp();
  if (isStack) emitStackCheck(e, op, at);
  else emitCheck(e, op, at);
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
