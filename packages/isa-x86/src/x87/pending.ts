// Waiting: raises the exception that an earlier x87 instruction left pending. The common case costs one test of ES.

import type { Lift } from '../lift.ts';
import { X86State } from '../state.ts';
import { STATUS } from './fpu.ts';
import { X87_CALLEES } from './x87-helper-map.ts';

export function callPending(c: Lift): void {
  const { b } = c;
  const status = b.op('state.load32', [b.i32(0)], X86State.offset.fpuStatus);
  b.if(b.and(status, b.i32(STATUS.ES)), () => {
    b.call(X87_CALLEES.x87Pending);
  });
}
