// The pass pipeline for blocks.

import type { Block } from './block.ts';

/** Optimises a block for both tiers. Reuses and changes the block's insts; the result replaces the block. */
export function optimize(block: Block): Block {
  return block;
}
