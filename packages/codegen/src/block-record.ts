// What the dispatcher in the runtime module knows about a translated block: a record in the machine's memory, found by
// (host address of its first byte, mode) through a table of chains, which lies behind the vCPU's struct.

import { struct } from '@anillo/base/struct';
import { VCPU_BYTES } from '@anillo/ir/vcpu-header';

/** Records are 64-byte aligned. All addresses are byte offsets in the machine's memory. */
export const BlockRecord = struct({
  /** Key: host address of the block's first guest byte, and the header's `mode` for which it was lifted. */
  hostAddress: 'u32',
  mode: 'u32',
  /** Next record of the chain, 0 at its end. */
  next: 'u32',
  flags: 'u32',
  /** Address of the bytecode. */
  code: 'u32',
  insnCount: 'u32',
  /** Executions by the interpreter. When it reaches `hotAt`, `run` returns EXIT.HOT before executing the block, once. */
  count: 'u32',
  hotAt: 'u32',
  /** With flag COMPILED: index in the function table, and the `entry` argument to call it with. */
  functionIndex: 'u32',
  functionEntry: 'i32',
  /** With flag GUARD: the page of (pc + codeBase + guardDelta) must map, for execution, to host page address guardHost. */
  guardDelta: 'u32',
  guardHost: 'u32',
  /** Guest bytes covered. */
  byteCount: 'u32',
  /** With flag COMPILED: list of the pages that the function has code of (PageList), or 0 if it is the block's own page alone. */
  pages: 'u32',
  /** For the compiler: how often the block has been compiled, and the number of the compilation that did it last. */
  compiledTimes: 'u32',
  compiledAt: 'u32',
});

/** A list of pages: their number, then that many of these. */
export const PAGE_LIST_HEAD_BYTES = 16;
export const PageOfFunction = struct({
  /** Bytes from the linear address of the region's base to a byte in the page. */
  delta: 'i32',
  /** Machine-memory address of the page. */
  hostPage: 'u32',
  spare: ['u32', 2],
});

/** DEAD: the block's bytes have changed; links to it lead to a look-up. */
export const BLOCK_FLAGS = { GUARD: 1, COMPILED: 2, DEAD: 4 } as const;

export const BLOCK_BUCKETS = 65536;
export const BLOCK_BUCKET_TABLE_BYTES = BLOCK_BUCKETS * 4;
/** The table, in bytes from the start of the vCPU's struct. */
export const BUCKETS_OFFSET = VCPU_BYTES;

export const BUCKET_MULTIPLIER = 0x9e3779b1 | 0;
export const BUCKET_MODE_SHIFT = 7;
export const BUCKET_SHIFT = 16;

/** Bucket of a key; the record's address is in the u32 at BUCKETS_OFFSET + 4 * blockBucket(...). */
export const blockBucket = (hostAddress: number, mode: number): number =>
  Math.imul(hostAddress ^ (mode << BUCKET_MODE_SHIFT), BUCKET_MULTIPLIER) >>> BUCKET_SHIFT;
