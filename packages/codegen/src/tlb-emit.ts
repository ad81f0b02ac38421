// A look into the software TLB, as WebAssembly and as IR: where an address has its entry, whether a tag of it serves, and where the byte is.

import type { Value } from '@anillo/ir/block';
import type { Builder } from '@anillo/ir/builder';
import type { FunctionCode, Local } from './function-code.ts';
import { HEADER } from './header-access.ts';
import { TLB_INDEX_MASK, TLB_INDEX_SHIFT, TlbEntry } from './tlb-layout.ts';
import { opcodeOf } from './wasm-opcodes.ts';

const O = {
  wrap: opcodeOf('i32.wrap_i64'),
  shrU: opcodeOf('i32.shr_u'),
  and: opcodeOf('i32.and'),
  add: opcodeOf('i32.add'),
  load32: opcodeOf('i32.load'),
  load64: opcodeOf('i64.load'),
  xor64: opcodeOf('i64.xor'),
} as const;

export type TlbTag = 'tagRead' | 'tagWrite' | 'tagExec';

/** Linear address on the stack -> the address of its entry, in the TLB that `pushTlb` pushes. */
export function emitEntry(f: FunctionCode, pushTlb: () => void): void {
  f.op(O.wrap);
  f.i32(TLB_INDEX_SHIFT);
  f.op(O.shrU);
  f.i32(TLB_INDEX_MASK);
  f.op(O.and);
  pushTlb();
  f.op(O.add);
}

/** The same in IR, in the TLB in force. */
export function tlbEntry(b: Builder, va: Value<'i64'>): Value<'i32'> {
  const offset = b.and(b.shrU(b.wrap(va), b.i32(TLB_INDEX_SHIFT)), b.i32(TLB_INDEX_MASK));
  return b.add(b.op('state.load32', [b.i32(0)], HEADER.tlb), offset);
}

/**
 * Address of an entry, less `entryOffset`, on the stack -> `va xor tag`: the offset in the page where the tag is of the address's page, else at least the
 * page's size.
 */
export function emitDistance(f: FunctionCode, va: Local, tag: TlbTag, entryOffset = 0): void {
  f.memory(O.load64, entryOffset + TlbEntry.offset[tag]);
  f.get(va);
  f.op(O.xor64);
}

/** Address of an entry that serves, less `entryOffset`, on the stack -> the host address of the byte at `va`. */
export function emitHostOf(f: FunctionCode, va: Local, entryOffset = 0): void {
  f.memory(O.load32, entryOffset + TlbEntry.offset.addend);
  f.get(va);
  f.op(O.wrap);
  f.op(O.add);
}
