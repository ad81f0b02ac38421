// Chooses where a region is entered. An entry in the middle of a loop would make the loop irreducible, which costs a dispatch in each round; so of the
// blocks that may be entries, those inside a loop are left out (its header is one). The header of a loop within another is entered by way of the other's.

import { filled, naturalLoop, predecessorsOf, shapeFlow, type FlowShape } from './control-flow.ts';

/** A `functionEntry` is the byte offset of the entered block from the region's base, shifted by this, with the block's place among the entries. */
export const ENTRY_OFFSET_SHIFT = 10;

export interface EntryQuestion {
  readonly successors: readonly (readonly number[])[];
  readonly mayEnter: (node: number) => boolean;
  /** Nodes from this one on lead to many others: where all is one cycle, it is best entered there. */
  readonly firstSwitch: number;
}

/** A loop's header that is entered through the one of the loop around it. */
export interface InnerEntry {
  readonly node: number;
  readonly via: number;
}

export interface RegionEntries {
  readonly entries: readonly number[];
  /** With the ways to inner entries. */
  readonly shape: FlowShape;
  /** Behind each one those that are entered through it. */
  readonly inner: readonly InnerEntry[];
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

/** Each header with the nodes of its natural loop, the largest loop first. */
function naturalLoops(successors: readonly (readonly number[])[], shape: FlowShape): [number, Set<number>][] {
  const loops: [number, Set<number>][] = [];
  if (!shape.isLoopHeader.includes(1)) return loops;
  const predecessors = predecessorsOf(successors, shape);
  for (let header = 0; header < successors.length; header++)
    if (shape.isLoopHeader[header]) loops.push([header, naturalLoop(header, predecessors, shape)]);
  return loops.sort((a, b) => b[1].size - a[1].size);
}

export function chooseEntries(question: EntryQuestion): RegionEntries {
  const { successors, mayEnter, firstSwitch } = question;
  const primary = primaryEntries(question);
  const shape = shapeFlow(successors, primary);
  const isInterior = filled(successors.length, 0);
  /** The header of the smallest loop around each header: loops are nested or apart where control flow is reducible. */
  const around = filled(successors.length, -1);
  for (const [header, loop] of naturalLoops(successors, shape)) {
    for (const node of loop) {
      if (!shape.isLoopHeader[node]) isInterior[node] = 1;
      else if (node !== header) around[node] = header;
    }
  }
  const all = new Set(primary);
  for (let node = 0; node < successors.length; node++) {
    if (!mayEnter(node) || isInterior[node]) continue;
    // A switch is entered for the sake of what cannot be entered itself.
    if (node < firstSwitch || successors[node].some((target) => isInterior[target])) all.add(node);
  }
  const entries = [...all].sort((a, b) => a - b);
  const nested = entries.filter((node) => around[node] >= 0 && !primary.includes(node));
  if (nested.length > 0 && !shape.rootIsLoop) {
    const inner: InnerEntry[] = [];
    const enterWithin = (via: number): void => {
      for (const node of nested) {
        if (around[node] !== via) continue;
        inner.push({ node, via });
        enterWithin(node);
      }
    };
    const roots = entries.filter((node) => !nested.includes(node));
    for (const node of roots) enterWithin(node);
    const ways = successors.map((to, from) => [...to, ...inner.filter(({ via }) => via === from).map(({ node }) => node)]);
    const withWays = shapeFlow(ways, roots);
    if (inner.length === nested.length && !withWays.rootIsLoop) return { entries, shape: withWays, inner };
  }
  return { entries, shape: shapeFlow(successors, entries), inner: [] };
}
