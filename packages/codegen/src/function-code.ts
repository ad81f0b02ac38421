// The body of one WebAssembly function while it is being written. Labels are nesting levels: `block()` returns one, `br(label)` takes it.

import { ByteBuffer } from './byte-buffer.ts';
import { opcodeOf, PREFIX_SHIFT, WASM_TYPE, type WasmType } from './wasm-opcodes.ts';
import type { Type } from '@anillo/ir/ops';

const O = {
  block: opcodeOf('block'),
  loop: opcodeOf('loop'),
  if: opcodeOf('if'),
  else: opcodeOf('else'),
  end: opcodeOf('end'),
  br: opcodeOf('br'),
  brIf: opcodeOf('br_if'),
  brTable: opcodeOf('br_table'),
  return: opcodeOf('return'),
  call: opcodeOf('call'),
  callIndirect: opcodeOf('call_indirect'),
  returnCallIndirect: opcodeOf('return_call_indirect'),
  get: opcodeOf('local.get'),
  set: opcodeOf('local.set'),
  tee: opcodeOf('local.tee'),
  i32: opcodeOf('i32.const'),
  i64: opcodeOf('i64.const'),
  splat: opcodeOf('i64x2.splat'),
  reinterpret: { f32: opcodeOf('f32.reinterpret_i32'), f64: opcodeOf('f64.reinterpret_i64') },
} as const;

const NO_RESULT = 0x40;
export type Label = number;
/** `block` without results, as it stands before the code for each of `outerBlocks`. */
export const OUTER_BLOCK = Uint8Array.of(opcodeOf('block'), 0x40);
export type Local = number;

export class FunctionCode {
  readonly code: ByteBuffer;
  /** Types of the locals after the parameters. */
  readonly locals: WasmType[] = [];
  /** Pairs: byte offset of an `if` or `br_if` in `code`, and 1 for likely or 0 for unlikely taken. */
  readonly hints: number[] = [];
  /** Blocks around all of the code, for ways out that become known while it is written: those have the labels 0, -1 ..., and `end` closes them in this order. */
  outerBlocks = 0;
  readonly #paramCount: number;
  #level = 0;

  constructor(paramCount: number, capacityBytes = 512) {
    this.#paramCount = paramCount;
    this.code = new ByteBuffer(capacityBytes);
  }

  local(type: Type): Local {
    this.locals.push(WASM_TYPE[type]);
    return this.#paramCount + this.locals.length - 1;
  }

  op(opcode: number): void {
    if (opcode < 256) {
      this.code.u8(opcode);
    } else {
      this.code.u8(opcode >> PREFIX_SHIFT);
      this.code.uleb(opcode & ((1 << PREFIX_SHIFT) - 1));
    }
  }
  get(local: Local): void {
    this.code.u8Uleb(O.get, local);
  }
  set(local: Local): void {
    this.code.u8Uleb(O.set, local);
  }
  tee(local: Local): void {
    this.code.u8Uleb(O.tee, local);
  }
  i32(value: number): void {
    this.code.u8(O.i32);
    this.code.sleb(value);
  }
  i64(low: number, high: number): void {
    this.code.u8(O.i64);
    this.code.sleb64(low, high);
  }
  /** i64 constant from a safe integer. */
  i64Number(value: number): void {
    this.i64(value | 0, Math.floor(value / 0x1_0000_0000) | 0);
  }
  zero(type: Type): void {
    if (type === 'i32' || type === 'f32') this.i32(0);
    else this.i64(0, 0);
    if (type === 'f32' || type === 'f64') this.op(O.reinterpret[type]);
    if (type === 'v128') this.op(O.splat);
  }
  /** A load or store; `offset` is the static offset. Alignment is not promised. */
  memory(opcode: number, offset: number): void {
    this.op(opcode);
    this.code.u8Uleb(0, offset);
  }
  /** An atomic access, which must state its natural alignment. */
  atomic(opcode: number, alignLog2: number): void {
    this.op(opcode);
    this.code.u8(alignLog2);
    this.code.u8(0);
  }

  block(result?: Type): Label {
    return this.#open(O.block, result);
  }
  loop(): Label {
    return this.#open(O.loop, undefined);
  }
  if(result?: Type): Label {
    return this.#open(O.if, result);
  }
  /** `if` that is rarely entered. */
  ifRarely(result?: Type): Label {
    this.hints.push(this.code.length, 0);
    return this.#open(O.if, result);
  }
  #open(opcode: number, result: Type | undefined): Label {
    this.code.u8(opcode);
    this.code.u8(result === undefined ? NO_RESULT : WASM_TYPE[result]);
    this.#level += 1;
    return this.#level;
  }
  else(): void {
    this.code.u8(O.else);
  }
  end(): void {
    this.#level -= 1;
    this.code.u8(O.end);
  }
  br(label: Label): void {
    this.code.u8Uleb(O.br, this.#level - label);
  }
  brIf(label: Label): void {
    this.code.u8Uleb(O.brIf, this.#level - label);
  }
  brIfRarely(label: Label): void {
    this.hints.push(this.code.length, 0);
    this.brIf(label);
  }
  brTable(labels: readonly Label[], otherwise: Label): void {
    this.code.u8(O.brTable);
    this.code.uleb(labels.length);
    for (const label of labels) this.code.uleb(this.#level - label);
    this.code.uleb(this.#level - otherwise);
  }
  return(): void {
    this.code.u8(O.return);
  }
  call(functionIndex: number): void {
    this.code.u8Uleb(O.call, functionIndex);
  }
  callIndirect(typeIndex: number): void {
    this.code.u8(O.callIndirect);
    this.code.uleb(typeIndex);
    this.code.u8(0);
  }
  returnCallIndirect(typeIndex: number): void {
    this.code.u8(O.returnCallIndirect);
    this.code.uleb(typeIndex);
    this.code.u8(0);
  }
}
