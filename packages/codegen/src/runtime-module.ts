// The runtime module: dispatcher, interpreter, slow paths and the front end's routines, as one WebAssembly module per machine.
//
// Imports (all modules of this package use the same namespaces; extra properties in the import object do no harm):
//   env.memory                     the machine's memory
//   env.table                      funcref table with the compiled functions `(cpu i32, entry i32) -> i32`
//   host.memory_miss               see slow-access.ts
//   helper.<name>                  (i32 x argCount) -> i32, for every helper
// Exports:
//   run(cpu i32) -> i32            see below
//   lookup(cpu i32) -> i32         record for (pc + codeBase, mode) through the exec TLB, or 0
//   <routine name>                 (cpu i32, ...params) -> result, for the host; a trap shows in the header's `trapped`
//   slow.*, routine.*, trap        for compiled modules, which import this instance's exports as namespace `runtime`
//
// `run` executes blocks until one of (EXIT numbers of ir/frontend.ts):
//   MISS    no record for the present pc and mode, or its page is not in the exec TLB (header.block 0), or a straddling block's guard
//           failed (header.block = its record)
//   BUDGET  header.budget does not cover the next block (compiled: is negative); pc is the next block's
//   TRAP    an instruction was left: see MISS_RESULT.LEAVE. Instruction's pc = (pc + trapAt) cut to the pc width. In interpreted code pc is the
//           block's; in compiled code it is the pc base of the region. With trapped 1: deliver; else exitReason says why.
//   HOT     the block in header.block has reached its hotAt; it has not been executed this time
//   POLL    header.pending is not 0 at a `poll` jump or a `dispatch` terminal; pc is the next block's
//   others  the reason of an `exit` terminal, also stored in exitReason

import type { Routine } from '@anillo/ir/callee';

export interface RuntimeOptions {
  readonly routines: readonly Routine[];
  readonly helpers: readonly { readonly name: string; readonly argCount: number }[];
  /** Address of the BLOCK_BUCKETS u32 chain heads. */
  readonly bucketsAt: number;
  /** Of the imported memory: set when it is shared (then read-modify-writes are WebAssembly atomics where aligned). */
  readonly sharedMaximumPages?: number;
}

export interface Runtime {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** For BlockEncoder. */
  readonly opcodes: ReadonlyMap<string, number>;
}

export function buildRuntime(_options: RuntimeOptions): Runtime {
  throw new Error('in work');
}
