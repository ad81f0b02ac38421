// The TLB's entry for the stack pointer: it serves accesses that hit its page, and grants no more than the page does.

import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { Builder } from '@anillo/ir/builder';
import { EXIT } from '@anillo/ir/frontend';
import { CODE_BASE_LINEAR, DATA_BASE, RAM_PAGES, SLOTS, TierRig } from '@anillo/codegen/testing/tier-rig';
import { TLB_STACK_ENTRY, TlbEntry } from './tlb-layout.ts';

const [, RESULT, , , , STACK] = SLOTS.i64;
const READ_ONLY_PAGE = 2n;

/** Loads 8 bytes at the stack pointer, then stores 7 there, if asked to. */
function rigWith(store: boolean): { rig: TierRig; run: (stack: bigint) => number } {
  const b = new Builder();
  b.set(RESULT, b.op('i64.load', [b.get(STACK)], 8));
  if (store) b.op('i64.store', [b.get(STACK), b.i64(7)], 8);
  const block = b.finish({ kind: 'exit', delta: 0, reason: EXIT.HALT }, { byteCount: 8, insnCount: 2, pcBits: 64 });
  const rig = new TierRig({});
  rig.reset();
  const compiled = rig.compile([[{ block, offset: 0, entry: true }]]);
  return {
    rig,
    run: (stack) => {
      rig.start(new Uint8Array(0x1a0), rig.bytes.slice(TierRig.ramAt, TierRig.ramAt + RAM_PAGES * 4096), CODE_BASE_LINEAR);
      rig.state.setBigUint64(STACK.offset, stack, true);
      return compiled.call(0, 0);
    },
  };
}
const tagOf = (rig: TierRig): bigint => rig.view.getBigUint64(rig.header.tlb + TLB_STACK_ENTRY + TlbEntry.offset.tagWrite, true);

test('a page that may be written is entered, and found there again', () => {
  const { rig, run } = rigWith(true);
  equal(run(DATA_BASE), EXIT.HALT);
  equal(run(DATA_BASE), EXIT.HALT);
  equal(tagOf(rig), DATA_BASE);
  equal(rig.state.getBigUint64(RESULT.offset, true), 7n);
  // Only the entry knows the page now.
  rig.view.setBigUint64(rig.header.tlb + Number((DATA_BASE >> 7n) & 0x7fe0n) + TlbEntry.offset.tagRead, ~DATA_BASE, true);
  const { misses } = rig;
  equal(run(DATA_BASE), EXIT.HALT);
  equal(rig.misses, misses);
  equal(rig.state.getBigUint64(RESULT.offset, true), 7n);
});

test('a page that may only be read is not entered, and a store there faults', () => {
  const { rig, run } = rigWith(false);
  const stack = DATA_BASE + READ_ONLY_PAGE * 4096n;
  equal(run(stack), EXIT.HALT);
  equal(run(stack), EXIT.HALT);
  equal(tagOf(rig) === stack, false);
  const writer = rigWith(true);
  equal(writer.run(stack), EXIT.TRAP);
  equal(writer.run(stack), EXIT.TRAP);
});

test('an access that crosses the end of its page is not served by the entry', () => {
  const { rig, run } = rigWith(true);
  equal(run(DATA_BASE), EXIT.HALT);
  equal(run(DATA_BASE + 4096n - 12n), EXIT.HALT);
  equal(rig.bytes[TierRig.ramAt + 4096 - 4], 7);
  // Page 2, behind page 1, may not be written.
  equal(run(DATA_BASE + 2n * 4096n - 12n), EXIT.TRAP);
});
