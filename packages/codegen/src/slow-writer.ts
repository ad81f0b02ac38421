// What the slow functions of all memory ops consist of (slow-functions.ts): the way out with or without a fault, calls of other slow functions, what the
// host or the page walk in generated code answers, and an access within a page that is tried until it is done.

import { ACCESS } from '@anillo/ir/frontend';
import type { OpName } from '@anillo/ir/ops';
import type { Emitter } from './emitter.ts';
import { FunctionCode, type Label, type Local } from './function-code.ts';
import { HEADER, loadHeader32, storeHeader32, storeHeader64 } from './header-access.ts';
import { emitAccess, emitCheck, emitHostAddress, siteLocals } from './memory-emit.ts';
import type { MemoryOp } from './memory-op.ts';
import { NO_RELAXED_SIMD } from './relaxed-simd.ts';
import { ScratchLocals } from './scratch-locals.ts';
import { MISS_RESULT, REFILL_FAULTED } from './slow-access.ts';
import { opcodeOf } from './wasm-opcodes.ts';

const O = {
  wrap: opcodeOf('i32.wrap_i64'),
  and: opcodeOf('i32.and'),
  gtU: opcodeOf('i32.gt_u'),
  eq: opcodeOf('i32.eq'),
  eqz: opcodeOf('i32.eqz'),
} as const;

/** Parameters of a slow function. */
export const CPU = 0;
export const AT = 1;
export const VA = 2;
export const FIRST_OPERAND = 3;

export interface SlowParts {
  /** Function indices. */
  readonly memoryMiss: number;
  readonly refill: number | undefined;
  /** Granules of code (RuntimeOptions.walk), where stores beside code need not be told to other vCPUs. */
  readonly granulesAt: number | undefined;
  /** The memory is shared. */
  readonly atomics: boolean;
}

/** Emitter of a slow function: no displacement, `at` is a parameter, everything else is the function's own. */
export function slowEmitter(f: FunctionCode, atomics: boolean): Emitter {
  const scratch = new ScratchLocals(f);
  const unused = (): never => {
    throw new TypeError('slow functions do not use this');
  };
  return {
    f,
    cpu: CPU,
    atomics,
    relaxed: NO_RELAXED_SIMD,
    lane: 0,
    shuffleMask: undefined,
    pushI32: unused,
    pushI64: unused,
    pushF64: unused,
    pushV128: unused,
    addDisp: unused,
    stateAddress: unused,
    pushTlb: () => loadHeader32(f, CPU, HEADER.tlb),
    pushAt: () => f.get(AT),
    isStackAccess: () => false,
    callSlow: unused,
    callStackSlow: unused,
    leaveIfFault: unused,
    trapIf: unused,
    scratch: (type, n) => scratch.get(type, n),
  };
}

export class SlowWriter {
  readonly op: MemoryOp;
  readonly parts: SlowParts;
  readonly f: FunctionCode;
  readonly e: Emitter;
  readonly operands: readonly Local[];
  readonly byteCount: number;
  readonly #index: ReadonlyMap<OpName, number>;

  /** `index`: of the slow functions. */
  constructor(op: MemoryOp, index: ReadonlyMap<OpName, number>, parts: SlowParts) {
    this.op = op;
    this.parts = parts;
    this.f = new FunctionCode(FIRST_OPERAND + op.operandCount);
    this.e = slowEmitter(this.f, parts.atomics);
    this.operands = Array.from({ length: op.operandCount }, (_, i) => FIRST_OPERAND + i);
    this.byteCount = 1 << op.sizeLog2;
    this.#index = index;
  }

  return(fault: 0 | 1): void {
    if (fault === 1 && this.op.result) this.f.zero(this.op.result);
    this.f.i32(fault);
    this.f.return();
  }

  /** Fault flag on the stack: passes it on. */
  returnIfFault(): void {
    this.f.ifRarely();
    this.return(1);
    this.f.end();
  }

  /** MISS_RESULT on the stack: leaves if it says so. */
  returnIfLeave(): void {
    const { f } = this;
    f.i32(MISS_RESULT.LEAVE);
    f.op(O.eq);
    f.if();
    storeHeader32(f, CPU, HEADER.trapAt, () => f.get(AT));
    this.return(1);
    f.end();
  }

  /** Calls another slow function; its (result and) fault flag are on the stack. */
  call(op: OpName, pushVa: () => void, pushOperand?: () => void): void {
    const { f } = this;
    f.get(CPU);
    f.get(AT);
    pushVa();
    pushOperand?.();
    f.call(this.#index.get(op) as number);
  }

  /** Calls the slow function of a load; the loaded value is in `value` and the fault flag in `fault`. */
  callLoad(op: OpName, pushVa: () => void, value: Local, fault: Local): void {
    this.call(op, pushVa);
    this.f.set(fault);
    this.f.set(value);
  }

  /** Pushes 1 if the access reaches into the next page. */
  pushCrosses(): void {
    const { f } = this;
    f.get(VA);
    f.op(O.wrap);
    f.i32(4095);
    f.op(O.and);
    f.i32(4096 - this.byteCount);
    f.op(O.gtU);
  }

  /** Pushes what the page walk in generated code grants; there must be one. */
  refill(access: number): void {
    const { f } = this;
    f.get(CPU);
    f.get(VA);
    f.i32(access);
    f.call(this.parts.refill as number);
  }

  askHost(kindBits: number): void {
    const { f } = this;
    storeHeader64(f, CPU, HEADER.accessAddress, () => f.get(VA));
    f.get(CPU);
    f.get(AT);
    f.i32(this.op.sizeLog2 | kindBits);
    f.call(this.parts.memoryMiss);
  }

  /** Pushes the MISS_RESULT of the walk in generated code, or else of the host. */
  miss(kindBits: number): void {
    const { f } = this;
    if (this.parts.refill === undefined) {
      this.askHost(kindBits);
      return;
    }
    const access = kindBits === 0 ? ACCESS.READ : ACCESS.WRITE;
    const granted = this.e.scratch('i32', 5);
    this.refill(access);
    f.tee(granted);
    f.i32(1 << access);
    f.op(O.and);
    f.if('i32');
    f.i32(MISS_RESULT.FILLED);
    f.else();
    f.get(granted);
    f.i32(REFILL_FAULTED);
    f.op(O.eq);
    f.if('i32');
    f.i32(MISS_RESULT.LEAVE);
    f.else();
    this.askHost(kindBits);
    f.end();
    f.end();
  }

  /**
   * An access within a page: done here once the TLB grants it; else what `ask` pushes, a MISS_RESULT, says whether to try again (`ask` may go there itself,
   * too), to leave, or that the host has done it. Pushes what the function returns.
   */
  tryUntilDone(ask: (again: Label) => void): void {
    const { f, op } = this;
    const at = siteLocals(this.e, VA, this.operands);
    const answer = this.e.scratch('i32', 5);
    const again = f.loop();
    f.get(VA);
    emitCheck(this.e, op, at);
    f.op(O.eqz);
    f.if();
    emitHostAddress(this.e, at);
    emitAccess(this.e, op, this.operands);
    this.return(0);
    f.end();
    ask(again);
    f.tee(answer);
    f.op(O.eqz);
    f.brIf(again);
    f.get(answer);
    this.returnIfLeave();
    f.end();
    if (op.result) {
      f.get(CPU);
      f.memory(op.loadOpcode, HEADER.accessData);
    }
    f.i32(0);
  }
}
