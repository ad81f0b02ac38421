// Shape of a region's control flow graph, for writing it as structured WebAssembly (N. Ramsey, "Beyond Relooper", ICFP 2022): reverse postorder,
// dominator tree, loop headers and merge points. A root node stands for the dispatch on the entry number; a node that retreating edges reach
// without its dominating them (irreducible) becomes one of the root's targets, and those edges go through the root.

export interface FlowShape {
  /** Nodes by number: 0..n-1, and the root n. */
  readonly root: number;
  /** Nodes that the entries reach, without the root, in reverse postorder. */
  readonly sequence: readonly number[];
  /** Number in reverse postorder; -1 for nodes that no entry reaches. */
  readonly order: readonly number[];
  /** Children in the dominator tree, in reverse postorder. */
  readonly children: readonly (readonly number[])[];
  readonly isLoopHeader: readonly number[];
  /** Reached by two or more forward edges, so written once behind a label. */
  readonly isMerge: readonly number[];
  /** Targets of the root: entries, and nodes reached through the dispatch. */
  readonly dispatched: readonly number[];
  /** Does the edge go through the root's dispatch loop? */
  viaRoot(from: number, to: number): boolean;
  /** Does the root need to be a loop? */
  readonly rootIsLoop: boolean;
}

/**
 * Graphs are small: typed arrays would take longer to make than to use. All lists of nodes are made by `push`, for V8 takes others for another kind, and
 * code that meets several kinds is compiled over and over.
 */
export function filled(count: number, value: number): number[] {
  const list: number[] = [];
  for (let i = 0; i < count; i++) list.push(value);
  return list;
}
export function emptyLists(count: number): number[][] {
  const lists: number[][] = [];
  for (let i = 0; i < count; i++) lists.push([]);
  return lists;
}

class Shaper {
  readonly #successors: readonly (readonly number[])[];
  readonly #root: number;
  order: number[] = [];
  #sequence: number[] = [];
  idom: number[] = [];
  readonly dispatched: number[];

  constructor(successors: readonly (readonly number[])[], entries: readonly number[]) {
    this.#successors = successors;
    this.#root = successors.length;
    this.dispatched = [...entries];
    for (;;) {
      this.#number();
      this.#dominators();
      const irreducible = this.#findIrreducible();
      if (irreducible < 0) return;
      this.dispatched.push(irreducible);
    }
  }

  next(node: number): readonly number[] {
    return node === this.#root ? this.dispatched : this.#successors[node];
  }
  get sequence(): readonly number[] {
    return this.#sequence;
  }

  #number(): void {
    const count = this.#root + 1;
    const seen = filled(count, 0);
    const post: number[] = [];
    /** Nodes being visited, and how many of each one's successors have been. */
    const stack = [this.#root];
    const done = [0];
    seen[this.#root] = 1;
    while (stack.length > 0) {
      const node = stack[stack.length - 1];
      const next = this.next(node);
      const n = done[done.length - 1]++;
      if (n === next.length) {
        post.push(node);
        stack.pop();
        done.pop();
      } else if (!seen[next[n]]) {
        seen[next[n]] = 1;
        stack.push(next[n]);
        done.push(0);
      }
    }
    this.#sequence = post.reverse();
    this.order = filled(count, -1);
    for (let i = 0; i < this.#sequence.length; i++) this.order[this.#sequence[i]] = i;
  }

  #intersect(a: number, b: number): number {
    let x = a;
    let y = b;
    while (x !== y) {
      while (this.order[x] > this.order[y]) x = this.idom[x];
      while (this.order[y] > this.order[x]) y = this.idom[y];
    }
    return x;
  }

  /**
   * Cooper, Harvey, Kennedy: "A simple, fast dominance algorithm", edge by edge: in reverse postorder the first edge to a node comes from one that has its
   * dominator, and each edge can only move the target's up.
   */
  #dominators(): void {
    const idom = filled(this.#root + 1, -1);
    this.idom = idom;
    idom[this.#root] = this.#root;
    for (let changed = true; changed; ) {
      changed = false;
      for (const from of this.#sequence) {
        for (const to of this.next(from)) {
          const known = idom[to];
          const now = known < 0 ? from : this.#intersect(known, from);
          if (now === known) continue;
          idom[to] = now;
          changed = true;
        }
      }
    }
  }

  dominates(a: number, b: number): boolean {
    let node = b;
    while (this.order[node] > this.order[a]) node = this.idom[node];
    return node === a;
  }

  #findIrreducible(): number {
    for (const from of this.#sequence) {
      for (const to of this.next(from)) {
        const isForward = from === this.#root || this.order[to] > this.order[from];
        if (!isForward && !this.dominates(to, from) && !this.dispatched.includes(to)) return to;
      }
    }
    return -1;
  }
}

export function shapeFlow(successors: readonly (readonly number[])[], entries: readonly number[]): FlowShape {
  const root = successors.length;
  const shaper = new Shaper(successors, entries);
  const { order, dispatched } = shaper;
  const isLoopHeader = filled(root + 1, 0);
  const forward = filled(root + 1, 0);
  let rootIsLoop = false;
  const viaRoot = (from: number, to: number): boolean => order[to] <= order[from] && !shaper.dominates(to, from);
  for (const from of shaper.sequence) {
    for (const to of shaper.next(from)) {
      if (order[to] > order[from]) forward[to] += 1;
      else if (viaRoot(from, to)) rootIsLoop = true;
      else isLoopHeader[to] = 1;
    }
  }
  const children = emptyLists(root + 1);
  for (const node of shaper.sequence) if (node !== root) children[shaper.idom[node]].push(node);
  const isMerge = filled(root + 1, 0);
  for (let node = 0; node < root; node++) isMerge[node] = forward[node] > 1 ? 1 : 0;
  // All targets of a dispatch with several need labels.
  if (dispatched.length > 1) for (const node of dispatched) isMerge[node] = 1;
  const sequence = shaper.sequence.slice(1);
  return { root, sequence, order, children, isLoopHeader, isMerge, dispatched, viaRoot, rootIsLoop };
}

/** For each node, those from which an edge leads to it without going through the root. */
export function predecessorsOf(successors: readonly (readonly number[])[], { sequence, viaRoot }: FlowShape): number[][] {
  const predecessors = emptyLists(successors.length);
  for (const from of sequence) for (const to of successors[from]) if (!viaRoot(from, to)) predecessors[to].push(from);
  return predecessors;
}

/** Nodes of the natural loop of a header: those from which it is reached again without leaving through it. `predecessors`: of `predecessorsOf`. */
export function naturalLoop(header: number, predecessors: readonly (readonly number[])[], { order }: FlowShape): Set<number> {
  const loop = new Set([header]);
  const work = predecessors[header].filter((from) => order[from] >= order[header]);
  for (let node = work.pop(); node !== undefined; node = work.pop()) {
    if (loop.has(node)) continue;
    loop.add(node);
    for (const from of predecessors[node]) work.push(from);
  }
  return loop;
}
