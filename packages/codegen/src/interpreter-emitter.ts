// The interpreter's way to immediates and exits: everything comes from the bytecode at local `ip`.

import type { OpName, Type } from '@anillo/ir/ops';
import { FIELD } from './bytecode-format.ts';
import type { Emitter } from './emitter.ts';
import type { FunctionCode, Label, Local } from './function-code.ts';
import { HEADER, loadHeader32, storeHeader32 } from './header-access.ts';
import { ScratchLocals } from './scratch-locals.ts';
import { opcodeOf } from './wasm-opcodes.ts';
import { NO_RELAXED_SIMD } from './relaxed-simd.ts';

const O = {
  add: opcodeOf('i32.add'),
  add64: opcodeOf('i64.add'),
  load16: opcodeOf('i32.load16_u'),
  load32: opcodeOf('i32.load'),
  load64: opcodeOf('i64.load'),
  loadF64: opcodeOf('f64.load'),
  loadV128: opcodeOf('v128.load'),
  load32To64: opcodeOf('i64.load32_s'),
} as const;

export interface InterpreterLabels {
  /** Next instruction of the block, at `ip`. */
  nextOp: Label;
  /** The block whose record is in `record`. */
  enter: Label;
  /** The block at the header's pc; its record then goes into the link at address `linkAt` if that is not 0. */
  lookup: Label;
  /** The block has trapped, or was left for `exitReason`. */
  fault: Label;
  /** Something is pending, and pc is the next block's. */
  poll: Label;
}

export class InterpreterEmitter implements Emitter {
  readonly f: FunctionCode;
  readonly cpu: Local = 0;
  readonly ip: Local;
  readonly record: Local;
  readonly linkAt: Local;
  readonly atomics: boolean;
  readonly relaxed = NO_RELAXED_SIMD;
  readonly shuffleMask = undefined;
  readonly labels: InterpreterLabels = { nextOp: 0, enter: 0, lookup: 0, fault: 0, poll: 0 };
  lane = 0;
  readonly #slow: ReadonlyMap<OpName, number>;
  readonly #scratch: ScratchLocals;

  constructor(f: FunctionCode, slow: ReadonlyMap<OpName, number>, atomics: boolean) {
    this.f = f;
    this.#slow = slow;
    this.atomics = atomics;
    this.ip = f.local('i32');
    this.record = f.local('i32');
    this.linkAt = f.local('i32');
    this.#scratch = new ScratchLocals(f);
  }

  #field(opcode: number, at: number): void {
    this.f.get(this.ip);
    this.f.memory(opcode, at);
  }
  /** Address of the slot or temp that an operand field names. */
  pushAddress(field: number): void {
    this.#field(O.load16, field);
    this.f.get(this.cpu);
    this.f.op(O.add);
  }
  pushI32(): void {
    this.#field(O.load32, FIELD.imm32);
  }
  pushI64(): void {
    this.#field(O.load64, FIELD.imm64);
  }
  pushF64(): void {
    this.#field(O.loadF64, FIELD.imm64);
  }
  pushV128(): void {
    this.#field(O.loadV128, FIELD.bytes);
  }
  addDisp(): void {
    this.#field(O.load32To64, FIELD.disp);
    this.f.op(O.add64);
  }
  stateAddress(): number {
    this.#field(O.load32, FIELD.disp);
    this.f.op(O.add);
    this.f.get(this.cpu);
    this.f.op(O.add);
    return 0;
  }
  pushTlb(): void {
    loadHeader32(this.f, this.cpu, HEADER.tlb);
  }
  pushAt(): void {
    this.#field(O.load16, FIELD.at);
  }
  callSlow(op: OpName): void {
    this.f.call(this.#slow.get(op) as number);
  }
  isStackAccess(): boolean {
    return false;
  }
  callStackSlow(op: OpName): void {
    this.callSlow(op);
  }
  leaveIfFault(): void {
    this.f.brIfRarely(this.labels.fault);
  }
  trapIf(): void {
    const { f, cpu } = this;
    f.ifRarely();
    storeHeader32(f, cpu, HEADER.trapCode, () => this.#field(O.load32, FIELD.disp));
    storeHeader32(f, cpu, HEADER.trapAt, () => this.pushAt());
    storeHeader32(f, cpu, HEADER.trapped, () => f.i32(1));
    f.br(this.labels.fault);
    f.end();
  }
  scratch(type: Type, n: number): Local {
    return this.#scratch.get(type, n);
  }
}
