// Where compiled code finds compiled code without the dispatcher: a direct-mapped table in each vCPU's struct, from a linear address to the function
// that has it as an entry. An entry holds while the guest's mode and the mapping of code are those under which the dispatcher made it ("context").

import { struct } from '@anillo/base/struct';
import { JUMP_CACHE_OFFSET } from '@anillo/ir/vcpu-header';
import type { FunctionCode, Local } from './function-code.ts';
import { HEADER, loadHeader32, loadHeader64 } from './header-access.ts';
import { opcodeOf } from './wasm-opcodes.ts';

export const JumpEntry = struct({
  linear: 'u64',
  /** As `emitContext` pushes it. */
  context: 'u64',
  functionIndex: 'u32',
  functionEntry: 'i32',
  spare: ['u32', 2],
});

const ENTRY_SHIFT = Math.log2(JumpEntry.bytes);
export const JUMP_ENTRIES = 2048;
export const JUMP_CACHE_BYTES = JUMP_ENTRIES * JumpEntry.bytes;
const INDEX_SHIFTS = [2, 13] as const;

type PcBits = 16 | 32 | 64;
/** Of 32-bit addresses. */
const LAST_GIB_SHIFT = 30;
const LAST_GIB = 3;

const at = JumpEntry.offset;
const O = {
  add: opcodeOf('i32.add'),
  add64: opcodeOf('i64.add'),
  and: opcodeOf('i32.and'),
  or: opcodeOf('i32.or'),
  xor: opcodeOf('i32.xor'),
  shl: opcodeOf('i32.shl'),
  shrU: opcodeOf('i32.shr_u'),
  shrU64: opcodeOf('i64.shr_u'),
  eq: opcodeOf('i32.eq'),
  xor64: opcodeOf('i64.xor'),
  or64: opcodeOf('i64.or'),
  eqz64: opcodeOf('i64.eqz'),
  wrap: opcodeOf('i32.wrap_i64'),
  load32: opcodeOf('i32.load'),
  load64: opcodeOf('i64.load'),
  store32: opcodeOf('i32.store'),
  store64: opcodeOf('i64.store'),
} as const;

if (HEADER.mode !== HEADER.codeEpoch + 4 || HEADER.codeEpochUpper !== HEADER.mode + 4)
  throw new TypeError('the vCPU header has its mode between the two code epochs');

/** pc in a local -> its linear address in `linear`. In 64-bit code both are the same. */
export function emitLinear(f: FunctionCode, cpu: Local, pc: Local, linear: Local, pcBits: 16 | 32 | 64): void {
  f.get(pc);
  if (pcBits !== 64) {
    loadHeader64(f, cpu, HEADER.codeBase);
    f.op(O.add64);
  }
  f.set(linear);
}

/**
 * Pushes where the context lies that code at the linear address holds for: the vCPU's struct, moved by the half in which the address lies (see the header's
 * `codeEpoch`). `pcBits` undefined: code of any width.
 */
export function emitContextAt(f: FunctionCode, cpu: Local, linear: Local, pcBits: PcBits | undefined): void {
  if (pcBits !== 64) {
    f.get(linear);
    f.op(O.wrap);
    f.i32(LAST_GIB_SHIFT);
    f.op(O.shrU);
    f.i32(LAST_GIB);
    f.op(O.eq);
    loadHeader32(f, cpu, HEADER.upperQuarter);
    f.op(O.and);
  }
  if (pcBits === 64 || pcBits === undefined) {
    f.get(linear);
    f.i64(63, 0);
    f.op(O.shrU64);
    f.op(O.wrap);
  }
  if (pcBits === undefined) f.op(O.or);
  f.i32(2);
  f.op(O.shl);
  f.get(cpu);
  f.op(O.add);
}

/** What `emitContextAt` pushed -> the mode with the code epoch of that half. */
export function emitContext(f: FunctionCode): void {
  f.memory(O.load64, HEADER.codeEpoch);
}

/** Sets `slot` to where the address has its entry (fields at JUMP_CACHE_OFFSET from there); pushes 1 if that is an entry for it now. */
export function emitJumpLookup(f: FunctionCode, cpu: Local, linear: Local, slot: Local, pcBits?: PcBits): void {
  for (const shift of INDEX_SHIFTS) {
    f.get(linear);
    f.op(O.wrap);
    f.i32(shift);
    f.op(O.shrU);
  }
  f.op(O.xor);
  f.i32(JUMP_ENTRIES - 1);
  f.op(O.and);
  f.i32(ENTRY_SHIFT);
  f.op(O.shl);
  f.get(cpu);
  f.op(O.add);
  f.tee(slot);
  f.memory(O.load64, JUMP_CACHE_OFFSET + at.linear);
  f.get(linear);
  f.op(O.xor64);
  f.get(slot);
  f.memory(O.load64, JUMP_CACHE_OFFSET + at.context);
  emitContextAt(f, cpu, linear, pcBits);
  emitContext(f);
  f.op(O.xor64);
  f.op(O.or64);
  f.op(O.eqz64);
}

/** Pushes a found entry's function entry and, last, its index in the function table. */
export function emitJumpTarget(f: FunctionCode, slot: Local, pushBetween: () => void): void {
  f.get(slot);
  f.memory(O.load32, JUMP_CACHE_OFFSET + at.functionEntry);
  pushBetween();
  f.get(slot);
  f.memory(O.load32, JUMP_CACHE_OFFSET + at.functionIndex);
}

/** Pushes 1 if the entry names the function. */
export function emitIsFunction(f: FunctionCode, slot: Local, pushIndex: () => void): void {
  f.get(slot);
  f.memory(O.load32, JUMP_CACHE_OFFSET + at.functionIndex);
  pushIndex();
  f.op(O.eq);
}

/** Enters a function that `pushEntry` and `pushIndex` describe for the address, under the present context. */
export function emitJumpFill(f: FunctionCode, cpu: Local, linear: Local, slot: Local, pushEntry: () => void, pushIndex: () => void): void {
  const put = (push: () => void, opcode: number, offset: number): void => {
    f.get(slot);
    push();
    f.memory(opcode, JUMP_CACHE_OFFSET + offset);
  };
  put(() => f.get(linear), O.store64, at.linear);
  const pushContext = (): void => {
    emitContextAt(f, cpu, linear, undefined);
    emitContext(f);
  };
  put(pushContext, O.store64, at.context);
  put(pushIndex, O.store32, at.functionIndex);
  put(pushEntry, O.store32, at.functionEntry);
}
