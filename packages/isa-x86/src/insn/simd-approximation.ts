// RCPPS and RSQRTPS: reciprocals with at least 12 good bits and no exceptions; denormal operands count as zero, tiny results become zero. SDM Vol. 2.

import type { Builder } from '@anillo/ir/builder';
import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import { FloatLanes } from './simd-float-lanes.ts';
import { vector32, type V } from './simd-operands.ts';

const approximation = (name: string, compute: (b: Builder, l: FloatLanes, x: V) => V): Routine =>
  routine({
    name,
    params: ['v128'],
    result: 'v128',
    reads: 'none',
    writes: 'none',
    traps: false,
    pure: true,
    build: (b, [operand]) => {
      const l = new FloatLanes(b, 'ps');
      const x = operand as V;
      const flush = (v: V): V =>
        b.op('v128.bitselect', [b.op('v128.and', [v, vector32(b, 0x8000_0000)]), v, l.op('lt', l.op('abs', v), l.smallestNormal) as V]);
      const result = flush(compute(b, l, flush(x)));
      return b.op('v128.bitselect', [b.op('v128.or', [x, vector32(b, 0x40_0000)]), result, l.op('ne', x, x) as V]);
    },
  });

const one = (l: FloatLanes): Value => l.constant(1);
export const RECIPROCAL = approximation('rcpps', (_b, l, x) => l.op('div', one(l), x) as V);
export const RECIPROCAL_ROOT = approximation('rsqrtps', (b, l, x) => {
  const root = l.op('div', one(l), l.op('sqrt', x)) as V;
  return b.op('v128.bitselect', [vector32(b, 0xffc0_0000), root, l.op('lt', x, l.constant(0)) as V]);
});
