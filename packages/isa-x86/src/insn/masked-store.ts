// Stores of the lanes that a mask picks: all of them or, when one faults, none; lanes left out are not touched. SDM Vol. 2, MASKMOVDQU, VMASKMOV, VPMASKMOV.

import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import type { V } from './simd-operands.ts';
import { vectorZero } from './simd-operands.ts';

type Width = 1 | 4 | 8;
const BITMASK = { 1: 'i8x16.bitmask', 4: 'i32x4.bitmask', 8: 'i64x2.bitmask' } as const;
const PROBE = { 4: 'probe_write32', 8: 'probe_write64' } as const;

/** (address, mask): faults as storing the picked lanes would. */
const probe = (width: 4 | 8): Routine =>
  routine({
    name: `maskedProbe${width * 8}`,
    params: ['i64', 'v128'],
    result: undefined,
    reads: 'none',
    writes: 'none',
    traps: true,
    build: (b, [address, mask]) => {
      const bits = b.op(BITMASK[width], [mask as V]);
      for (let i = 0; i < 16 / width; i++) b.if(b.and(bits, b.i32(1 << i)), () => b.op(PROBE[width], [address as Value<'i64'>], i * width));
      return undefined;
    },
  });

/** (address, data, mask) */
const store = (width: Width): Routine =>
  routine({
    name: `maskedStore${width * 8}`,
    params: ['i64', 'v128', 'v128'],
    result: undefined,
    reads: 'none',
    writes: 'none',
    traps: true,
    build: (b, [address, data, mask]) => {
      const bits = b.op(BITMASK[width], [mask as V]);
      const base = address as Value<'i64'>;
      const v = data as V;
      for (let i = 0; i < 16 / width; i++) {
        b.if(b.and(bits, b.i32(1 << i)), () => {
          if (width === 1) b.op('i32.store8', [base, b.op('i8x16.extract_lane_u', [v], i)], i);
          else if (width === 4) b.op('i32.store', [base, b.op('i32x4.extract_lane', [v], i)], 4 * i);
          else b.op('i64.store', [base, b.op('i64x2.extract_lane', [v], i)], 8 * i);
        });
      }
      return undefined;
    },
  });

/** (address, mask) -> picked lanes, the others 0. */
const load = (width: 4 | 8): Routine =>
  routine({
    name: `maskedLoad${width * 8}`,
    params: ['i64', 'v128'],
    result: 'v128',
    reads: 'none',
    writes: 'none',
    traps: true,
    build: (b, [address, mask]) => {
      const bits = b.op(BITMASK[width], [mask as V]);
      const base = address as Value<'i64'>;
      const out = b.temp('v128', vectorZero(b));
      for (let i = 0; i < 16 / width; i++) {
        b.if(b.and(bits, b.i32(1 << i)), () => {
          if (width === 4) b.set(out, b.op('i32x4.replace_lane', [b.get(out), b.op('i32.load', [base], 4 * i)], i));
          else b.set(out, b.op('i64x2.replace_lane', [b.get(out), b.op('i64.load', [base], 8 * i)], i));
        });
      }
      return b.get(out);
    },
  });

export const MASKED_PROBE = { 4: probe(4), 8: probe(8) } as const;
export const MASKED_STORE = { 1: store(1), 4: store(4), 8: store(8) } as const;
export const MASKED_LOAD = { 4: load(4), 8: load(8) } as const;
