// The slow path of each memory op, as a function of the runtime module:
//   slow.<op>(cpu i32, at i32, va i64, ...operands) -> (result, fault i32)     (just the fault flag where the op has no result)
//   stack.<op>, of the same type: where the TLB's entry for the stack pointer does not serve; it does afterwards if the page may be written
// It asks the host (slow-access.ts) about an access within a page, and does one that crosses pages byte by byte. On a fault `trapAt` is `at`.

import type { OpName, Type } from '@anillo/ir/ops';
import { FunctionCode } from './function-code.ts';
import { emitCheck, siteLocals } from './memory-emit.ts';
import { MEMORY_OPS, type MemoryOp } from './memory-op.ts';
import type { FunctionType, ModuleWriter } from './module-writer.ts';
import { writeSlowPlain } from './slow-plain.ts';
import { writeSlowRmw } from './slow-rmw.ts';
import { FIRST_OPERAND, slowEmitter, type SlowParts, SlowWriter, VA } from './slow-writer.ts';
import { TLB_STACK_ENTRY, TlbEntry } from './tlb-layout.ts';
import { opcodeOf } from './wasm-opcodes.ts';

const O = {
  eqz: opcodeOf('i32.eqz'),
  load32: opcodeOf('i32.load'),
  load64: opcodeOf('i64.load'),
  store32: opcodeOf('i32.store'),
  store64: opcodeOf('i64.store'),
} as const;

export const slowName = (op: OpName): string => `slow.${op}`;
export const stackSlowName = (op: OpName): string => `stack.${op}`;

function slowType(op: MemoryOp): FunctionType {
  const operands = Array.from({ length: op.operandCount }, () => op.operand as Type);
  return { params: ['i32', 'i32', 'i64', ...operands], results: op.result ? [op.result, 'i32'] : ['i32'] };
}

export const SLOW_TYPES: ReadonlyMap<OpName, FunctionType> = new Map([...MEMORY_OPS].map(([name, op]) => [name, slowType(op)]));

/** Declares and defines all slow functions. Returns their indices. */
export function defineSlowFunctions(module: ModuleWriter, parts: SlowParts): ReadonlyMap<OpName, number> {
  const index = new Map<OpName, number>();
  for (const op of MEMORY_OPS.values()) index.set(op.name, module.declare(slowType(op), slowName(op.name)));
  for (const op of MEMORY_OPS.values()) {
    const w = new SlowWriter(op, index, parts);
    if (op.kind === 'rmw') writeSlowRmw(w);
    else writeSlowPlain(w);
    module.define(index.get(op.name) as number, w.f);
  }
  for (const op of MEMORY_OPS.values())
    module.define(module.declare(slowType(op), stackSlowName(op.name)), writeStackSlow(op, index.get(op.name) as number));
  return index;
}

/** Copies the page's TLB entry, then does what the slow function does (it begins with a look into the TLB). */
function writeStackSlow(op: MemoryOp, slow: number): FunctionCode {
  const f = new FunctionCode(FIRST_OPERAND + op.operandCount);
  const e = slowEmitter(f, false);
  const { tagWrite, addend } = TlbEntry.offset;
  const at = siteLocals(e, VA, []);
  f.get(VA);
  emitCheck(e, { ...op, kind: 'store' }, at);
  f.op(O.eqz);
  f.if();
  e.pushTlb();
  f.get(at.entry);
  f.memory(O.load64, tagWrite);
  f.memory(O.store64, TLB_STACK_ENTRY + tagWrite);
  e.pushTlb();
  f.get(at.entry);
  f.memory(O.load32, addend);
  f.memory(O.store32, TLB_STACK_ENTRY + addend);
  f.end();
  for (let i = 0; i < FIRST_OPERAND + op.operandCount; i++) f.get(i);
  f.call(slow);
  return f;
}
