// The guest memory ops, taken apart: everything about them derives from this one table.

import { OPS, type OpName, type Type } from '@anillo/ir/ops';
import { opcodeOf } from './wasm-opcodes.ts';

export type RmwKind = 'add' | 'and' | 'or' | 'xor' | 'xchg' | 'cmpxchg';

export interface MemoryOp {
  readonly name: OpName;
  readonly kind: 'load' | 'store' | 'probe' | 'rmw';
  readonly sizeLog2: number;
  readonly result: Type | undefined;
  /** Type of value operands (after the address), where there are any. */
  readonly operand: Type | undefined;
  readonly operandCount: number;
  /** WebAssembly accesses; 0 where there is none. */
  readonly loadOpcode: number;
  readonly storeOpcode: number;
  readonly rmw: RmwKind | undefined;
  /** The arithmetic instruction of a read-modify-write (0: xchg, cmpxchg) and its atomic form. */
  readonly rmwOpcode: number;
  readonly atomicOpcode: number;
}

function rmwOp(name: OpName, type: 'i32' | 'i64', bits: number, rmw: RmwKind): MemoryOp {
  const narrow = bits < (type === 'i32' ? 32 : 64);
  return {
    name,
    kind: 'rmw',
    sizeLog2: Math.log2(bits / 8),
    result: type,
    operand: type,
    operandCount: rmw === 'cmpxchg' ? 2 : 1,
    loadOpcode: opcodeOf(narrow ? `${type}.load${bits}_u` : `${type}.load`),
    storeOpcode: opcodeOf(narrow ? `${type}.store${bits}` : `${type}.store`),
    rmw,
    rmwOpcode: rmw === 'xchg' || rmw === 'cmpxchg' ? 0 : opcodeOf(`${type}.${rmw}`),
    atomicOpcode: opcodeOf(`${type}.atomic.rmw${narrow ? bits : ''}.${rmw}`),
  };
}

function memoryOp(name: OpName): MemoryOp | undefined {
  const spec = OPS[name];
  if (spec.imm !== 'disp') return undefined;
  const rmw = /^(i32|i64)\.rmw(8|16|)\.(\w+)$/.exec(name);
  if (rmw) return rmwOp(name, rmw[1] as 'i32', Number(rmw[2] || rmw[1].slice(1)), rmw[3] as RmwKind);
  const access = /^(?:probe_write|(i32|i64|v128)\.(load|store))(\d*)(?:_[su])?$/.exec(name);
  if (!access) return undefined;
  const kind = access[2] === undefined ? 'probe' : (access[2] as 'load' | 'store');
  const bits = Number(access[3] || access[1].slice(1));
  return {
    name,
    kind,
    sizeLog2: Math.log2(bits / 8),
    result: spec.result,
    operand: kind === 'store' ? (spec.args as readonly Type[])[1] : undefined,
    operandCount: kind === 'store' ? 1 : 0,
    loadOpcode: kind === 'load' ? opcodeOf(name) : 0,
    storeOpcode: kind === 'store' ? opcodeOf(name) : 0,
    rmw: undefined,
    rmwOpcode: 0,
    atomicOpcode: 0,
  };
}

export const MEMORY_OPS: ReadonlyMap<OpName, MemoryOp> = new Map(
  (Object.keys(OPS) as OpName[]).flatMap((name) => {
    const op = memoryOp(name);
    return op ? [[name, op] as const] : [];
  }),
);
