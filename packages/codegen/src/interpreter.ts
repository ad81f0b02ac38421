// Writes the dispatcher and interpreter: `resume(cpu i32, stop i64, depth i32) -> EXIT reason, or 0 when a lookup finds pc at `stop``. One function holds
// both loops, so a block hands over to the next without a call: lookup -> enter -> instructions -> enter ... Compiled code that calls what is
// not compiled runs it by a nested `resume` that stops at the return address.

import { EXIT } from '@anillo/ir/frontend';
import { BLOCK_FLAGS, BlockRecord } from './block-record.ts';
import { emitLinearPc } from './code-lookup.ts';
import { FIELD } from './bytecode-format.ts';
import { FunctionCode, type Label } from './function-code.ts';
import { addHeader64, HEADER, loadHeader32, loadHeader64, returnExit, storeHeader32 } from './header-access.ts';
import { straightArms, type Arm, type CalleeArm } from './interpreter-arms.ts';
import { InterpreterEmitter } from './interpreter-emitter.ts';
import { terminalArms } from './interpreter-terminals.ts';
import { emitIsFunction, emitJumpFill, emitJumpLookup, emitJumpTarget } from './jump-cache.ts';
import { opcodeOf } from './wasm-opcodes.ts';
import type { OpName } from '@anillo/ir/ops';

const O = {
  add: opcodeOf('i32.add'),
  sub: opcodeOf('i32.sub'),
  and: opcodeOf('i32.and'),
  eq: opcodeOf('i32.eq'),
  eqz: opcodeOf('i32.eqz'),
  eq64: opcodeOf('i64.eq'),
  ltS: opcodeOf('i32.lt_s'),
  leS: opcodeOf('i32.le_s'),
  load16: opcodeOf('i32.load16_u'),
  load32: opcodeOf('i32.load'),
  store32: opcodeOf('i32.store'),
  load32To64: opcodeOf('i64.load32_u'),
  drop: opcodeOf('drop'),
  unreachable: opcodeOf('unreachable'),
} as const;

const R = BlockRecord.offset;
const CPU = 0;
const STOP = 1;
const DEPTH = 2;

export interface InterpreterParts {
  readonly callees: readonly CalleeArm[];
  readonly slow: ReadonlyMap<OpName, number>;
  readonly atomics: boolean;
  /** Function indices. */
  readonly lookup: number;
  readonly guard: number;
  readonly isMapped: number;
  /** Type index of COMPILED_TYPE. */
  readonly compiledType: number;
  /** See RuntimeOptions. */
  readonly events: { readonly deliver: number; readonly canInterrupt: number } | undefined;
}

export interface Interpreter {
  readonly body: FunctionCode;
  readonly opcodes: ReadonlyMap<string, number>;
}

export function writeInterpreter(parts: InterpreterParts): Interpreter {
  const arms = [...straightArms(parts.callees), ...terminalArms()];
  const opcodes = new Map(arms.map((arm, i) => [arm.name, i]));
  if (opcodes.size !== arms.length) throw new TypeError('two instructions of the interpreter have the same name');
  const f = new FunctionCode(3, 65536);
  const e = new InterpreterEmitter(f, parts.slow, parts.atomics);
  const goOn = f.loop();
  e.labels.poll = f.block();
  e.labels.fault = f.block();
  e.labels.lookup = f.loop();
  writeLookupPart(e, parts);
  e.labels.enter = f.loop();
  writeEnterPart(e, parts);
  e.labels.nextOp = f.loop();
  writeArms(e, arms);
  f.end();
  f.end();
  f.end();
  f.op(O.unreachable);
  f.end();
  if (parts.events) writeDelivery(f, parts.events.deliver, goOn);
  returnExit(f, 'TRAP');
  f.end();
  if (parts.events) {
    f.get(CPU);
    f.call(parts.events.canInterrupt);
    f.op(O.eqz);
    f.brIf(goOn);
  }
  returnExit(f, 'POLL');
  f.end();
  f.op(O.unreachable);
  return { body: f, opcodes };
}

/** Delivers what has trapped and goes on, unless the host has to do it or something else ended the block. */
function writeDelivery(f: FunctionCode, deliver: number, goOn: Label): void {
  loadHeader32(f, CPU, HEADER.trapped);
  loadHeader32(f, CPU, HEADER.hostTraps);
  f.op(O.eqz);
  f.op(O.and);
  f.if();
  f.get(CPU);
  f.call(deliver);
  f.op(O.drop);
  f.if();
  storeHeader32(f, CPU, HEADER.trapsDelivered, () => {
    loadHeader32(f, CPU, HEADER.trapsDelivered);
    f.i32(1);
    f.op(O.add);
  });
  f.br(goOn);
  f.end();
  f.end();
}

function writeLookupPart(e: InterpreterEmitter, parts: InterpreterParts): void {
  const { f } = e;
  loadHeader64(f, CPU, HEADER.pc);
  f.get(STOP);
  f.op(O.eq64);
  f.if();
  f.i32(0);
  f.return();
  f.end();
  f.get(CPU);
  f.call(parts.lookup);
  f.tee(e.record);
  f.op(O.eqz);
  f.ifRarely();
  storeHeader32(f, CPU, HEADER.block, () => f.i32(0));
  returnExit(f, 'MISS');
  f.end();
  f.get(e.linkAt);
  f.if();
  f.get(e.linkAt);
  f.get(e.record);
  f.memory(O.store32, 0);
  f.i32(0);
  f.set(e.linkAt);
  f.end();
}

