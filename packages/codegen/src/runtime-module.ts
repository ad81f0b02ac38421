// The runtime module: dispatcher, interpreter, slow paths and the front end's routines, as one WebAssembly module per machine.
//
// Imports (all modules of this package use the same namespaces; extra properties in the import object do no harm):
//   env.memory                     the machine's memory
//   env.table                      funcref table with the compiled functions `(cpu i32, entry i32, depth i32) -> i32`
//   host.memory_miss               see slow-access.ts
//   helper.<name>                  (i32 x argCount) -> i32, for every helper
// Exports:
//   run(cpu i32) -> i32            see below
//   absent                         what stands in the table for a function that has died
//   lookup(cpu i32) -> i32         record for (pc + codeBase, mode) through the exec TLB, or 0
//   <routine name>                 (cpu i32, ...params) -> result, for the host; a trap shows in the header's `trapped`
//   slow.*, routine.*, trap, resume  for compiled modules, which import this instance's exports as namespace `runtime`
//
// `run` executes blocks until one of (EXIT numbers of ir/frontend.ts):
//   MISS    no record for the present pc and mode, or its page is not in the exec TLB (header.block 0), or a straddling block's guard
//           failed (header.block = its record)
//   BUDGET  header.budget does not cover the next block (compiled: is negative); pc is the next block's
//   TRAP    an instruction was left: see MISS_RESULT.LEAVE. Instruction's pc = (pc + trapAt) cut to the pc width. In interpreted code pc is the
//           block's; in compiled code it is the pc base of the region. With trapped 1: deliver (what `events.deliver` has not); else exitReason says why.
//   HOT     the block in header.block has reached its hotAt; it has not been executed this time
//   POLL    header.pending is not 0 at a `poll` jump or a `dispatch` terminal, and the guest can be interrupted; pc is the next block's
//   others  the reason of an `exit` terminal, also stored in exitReason

import type { Callee, Routine } from '@anillo/ir/callee';
import { ACCESS, WALK } from '@anillo/ir/frontend';
import type { OpName } from '@anillo/ir/ops';
import type { Linkage } from './body-compiler.ts';
import { FunctionCode } from './function-code.ts';
import { HEADER, loadHeader32, storeHeader32 } from './header-access.ts';
import { writeGuard, writeIsMapped, writeLookup } from './code-lookup.ts';
import { writeInterpreter } from './interpreter.ts';
import { calleeArmOfRoutine, calleeArmsOfHelper, type CalleeArm } from './interpreter-arms.ts';
import { ModuleWriter, type FunctionType } from './module-writer.ts';
import { COMPILED_TYPE, helperType, RESUME_TYPE, routineExport, TRAP_TYPE } from './region-compiler.ts';
import { compileRoutine, routineType } from './routine-compiler.ts';
import { REFILL_FAULTED } from './slow-access.ts';
import { defineSlowFunctions } from './slow-functions.ts';
import { tlbFill } from './tlb-fill.ts';
import { opcodeOf } from './wasm-opcodes.ts';

export interface RuntimeOptions {
  readonly routines: readonly Routine[];
  readonly helpers: readonly { readonly name: string; readonly argCount: number }[];
  /** The front end's page walk, and the address of the accelerator's code granules (two u32 a page of the memory): TLB misses without the host. */
  readonly walk?: { readonly routine: Routine; readonly granulesAt: number; readonly fault?: Routine };
  /** Of `routines`: deliver what has trapped, and tell whether a pending interrupt is of use, without the host. */
  readonly events?: { readonly deliver: Routine; readonly canInterrupt: Routine };
  /** Set when the imported memory is shared, to its maximum (then read-modify-writes are WebAssembly atomics where aligned). */
  readonly sharedMaximumPages?: number;
}

export interface Runtime {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** For BlockEncoder. */
  readonly opcodes: ReadonlyMap<string, number>;
}

const VCPU_TO_I32: FunctionType = { params: ['i32'], results: ['i32'] };
const MEMORY_MISS_TYPE: FunctionType = { params: ['i32', 'i32', 'i32'], results: ['i32'] };
const GUARD_TYPE: FunctionType = { params: ['i32', 'i32'], results: ['i32'] };

