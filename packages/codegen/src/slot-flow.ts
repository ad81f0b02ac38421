// Which slots a region's blocks find in locals ("held"), and which of them memory does not have ("dirty"), when control reaches them.
// A way into a block that lacks what the block finds held loads it first; ways in through the dispatch bring nothing.

import type { FlowShape } from './control-flow.ts';
import type { Segment, SlotSet } from './slot-cache.ts';

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

function dirtyAfter(segments: readonly Segment[], before: SlotSet): SlotSet {
  let dirty = before;
  for (const s of segments) dirty = (dirty | s.sets) & ~(s.writtenBack | s.clobbers);
  return dirty;
}
function heldAfter(segments: readonly Segment[], before: SlotSet): SlotSet {
  let held = before;
  for (const s of segments) held = (held | s.needs | s.sets) & ~s.clobbers;
  return held;
}

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

export function solveSlotFlow({ shape, successors, segments, forgets, isBare }: FlowQuestion): SlotFlow {
  const count = successors.length;
  const nodes = Array.from({ length: count }, (_, i) => i)
    .filter((n) => (shape.order[n] as number) >= 0)
    .sort((a, b) => (shape.order[a] as number) - (shape.order[b] as number));
  const predecessors: number[][] = successors.map(() => []);
  for (const from of nodes)
    for (const to of successors[from] as number[]) if (!shape.viaRoot(from, to)) (predecessors[to] as number[]).push(from);
  const isDispatched = new Set(shape.dispatched);

  const dirty: SlotSet[] = new Array(count).fill(0n);
  const dirtyOut = (n: number): SlotSet => (forgets(n) ? 0n : dirtyAfter(segments[n] as Segment[], dirty[n] as SlotSet));
  for (let changed = true; changed; ) {
    changed = false;
    for (const n of nodes) {
      const now = isBare(n) ? 0n : (predecessors[n] as number[]).reduce((set, from) => set | dirtyOut(from), 0n);
      if (now === dirty[n]) continue;
      dirty[n] = now;
      changed = true;
    }
  }

  const forced = [...dirty];
  for (const n of nodes) {
    if (!shape.isLoopHeader[n] || isBare(n)) continue;
    const body = loopBody(n, { shape, predecessors });
    if ([...body].some((b) => forgets(b) || (segments[b] as Segment[]).length > 1)) continue;
    for (const b of body) forced[n] = (forced[n] as SlotSet) | (segments[b] as Segment[])[0].needs;
  }
  const everything = ~0n;
  const held: SlotSet[] = new Array(count).fill(everything);
  const heldOut = (n: number): SlotSet => (forgets(n) ? 0n : heldAfter(segments[n] as Segment[], held[n] as SlotSet));
  for (let changed = true; changed; ) {
    changed = false;
    for (const n of nodes) {
      const common =
        isDispatched.has(n) || isBare(n) ? 0n : (predecessors[n] as number[]).reduce((set, from) => set & heldOut(from), everything);
      const now = common | (forced[n] as SlotSet);
      if (now === held[n]) continue;
      held[n] = now;
      changed = true;
    }
  }
  return { held, dirty };
}
