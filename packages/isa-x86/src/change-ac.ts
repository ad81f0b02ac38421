// STAC and CLAC: EFLAGS.AC, and with it the class of supervisor accesses (SMAP). SDM Vol. 3A 4.6.

import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import { EFLAG, FLAGS } from './state.ts';
import { StateBuilder } from './state-builder.ts';

/** (set 0/1), at level 0: alignment checks do not depend on EFLAGS.AC there. */
export const CHANGE_AC: Routine = routine({
  name: 'changeAc',
  params: ['i32'],
  result: undefined,
  reads: [FLAGS],
  writes: [FLAGS],
  traps: false,
  build: (b, [set]) => {
    const bit = b.shl(set as Value<'i32'>, b.i32(Math.log2(EFLAG.AC)));
    const flags = b.temp('i32', b.or(b.and(b.wrap(b.get(FLAGS)), b.i32(~EFLAG.AC)), bit));
    b.set(FLAGS, b.extendU(b.get(flags)));
    new StateBuilder(b).selectSupervisorTlb(b.get(flags));
    return undefined;
  },
});
