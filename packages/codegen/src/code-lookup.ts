// From the pc to translated code: the lookup of block records, and checks that code still lies where a translation assumes.

import { ACCESS } from '@anillo/ir/frontend';
import {
  BlockRecord,
  BUCKETS_OFFSET,
  BUCKET_MODE_SHIFT,
  BUCKET_MULTIPLIER,
  BUCKET_SHIFT,
  PAGE_LIST_HEAD_BYTES,
  PageOfFunction,
} from './block-record.ts';
import { FunctionCode, type Local } from './function-code.ts';
import { HEADER, loadHeader32, loadHeader64 } from './header-access.ts';
import { emitContextAt } from './jump-cache.ts';
import { ENTRY_OFFSET_SHIFT } from './region-entries.ts';
import { emitDistance, emitEntry, emitHostOf } from './tlb-emit.ts';
import { opcodeOf } from './wasm-opcodes.ts';

const O = {
  add: opcodeOf('i32.add'),
  mul: opcodeOf('i32.mul'),
  sub: opcodeOf('i32.sub'),
  and: opcodeOf('i32.and'),
  or: opcodeOf('i32.or'),
  xor: opcodeOf('i32.xor'),
  shl: opcodeOf('i32.shl'),
  shrU: opcodeOf('i32.shr_u'),
  shrS: opcodeOf('i32.shr_s'),
  eq: opcodeOf('i32.eq'),
  ne: opcodeOf('i32.ne'),
  eqz: opcodeOf('i32.eqz'),
  load32: opcodeOf('i32.load'),
  load32To64: opcodeOf('i64.load32_u'),
  load32To64Signed: opcodeOf('i64.load32_s'),
  extendS: opcodeOf('i64.extend_i32_s'),
  add64: opcodeOf('i64.add'),
  sub64: opcodeOf('i64.sub'),
  and64: opcodeOf('i64.and'),
  gtU64: opcodeOf('i64.gt_u'),
} as const;

const R = BlockRecord.offset;
const CPU = 0;

/** Pushes 1 if the exec TLB lacks the page of the i64 in `va`; sets `entry`. */
function emitExecMiss(f: FunctionCode, va: Local, entry: Local): void {
  f.get(va);
  emitEntry(f, () => loadHeader32(f, CPU, HEADER.tlb));
  f.tee(entry);
  emitDistance(f, va, 'tagExec');
  f.i64(4095, 0);
  f.op(O.gtU64);
}

/** Pushes the linear address of pc. */
export function emitLinearPc(f: FunctionCode): void {
  loadHeader64(f, CPU, HEADER.pc);
  loadHeader64(f, CPU, HEADER.codeBase);
  f.op(O.add64);
}

/** Brings the page of `va` into the exec TLB; where that needs the host, the function returns 0. */
function emitFetch(f: FunctionCode, va: Local, entry: Local, refill: number | undefined): void {
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
}

/** lookup(cpu) -> record or 0. */
export function writeLookup(refill: number | undefined): FunctionCode {
  const f = new FunctionCode(1);
  const va = f.local('i64');
  const entry = f.local('i32');
  const host = f.local('i32');
  const mode = f.local('i32');
  const record = f.local('i32');
  emitLinearPc(f);
  f.set(va);
  emitFetch(f, va, entry, refill);
  f.get(entry);
  emitHostOf(f, va);
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
  f.get(CPU);
  f.op(O.add);
  f.memory(O.load32, BUCKETS_OFFSET);
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
export function writeGuard(refill: number | undefined): FunctionCode {
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
  emitFetch(f, va, entry, refill);
  f.get(entry);
  emitHostOf(f, va);
  f.get(record);
  f.memory(O.load32, R.guardHost);
  f.op(O.eq);
  return f;
}

/** isMapped(cpu, record) -> 1 if all pages of the compiled function of the block at pc are where they were when it was compiled. */
export function writeIsMapped(refill: number | undefined): FunctionCode {
  const f = new FunctionCode(2);
  const base = f.local('i64');
  const va = f.local('i64');
  const entry = f.local('i32');
  const page = f.local('i32');
  const left = f.local('i32');
  const context = f.local('i32');
  const record = 1;
  f.get(record);
  f.memory(O.load32, R.pages);
  f.tee(page);
  f.op(O.eqz);
  f.if();
  f.i32(1);
  f.return();
  f.end();
  emitLinearPc(f);
  f.get(record);
  f.memory(O.load32, R.functionEntry);
  f.i32(ENTRY_OFFSET_SHIFT);
  f.op(O.shrS);
  f.op(O.extendS);
  f.op(O.sub64);
  f.set(base);
  emitLinearPc(f);
  f.set(va);
  emitContextAt(f, CPU, va, undefined);
  f.set(context);
  f.get(page);
  f.memory(O.load32, 0);
  f.set(left);
  f.get(page);
  f.i32(PAGE_LIST_HEAD_BYTES);
  f.op(O.add);
  f.set(page);
  const next = f.loop();
  f.get(base);
  f.get(page);
  f.memory(O.load32To64Signed, PageOfFunction.offset.delta);
  f.op(O.add64);
  f.i64(-4096, -1);
  f.op(O.and64);
  f.set(va);
  emitFetch(f, va, entry, refill);
  f.get(entry);
  emitHostOf(f, va);
  f.get(page);
  f.memory(O.load32, PageOfFunction.offset.hostPage);
  f.op(O.ne);
  // One number stands for the mapping of all of its pages, so they must lie in one half.
  emitContextAt(f, CPU, va, undefined);
  f.get(context);
  f.op(O.ne);
  f.op(O.or);
  f.if();
  f.i32(0);
  f.return();
  f.end();
  f.get(page);
  f.i32(PageOfFunction.bytes);
  f.op(O.add);
  f.set(page);
  f.get(left);
  f.i32(1);
  f.op(O.sub);
  f.tee(left);
  f.brIf(next);
  f.end();
  f.i32(1);
  return f;
}
