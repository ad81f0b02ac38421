// How values lie in the vCPU struct and in the interpreter's temps: 8 bytes each (v128: 16). An i32 is stored zero-extended to 8 bytes and read
// as its low 4; an f32 uses the low 4 bytes only.

import type { Type } from '@anillo/ir/ops';
import type { FunctionCode } from './function-code.ts';
import { opcodeOf } from './wasm-opcodes.ts';

const LOAD: Readonly<Record<Type, number>> = {
  i32: opcodeOf('i32.load'),
  i64: opcodeOf('i64.load'),
  f32: opcodeOf('f32.load'),
  f64: opcodeOf('f64.load'),
  v128: opcodeOf('v128.load'),
};
const STORE: Readonly<Record<Type, number>> = {
  i32: opcodeOf('i64.store'),
  i64: opcodeOf('i64.store'),
  f32: opcodeOf('f32.store'),
  f64: opcodeOf('f64.store'),
  v128: opcodeOf('v128.store'),
};
const EXTEND = opcodeOf('i64.extend_i32_u');

/** Address on the stack -> value. */
export function emitSlotLoad(f: FunctionCode, type: Type, offset: number): void {
  f.memory(LOAD[type], offset);
}

/** Address and value on the stack are taken. */
export function emitSlotStore(f: FunctionCode, type: Type, offset: number): void {
  if (type === 'i32') f.op(EXTEND);
  f.memory(STORE[type], offset);
}
