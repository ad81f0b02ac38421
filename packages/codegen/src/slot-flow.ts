// Which slots a region's blocks find in locals ("held") when control reaches them.
// A way into a block that lacks what the block finds held loads it first; ways in through the dispatch bring nothing.

import { emptyLists, type FlowShape } from './control-flow.ts';
import type { Segment } from './slot-cache.ts';
import { SlotSet } from './slot-set.ts';

export interface FlowQuestion {
  readonly shape: FlowShape;
  readonly successors: readonly (readonly number[])[];
  readonly segments: readonly (readonly Segment[])[];
  /** Does everything leave the locals at the block's end (a call)? */
  readonly forgets: (node: number) => boolean;
  /** Does the node look for nothing in locals? */
  readonly isBare: (node: number) => boolean;
}

/** What a block makes of a set. */
interface Transfer {
  readonly takes: SlotSet;
  readonly gives: SlotSet;
}
const FORGETS: Transfer = { takes: SlotSet.ALL, gives: SlotSet.NONE };

function transferOf(segments: readonly Segment[]): Transfer {
  let takes = SlotSet.NONE;
  let gives = SlotSet.NONE;
  for (const { needs, sets, clobbers } of segments) {
    takes = takes.or(clobbers);
    gives = gives.or(needs).or(sets).without(clobbers);
  }
  return { takes, gives };
}
const after = ({ takes, gives }: Transfer, before: SlotSet): SlotSet => before.without(takes).or(gives);

/** Blocks of the natural loop of a header: those from which it is reached again without leaving through it. */
function loopBody(
  header: number,
  { shape, predecessors }: { shape: FlowShape; predecessors: readonly (readonly number[])[] },
): Set<number> {
  const body = new Set([header]);
  const work = (predecessors[header] as number[]).filter(
    (from) => shape.order[from] >= shape.order[header] && !shape.viaRoot(from, header),
  );
  for (let node = work.pop(); node !== undefined; node = work.pop()) {
    if (body.has(node)) continue;
    body.add(node);
    work.push(...(predecessors[node] as number[]));
  }
  return body;
}

/** Goes through the nodes until nothing changes any more; `join` makes what reaches a node of what is there after its predecessors. */
function solve(
  nodes: readonly number[],
  transfers: readonly Transfer[],
  { start, join }: { start: SlotSet; join: (node: number, outs: readonly SlotSet[]) => SlotSet },
): SlotSet[] {
  const before = transfers.map(() => start);
  const outs = transfers.map((transfer) => after(transfer, start));
  for (let changed = true; changed; ) {
    changed = false;
    for (let i = 0; i < nodes.length; i++) {
      const n = nodes[i] as number;
      const now = join(n, outs);
      if (now.equals(before[n] as SlotSet)) continue;
      before[n] = now;
      outs[n] = after(transfers[n] as Transfer, now);
      changed = true;
    }
  }
  return before;
}

/** What each node finds held. */
export function solveSlotFlow({ shape, successors, segments, forgets, isBare }: FlowQuestion): SlotSet[] {
  const nodes = shape.sequence;
  const predecessors = emptyLists(successors.length);
  for (const from of nodes)
    for (const to of successors[from] as number[]) if (!shape.viaRoot(from, to)) (predecessors[to] as number[]).push(from);
  const startsBare = successors.map((_, n) => isBare(n));
  const forced = successors.map(() => SlotSet.NONE);
  for (const n of nodes) {
    if (!shape.isLoopHeader[n] || startsBare[n]) continue;
    const body = loopBody(n, { shape, predecessors });
    if ([...body].some((b) => forgets(b) || (segments[b] as Segment[]).length > 1)) continue;
    for (const b of body) forced[n] = (forced[n] as SlotSet).or((segments[b] as Segment[])[0].needs);
  }
  for (const n of shape.dispatched) startsBare[n] = true;
  const transfers = segments.map((own, n) => (forgets(n) ? FORGETS : transferOf(own)));
  return solve(nodes, transfers, {
    start: SlotSet.ALL,
    join: (n, outs) => {
      if (startsBare[n]) return forced[n] as SlotSet;
      let set = SlotSet.ALL;
      for (const from of predecessors[n] as number[]) set = set.and(outs[from] as SlotSet);
      return set.or(forced[n] as SlotSet);
    },
  });
}
