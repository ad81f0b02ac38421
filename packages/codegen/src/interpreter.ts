// Writes the dispatcher and interpreter (`run`) and the block lookup. One function holds both loops, so a block hands over to the next
// without a call: lookup -> enter -> instructions -> enter ...

import { ACCESS, EXIT } from '@anillo/ir/frontend';
import { BLOCK_FLAGS, BlockRecord, BUCKET_MODE_SHIFT, BUCKET_MULTIPLIER, BUCKET_SHIFT } from './block-record.ts';
import { FIELD } from './bytecode-format.ts';
import { FunctionCode, type Local } from './function-code.ts';
import { addHeader64, HEADER, loadHeader32, loadHeader64, returnExit, storeHeader32 } from './header-access.ts';
import { straightArms, type Arm, type CalleeArm } from './interpreter-arms.ts';
import { InterpreterEmitter } from './interpreter-emitter.ts';
import { terminalArms } from './interpreter-terminals.ts';
import { TLB_INDEX_MASK, TLB_INDEX_SHIFT, TlbEntry } from './tlb-layout.ts';
import { opcodeOf } from './wasm-opcodes.ts';
import type { OpName } from '@anillo/ir/ops';

const O = {
  add: opcodeOf('i32.add'),
  sub: opcodeOf('i32.sub'),
  mul: opcodeOf('i32.mul'),
  and: opcodeOf('i32.and'),
  xor: opcodeOf('i32.xor'),
  shl: opcodeOf('i32.shl'),
  shrU: opcodeOf('i32.shr_u'),
  eq: opcodeOf('i32.eq'),
  ne: opcodeOf('i32.ne'),
  eqz: opcodeOf('i32.eqz'),
  ltS: opcodeOf('i32.lt_s'),
  leS: opcodeOf('i32.le_s'),
  load16: opcodeOf('i32.load16_u'),
  load32: opcodeOf('i32.load'),
  store32: opcodeOf('i32.store'),
  load64: opcodeOf('i64.load'),
  load32To64: opcodeOf('i64.load32_u'),
  add64: opcodeOf('i64.add'),
  and64: opcodeOf('i64.and'),
  ne64: opcodeOf('i64.ne'),
  wrap: opcodeOf('i32.wrap_i64'),
  unreachable: opcodeOf('unreachable'),
} as const;

const R = BlockRecord.offset;
const CPU = 0;

export interface InterpreterParts {
  readonly callees: readonly CalleeArm[];
  readonly slow: ReadonlyMap<OpName, number>;
  readonly atomics: boolean;
  /** Function indices. */
  readonly lookup: number;
  readonly guard: number;
  /** Type index of (i32, i32) -> i32. */
  readonly compiledType: number;
}

export interface Interpreter {
  readonly body: FunctionCode;
  readonly opcodes: ReadonlyMap<string, number>;
}

export function writeInterpreter(parts: InterpreterParts): Interpreter {
  const arms = [...straightArms(parts.callees), ...terminalArms()];
  const opcodes = new Map(arms.map((arm, i) => [arm.name, i]));
  if (opcodes.size !== arms.length) throw new TypeError('two instructions of the interpreter have the same name');
  const f = new FunctionCode(1, 65536);
  const e = new InterpreterEmitter(f, parts.slow, parts.atomics);
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
  f.i32(EXIT.TRAP);
  return { body: f, opcodes };
}

