// What an emit gets: the function being written and the tier's way to immediates, the fault exit and slow paths.
// In the compiled tier immediates are constants of the op; in the interpreter they are fetched from the bytecode at run time.

import type { OpName, Type } from '@anillo/ir/ops';
import type { FunctionCode, Local } from './function-code.ts';
import type { RelaxedSimd } from './relaxed-simd.ts';

export interface Emitter {
  readonly f: FunctionCode;
  /** Local that holds the vCPU struct's address. */
  readonly cpu: Local;
  /** Read-modify-writes as WebAssembly atomics where aligned: the memory is shared. */
  readonly atomics: boolean;
  /** What the code may use of relaxed SIMD. */
  readonly relaxed: RelaxedSimd;
  /** Lane of the op being emitted. */
  readonly lane: number;
  /** Mask of a shuffle, where it is known. */
  readonly shuffleMask: Uint8Array | undefined;
  /** Push the op's immediate. */
  pushI32(): void;
  pushI64(): void;
  pushF64(): void;
  pushV128(): void;
  /** Adds the displacement to the i64 on the stack. */
  addDisp(): void;
  /** Turns the struct offset (i32) on the stack into an address and returns the static offset to use with it. */
  stateAddress(): number;
  /** Pushes the address of the TLB in force. */
  pushTlb(): void;
  /** Pushes what the fault exit reports as the instruction's place. */
  pushAt(): void;
  /** Calls the slow path of a memory op: (cpu, at, va, ...operands) on the stack become (result, fault flag). */
  callSlow(op: OpName): void;
  /** Does the access go through the stack pointer, and may the TLB's entry for that be used? */
  isStackAccess(): boolean;
  /** As `callSlow`, for an access that the stack pointer's entry does not serve. */
  callStackSlow(op: OpName): void;
  /** Leaves through the fault exit when the i32 on the stack is not 0. */
  leaveIfFault(): void;
  /** Traps with the op's trap code when the i32 on the stack is not 0. */
  trapIf(): void;
  /** The n-th local that only one op at a time uses. */
  scratch(type: Type, n: number): Local;
}