export function buildRuntime(options: RuntimeOptions): Runtime {
  const module = new ModuleWriter();
  const atomics = options.sharedMaximumPages !== undefined;
  module.importMemory(options.sharedMaximumPages);
  module.importTable();
  const memoryMiss = module.importFunction('host', 'memory_miss', MEMORY_MISS_TYPE);
  const helpers = new Map(options.helpers.map((h) => [h.name, module.importFunction('helper', h.name, helperType(h.argCount))]));
  const refill = options.walk && declareRefill(module);
  const granulesAt = atomics ? undefined : options.walk?.granulesAt;
  const slow = defineSlowFunctions(module, { memoryMiss, refill, granulesAt, atomics });
  const trap = module.declare(TRAP_TYPE, 'trap');
  module.define(trap, writeTrap());
  const fill = options.walk && [options.walk.routine, tlbFill(options.walk.granulesAt)];
  const routines = defineRoutines(module, [...new Set([...options.routines, ...(fill ?? [])])], { slow, helpers, trap, atomics });
  if (refill !== undefined && fill) {
    const [walk, enter] = fill.map((r) => routines.get(r.name) as number);
    module.define(refill, writeRefill({ walk, fill: enter, fault: options.walk?.fault && routines.get(options.walk.fault.name) }));
  }
  const lookup = module.declare(VCPU_TO_I32, 'lookup');
  module.define(lookup, writeLookup(refill));
  const guard = module.declare(GUARD_TYPE);
  module.define(guard, writeGuard(refill));
  const callees: CalleeArm[] = [
    ...options.routines.map((r) => calleeArmOfRoutine(r, routines.get(r.name) as number)),
    ...options.helpers.flatMap((h) => calleeArmsOfHelper(h.name, h.argCount, helpers.get(h.name) as number)),
  ];
  const isMapped = module.declare(GUARD_TYPE);
  module.define(isMapped, writeIsMapped(refill));
  const resume = module.declare(RESUME_TYPE, 'resume');
  const compiledType = module.typeIndex(COMPILED_TYPE);
  const events = options.events && {
    deliver: routines.get(options.events.deliver.name) as number,
    canInterrupt: routines.get(options.events.canInterrupt.name) as number,
  };
  const { body, opcodes } = writeInterpreter({ callees, slow, atomics, lookup, guard, isMapped, compiledType, events });
  module.define(resume, body);
  module.define(module.declare(VCPU_TO_I32, 'run'), writeRun(resume));
  module.define(module.declare(COMPILED_TYPE, 'absent'), writeAbsent());
  return { bytes: module.finish(), opcodes };
}

/** run(cpu): nothing stops it but its reasons. No code lies at the last byte of the address space. */
function writeRun(resume: number): FunctionCode {
  const f = new FunctionCode(1);
  f.get(0);
  f.i64(-1, -1);
  loadHeader32(f, 0, HEADER.maxDepth);
  f.call(resume);
  return f;
}

/** Stands in the function table where a function has died: pc is set, so the caller's dispatcher looks the block up. */
function writeAbsent(): FunctionCode {
  const f = new FunctionCode(3);
  f.i32(0);
  return f;
}

/** refill(cpu, linear, access) -> what the TLB grants now, as bits; REFILL_FAULTED: a fault has been recorded; 0: ask the host. */
const REFILL_TYPE: FunctionType = { params: ['i32', 'i64', 'i32'], results: ['i32'] };
const declareRefill = (module: ModuleWriter): number => module.declare(REFILL_TYPE);

function writeRefill({ walk, fill, fault }: { walk: number; fill: number; fault: number | undefined }): FunctionCode {
  const f = new FunctionCode(3);
  const found = f.local('i32');
  loadHeader32(f, 0, HEADER.hostWalks);
  f.if();
  f.i32(0);
  f.return();
  f.end();
  for (const parameter of [0, 1, 2]) f.get(parameter);
  f.call(walk);
  f.tee(found);
  f.i32(WALK.GRANTS);
  f.op(opcodeOf('i32.and'));
  f.op(opcodeOf('i32.eqz'));
  f.if();
  if (fault !== undefined) {
    f.get(found);
    f.i32(0);
    f.get(2);
    f.i32(ACCESS.EXECUTE);
    f.op(opcodeOf('i32.ne'));
    f.op(opcodeOf('select'));
    f.if();
    for (const parameter of [0, 1, 2, found]) f.get(parameter);
    f.call(fault);
    f.i32(REFILL_FAULTED);
    f.return();
    f.end();
  }
  f.i32(0);
  f.return();
  f.end();
  f.get(0);
  f.get(1);
  f.get(found);
  f.call(fill);
  return f;
}

interface RoutineContext {
  readonly slow: ReadonlyMap<OpName, number>;
  readonly helpers: ReadonlyMap<string, number>;
  readonly trap: number;
  readonly atomics: boolean;
}

function defineRoutines(module: ModuleWriter, routines: readonly Routine[], context: RoutineContext): ReadonlyMap<string, number> {
  const index = new Map(routines.map((r) => [r.name, module.declare(routineType(r), routineExport(r.name))]));
  const linkage: Linkage = {
    trap: context.trap,
    slow: (op) => context.slow.get(op) as number,
    stackSlow: undefined,
    callee: (callee: Callee) => {
      const found = callee.kind === 'routine' ? index.get(callee.name) : context.helpers.get(callee.name);
      if (found === undefined) throw new TypeError(`a routine calls ${callee.kind} ${callee.name}, which was not given to buildRuntime`);
      return found;
    },
  };
  for (const r of routines) {
    const at = index.get(r.name) as number;
    module.define(at, compileRoutine(r, linkage, context.atomics));
    module.define(module.declare({ params: ['i32', ...r.params], results: r.result ? [r.result] : [] }, r.name), writeHostDoor(r, at));
  }
  return index;
}

/** The routine as the host calls it: without the trap flag. */
function writeHostDoor(r: Routine, routine: number): FunctionCode {
  const f = new FunctionCode(1 + r.params.length);
  for (let i = 0; i <= r.params.length; i++) f.get(i);
  f.call(routine);
  if (r.traps) f.op(opcodeOf('drop'));
  return f;
}

/** trap(cpu, at, code). */
function writeTrap(): FunctionCode {
  const f = new FunctionCode(3);
  storeHeader32(f, 0, HEADER.trapAt, () => f.get(1));
  storeHeader32(f, 0, HEADER.trapCode, () => f.get(2));
  storeHeader32(f, 0, HEADER.trapped, () => f.i32(1));
  return f;
}
