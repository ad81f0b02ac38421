// Regions -> one WebAssembly module. A region is a piece of the guest's control flow graph compiled as one function, guest state in locals.

import type { Block } from '@anillo/ir/block';

export interface RegionBlock {
  readonly block: Block;
  /** Byte distance of the block's start from the region's pc base; 0 or more. No two blocks of a region have the same. */
  readonly offset: number;
  /** May the function be entered here from outside? */
  readonly entry: boolean;
}

/** Blocks of one mode that die together: those of one page, none that straddles (the code does not check that pages stay mapped). At most 512. */
export type Region = readonly RegionBlock[];

export interface CompileContext {
  /** As in RuntimeOptions. */
  readonly sharedMaximumPages?: number;
}

export interface CompiledRegions {
  /**
   * Module; imports env.memory, runtime.* (exports of the runtime module's instance) and helper.*; exports f0, f1, ... in order of the regions,
   * each `(cpu i32, entry i32) -> i32`: 0 when `pc` is set and the next block is to be looked up, else an EXIT reason.
   */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** For each region, the `functionEntry` of each of its blocks; -1 where `entry` is false. */
  readonly entries: readonly Int32Array[];
}

export function compileRegions(_regions: readonly Region[], _context: CompileContext): CompiledRegions {
  throw new Error('in work');
}
