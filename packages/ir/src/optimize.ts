// The pass pipeline for blocks and routines.

import type { Block, Inst, Value } from './block.ts';

/** Optimises a block for both tiers. Reuses and changes the block's insts; the result replaces the block. */
export function optimize(block: Block): Block {
  return block;
}

/** The same for a routine's body. */
export function optimizeRoutine(insts: Inst[], result: Value | undefined): { insts: Inst[]; result: Value | undefined } {
  return { insts, result };
}
