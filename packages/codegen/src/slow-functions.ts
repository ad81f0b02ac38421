// The slow path of each memory op, as a function of the runtime module:
//   slow.<op>(cpu i32, at i32, va i64, ...operands) -> (result, fault i32)     (just the fault flag where the op has no result)
//   stack.<op>, of the same type: where the TLB's entry for the stack pointer does not serve; it does afterwards if the page may be written
// It asks the host (slow-access.ts) about an access within a page, and does one that crosses pages byte by byte. On a fault `trapAt` is `at`.

import { ACCESS } from '@anillo/ir/frontend';
import type { Type } from '@anillo/ir/ops';
import type { Emitter } from './emitter.ts';
import { FunctionCode, type Label, type Local } from './function-code.ts';
import { HEADER, loadHeader32, storeHeader32, storeHeader64 } from './header-access.ts';
import { emitCheck, emitHostAddress, emitAccess, emitNewValue, siteLocals } from './memory-emit.ts';
import { MEMORY_OPS, type MemoryOp } from './memory-op.ts';
import type { FunctionType, ModuleWriter } from './module-writer.ts';
import { ScratchLocals } from './scratch-locals.ts';
import { ACCESS_KIND, MISS_RESULT, REFILL_FAULTED, RMW_KINDS } from './slow-access.ts';
import { TLB_INDEX_MASK, TLB_INDEX_SHIFT, TLB_STACK_ENTRY, TlbEntry } from './tlb-layout.ts';
import { opcodeOf } from './wasm-opcodes.ts';
import type { OpName } from '@anillo/ir/ops';
import { NO_RELAXED_SIMD } from './relaxed-simd.ts';

const O = {
  wrap: opcodeOf('i32.wrap_i64'),
  add: opcodeOf('i32.add'),
  add64: opcodeOf('i64.add'),
  and64: opcodeOf('i64.and'),
  shrU64: opcodeOf('i64.shr_u'),
  eq64: opcodeOf('i64.eq'),
  extend: opcodeOf('i64.extend_i32_u'),
  and: opcodeOf('i32.and'),
  gtU: opcodeOf('i32.gt_u'),
  ltU: opcodeOf('i32.lt_u'),
  eq: opcodeOf('i32.eq'),
  eqz: opcodeOf('i32.eqz'),
  load32: opcodeOf('i32.load'),
  load64: opcodeOf('i64.load'),
  store32: opcodeOf('i32.store'),
  store64: opcodeOf('i64.store'),
  store8: opcodeOf('i32.store8'),
  load8: opcodeOf('i32.load8_u'),
  shl: opcodeOf('i32.shl'),
  shl64: opcodeOf('i64.shl'),
  shrU: opcodeOf('i32.shr_u'),
  or64: opcodeOf('i64.or'),
  eqz64: opcodeOf('i64.eqz'),
  splat: opcodeOf('i64x2.splat'),
  drop: opcodeOf('drop'),
} as const;

const CPU = 0;
const AT = 1;
const VA = 2;
const FIRST_OPERAND = 3;
const PAGE_SHIFT = 12;
/** Pages of code have 64 granules, a bit each in 8 bytes (see tlb-fill.ts). */
const GRANULE_SHIFT = 6;
const GRANULE_WORDS_SHIFT = 3;
/** Bytes of a split access gather here; 16 bytes. */
const SPLIT_BUFFER = HEADER.scratch + 16;

export const slowName = (op: OpName): string => `slow.${op}`;
export const stackSlowName = (op: OpName): string => `stack.${op}`;

export function slowType(op: MemoryOp): FunctionType {
  const operands = Array.from({ length: op.operandCount }, () => op.operand as Type);
  return { params: ['i32', 'i32', 'i64', ...operands], results: op.result ? [op.result, 'i32'] : ['i32'] };
}

