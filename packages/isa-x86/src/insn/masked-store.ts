// Stores of the lanes that a mask picks: all of them or, when one faults, none; lanes left out are not touched. SDM Vol. 2, MASKMOVDQU, VMASKMOV, VPMASKMOV.

import type { Value } from '@anillo/ir/block';
import type { Builder } from '@anillo/ir/builder';
import { routine, type Routine } from '@anillo/ir/callee';
import type { V } from './simd-operands.ts';
import { vectorZero } from './simd-operands.ts';

type Width = 1 | 4 | 8;
const BITMASK = { 1: 'i8x16.bitmask', 4: 'i32x4.bitmask', 8: 'i64x2.bitmask' } as const;
const PROBE = { 4: 'probe_write32', 8: 'probe_write64' } as const;

/** Address of a lane. `wrap`: bits of an address that count. */
const laneAt = (b: Builder, address: Value, wrap: Value, offset: number): Value<'i64'> =>
  b.and(b.add(address as Value<'i64'>, b.i64(offset)), wrap as Value<'i64'>);

/** (address, wrap, mask): faults as storing the picked lanes would. */
const probe = (width: 4 | 8): Routine =>
  routine({
    name: `maskedProbe${width * 8}`,
    params: ['i64', 'i64', 'v128'],
    result: undefined,
    reads: 'none',
    writes: 'none',
    traps: true,
    build: (b, [address, wrap, mask]) => {
      const bits = b.op(BITMASK[width], [mask as V]);
      for (let i = 0; i < 16 / width; i++)
        b.if(b.and(bits, b.i32(1 << i)), () => b.op(PROBE[width], [laneAt(b, address, wrap, i * width)]));
      return undefined;
    },
  });

/** (address, wrap, data, mask) */
const store = (width: Width): Routine =>
  routine({
    name: `maskedStore${width * 8}`,
    params: ['i64', 'i64', 'v128', 'v128'],
    result: undefined,
    reads: 'none',
    writes: 'none',
    traps: true,
    build: (b, [address, wrap, data, mask]) => {
      const bits = b.op(BITMASK[width], [mask as V]);
      const v = data as V;
      for (let i = 0; i < 16 / width; i++) {
        b.if(b.and(bits, b.i32(1 << i)), () => {
          const at = laneAt(b, address, wrap, i * width);
          if (width === 1) b.op('i32.store8', [at, b.op('i8x16.extract_lane_u', [v], i)]);
          else if (width === 4) b.op('i32.store', [at, b.op('i32x4.extract_lane', [v], i)]);
          else b.op('i64.store', [at, b.op('i64x2.extract_lane', [v], i)]);
        });
      }
      return undefined;
    },
  });

/** (address, wrap, mask) -> picked lanes, the others 0. */
const load = (width: 4 | 8): Routine =>
  routine({
    name: `maskedLoad${width * 8}`,
    params: ['i64', 'i64', 'v128'],
    result: 'v128',
    reads: 'none',
    writes: 'none',
    traps: true,
    build: (b, [address, wrap, mask]) => {
      const bits = b.op(BITMASK[width], [mask as V]);
      const out = b.temp('v128', vectorZero(b));
      for (let i = 0; i < 16 / width; i++) {
        b.if(b.and(bits, b.i32(1 << i)), () => {
          const at = laneAt(b, address, wrap, i * width);
          if (width === 4) b.set(out, b.op('i32x4.replace_lane', [b.get(out), b.op('i32.load', [at])], i));
          else b.set(out, b.op('i64x2.replace_lane', [b.get(out), b.op('i64.load', [at])], i));
        });
      }
      return b.get(out);
    },
  });

export const MASKED_PROBE = { 4: probe(4), 8: probe(8) } as const;
export const MASKED_STORE = { 1: store(1), 4: store(4), 8: store(8) } as const;
export const MASKED_LOAD = { 4: load(4), 8: load(8) } as const;
