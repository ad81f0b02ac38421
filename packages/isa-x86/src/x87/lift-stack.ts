// The register stack in lifted code: one x87 instruction is a test whether it is the usual case (nothing pending, the registers that it needs are in
// use or free), its work, and a commit; whatever else there is goes to the instruction's helper. SDM Vol. 1, 8.1.

import type { Value } from '@anillo/ir/block';
import type { Builder } from '@anillo/ir/builder';
import { X64 } from '@anillo/ir/vcpu-header';
import { PC } from '@anillo/ir/vcpu-header';
import type { Slot } from '@anillo/ir/slot';
import type { Lift } from '../lift.ts';
import { CS, FPU_DP, FPU_IP, FPU_PLACE, FPU_STATUS, FPU_TAGS, FPU_TOP, X86State } from '../state.ts';
import { type Extended, type I32, readRegister, writeRegister } from './extended-ir.ts';
import { AT_BITS, OPCODE_BITS, STATUS } from './fpu.ts';
import { X87_CALLEES, type X87HelperName } from './x87-helper-map.ts';

const at = X86State.offset;

/** Register operand: ModRM.rm without REX.B. */
export const rm = (c: Lift): number => c.d.modrm & 7;
/** As FSTENV stores it. */
const opcode = (c: Lift): number => ((c.d.opcode & 7) << 8) | c.d.modrm;

/** Calls the instruction's helper, whose last argument says where it stands: offset in the block, opcode, segment of the memory operand. */
export function callHelper(c: Lift, name: X87HelperName, ...args: readonly (number | Value<'i32'>)[]): void {
  const { b } = c;
  const segment = c.isMemory ? c.segment + 1 : 0;
  const where = c.at | (opcode(c) << AT_BITS) | (segment << (AT_BITS + OPCODE_BITS));
  if (c.isMemory) b.set(X64[3] as Slot<'i64'>, c.sum(c.effectiveAddress()));
  b.call(X87_CALLEES[name], [...args, where].map((a) => (typeof a === 'number' ? b.i32(a) : a)));
}

/** Registers that must be in use, and free, by distance from the top. */
export interface Need {
  readonly used?: readonly number[];
  readonly free?: readonly number[];
}
const bits = (list: readonly number[] = []): number => list.reduce((set, i) => set | (1 << i), 0);

export class LiftedStack {
  readonly #c: Lift;
  readonly #b: Builder;
  readonly #top: I32;

  constructor(c: Lift) {
    this.#c = c;
    this.#b = c.b;
    this.#top = c.b.get(FPU_TOP);
  }

  /** Physical register that is ST(i). */
  physical(i: number): I32 {
    return i === 0 ? this.#top : this.#b.and(this.#b.add(this.#top, this.#b.i32(i)), this.#b.i32(7));
  }
  read(i: number): Extended {
    return readRegister(this.#b, this.physical(i));
  }
  write(i: number, x: Extended): void {
    writeRegister(this.#b, this.physical(i), x);
  }

  /** Nothing is pending and the registers are as needed. */
  isReady({ used, free }: Need): I32 {
    const b = this.#b;
    const tags = b.get(FPU_TAGS);
    const byDistance = b.shrU(b.or(tags, b.shl(tags, b.i32(8))), this.#top);
    const wrong = b.and(b.xor(byDistance, b.i32(bits(used))), b.i32(bits(used) | bits(free)));
    return b.eqz(b.or(wrong, b.and(b.get(FPU_STATUS), b.i32(STATUS.ES))));
  }

  /** Runs the usual case, which must commit, where `usual` holds, else the helper's call. */
  unless(usual: I32, usualCase: () => void, helper: () => void): void {
    this.#b.ifRarely(this.#b.eqz(usual), helper, usualCase);
  }

  /** What every instruction leaves: C1 and further status bits, instruction and operand pointers. */
  commit(outcome?: I32, cleared: number = STATUS.C1): void {
    const c = this.#c;
    const b = this.#b;
    const kept = cleared === 0 ? b.get(FPU_STATUS) : b.and(b.get(FPU_STATUS), b.i32(~cleared));
    b.set(FPU_STATUS, outcome === undefined ? kept : b.or(kept, outcome));
    b.set(FPU_IP, b.add(b.get(PC), b.i64(c.at)));
    const selector = b.extendU(b.op('state.load32', [b.i32(0)], at.segmentSelector + 4 * CS));
    b.set(FPU_PLACE, b.or(b.shl(selector, b.i64(32)), b.i64(opcode(c))));
    if (!c.isMemory) return;
    b.set(FPU_DP, c.sum(c.effectiveAddress()));
    b.op('state.store32', [b.i32(0), b.op('state.load32', [b.i32(0)], at.segmentSelector + 4 * c.segment)], at.fpuDs);
  }

  /** ST(0) is free and ST(1) becomes it, `count` times. */
  pop(count: number): void {
    const b = this.#b;
    let tags = b.get(FPU_TAGS);
    for (let i = 0; i < count; i++) tags = b.and(tags, b.xor(b.shl(b.i32(1), this.physical(i)), b.i32(-1)));
    if (count === 0) return;
    b.set(FPU_TAGS, tags);
    b.set(FPU_TOP, this.physical(count));
  }
  push(x: Extended): void {
    this.write(7, x);
    this.grow();
  }
  /** ST(7), which has been written, becomes ST(0). */
  grow(): void {
    const b = this.#b;
    b.set(FPU_TAGS, b.or(b.get(FPU_TAGS), b.shl(b.i32(1), this.physical(7))));
    b.set(FPU_TOP, this.physical(7));
  }
  /** ST(i) is in use. */
  markUsed(i: number): void {
    const b = this.#b;
    b.set(FPU_TAGS, b.or(b.get(FPU_TAGS), b.shl(b.i32(1), this.physical(i))));
  }
}
