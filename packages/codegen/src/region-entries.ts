// Chooses where a region is entered. An entry in the middle of a loop would make the loop irreducible, which costs a dispatch in each round; so of the
// blocks that may be entries, those inside a loop are left out (its header is one).

import { emptyLists, filled, shapeFlow } from './control-flow.ts';

/** A `functionEntry` is the byte offset of the entered block from the region's base, shifted by this, with the block's place among the entries. */
export const ENTRY_OFFSET_SHIFT = 10;

export interface EntryQuestion {
  readonly successors: readonly (readonly number[])[];
  readonly mayEnter: (node: number) => boolean;
  /** Nodes from this one on lead to many others: where all is one cycle, it is best entered there. */
  readonly firstSwitch: number;
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
function loopInteriors(successors: readonly (readonly number[])[], entries: readonly number[]): readonly number[] {
  const { order, isLoopHeader, viaRoot } = shapeFlow(successors, entries);
  const interior = filled(successors.length, 0);
  if (!isLoopHeader.includes(1)) return interior;
  const predecessors = emptyLists(successors.length);
  for (let from = 0; from < successors.length; from++) for (const node of successors[from]) predecessors[node].push(from);
  for (let header = 0; header < successors.length; header++) {
    if (!isLoopHeader[header]) continue;
    const inLoop = filled(successors.length, 0);
    inLoop[header] = 1;
    const work = predecessors[header].filter((from) => order[from] >= order[header] && !viaRoot(from, header));
    for (let node = work.pop(); node !== undefined; node = work.pop()) {
      if (inLoop[node] || order[node] < 0) continue;
      inLoop[node] = 1;
      if (!isLoopHeader[node]) interior[node] = 1;
      for (const from of predecessors[node]) work.push(from);
    }
  }
  return interior;
}

export function chooseEntries(question: EntryQuestion): number[] {
  const primary = primaryEntries(question);
  const interior = loopInteriors(question.successors, primary);
  const chosen = new Set(primary);
  question.successors.forEach((to, node) => {
    if (!question.mayEnter(node) || interior[node]) return;
    // A switch is entered for the sake of what cannot be entered itself.
    if (node < question.firstSwitch || to.some((target) => interior[target])) chosen.add(node);
  });
  return [...chosen].sort((a, b) => a - b);
}
