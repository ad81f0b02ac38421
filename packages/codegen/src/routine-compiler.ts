// Compiles a front end's routine to a WebAssembly function `(cpu i32, ...params) -> (result, trapped i32)`; the flag only where the routine traps.

import type { Inst, Value } from '@anillo/ir/block';
import { Builder } from '@anillo/ir/builder';
import type { Routine } from '@anillo/ir/callee';
import type { Type } from '@anillo/ir/ops';
import { optimizeRoutine } from '@anillo/ir/optimize';
import { BodyCompiler, usesTlb, type Linkage } from './body-compiler.ts';
import { FunctionCode } from './function-code.ts';
import { HEADER, loadHeader32 } from './header-access.ts';
import type { FunctionType } from './module-writer.ts';
import { SlotCache } from './slot-cache.ts';
import { SlotSet } from './slot-set.ts';
import { NO_RELAXED_SIMD } from './relaxed-simd.ts';

const CPU = 0;

export function routineType(r: Routine): FunctionType {
  const results: Type[] = r.result ? [r.result] : [];
  return { params: ['i32', ...r.params], results: r.traps ? [...results, 'i32'] : results };
}

interface RoutineBody {
  readonly insts: readonly Inst[];
  readonly result: Value | undefined;
  /** Temp slots that stand for the parameters, in order. */
  readonly params: ReturnType<Builder['temp']>[];
}

/** Parameters enter as IR temps, set by the caller of `build`'s function: locals 1... */
function build(r: Routine): RoutineBody {
  const b = new Builder();
  const params = r.params.map((type) => b.temp(type));
  const result = r.build(
    b,
    params.map((slot) => b.get(slot)),
  );
  if ((result?.type ?? undefined) !== r.result)
    throw new TypeError(`routine ${r.name} gives ${result?.type ?? 'nothing'}, not ${r.result ?? 'nothing'}`);
  return { ...optimizeRoutine(b.insts, result), params };
}

export function compileRoutine(r: Routine, linkage: Linkage, atomics: boolean): FunctionCode {
  const { insts, result, params } = build(r);
  const f = new FunctionCode(1 + params.length);
  const cache = new SlotCache(f, CPU, false);
  let reachesMemory = false;
  for (const inst of insts) {
    if (inst.slot) cache.add(inst.slot);
    reachesMemory ||= usesTlb(inst.spec);
  }
  const tlb = reachesMemory ? f.local('i32') : undefined;
  if (tlb !== undefined) {
    loadHeader32(f, CPU, HEADER.tlb);
    f.set(tlb);
  }
  const fault = f.block();
  const body = new BodyCompiler(
    {
      f,
      cpu: CPU,
      cache,
      linkage,
      atomics,
      relaxed: NO_RELAXED_SIMD,
      tlb,
      fault: () => fault,
      atOf: undefined,
      leaving: undefined,
      pushPc: undefined,
    },
    params.map((slot, i) => [slot, 1 + i]),
  );
  cache.enter(cache.analyse(insts), SlotSet.NONE, SlotSet.NONE);
  body.write(insts, result ? [result] : []);
  if (result) body.pushValue(result);
  if (r.traps) f.i32(0);
  f.return();
  f.end();
  if (r.result) f.zero(r.result);
  if (r.traps) f.i32(1);
  return f;
}
