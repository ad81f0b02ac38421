// The arithmetic flags of the state as it is: what host code asks compiled code for (eflags.ts).

import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import { COMPUTE_FLAGS } from './compute-flags.ts';
import { CC_AUX, CC_DST, CC_OP, CC_PATCH, CC_SRC } from './state.ts';

const SLOTS = [CC_OP, CC_DST, CC_SRC, CC_AUX, CC_PATCH] as const;

export const CURRENT_FLAGS: Routine = routine({
  name: 'currentFlags',
  params: [],
  result: 'i32',
  reads: SLOTS,
  writes: 'none',
  traps: false,
  build: (b) => b.call(COMPUTE_FLAGS, SLOTS.map((slot) => b.get(slot))) as Value<'i32'>,
});
