// The slow function of a read-modify-write: a probe, a load and a store, by the slow functions of these. Where the memory is shared, one within a page is
// WebAssembly's atomic or the host's, and one across pages (each byte of it may be of another page) is done while no other is.

import { ACCESS } from '@anillo/ir/frontend';
import type { OpName } from '@anillo/ir/ops';
import type { Label } from './function-code.ts';
import { HEADER, storeHeader64 } from './header-access.ts';
import { emitNewValue } from './memory-emit.ts';
import { ACCESS_KIND, RMW_KINDS } from './slow-access.ts';
import { CPU, type SlowWriter, VA } from './slow-writer.ts';
import { opcodeOf } from './wasm-opcodes.ts';

const O = {
  wrap: opcodeOf('i32.wrap_i64'),
  extend: opcodeOf('i64.extend_i32_u'),
  and: opcodeOf('i32.and'),
  eqz: opcodeOf('i32.eqz'),
  drop: opcodeOf('drop'),
} as const;

export function writeSlowRmw(w: SlowWriter): void {
  if (w.parts.atomics) writeWithinPage(w);
  writeInSteps(w);
}

/** By WebAssembly's atomics once the TLB grants it, else by the host. What crosses pages goes on. */
function writeWithinPage(w: SlowWriter): void {
  const { f, op } = w;
  const crosses = f.block();
  w.pushCrosses();
  f.brIf(crosses);
  w.tryUntilDone((again) => {
    if (w.parts.refill !== undefined) writeRefill(w, again);
    w.operands.forEach((operand, i) => {
      storeHeader64(f, CPU, HEADER.accessData + 8 * i, () => {
        f.get(operand);
        if (op.operand === 'i32') f.op(O.extend);
      });
    });
    w.askHost(ACCESS_KIND.RMW | (RMW_KINDS.indexOf(op.rmw as (typeof RMW_KINDS)[number]) << ACCESS_KIND.RMW_SHIFT));
  });
  f.return();
  f.end();
}

/** Goes to `again` where the walk in generated code grants the access; what is not aligned stays with the host. */
function writeRefill(w: SlowWriter, again: Label): void {
  const { f } = w;
  f.get(VA);
  f.op(O.wrap);
  f.i32(w.byteCount - 1);
  f.op(O.and);
  f.op(O.eqz);
  f.if();
  w.refill(ACCESS.WRITE);
  f.i32(1 << ACCESS.WRITE);
  f.op(O.and);
  f.brIf(again);
  f.end();
}

/** In the shared memory, where no other way is: a time without other such accesses. */
function askForLock(w: SlowWriter, kind: number): void {
  if (!w.parts.atomics) return;
  w.askHost(kind);
  w.f.op(O.drop);
}

/** Probe, load, store. */
function writeInSteps(w: SlowWriter): void {
  const { f, op } = w;
  const type = op.operand === 'i64' ? 'i64' : 'i32';
  const bits = 8 * w.byteCount;
  const width = bits === (type === 'i32' ? 32 : 64) ? '' : `${bits}`;
  const old = w.e.scratch(type, 3);
  const fault = w.e.scratch('i32', 8);
  const pushVa = (): void => f.get(VA);
  w.call(`probe_write${bits}` as OpName, pushVa);
  w.returnIfFault();
  askForLock(w, ACCESS_KIND.LOCK);
  w.callLoad(`${type}.load${width && `${width}_u`}` as OpName, pushVa, old, fault);
  f.get(fault);
  f.op(O.eqz);
  f.if();
  w.call(`${type}.store${width}` as OpName, pushVa, () => emitNewValue(w.e, op, type, old, w.operands));
  f.set(fault);
  f.end();
  askForLock(w, ACCESS_KIND.UNLOCK);
  f.get(fault);
  w.returnIfFault();
  f.get(old);
  f.i32(0);
}
