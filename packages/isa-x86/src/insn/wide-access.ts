// Accesses of 32 bytes, with one look into the TLB where they lie in one page. What does not find its page there is done by halves, by routines.

import { routine, type Routine } from '@anillo/ir/callee';
import type { Value } from '@anillo/ir/block';
import type { Slot } from '@anillo/ir/slot';
import type { Address } from '../effective-address.ts';
import type { Lift } from '../lift.ts';
import { SIMD_X } from '../state.ts';

type V = Value<'v128'>;
type I64 = Value<'i64'>;
const FARTHEST = 0x1000 - 32;
/** The upper half of what LOAD_WIDE has loaded. */
const UPPER = SIMD_X[0] as Slot<'v128'>;

/** (address, address of the upper half) -> lower half, and the upper one in UPPER. */
const LOAD_WIDE: Routine = routine({
  name: 'loadWide',
  params: ['i64', 'i64'],
  result: 'v128',
  reads: 'none',
  writes: 'none',
  traps: true,
  build: (b, [low, high]) => {
    const lower = b.op('v128.load', [low as I64]);
    b.set(UPPER, b.op('v128.load', [high as I64]));
    return lower;
  },
});

/** (address, address of the upper half, halves): all or nothing. */
const STORE_WIDE: Routine = routine({
  name: 'storeWide',
  params: ['i64', 'i64', 'v128', 'v128'],
  result: undefined,
  reads: 'none',
  writes: 'none',
  traps: true,
  build: (b, params) => {
    const [low, high, lower, upper] = params as readonly Value[] as [I64, I64, V, V];
    // Only where the bytes lie in two pages can the second store fault after the first.
    b.if(b.gtU(b.and(b.wrap(low), b.i32(0xfff)), b.i32(FARTHEST)), () => {
      for (const address of [low, high]) for (const disp of [0, 8]) b.op('probe_write64', [address], disp);
    });
    b.op('v128.store', [low, lower]);
    b.op('v128.store', [high, upper]);
    return undefined;
  },
});

export const WIDE_ACCESS_ROUTINES: readonly Routine[] = [LOAD_WIDE, STORE_WIDE];

export function loadWide(c: Lift, a: Address): readonly [V, V] {
  const { b } = c;
  const address = c.sum(a);
  const [lower, upper] = [b.temp('v128'), b.temp('v128')];
  b.ifRarely(
    b.gtU(b.op('tlb.read_distance', [address]), b.i64(FARTHEST)),
    () => {
      b.set(lower, b.call(LOAD_WIDE, [address, c.sum(c.offset(a, 16))]) as V);
      b.set(upper, b.get(UPPER));
    },
    () => {
      const host = b.op('tlb.granted', [address]);
      b.set(lower, b.op('v128.ram_load', [host]));
      b.set(upper, b.op('v128.ram_load', [b.add(host, b.i32(16))]));
    },
  );
  return [b.get(lower), b.get(upper)];
}

export function storeWide(c: Lift, a: Address, lower: V, upper: V): void {
  const { b } = c;
  const address = c.sum(a);
  b.ifRarely(
    b.gtU(b.op('tlb.write_distance', [address]), b.i64(FARTHEST)),
    () => void b.call(STORE_WIDE, [address, c.sum(c.offset(a, 16)), lower, upper]),
    () => {
      const host = b.op('tlb.granted', [address]);
      b.op('v128.ram_store', [host, lower]);
      b.op('v128.ram_store', [b.add(host, b.i32(16)), upper]);
    },
  );
}
