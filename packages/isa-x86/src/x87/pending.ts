// Waiting: raises the exception that an earlier x87 instruction left pending. The common case costs one test of ES.

import type { Lift } from '../lift.ts';
import { FPU_STATUS } from '../state.ts';
import { STATUS } from './fpu.ts';
import { X87_CALLEES } from './x87-helper-map.ts';

export function callPending(c: Lift): void {
  const { b } = c;
  b.ifRarely(b.and(b.get(FPU_STATUS), b.i32(STATUS.ES)), () => {
    b.call(X87_CALLEES.x87Pending);
  });
}