function writeLookupPart(e: InterpreterEmitter, parts: InterpreterParts): void {
  const { f } = e;
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
  const answer = e.scratch('i32', 4);
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
  loadHeader32(f, CPU, HEADER.budget);
  f.i32(0);
  f.op(O.leS);
  f.ifRarely();
  returnExit(f, 'BUDGET');
  f.end();
  f.get(CPU);
  loadRecord(e, R.functionEntry);
  loadRecord(e, R.functionIndex);
  f.callIndirect(parts.compiledType);
  f.tee(answer);
  f.op(O.eqz);
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

/** Pushes 1 if the exec TLB lacks the page of the i64 in `va`; sets `entry`. */
function emitExecMiss(f: FunctionCode, va: Local, entry: Local): void {
  f.get(va);
  f.op(O.wrap);
  f.i32(TLB_INDEX_SHIFT);
  f.op(O.shrU);
  f.i32(TLB_INDEX_MASK);
  f.op(O.and);
  loadHeader32(f, CPU, HEADER.tlb);
  f.op(O.add);
  f.tee(entry);
  f.memory(O.load64, TlbEntry.offset.tagExec);
  f.get(va);
  f.i64(-4096, -1);
  f.op(O.and64);
  f.op(O.ne64);
}

function emitLinearPc(f: FunctionCode): void {
  loadHeader64(f, CPU, HEADER.pc);
  loadHeader64(f, CPU, HEADER.codeBase);
  f.op(O.add64);
}

function emitHostOf(f: FunctionCode, va: Local, entry: Local): void {
  f.get(entry);
  f.memory(O.load32, TlbEntry.offset.addend);
  f.get(va);
  f.op(O.wrap);
  f.op(O.add);
}

/** lookup(cpu) -> record or 0. */
export function writeLookup(bucketsAt: number, refill: number | undefined): FunctionCode {
  const f = new FunctionCode(1);
  const va = f.local('i64');
  const entry = f.local('i32');
  const host = f.local('i32');
  const mode = f.local('i32');
  const record = f.local('i32');
  emitLinearPc(f);
  f.set(va);
  emitExecMiss(f, va, entry);
  f.ifRarely();
  if (refill !== undefined) {
    f.get(CPU);
    f.get(va);
    f.i32(ACCESS.EXECUTE);
    f.call(refill);
    f.i32(1 << ACCESS.EXECUTE);
    f.op(O.and);
    f.op(O.eqz);
    f.if();
  }
  f.i32(0);
  f.return();
  if (refill !== undefined) f.end();
  f.end();
  emitHostOf(f, va, entry);
  f.tee(host);
  loadHeader32(f, CPU, HEADER.mode);
  f.tee(mode);
  f.i32(BUCKET_MODE_SHIFT);
  f.op(O.shl);
  f.op(O.xor);
  f.i32(BUCKET_MULTIPLIER);
  f.op(O.mul);
  f.i32(BUCKET_SHIFT);
  f.op(O.shrU);
  f.i32(2);
  f.op(O.shl);
  f.memory(O.load32, bucketsAt);
  f.set(record);
  const found = f.block();
  const next = f.loop();
  f.get(record);
  f.op(O.eqz);
  f.brIf(found);
  f.get(record);
  f.memory(O.load32, R.hostAddress);
  f.get(host);
  f.op(O.eq);
  f.if();
  f.get(record);
  f.memory(O.load32, R.mode);
  f.get(mode);
  f.op(O.eq);
  f.brIf(found);
  f.end();
  f.get(record);
  f.memory(O.load32, R.next);
  f.set(record);
  f.br(next);
  f.end();
  f.end();
  f.get(record);
  return f;
}

/** guard(cpu, record) -> 1 if the page that a straddling block runs into is where it was. */
export function writeGuard(): FunctionCode {
  const f = new FunctionCode(2);
  const va = f.local('i64');
  const entry = f.local('i32');
  const record = 1;
  emitLinearPc(f);
  f.get(record);
  f.memory(O.load32To64, R.guardDelta);
  f.op(O.add64);
  f.i64(-4096, -1);
  f.op(O.and64);
  f.set(va);
  emitExecMiss(f, va, entry);
  f.ifRarely();
  f.i32(0);
  f.return();
  f.end();
  emitHostOf(f, va, entry);
  f.get(record);
  f.memory(O.load32, R.guardHost);
  f.op(O.eq);
  return f;
}
