// Segment limits and access rights where code is not flat.

import type { Value } from '@anillo/ir/block';
import { routine } from '@anillo/ir/callee';
import { SEGMENT_ATTRIBUTES_OFFSET, SEGMENT_LIMIT_OFFSET, SS, TRAP } from './state.ts';

/**
 * Segment check outside flat code: (segment, offset, last byte's distance, write 0/1). Raises #GP(0), or #SS(0) for SS, when the segment is
 * unusable, the access is not allowed, or the offset is beyond the limit. SDM Vol. 3A 5.3, 5.5.
 */
export const CHECK_SEGMENT = routine({
  name: 'checkSegment',
  params: ['i32', 'i32', 'i32', 'i32'],
  result: undefined,
  reads: 'none',
  writes: 'none',
  traps: true,
  build: (b, [segment, offset, last, write]) => {
    const at = b.shl(segment as Value<'i32'>, b.i32(2));
    const limit = b.temp('i32', b.op('state.load32', [at], SEGMENT_LIMIT_OFFSET));
    const attributes = b.temp('i32', b.op('state.load32', [at], SEGMENT_ATTRIBUTES_OFFSET));
    const from = b.temp('i64', b.extendU(offset as Value<'i32'>));
    const to = b.temp('i64', b.add(b.get(from), b.extendU(last as Value<'i32'>)));
    const bad = b.temp('i32', b.eqz(b.and(b.get(attributes), b.i32(0x80))));
    const worse = (v: Value<'i32'>): void => b.set(bad, b.or(b.get(bad), v));
    const bit = (n: number): Value<'i32'> => b.and(b.shrU(b.get(attributes), b.i32(n)), b.i32(1));
    // Code segments: readable only with bit 1, never writable. Data: writable with bit 1. Type bit 3: code; bit 2 of data: expand-down.
    b.if(
      bit(3),
      () => worse(b.or(write as Value<'i32'>, b.eqz(bit(1)))),
      () => worse(b.and(write as Value<'i32'>, b.eqz(bit(1)))),
    );
    b.if(
      b.and(b.eqz(bit(3)), bit(2)),
      () => {
        const top = b.select(bit(14), b.i64Words(-1, 0), b.i64(0xffff));
        worse(b.or(b.leU(b.get(from), b.extendU(b.get(limit))), b.gtU(b.get(to), top)));
      },
      () => worse(b.gtU(b.get(to), b.extendU(b.get(limit)))),
    );
    const isStack = b.eq(segment as Value<'i32'>, b.i32(SS));
    b.raiseIf(b.and(b.get(bad), isStack), TRAP.SS0);
    b.raiseIf(b.get(bad), TRAP.GP0);
    return undefined;
  },
});