/** Emitter of a slow function: no displacement, `at` is a parameter, everything else is the function's own. */
function slowEmitter(f: FunctionCode, atomics: boolean): Emitter {
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

function pushZero(f: FunctionCode, type: Type): void {
  if (type === 'i32') f.i32(0);
  else f.i64(0, 0);
  if (type === 'v128') f.op(O.splat);
}

export interface SlowParts {
  /** Function indices. */
  readonly memoryMiss: number;
  readonly refill: number | undefined;
  /** Granules of code (RuntimeOptions.walk), where stores beside code need not be told to other vCPUs. */
  readonly granulesAt: number | undefined;
  /** The memory is shared. */
  readonly atomics: boolean;
}

/** Declares and defines all slow functions. Returns their indices. */
export function defineSlowFunctions(module: ModuleWriter, parts: SlowParts): ReadonlyMap<OpName, number> {
  const index = new Map<OpName, number>();
  for (const op of MEMORY_OPS.values()) index.set(op.name, module.declare(slowType(op), slowName(op.name)));
  for (const op of MEMORY_OPS.values()) module.define(index.get(op.name) as number, new SlowFunction(op, index, parts).write());
  for (const op of MEMORY_OPS.values())
    module.define(module.declare(slowType(op), stackSlowName(op.name)), writeStackSlow(op, index.get(op.name) as number));
  return index;
}

/** Copies the page's TLB entry, then does what the slow function does (it begins with a look into the TLB). */
function writeStackSlow(op: MemoryOp, slow: number): FunctionCode {
  const f = new FunctionCode(FIRST_OPERAND + op.operandCount);
  const e = slowEmitter(f, false);
  const { tagWrite, addend } = TlbEntry.offset;
  const at = siteLocals(e, VA, []);
  f.get(VA);
  emitCheck(e, { ...op, kind: 'store' }, at);
  f.op(O.eqz);
  f.if();
  e.pushTlb();
  f.get(at.entry);
  f.memory(O.load64, tagWrite);
  f.memory(O.store64, TLB_STACK_ENTRY + tagWrite);
  e.pushTlb();
  f.get(at.entry);
  f.memory(O.load32, addend);
  f.memory(O.store32, TLB_STACK_ENTRY + addend);
  f.end();
  for (let i = 0; i < FIRST_OPERAND + op.operandCount; i++) f.get(i);
  f.call(slow);
  return f;
}

class SlowFunction {
  readonly #op: MemoryOp;
  readonly #index: ReadonlyMap<OpName, number>;
  readonly #memoryMiss: number;
  readonly #atomics: boolean;
  readonly #refill: number | undefined;
  readonly #granulesAt: number | undefined;
  readonly #f: FunctionCode;
  readonly #e: Emitter;
  readonly #operands: readonly Local[];

  constructor(op: MemoryOp, index: ReadonlyMap<OpName, number>, { memoryMiss, refill, granulesAt, atomics }: SlowParts) {
    this.#refill = refill;
    this.#granulesAt = granulesAt;
    this.#op = op;
    this.#index = index;
    this.#memoryMiss = memoryMiss;
    this.#atomics = atomics;
    this.#f = new FunctionCode(FIRST_OPERAND + op.operandCount);
    this.#e = slowEmitter(this.#f, atomics);
    this.#operands = Array.from({ length: op.operandCount }, (_, i) => FIRST_OPERAND + i);
  }

  write(): FunctionCode {
    if (this.#op.kind === 'rmw') {
      if (this.#atomics) this.#writeAtomicRmw();
      this.#writeRmw();
    } else {
      if (this.#op.sizeLog2 > 0) this.#writeSplit();
      if (this.#op.kind !== 'load' && this.#granulesAt !== undefined) this.#writeBesideCode(this.#granulesAt);
      if (this.#op.kind === 'probe') this.#writeProbe();
      else this.#writeWithinPage();
    }
    return this.#f;
  }

  #return(fault: 0 | 1): void {
    if (fault === 1 && this.#op.result) pushZero(this.#f, this.#op.result);
    this.#f.i32(fault);
    this.#f.return();
  }

  /** Fault flag on the stack: passes it on. */
  #returnIfFault(): void {
    this.#f.ifRarely();
    this.#return(1);
    this.#f.end();
  }

  #call(op: OpName, pushVa: () => void, pushOperand?: () => void): void {
    const f = this.#f;
    f.get(CPU);
    f.get(AT);
    pushVa();
    pushOperand?.();
    f.call(this.#index.get(op) as number);
  }

  /** Pushes the answer of the walk in generated code, or else of the host. */
  #miss(kindBits: number): void {
    const f = this.#f;
    if (this.#refill === undefined) {
      this.#askHost(kindBits);
      return;
    }
    const access = kindBits === 0 ? ACCESS.READ : ACCESS.WRITE;
    const granted = this.#e.scratch('i32', 5);
    f.get(CPU);
    f.get(VA);
    f.i32(access);
    f.call(this.#refill);
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
    this.#askHost(kindBits);
    f.end();
    f.end();
  }

  #askHost(kindBits: number): void {
    const f = this.#f;
    storeHeader64(f, CPU, HEADER.accessAddress, () => f.get(VA));
    f.get(CPU);
    f.get(AT);
    f.i32(this.#op.sizeLog2 | kindBits);
    f.call(this.#memoryMiss);
  }

  #returnLeave(): void {
    storeHeader32(this.#f, CPU, HEADER.trapAt, () => this.#f.get(AT));
    this.#return(1);
  }

  /** A store into a page with code that misses all granules of code is done here and returns; a probe for one returns. */
  #writeBesideCode(granulesAt: number): void {
    const f = this.#f;
    const entry = this.#e.scratch('i32', 0);
    const host = this.#e.scratch('i32', 6);
    const byteCount = 1 << this.#op.sizeLog2;
    const pushGranule = (offset: number): void => {
      f.i64(1, 0);
      f.get(host);
      f.i32(offset);
      f.op(O.add);
      f.i32(GRANULE_SHIFT);
      f.op(O.shrU);
      f.op(O.extend);
      f.op(O.shl64);
    };
    f.get(VA);
    f.op(O.wrap);
    f.i32(TLB_INDEX_SHIFT);
    f.op(O.shrU);
    f.i32(TLB_INDEX_MASK);
    f.op(O.and);
    this.#e.pushTlb();
    f.op(O.add);
    f.tee(entry);
    f.memory(O.load64, TlbEntry.offset.tagRead);
    f.get(VA);
    f.i64(-4096, -1);
    f.op(O.and64);
    f.op(O.eq64);
    f.get(entry);
    f.memory(O.load32, TlbEntry.offset.besideCode);
    f.op(O.and);
    f.if();
    emitHostAddress(this.#e, { va: VA, entry, isStack: false, operands: this.#operands });
    f.tee(host);
    f.i32(PAGE_SHIFT);
    f.op(O.shrU);
    f.i32(GRANULE_WORDS_SHIFT);
    f.op(O.shl);
    f.memory(O.load64, granulesAt);
    pushGranule(0);
    if (byteCount > 1) {
      pushGranule(byteCount - 1);
      f.op(O.or64);
    }
    f.op(O.and64);
    f.op(O.eqz64);
    f.if();
    if (this.#op.kind === 'store') {
      f.get(host);
      emitAccess(this.#e, this.#op, this.#operands);
    }
    this.#return(0);
    f.end();
    f.end();
  }

  #writeProbe(): void {
    const f = this.#f;
    this.#miss(ACCESS_KIND.PROBE);
    f.i32(MISS_RESULT.LEAVE);
    f.op(O.eq);
    f.if();
    this.#returnLeave();
    f.end();
    f.i32(0);
  }

  #writeWithinPage(): void {
    const f = this.#f;
    const op = this.#op;
    const at = siteLocals(this.#e, VA, this.#operands);
    const answer = this.#e.scratch('i32', 5);
    const again = f.loop();
    f.get(VA);
    emitCheck(this.#e, op, at);
    f.op(O.eqz);
    f.if();
    emitHostAddress(this.#e, at);
    emitAccess(this.#e, op, this.#operands);
    this.#return(0);
    f.end();
    if (op.kind === 'store') {
      for (const half of [0, 8]) storeHeader64(f, CPU, HEADER.accessData + half, () => f.i64(0, 0));
      f.get(CPU);
      f.get(this.#operands[0]);
      f.memory(op.storeOpcode, HEADER.accessData);
    }
    this.#miss(op.kind === 'store' ? ACCESS_KIND.WRITE : 0);
    f.tee(answer);
    f.op(O.eqz);
    f.brIf(again);
    f.get(answer);
    f.i32(MISS_RESULT.LEAVE);
    f.op(O.eq);
    f.if();
    this.#returnLeave();
    f.end();
    f.end();
    if (op.kind === 'load') {
      f.get(CPU);
      f.memory(op.loadOpcode, HEADER.accessData);
    }
    f.i32(0);
  }

  /** An access that reaches into the next page is done here and returns. */
  #writeSplit(): void {
    const f = this.#f;
    const byteCount = 1 << this.#op.sizeLog2;
    const i = this.#e.scratch('i32', 6);
    f.get(VA);
    f.op(O.wrap);
    f.i32(4095);
    f.op(O.and);
    f.i32(4096 - byteCount);
    f.op(O.gtU);
    f.ifRarely();
    this.#refuseHole(byteCount);
    if (this.#op.kind !== 'load') {
      this.#probeFirstByte();
      this.#probeNextPage(byteCount);
    }
    if (this.#op.kind === 'store') {
      f.get(CPU);
      f.get(this.#operands[0]);
      f.memory(this.#op.storeOpcode, SPLIT_BUFFER);
    }
    if (this.#op.kind !== 'probe') this.#writeByteLoop(i, byteCount);
    if (this.#op.kind === 'load') {
      f.get(CPU);
      f.memory(this.#op.loadOpcode, SPLIT_BUFFER);
    }
    this.#return(0);
    f.end();
  }

  /**
   * Where 48-bit addresses have their hole, an access that reaches into it is refused for its last byte, before either page is looked at. Other
   * addresses there are in no guest's reach, or fault alike.
   */
  #refuseHole(byteCount: number): void {
    const f = this.#f;
    const pushLast = (): void => {
      f.get(VA);
      f.i64(byteCount - 1, 0);
      f.op(O.add64);
    };
    pushLast();
    f.i64(47, 0);
    f.op(O.shrU64);
    f.i64(1, 0);
    f.op(O.eq64);
    f.ifRarely();
    if (this.#op.kind === 'load') {
      const fault = this.#e.scratch('i32', 8);
      this.#call('i32.load8_u', pushLast);
      f.set(fault);
      f.set(this.#e.scratch('i32', 7));
      f.get(fault);
    } else this.#call('probe_write8', pushLast);
    this.#returnIfFault();
    f.end();
  }

  #probeFirstByte(): void {
    this.#call('probe_write8', () => this.#f.get(VA));
    this.#returnIfFault();
  }
  /** A fault there is reported for the page's first byte. */
  #probeNextPage(byteCount: number): void {
    const f = this.#f;
    this.#call('probe_write8', () => {
      f.get(VA);
      f.i64(byteCount - 1, 0);
      f.op(O.add64);
      f.i64(-4096, -1);
      f.op(O.and64);
    });
    this.#returnIfFault();
  }

  #writeByteLoop(i: Local, byteCount: number): void {
    const f = this.#f;
    const pushVa = (): void => {
      f.get(VA);
      f.get(i);
      f.op(O.extend);
      f.op(O.add64);
    };
    const pushBufferByte = (): void => {
      f.get(CPU);
      f.get(i);
      f.op(O.add);
    };
    f.i32(0);
    f.set(i);
    const next = f.loop();
    if (this.#op.kind === 'load') {
      const byte = this.#e.scratch('i32', 7);
      const fault = this.#e.scratch('i32', 8);
      this.#call('i32.load8_u', pushVa);
      f.set(fault);
      f.set(byte);
      f.get(fault);
      this.#returnIfFault();
      pushBufferByte();
      f.get(byte);
      f.memory(O.store8, SPLIT_BUFFER);
    } else {
      this.#call('i32.store8', pushVa, () => {
        pushBufferByte();
        f.memory(O.load8, SPLIT_BUFFER);
      });
      this.#returnIfFault();
    }
    f.get(i);
    f.i32(1);
    f.op(O.add);
    f.tee(i);
    f.i32(byteCount);
    f.op(O.ltU);
    f.brIf(next);
    f.end();
  }

  /** Within a page: by WebAssembly's atomics once the TLB grants it, else by the host. What crosses pages goes on. */
  #writeAtomicRmw(): void {
    const f = this.#f;
    const op = this.#op;
    const at = siteLocals(this.#e, VA, this.#operands);
    const answer = this.#e.scratch('i32', 5);
    const crosses = f.block();
    f.get(VA);
    f.op(O.wrap);
    f.i32(4095);
    f.op(O.and);
    f.i32(4096 - (1 << op.sizeLog2));
    f.op(O.gtU);
    f.brIf(crosses);
    const again = f.loop();
    f.get(VA);
    emitCheck(this.#e, op, at);
    f.op(O.eqz);
    f.if();
    emitHostAddress(this.#e, at);
    emitAccess(this.#e, op, this.#operands);
    this.#return(0);
    f.end();
    if (this.#refill !== undefined) this.#tryRefill(again);
    this.#operands.forEach((operand, i) => {
      storeHeader64(f, CPU, HEADER.accessData + 8 * i, () => {
        f.get(operand);
        if (op.operand === 'i32') f.op(O.extend);
      });
    });
    this.#askHost(ACCESS_KIND.RMW | (RMW_KINDS.indexOf(op.rmw as (typeof RMW_KINDS)[number]) << ACCESS_KIND.RMW_SHIFT));
    f.tee(answer);
    f.op(O.eqz);
    f.brIf(again);
    f.get(answer);
    f.i32(MISS_RESULT.LEAVE);
    f.op(O.eq);
    f.if();
    this.#returnLeave();
    f.end();
    f.get(CPU);
    f.memory(op.loadOpcode, HEADER.accessData);
    f.i32(0);
    f.return();
    f.end();
    f.end();
  }

  /** Goes to `again` where the walk in generated code grants the access; what is not aligned stays with the host. */
  #tryRefill(again: Label): void {
    const f = this.#f;
    f.get(VA);
    f.op(O.wrap);
    f.i32((1 << this.#op.sizeLog2) - 1);
    f.op(O.and);
    f.op(O.eqz);
    f.if();
    f.get(CPU);
    f.get(VA);
    f.i32(ACCESS.WRITE);
    f.call(this.#refill as number);
    f.i32(1 << ACCESS.WRITE);
    f.op(O.and);
    f.brIf(again);
    f.end();
  }

  /** In the shared memory, where no other way is: a time without other such accesses. */
  #askForLock(kind: number): void {
    if (!this.#atomics) return;
    this.#askHost(kind);
    this.#f.op(O.drop);
  }

  /** Probe, load, store. */
  #writeRmw(): void {
    const f = this.#f;
    const op = this.#op;
    const type = op.operand === 'i64' ? 'i64' : 'i32';
    const bits = 8 << op.sizeLog2;
    const width = bits === (type === 'i32' ? 32 : 64) ? '' : `${bits}`;
    const old = this.#e.scratch(type, 3);
    const fault = this.#e.scratch('i32', 8);
    const pushVa = (): void => f.get(VA);
    this.#call(`probe_write${bits}` as OpName, pushVa);
    this.#returnIfFault();
    this.#askForLock(ACCESS_KIND.LOCK);
    this.#call(`${type}.load${width && `${width}_u`}` as OpName, pushVa);
    f.set(fault);
    f.set(old);
    f.get(fault);
    f.op(O.eqz);
    f.if();
    this.#call(`${type}.store${width}` as OpName, pushVa, () => emitNewValue(this.#e, op, type, old, this.#operands));
    f.set(fault);
    f.end();
    this.#askForLock(ACCESS_KIND.UNLOCK);
    f.get(fault);
    this.#returnIfFault();
    f.get(old);
    f.i32(0);
  }
}
