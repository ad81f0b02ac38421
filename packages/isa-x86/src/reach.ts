// Finds where a byte lies that the processor itself reads (descriptors, gates, the TSS, frames), for routines that must not fault: a page that is not in
// the TLB in force is brought there when the page walk says that this goes well.

import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import { ACCESS, WALK } from '@anillo/ir/frontend';
import { PAGE_WALK } from './page-walk.ts';
import { X86State } from './state.ts';

type I32 = Value<'i32'>;
type I64 = Value<'i64'>;

/** (linear) -> byte offset in the machine's memory, for reading; -1 where only the host can tell. The TLB in force and the mode decide whose rights count. */
export const REACH: Routine = routine({
  name: 'reach',
  params: ['i64'],
  result: 'i32',
  reads: 'none',
  writes: 'none',
  traps: true,
  build: (b, [linear]) => {
    const address = linear as I64;
    const found = b.temp('i32', b.op('tlb.read', [address]));
    b.ifRarely(b.eq(b.get(found), b.i32(-1)), () => {
      const walked = b.call(PAGE_WALK, [address, b.i32(ACCESS.READ)]) as I32;
      b.if(b.and(b.and(walked, b.i32(WALK.GRANTS)), b.eqz(b.op('state.load32', [b.i32(0)], X86State.offset.hostWalks))), () => {
        b.op('i32.load8_u', [address]);
        b.set(found, b.op('tlb.read', [address]));
      });
    });
    return b.get(found);
  },
});
