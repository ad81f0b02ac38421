// The offset that a ModRM memory operand means (SDM Vol. 2A, 2.1.5).

import type { Value } from '@anillo/ir/block';
import type { Builder } from '@anillo/ir/builder';
import type { Slot } from '@anillo/ir/slot';
import { PC } from '@anillo/ir/vcpu-header';
import type { Decoded } from './decode.ts';
import { GPR } from './state.ts';

/** Linear address as a value plus a constant. */
export interface Address {
  readonly base: Value<'i64'>;
  readonly disp: number;
}

const LARGEST_DISPLACEMENT = 0x7fff_0000;

function address64(b: Builder, d: Decoded, next: number): Address {
  let base: Value<'i64'> | undefined;
  let disp = d.displacement;
  if (d.ripRelative) return { base: b.add(b.get(PC), b.i64(next + d.displacement)), disp: 0 };
  if (d.base >= 0) base = b.get(GPR[d.base] as Slot<'i64'>);
  if (d.index >= 0) {
    const index = b.get(GPR[d.index] as Slot<'i64'>);
    const scaled = d.scale === 0 ? index : b.shl(index, b.i64(d.scale));
    base = base === undefined ? scaled : b.add(base, scaled);
  }
  // A displacement at the end of its range leaves `Lift.offset` no room.
  if (base === undefined || disp > LARGEST_DISPLACEMENT) {
    const constant = b.i64(disp);
    base = base === undefined ? constant : b.add(base, constant);
    disp = 0;
  }
  return { base, disp };
}

/**
 * Offset part of the memory operand (what LEA computes), zero-extended from the address size; with `disp` to add where that cannot
 * wrap. `next`: byte offset, from the block's start, of the next instruction.
 */
export function effectiveAddress(b: Builder, d: Decoded, next: number): Address {
  if (d.addressSize === 64) return address64(b, d, next);
  let sum: Value<'i32'> | undefined;
  if (d.ripRelative) sum = b.wrap(b.add(b.get(PC), b.i64(next)));
  else if (d.base >= 0) sum = b.wrap(b.get(GPR[d.base] as Slot<'i64'>));
  if (d.index >= 0) {
    const index = b.wrap(b.get(GPR[d.index] as Slot<'i64'>));
    const scaled = d.scale === 0 ? index : b.shl(index, b.i32(d.scale));
    sum = sum === undefined ? scaled : b.add(sum, scaled);
  }
  if (sum === undefined) sum = b.i32(d.displacement);
  else if (d.displacement !== 0) sum = b.add(sum, b.i32(d.displacement));
  if (d.addressSize === 16) sum = b.and(sum, b.i32(0xffff));
  return { base: b.extendU(sum), disp: 0 };
}
