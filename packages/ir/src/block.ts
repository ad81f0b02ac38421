// Blocks: straight-line guest code as ops in execution order, ended by one terminal.

import type { Callee } from './callee.ts';
import type { OpName, OpSpec, Type } from './ops.ts';
import type { Slot } from './slot.ts';

/** One op and, where it has a result, the value. Plain node: arguments are the nodes that produce them. */
export class Inst<T extends Type | undefined = Type | undefined> {
  readonly op: OpName;
  /** OPS[op]: passes ask for it all the time, and for what they have in tables by its `code`. */
  readonly spec: OpSpec;
  readonly type: T;
  args: readonly Inst[];
  /** i32 constant, lane, displacement (signed 32 bits), trap code; low word of an i64 constant. */
  imm: number;
  /** High word of an i64 constant. */
  immHigh: number;
  slot: Slot | undefined;
  /** 16 bytes of a v128 constant or shuffle; 8 bytes of an f64 constant. */
  bytes: Uint8Array | undefined;
  callee: Callee | undefined;
  /** Guest instruction that this op belongs to: byte offset from the block's start. What a fault reports. */
  readonly at: number;
  /** Position in the block, given by `Builder`; passes may renumber. */
  id: number;

  constructor(spec: OpSpec, type: T, args: readonly Inst[], at: number, id: number) {
    this.op = spec.name;
    this.spec = spec;
    this.type = type;
    this.args = args;
    this.imm = 0;
    this.immHigh = 0;
    this.slot = undefined;
    this.bytes = undefined;
    this.callee = undefined;
    this.at = at;
    this.id = id;
  }
}

/** The arguments with another value at a place. Not `Array.with`, whose result is of another kind to V8: code that meets both kinds is compiled over and over. */
export function withArg(args: readonly Inst[], place: number, value: Inst): readonly Inst[] {
  const changed = args.slice();
  changed[place] = value;
  return changed;
}

export type Value<T extends Type = Type> = Inst<T>;

/**
 * How a block ends. Deltas are byte distances from the block's start to the target, added to the `pc` slot and masked with the block's `pcMask`.
 * `jump`/`branch`: targets known; `indirect`: target is a value; `dispatch`: the callee of the last call has set `pc` (and perhaps the mode) itself;
 * `exit`: `pc` moves by delta and the vCPU loop in the host takes over with `reason`; `trap`: as raise_if, always.
 * `poll`: look for pending interrupts before going on (something has just enabled them).
 */
export type Terminal =
  | { readonly kind: 'jump'; readonly delta: number; readonly poll: boolean }
  | { readonly kind: 'branch'; readonly cond: Value<'i32'>; readonly taken: number; readonly fall: number }
  | { readonly kind: 'indirect'; readonly target: Value<'i64'>; readonly hint: 'jump' | 'ret' }
  | { readonly kind: 'call'; readonly delta: number; readonly returnDelta: number }
  | { readonly kind: 'callIndirect'; readonly target: Value<'i64'>; readonly returnDelta: number }
  | { readonly kind: 'dispatch' }
  | { readonly kind: 'exit'; readonly delta: number; readonly reason: number }
  | { readonly kind: 'trap'; readonly code: number };

export interface Block {
  readonly insts: Inst[];
  readonly terminal: Terminal;
  /** Guest bytes covered, from the block's start. */
  readonly byteCount: number;
  /** Guest instructions in it (at least 1). */
  readonly insnCount: number;
  /** Offset of the terminal's instruction from the block's start: what a trap at the terminal reports. */
  readonly terminalAt: number;
  /** Width to which a new `pc` is cut: 16, 32 or 64 bits. */
  readonly pcBits: 16 | 32 | 64;
}
