// The pass pipeline for blocks and routines.

import type { Block, Inst, Terminal, Value } from './block.ts';
import { BackwardPass } from './passes/backward.ts';
import { foldCondition } from './passes/fold.ts';
import { ForwardPass } from './passes/forward.ts';

// The passes keep scratch arrays between blocks.
const forward = new ForwardPass();
const backward = new BackwardPass();

function resolveTerminal(terminal: Terminal): Terminal {
  if (terminal.kind === 'branch') {
    const cond = foldCondition(forward.resolve(terminal.cond)) as Value<'i32'>;
    return cond === terminal.cond ? terminal : { ...terminal, cond };
  }
  if (terminal.kind !== 'indirect' && terminal.kind !== 'callIndirect') return terminal;
  const target = forward.resolve(terminal.target);
  return target === terminal.target ? terminal : { ...terminal, target };
}

/** Values that a terminal uses. */
export function terminalValues(terminal: Terminal): readonly Inst[] {
  if (terminal.kind === 'branch') return [terminal.cond];
  return terminal.kind === 'indirect' || terminal.kind === 'callIndirect' ? [terminal.target] : [];
}

/** Optimises a block for both tiers. Reuses and changes the block's insts; the result replaces the block. */
export function optimize(block: Block): Block {
  forward.run(block.insts);
  const terminal = resolveTerminal(block.terminal);
  backward.run(block.insts, terminalValues(terminal));
  return terminal === block.terminal ? block : { ...block, terminal };
}

/** The same for a routine's body. */
export function optimizeRoutine(insts: Inst[], result: Value | undefined): { insts: Inst[]; result: Value | undefined } {
  forward.run(insts);
  const resolved = result && forward.resolve(result);
  backward.run(insts, resolved ? [resolved] : []);
  return { insts, result: resolved };
}
