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

/** Optimises a block for both tiers. Uses up the block and its insts; the result replaces the block. */
export function optimize(block: Block): Block {
  const { byteCount, insnCount, terminalAt, pcBits } = block;
  const folded = forward.run(block.insts);
  const terminal = resolveTerminal(block.terminal);
  const insts = backward.run(folded, terminalValues(terminal));
  return { insts, terminal, byteCount, insnCount, terminalAt, pcBits };
}

/** The same for a routine's body. */
export function optimizeRoutine(insts: Inst[], result: Value | undefined): { insts: Inst[]; result: Value | undefined } {
  const folded = forward.run(insts);
  const resolved = result && forward.resolve(result);
  return { insts: backward.run(folded, resolved ? [resolved] : []), result: resolved };
}
