// Which slots a region's blocks find in locals ("held"), and which of them memory does not have ("dirty"), when control reaches them.
// A way into a block that lacks what the block finds held loads it first; ways in through the dispatch bring nothing.

import { naturalLoop, predecessorsOf, type FlowShape } from './control-flow.ts';
import type { Segment } from './slot-cache.ts';
import { SlotSet } from './slot-set.ts';

export interface SlotFlow {
  readonly held: readonly SlotSet[];
  readonly dirty: readonly SlotSet[];
}

export interface FlowQuestion {
  readonly shape: FlowShape;
  readonly successors: readonly (readonly number[])[];
  readonly segments: readonly (readonly Segment[])[];
  /** Does everything leave the locals at the block's end (a call)? */
  readonly forgets: (node: number) => boolean;
  /** Has whoever comes to the node put everything into memory, and does it look for nothing in locals? */
  readonly isBare: (node: number) => boolean;
}

/** What a block makes of a set. */
interface Transfer {
  readonly takes: SlotSet;
  readonly gives: SlotSet;
}
const FORGETS: Transfer = { takes: SlotSet.ALL, gives: SlotSet.NONE };

function transferOf(segments: readonly Segment[], step: (segment: Segment) => Transfer): Transfer {
  const first = step(segments[0] as Segment);
  let { takes } = first;
  let gives = first.gives.without(takes);
  for (let s = 1; s < segments.length; s++) {
    const next = step(segments[s] as Segment);
    takes = takes.or(next.takes);
    gives = gives.or(next.gives).without(next.takes);
  }
  return { takes, gives };
}
const after = ({ takes, gives }: Transfer, before: SlotSet): SlotSet => before.without(takes).or(gives);
const dirtied = (s: Segment): Transfer => ({ takes: s.writtenBack.or(s.clobbers), gives: s.deferred });
const heldBy = (s: Segment): Transfer => ({ takes: s.clobbers, gives: s.needs.or(s.sets) });

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

export function solveSlotFlow({ shape, successors, segments, forgets, isBare }: FlowQuestion): SlotFlow {
  const nodes = shape.sequence;
  const predecessors = predecessorsOf(successors, shape);
  const startsBare = successors.map((_, n) => isBare(n));
  const transfers = (step: (segment: Segment) => Transfer): Transfer[] =>
    segments.map((own, n) => (forgets(n) ? FORGETS : transferOf(own, step)));

  const dirty = solve(nodes, transfers(dirtied), {
    start: SlotSet.NONE,
    join: (n, outs) => {
      let set = SlotSet.NONE;
      if (!startsBare[n]) for (const from of predecessors[n] as number[]) set = set.or(outs[from] as SlotSet);
      return set;
    },
  });

  const forced = [...dirty];
  for (const n of nodes) {
    if (!shape.isLoopHeader[n] || startsBare[n]) continue;
    const body = naturalLoop(n, predecessors, shape);
    if ([...body].some((b) => forgets(b) || (segments[b] as Segment[]).length > 1)) continue;
    for (const b of body) forced[n] = (forced[n] as SlotSet).or((segments[b] as Segment[])[0].needs);
  }
  for (const n of shape.dispatched) startsBare[n] = true;
  const held = solve(nodes, transfers(heldBy), {
    start: SlotSet.ALL,
    join: (n, outs) => {
      if (startsBare[n]) return forced[n] as SlotSet;
      let set = SlotSet.ALL;
      for (const from of predecessors[n] as number[]) set = set.and(outs[from] as SlotSet);
      return set.or(forced[n] as SlotSet);
    },
  });
  return { held, dirty };
}