function loadRecord(e: InterpreterEmitter, offset: number): void {
  e.f.get(e.record);
  e.f.memory(O.load32, offset);
}

function returnWithBlock(e: InterpreterEmitter, reason: keyof typeof EXIT): void {
  storeHeader32(e.f, CPU, HEADER.block, () => e.f.get(e.record));
  returnExit(e.f, reason);
}

/** What happens before a block's first instruction; compiled blocks are called here and followed by a lookup. */
function writeEnterPart(e: InterpreterEmitter, parts: InterpreterParts): void {
  const { f } = e;
  const n = e.scratch('i32', 4);
  loadRecord(e, R.flags);
  f.if();
  writeFlagged(e, parts);
  f.end();
  // Budget.
  loadHeader32(f, CPU, HEADER.budget);
  loadRecord(e, R.insnCount);
  f.op(O.sub);
  f.tee(n);
  f.i32(0);
  f.op(O.ltS);
  f.ifRarely();
  returnExit(f, 'BUDGET');
  f.end();
  // Heat.
  f.get(e.record);
  loadRecord(e, R.count);
  f.i32(1);
  f.op(O.add);
  f.memory(O.store32, R.count);
  loadRecord(e, R.count);
  loadRecord(e, R.hotAt);
  f.op(O.eq);
  f.ifRarely();
  returnWithBlock(e, 'HOT');
  f.end();
  storeHeader32(f, CPU, HEADER.budget, () => f.get(n));
  addHeader64(f, CPU, HEADER.retiredInterpreted, () => {
    f.get(e.record);
    f.memory(O.load32To64, R.insnCount);
  });
  loadRecord(e, R.code);
  f.set(e.ip);
}

function writeFlagged(e: InterpreterEmitter, parts: InterpreterParts): void {
  const { f } = e;
  loadRecord(e, R.flags);
  f.i32(BLOCK_FLAGS.DEAD);
  f.op(O.and);
  f.brIf(e.labels.lookup);
  loadRecord(e, R.flags);
  f.i32(BLOCK_FLAGS.GUARD);
  f.op(O.and);
  f.if();
  f.get(CPU);
  f.get(e.record);
  f.call(parts.guard);
  f.op(O.eqz);
  f.if();
  returnWithBlock(e, 'MISS');
  f.end();
  f.end();
  loadRecord(e, R.flags);
  f.i32(BLOCK_FLAGS.COMPILED);
  f.op(O.and);
  f.if();
  writeCompiled(e, parts);
  f.end();
}

/** Calls the compiled function of the block, if all its pages are where they were; else the block is interpreted. */
function writeCompiled(e: InterpreterEmitter, parts: InterpreterParts): void {
  const { f } = e;
  const answer = e.scratch('i32', 4);
  const linear = e.scratch('i64', 4);
  const slot = e.scratch('i32', 5);
  loadHeader32(f, CPU, HEADER.budget);
  f.i32(0);
  f.op(O.leS);
  f.ifRarely();
  returnExit(f, 'BUDGET');
  f.end();
  f.get(DEPTH);
  f.op(O.eqz);
  f.ifRarely();
  returnExit(f, 'UNWIND');
  f.end();
  emitLinearPc(f);
  f.set(linear);
  const moved = f.block();
  emitJumpLookup(f, CPU, linear, slot);
  // The cache may still name a function that has died; the record does not.
  emitIsFunction(f, slot, () => loadRecord(e, R.functionIndex));
  f.op(O.and);
  f.op(O.eqz);
  f.if();
  f.get(CPU);
  f.get(e.record);
  f.call(parts.isMapped);
  f.op(O.eqz);
  f.brIfRarely(moved);
  emitJumpFill(
    f,
    CPU,
    linear,
    slot,
    () => loadRecord(e, R.functionEntry),
    () => loadRecord(e, R.functionIndex),
  );
  f.end();
  f.get(CPU);
  emitJumpTarget(f, slot, () => {
    f.get(DEPTH);
    f.i32(1);
    f.op(O.sub);
  });
  f.callIndirect(parts.compiledType);
  f.tee(answer);
  f.op(O.eqz);
  f.brIf(e.labels.lookup);
  for (const [reason, label] of [
    [EXIT.TRAP, e.labels.fault],
    [EXIT.POLL, e.labels.poll],
  ] as const) {
    f.get(answer);
    f.i32(reason);
    f.op(O.eq);
    f.brIf(label);
  }
  f.get(answer);
  f.i32(EXIT.UNWIND);
  f.op(O.eq);
  f.get(DEPTH);
  loadHeader32(f, CPU, HEADER.maxDepth);
  f.op(O.eq);
  f.op(O.and);
  f.brIf(e.labels.lookup);
  f.get(answer);
  f.return();
  f.end();
}

function writeArms(e: InterpreterEmitter, arms: readonly Arm[]): void {
  const { f } = e;
  const labels = arms.map(() => f.block()).reverse();
  f.get(e.ip);
  f.memory(O.load16, FIELD.opcode);
  f.brTable(labels, labels[arms.length - 1]);
  for (const arm of arms) {
    f.end();
    arm.emit(e);
    if (arm.byteCount > 0) {
      f.get(e.ip);
      f.i32(arm.byteCount);
      f.op(O.add);
      f.set(e.ip);
      f.br(e.labels.nextOp);
    }
  }
}
