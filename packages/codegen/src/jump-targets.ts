// Where indirect jumps have gone while the interpreter executed them: a table in each vCPU's struct, written over again and again, that the region
// compiler reads to find the targets of a switch.

import { struct } from '@anillo/base/struct';
import { JUMP_CACHE_OFFSET, JUMP_TARGETS_OFFSET } from '@anillo/ir/vcpu-header';
import type { FunctionCode, Local } from './function-code.ts';
import { opcodeOf } from './wasm-opcodes.ts';

export const JumpTarget = struct({
  /** Record of the block that ends with the jump; 0: none. */
  record: 'u32',
  /** Bytes from the block to the target. */
  delta: 'i32',
});

export const JUMP_TARGETS = (JUMP_CACHE_OFFSET - JUMP_TARGETS_OFFSET) / JumpTarget.bytes;
const MULTIPLIER = 0x9e3779b1 | 0;
const INDEX_SHIFT = 32 - Math.log2(JUMP_TARGETS);
const ENTRY_SHIFT = Math.log2(JumpTarget.bytes);

const O = {
  add: opcodeOf('i32.add'),
  mul: opcodeOf('i32.mul'),
  xor: opcodeOf('i32.xor'),
  shl: opcodeOf('i32.shl'),
  shrU: opcodeOf('i32.shr_u'),
  store32: opcodeOf('i32.store'),
} as const;

/** Notes that the block of a record has jumped `delta` bytes; `entry` is a local to use. */
export function emitNoteTarget(f: FunctionCode, cpu: Local, record: Local, delta: Local, entry: Local): void {
  f.get(record);
  f.get(delta);
  f.op(O.xor);
  f.i32(MULTIPLIER);
  f.op(O.mul);
  f.i32(INDEX_SHIFT);
  f.op(O.shrU);
  f.i32(ENTRY_SHIFT);
  f.op(O.shl);
  f.get(cpu);
  f.op(O.add);
  f.set(entry);
  const put = (value: Local, offset: number): void => {
    f.get(entry);
    f.get(value);
    f.memory(O.store32, JUMP_TARGETS_OFFSET + offset);
  };
  put(record, JumpTarget.offset.record);
  put(delta, JumpTarget.offset.delta);
}

/** Distances to which the jumps of blocks have been seen to go, by record; `words` is the machine's memory. */
export function jumpTargets(words: Uint32Array, cpu: number): ReadonlyMap<number, readonly number[]> {
  const found = new Map<number, number[]>();
  const start = cpu + JUMP_TARGETS_OFFSET;
  for (let at = start; at < start + JUMP_TARGETS * JumpTarget.bytes; at += JumpTarget.bytes) {
    const record = words[(at + JumpTarget.offset.record) >>> 2] as number;
    if (record === 0) continue;
    const delta = (words[(at + JumpTarget.offset.delta) >>> 2] as number) | 0;
    const known = found.get(record);
    if (known) known.push(delta);
    else found.set(record, [delta]);
  }
  return found;
}
