// How a region's function reaches other compiled code, in WebAssembly: hops (jumps out of the region) and calls of guest functions.
//
// A call of guest code is a call of the function that has it compiled, so that the host predicts the return: the slots have been written back, the callee
// comes back with pc at the return address, or another (then `resume` runs the guest until it is there), or with a reason to leave.

import type { FunctionCode, Local } from './function-code.ts';
import { HEADER, loadHeader64 } from './header-access.ts';
import { emitContext, emitContextAt, emitJumpLookup, emitJumpTarget, emitLinear } from './jump-cache.ts';
import { opcodeOf } from './wasm-opcodes.ts';

const O = {
  sub: opcodeOf('i32.sub'),
  and: opcodeOf('i32.and'),
  eqz: opcodeOf('i32.eqz'),
  gtS: opcodeOf('i32.gt_s'),
  xor64: opcodeOf('i64.xor'),
  eqz64: opcodeOf('i64.eqz'),
} as const;

const CPU = 0;
const DEPTH = 2;

export interface TransferParts {
  readonly f: FunctionCode;
  /** Width of the region's pc. */
  readonly pcBits: 16 | 32 | 64;
  /** Type index of COMPILED_TYPE, function index of `resume`. */
  readonly compiledType: number;
  readonly resume: number;
}

export class RegionTransfers {
  readonly #p: TransferParts;
  /** Local with the pc to go to. */
  readonly newPc: Local;
  /** Local with the budget that was left when pc was last set. */
  readonly budget: Local;
  readonly #linear: Local;
  readonly #slot: Local;
  readonly #contextAt: Local;
  readonly #context: Local;
  readonly #answer: Local;

  constructor(parts: TransferParts) {
    this.#p = parts;
    const { f } = parts;
    this.newPc = f.local('i64');
    this.budget = f.local('i32');
    this.#linear = f.local('i64');
    this.#slot = f.local('i32');
    this.#contextAt = f.local('i32');
    this.#context = f.local('i64');
    this.#answer = f.local('i32');
  }

  /** The entered pc is on the stack: notes the context under which the function is entered. */
  writeEntered(): void {
    const { f, pcBits } = this.#p;
    f.set(this.newPc);
    emitLinear(f, CPU, this.newPc, this.#linear, pcBits);
    emitContextAt(f, CPU, this.#linear, pcBits);
    f.tee(this.#contextAt);
    emitContext(f);
    f.set(this.#context);
  }

  /** Pushes 1 if mode or mapping of code are no longer those under which the function was entered. */
  pushHasMoved(): void {
    const { f } = this.#p;
    f.get(this.#contextAt);
    emitContext(f);
    f.get(this.#context);
    this.#pushDiffers();
  }

  /** Everything is written back, newPc too: on to compiled code there without growing the stack, or back to whoever called. */
  writeHop(): void {
    const { f, compiledType } = this.#p;
    this.#pushIsKnown();
    f.if();
    f.get(CPU);
    emitJumpTarget(f, this.#slot, () => f.get(DEPTH));
    f.returnCallIndirect(compiledType);
    f.end();
    f.i32(0);
    f.return();
  }

  /** Everything is written back, newPc too: runs the callee there. Returns unless the guest then is at the pc that `pushReturn` pushes and the function still holds. */
  writeCall(pushReturn: () => void): void {
    const { f, compiledType } = this.#p;
    this.#pushIsKnown();
    f.if('i32');
    f.get(CPU);
    emitJumpTarget(f, this.#slot, () => this.#pushInnerDepth());
    f.callIndirect(compiledType);
    f.else();
    this.#pushResumed(pushReturn);
    f.end();
    f.tee(this.#answer);
    f.op(O.eqz);
    f.if();
    loadHeader64(f, CPU, HEADER.pc);
    pushReturn();
    this.#pushDiffers();
    f.ifRarely();
    this.#pushResumed(pushReturn);
    f.set(this.#answer);
    f.end();
    f.end();
    f.get(this.#answer);
    f.ifRarely();
    f.get(this.#answer);
    f.return();
    f.end();
    this.pushHasMoved();
    f.ifRarely();
    f.i32(0);
    f.return();
    f.end();
  }

  /** Pushes 1 if there is `budget` left and the jump cache knows the code at newPc; sets `slot`. */
  #pushIsKnown(): void {
    const { f, pcBits } = this.#p;
    emitLinear(f, CPU, this.newPc, this.#linear, pcBits);
    emitJumpLookup(f, CPU, this.#linear, this.#slot, pcBits);
    f.get(this.budget);
    f.i32(0);
    f.op(O.gtS);
    f.op(O.and);
  }

  /** Two i64 -> 1 if they differ. Not `ne`: V8 loads a compare's operand a second time when the first load may trap. */
  #pushDiffers(): void {
    const { f } = this.#p;
    f.op(O.xor64);
    f.op(O.eqz64);
    f.op(O.eqz);
  }

  #pushInnerDepth(): void {
    const { f } = this.#p;
    f.get(DEPTH);
    f.i32(1);
    f.op(O.sub);
  }

  /** Pushes why the dispatcher stopped on the way to the return address; 0: it is there. */
  #pushResumed(pushReturn: () => void): void {
    const { f, resume } = this.#p;
    f.get(CPU);
    pushReturn();
    this.#pushInnerDepth();
    f.call(resume);
  }
}
