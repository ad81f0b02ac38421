// Regions -> one WebAssembly module. A region is a piece of the guest's control flow graph compiled as one function, guest state in locals.

import type { Block } from '@anillo/ir/block';
import type { Callee } from '@anillo/ir/callee';
import type { OpName } from '@anillo/ir/ops';
import { ModuleWriter, type FunctionType } from './module-writer.ts';
import { RegionWriter, type RegionLinkage } from './region-writer.ts';
import { routineType } from './routine-compiler.ts';
import { SLOW_TYPES, slowName, stackSlowName } from './slow-functions.ts';

export interface RegionBlock {
  readonly block: Block;
  /** Byte distance of the block's start from the region's pc base; 0 or more, below 2 MiB. No two blocks of a region have the same in the same call. */
  readonly offset: number;
  /** May the function be entered here from outside? Every block must be reachable from one that may. */
  readonly entry: boolean;
  /** The inlined call that the block belongs to: copies of a function's blocks, one for each place that calls it. Not entered from outside. */
  readonly within?: InlinedCall | undefined;
  /** Offsets to which the indirect jump at the block's end is known to go. */
  readonly targets?: readonly number[] | undefined;
}

/** A call whose callee is part of the region. */
export interface InlinedCall {
  /** The inlined call that the caller belongs to. */
  readonly within: InlinedCall | undefined;
  /** Offsets of the block that calls, and of the one to which it returns. */
  readonly at: number;
  readonly returnOffset: number;
}

/** Blocks of one mode that die together. The code does not check that their pages stay mapped: whoever enters it has. At most 512. */
export type Region = readonly RegionBlock[];

export interface CompileContext {
  /** As in RuntimeOptions. */
  readonly sharedMaximumPages?: number;
}

export interface CompiledRegions {
  /**
   * Module; imports env.memory, runtime.* (exports of the runtime module's instance) and helper.*; exports f0, f1, ... in order of the regions,
   * each a COMPILED_TYPE: 0 when `pc` is set and the next block is to be looked up, else an EXIT reason.
   */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /**
   * For each region, the `functionEntry` of each of its blocks; -1 where it is not entered: `entry` is false, or the block is inside a loop
   * (such a block stays with the interpreter when it is reached from outside; the loop's header is an entry).
   */
  readonly entries: readonly Int32Array[];
}

/** (cpu, entry, depth): `depth` calls of compiled functions may still be nested. */
export const COMPILED_TYPE: FunctionType = { params: ['i32', 'i32', 'i32'], results: ['i32'] };
/** (cpu, stop, depth): see interpreter.ts. */
export const RESUME_TYPE: FunctionType = { params: ['i32', 'i64', 'i32'], results: ['i32'] };
export const TRAP_TYPE: FunctionType = { params: ['i32', 'i32', 'i32'], results: [] };
const HELPER_TYPES: FunctionType[] = [];
export const helperType = (argCount: number): FunctionType =>
  (HELPER_TYPES[argCount] ??= { params: Array.from({ length: argCount }, () => 'i32' as const), results: ['i32'] });
/** Name under which the runtime module exports a routine to compiled modules. */
export const routineExport = (name: string): string => `routine.${name}`;

export function compileRegions(regions: readonly Region[], context: CompileContext): CompiledRegions {
  const module = new ModuleWriter();
  module.importMemory(context.sharedMaximumPages);
  module.importTable();
  const linkage = linkageOf(module);
  // Regions find each other through the table, so the functions may be declared once all imports are known.
  const compiledType = module.typeIndex(COMPILED_TYPE);
  const entries: Int32Array[] = [];
  const bodies = regions.map((region) => {
    const writer = new RegionWriter(region, linkage, compiledType, context.sharedMaximumPages !== undefined);
    entries.push(writer.entries());
    return writer.write();
  });
  bodies.forEach((body, i) => {
    module.define(module.declare(COMPILED_TYPE, `f${i}`), body);
  });
  return { bytes: module.finish(), entries };
}

function importCallee(module: ModuleWriter, callee: Callee): number {
  return callee.kind === 'routine'
    ? module.importFunction('runtime', routineExport(callee.name), routineType(callee))
    : module.importFunction('helper', callee.name, helperType(callee.argCount));
}

/** Imports what is asked for. */
function linkageOf(module: ModuleWriter): RegionLinkage {
  const memory =
    (name: (op: OpName) => string) =>
    (op: OpName): number =>
      module.importFunction('runtime', name(op), SLOW_TYPES.get(op) as FunctionType);
  return {
    trap: module.importFunction('runtime', 'trap', TRAP_TYPE),
    resume: module.importFunction('runtime', 'resume', RESUME_TYPE),
    slow: remembered(memory(slowName)),
    stackSlow: remembered(memory(stackSlowName)),
    callee: remembered((callee: Callee) => importCallee(module, callee)),
  };
}

function remembered<K>(find: (key: K) => number): (key: K) => number {
  const known = new Map<K, number>();
  return (key) => {
    let index = known.get(key);
    if (index === undefined) {
      index = find(key);
      known.set(key, index);
    }
    return index;
  };
}
