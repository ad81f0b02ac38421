// A case under construction: the initial state, the code so far, and what is still known about the registers, so that a memory operand of the
// third instruction can be aimed although its base register's value was chosen for the first.

import { type DataPools, type Element, fillHostile, hostileAddress, hostileInteger } from './hostile-values.ts';
import { CODE_AREA_BYTES, CODE_BASE, DATA_BASE, DATA_BYTES, PAGE_BYTES, UD2 } from './memory-map.ts';
import type { Random } from './random.ts';
import {
  CASE_CODE_CAPACITY,
  emptyImage,
  emptyUndefined,
  FLAG,
  type FlagEffect,
  IMAGE,
  type Instruction,
  type Mode,
  setU16,
  setU32,
  setU64,
  type TestCase,
  type Undefined,
  u64,
  undefinedBits,
} from './test-case.ts';

const NO_EFFECT: FlagEffect = { read: 0, written: 0, undefined: 0 };
const MXCSR_MASKS = 0x1f80;
const FCW_MASKS = 0x3f;

export interface BuilderOptions {
  readonly mode: Mode;
  /** What the vector registers and the data area hold to begin with. */
  readonly element: Element;
  /** Zeros everywhere but in the operands: for vectors that people read. */
  readonly sparse: boolean;
  /** Whether memory operands may be aimed so that they fault. */
  readonly canFault: boolean;
}

export class CaseBuilder {
  readonly random: Random;
  readonly mode: Mode;
  readonly element: Element;
  readonly sparse: boolean;
  readonly canFault: boolean;
  readonly state: Uint8Array;
  readonly data: Uint8Array;
  readonly undefined: Undefined = emptyUndefined();
  readonly instructions: Instruction[] = [];
  /** False once code depends on its own address. */
  movable = true;
  /** True once an instruction must be the last. */
  ended = false;
  codeAddress: number;
  /** Linear address of the next instruction. */
  at: number;
  #gprTouched = 0;
  #gprWritten = 0;
  #gprAssigned = 0;
  #vectorTouched = 0;

  constructor(random: Random, pools: DataPools, options: BuilderOptions) {
    this.random = random;
    this.mode = options.mode;
    this.element = options.element;
    this.sparse = options.sparse;
    this.canFault = options.canFault;
    this.state = emptyImage();
    this.data = options.sparse ? new Uint8Array(DATA_BYTES) : pools.window(random, options.element);
    this.codeAddress = CODE_BASE + random.below(CODE_AREA_BYTES - CASE_CODE_CAPACITY - 8);
    if (random.chance(4)) this.codeAddress = CODE_BASE + PAGE_BYTES - random.between(1, 30);
    if (options.sparse) this.codeAddress = CODE_BASE;
    this.at = this.codeAddress;
    this.#seedRegisters();
    if (!options.sparse) this.#seedControls();
  }

