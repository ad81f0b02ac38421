// Chooses where a region is entered. An entry in the middle of a loop would make the loop irreducible, which costs a dispatch in each round; so of the
// blocks that may be entries, those inside a loop are left out (its header is one).

import { filled, naturalLoop, predecessorsOf, shapeFlow, type FlowShape } from './control-flow.ts';

/** A `functionEntry` is the byte offset of the entered block from the region's base, shifted by this, with the block's place among the entries. */
export const ENTRY_OFFSET_SHIFT = 10;

export interface EntryQuestion {
  readonly successors: readonly (readonly number[])[];
  readonly mayEnter: (node: number) => boolean;
  /** Nodes from this one on lead to many others: where all is one cycle, it is best entered there. */
  readonly firstSwitch: number;
}

export interface RegionEntries {
  readonly entries: readonly number[];
  readonly shape: FlowShape;
}

/** Entries that make every node reachable: those that nothing else in the region leads to, and one for each cycle left over. */
function primaryEntries({ successors, mayEnter, firstSwitch }: EntryQuestion): number[] {
  const count = successors.length;
  const hasPredecessor = filled(count, 0);
  for (let from = 0; from < count; from++) for (const node of successors[from]) if (node !== from) hasPredecessor[node] = 1;
  const entries: number[] = [];
  const reached = filled(count, 0);
  const enter = (node: number): void => {
    entries.push(node);
    const work = [node];
    for (let at = work.pop(); at !== undefined; at = work.pop()) {
      if (reached[at]) continue;
      reached[at] = 1;
      for (const next of successors[at]) work.push(next);
    }
  };
  for (let node = 0; node < count; node++) if (mayEnter(node) && !hasPredecessor[node]) enter(node);
  for (let node = firstSwitch; node < count; node++) if (mayEnter(node) && !reached[node]) enter(node);
  for (let node = 0; node < firstSwitch; node++) if (mayEnter(node) && !reached[node]) enter(node);
  return entries;
}

/** Nodes that lie in a natural loop without being its header. */
function loopInteriors(successors: readonly (readonly number[])[], shape: FlowShape): readonly number[] {
  const interior = filled(successors.length, 0);
  if (!shape.isLoopHeader.includes(1)) return interior;
  const predecessors = predecessorsOf(successors, shape);
  for (let header = 0; header < successors.length; header++) {
    if (!shape.isLoopHeader[header]) continue;
    for (const node of naturalLoop(header, predecessors, shape)) if (!shape.isLoopHeader[node]) interior[node] = 1;
  }
  return interior;
}

export function chooseEntries(question: EntryQuestion): RegionEntries {
  const { successors, mayEnter, firstSwitch } = question;
  const primary = primaryEntries(question);
  const shape = shapeFlow(successors, primary);
  const interior = loopInteriors(successors, shape);
  const entries = new Set(primary);
  for (let node = 0; node < successors.length; node++) {
    if (!mayEnter(node) || interior[node]) continue;
    // A switch is entered for the sake of what cannot be entered itself.
    if (node < firstSwitch || successors[node].some((target) => interior[target])) entries.add(node);
  }
  const all = [...entries].sort((a, b) => a - b);
  return { entries: all, shape: all.length === primary.length ? shape : shapeFlow(successors, all) };
}
