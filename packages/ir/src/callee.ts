// What generated code can call: routines, written in IR by a front end and compiled to WebAssembly functions, and helpers, host functions.

import type { Builder } from './builder.ts';
import type { Value } from './block.ts';
import type { Type } from './ops.ts';
import type { Slot } from './slot.ts';

/** Which state a callee touches beyond its arguments. 'all' forces every cached slot back to memory (reads) or out of the cache (writes). */
export type StateAccess = 'none' | 'all' | readonly Slot[];

interface CalleeBase {
  readonly name: string;
  readonly reads: StateAccess;
  readonly writes: StateAccess;
  /** May raise a trap or fault: then the block is left, with the state of the instruction's start (slots in `writes` aside). */
  readonly traps: boolean;
  /** Changes nothing that anyone can see (slots, pinned or not, memory, the world outside) and does not trap: a call whose result nobody needs goes away. */
  readonly pure: boolean;
}

/**
 * IR function. A routine that `traps` reports it through the header's `trapped` slot (set by its own raise_if, memory accesses and callees).
 */
export interface Routine extends CalleeBase {
  readonly kind: 'routine';
  readonly params: readonly Type[];
  readonly result: Type | undefined;
  /** Writes the body; returns the result value. A routine may not contain terminals; its memory accesses fault through to the caller. */
  readonly build: (b: Builder, params: readonly Value[]) => Value | undefined;
}

/**
 * Host function, bound by name when the vCPU is made: `(arg0, arg1, ...) => i32` with i32 arguments only; wider operands go through the
 * header's `x0..x3` slots (16 bytes each; list them in `reads` / `writes`). When `traps` is set the result is 0 (went well) or 1 (trapped:
 * the front end has recorded what to deliver) and is not a value of the IR; otherwise the result is an i32 value (or ignored).
 */
export interface Helper extends CalleeBase {
  readonly kind: 'helper';
  readonly argCount: number;
  readonly params: readonly Type[];
  readonly result: Type | undefined;
}

export type Callee = Routine | Helper;

export const helper = (
  name: string,
  argCount: number,
  effects: { reads?: StateAccess; writes?: StateAccess; traps?: boolean; pure?: boolean } = {},
): Helper => ({
  kind: 'helper',
  name,
  argCount,
  params: Array.from({ length: argCount }, () => 'i32' as const),
  result: effects.traps ? undefined : 'i32',
  reads: effects.reads ?? 'all',
  writes: effects.writes ?? 'all',
  traps: effects.traps ?? false,
  pure: effects.pure ?? false,
});

export const routine = ({ pure = false, ...r }: Omit<Routine, 'kind' | 'pure'> & { pure?: boolean }): Routine => ({
  kind: 'routine',
  pure,
  ...r,
});