  #seedRegisters(): void {
    for (let i = 0; i < (this.mode === 64 ? 16 : 8); i++) this.#write(i, this.sparse ? 0n : hostileInteger(this.random));
    const hostileStack = this.canFault && !this.sparse && this.random.chance(4);
    const stack = hostileStack
      ? hostileAddress(this.random, 8, 8, true)
      : BigInt(DATA_BASE + PAGE_BYTES + this.random.between(0x80, 0x1f0) * 8);
    this.#write(4, this.sparse ? BigInt(DATA_BASE + 0x1800) : stack);
    if (this.sparse) return;
    fillHostile(this.random, this.element, this.state, IMAGE.xmm, this.mode === 64 ? 256 : 128);
    fillHostile(this.random, this.element, this.state, IMAGE.ymmHigh, this.mode === 64 ? 256 : 128);
    const x87: Element = this.element === 'f80' || this.element === 'bcd' ? 'f80' : this.random.chance(50) ? 'f80' : 'int';
    for (let i = 0; i < 8; i++) this.seedStack(i, x87);
  }

  /** Gives ST(i) a value: a number, or an MMX register's (exponent all ones). */
  seedStack(i: number, element: Element): void {
    const at = IMAGE.st + 16 * i;
    if (element === 'f80') {
      fillHostile(this.random, 'f80', this.state, at, 10);
      return;
    }
    fillHostile(this.random, element, this.state, at, 8);
    setU16(this.state, at + 8, 0xffff);
  }

  #seedControls(): void {
    const random = this.random;
    let flags = 0x202 | (random.u32() & 0x8d5);
    if (random.chance(10)) flags |= FLAG.df;
    if (random.chance(1)) flags |= FLAG.nt;
    if (random.chance(1)) flags |= FLAG.id;
    if (this.canFault && random.chance(1)) flags |= FLAG.tf;
    if (this.canFault && random.chance(1)) flags |= FLAG.ac;
    setU32(this.state, IMAGE.rflags, flags);
    if (random.chance(60)) {
      let mxcsr = MXCSR_MASKS | (random.u32() & 0xe07f & ~(random.chance(50) ? 0x8040 : 0));
      if (this.canFault && random.chance(20)) mxcsr &= ~(random.u32() & MXCSR_MASKS);
      // Exceptions already flagged and unmasked are legal; they fault at the next one only.
      setU32(this.state, IMAGE.mxcsr, mxcsr);
    }
    let fcw = 0x37f;
    if (random.chance(60)) fcw = 0x40 | FCW_MASKS | (random.below(4) << 10) | (random.pick([0, 2, 3, 3]) << 8);
    if (this.canFault && random.chance(12)) fcw &= ~(random.u32() & FCW_MASKS);
    // Condition codes, exception flags and TOP at will; ES and B as an unmasked pending exception makes them.
    let fsw = random.u32() & 0x7f00;
    if (random.chance(40)) fsw |= random.u32() & 0x7f;
    if ((fsw & ~fcw & FCW_MASKS) !== 0) {
      if (this.canFault && random.chance(3)) fsw |= 0x8080;
      else fsw &= ~FCW_MASKS;
    }
    if (random.chance(60)) fsw &= ~0x3800;
    setU16(this.state, IMAGE.fcw, fcw);
    setU16(this.state, IMAGE.fsw, fsw);
    this.state[IMAGE.ftw] = random.pick([0xff, 0xff, 0xff, 0, random.below(256), random.below(256), 0xfc, 0x3f]);
  }

  gpr(i: number): bigint {
    return u64(this.state, IMAGE.gpr + 8 * i);
  }

  #write(i: number, value: bigint): void {
    setU64(this.state, IMAGE.gpr + 8 * i, this.mode === 64 ? BigInt.asUintN(64, value) : value & 0xffff_ffffn);
  }

  /** Sets a register's initial value unless an earlier instruction has used it; returns whether it could. */
  assign(i: number, value: bigint): boolean {
    if ((this.#gprTouched >> i) & 1) return false;
    this.#write(i, value);
    this.#gprAssigned |= 1 << i;
    return true;
  }

  /** An initial value is still what the register holds. */
  known(i: number): boolean {
    return ((this.#gprWritten >> i) & 1) === 0;
  }

  free(i: number): boolean {
    return ((this.#gprTouched >> i) & 1) === 0;
  }

  reads(i: number): void {
    this.#gprTouched |= 1 << i;
  }

  /** An operand: it may be written. In sparse cases it gets a value here. */
  operand(i: number): void {
    const chosen = ((this.#gprTouched | this.#gprAssigned) >> i) & 1;
    if (this.sparse && !chosen && i !== 4) this.#write(i, hostileInteger(this.random));
    this.#gprTouched |= 1 << i;
    this.#gprWritten |= 1 << i;
  }

  /** A vector operand of `element`s; 'kept' where its value has been written already. */
  vectorOperand(i: number, element: Element | 'kept', wide: boolean): void {
    if (this.vectorFree(i) && element !== 'kept' && (this.sparse || (element !== this.element && this.random.chance(80)))) {
      fillHostile(this.random, element, this.state, this.vectorOffset(i, false), 16);
      if (wide) fillHostile(this.random, element, this.state, this.vectorOffset(i, true), 16);
    }
    this.#vectorTouched |= 1 << i;
  }

  /** Where a vector register's lower or upper half lies in the state. */
  vectorOffset(i: number, upper: boolean): number {
    return (upper ? IMAGE.ymmHigh : IMAGE.xmm) + 16 * i;
  }

  vectorFree(i: number): boolean {
    return ((this.#vectorTouched >> i) & 1) === 0;
  }

  mmxOperand(i: number): void {
    if (!this.sparse && !this.random.chance(50)) return;
    const top = ((this.state[IMAGE.fsw + 1] >> 3) & 7) as number;
    this.seedStack((i - top) & 7, 'int');
  }

  /** Writes hostile values where a memory operand will be read. */
  fillMemory(address: bigint, bytes: number, element: Element): void {
    const from = Number(address) - DATA_BASE;
    if (from >= 0 && from < DATA_BYTES) fillHostile(this.random, element, this.data, from, bytes);
  }

  get length(): number {
    return this.at - this.codeAddress;
  }

  get room(): number {
    return CASE_CODE_CAPACITY - UD2.length - this.length;
  }

  /** Flags that an instruction must not read here. */
  undefinedFlags(of: 'flags' | 'fsw'): number {
    return undefinedBits(this.instructions, this.instructions.length, of);
  }

  append(name: string, bytes: Uint8Array | readonly number[], flags: FlagEffect = NO_EFFECT, fsw: FlagEffect = NO_EFFECT): void {
    this.instructions.push({ name, bytes: Uint8Array.from(bytes), flags, fsw });
    this.at += bytes.length;
  }

  finish(seed: number, index: number): TestCase {
    const code = new Uint8Array(this.length);
    let at = 0;
    for (const instruction of this.instructions) {
      code.set(instruction.bytes, at);
      at += instruction.bytes.length;
    }
    // Now and then the last instruction is cut by the end of the code area.
    if (this.canFault && !this.sparse && this.movable && this.random.chance(1)) {
      this.codeAddress = CODE_BASE + CODE_AREA_BYTES - code.length + this.random.below(code.length);
    }
    return {
      seed,
      index,
      mode: this.mode,
      instructions: this.instructions,
      code,
      codeAddress: this.codeAddress,
      state: this.state,
      data: this.data,
      undefined: this.undefined,
    };
  }
}
