// Reads and writes of the vCPU header in generated code.

import { EXIT } from '@anillo/ir/frontend';
import { VcpuHeader } from '@anillo/ir/vcpu-header';
import type { FunctionCode, Local } from './function-code.ts';
import { opcodeOf } from './wasm-opcodes.ts';

export const HEADER = VcpuHeader.offset;

const LOAD32 = opcodeOf('i32.load');
const LOAD64 = opcodeOf('i64.load');
const STORE32 = opcodeOf('i32.store');
const STORE64 = opcodeOf('i64.store');
const ADD64 = opcodeOf('i64.add');

export function loadHeader32(f: FunctionCode, cpu: Local, offset: number): void {
  f.get(cpu);
  f.memory(LOAD32, offset);
}
export function loadHeader64(f: FunctionCode, cpu: Local, offset: number): void {
  f.get(cpu);
  f.memory(LOAD64, offset);
}
/** Stores what `push` pushes. */
export function storeHeader32(f: FunctionCode, cpu: Local, offset: number, push: () => void): void {
  f.get(cpu);
  push();
  f.memory(STORE32, offset);
}
export function storeHeader64(f: FunctionCode, cpu: Local, offset: number, push: () => void): void {
  f.get(cpu);
  push();
  f.memory(STORE64, offset);
}
/** Adds the i64 that `push` pushes to a header field. */
export function addHeader64(f: FunctionCode, cpu: Local, offset: number, push: () => void): void {
  storeHeader64(f, cpu, offset, () => {
    loadHeader64(f, cpu, offset);
    push();
    f.op(ADD64);
  });
}

export function returnExit(f: FunctionCode, reason: keyof typeof EXIT): void {
  f.i32(EXIT[reason]);
  f.return();
}
