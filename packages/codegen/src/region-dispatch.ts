// How control gets from a region's start to where it is entered: the root decides by the entry number, and a loop's header leads on to loops within it.

import type { FlowShape } from './control-flow.ts';
import type { FunctionCode, Label, Local } from './function-code.ts';
import type { InnerEntry, RegionEntries } from './region-entries.ts';
import type { SlotCache } from './slot-cache.ts';
import { SlotSet } from './slot-set.ts';
import { opcodeOf } from './wasm-opcodes.ts';

const O = {
  and: opcodeOf('i32.and'),
  ltU: opcodeOf('i32.lt_u'),
  geU: opcodeOf('i32.ge_u'),
  eq: opcodeOf('i32.eq'),
  select: opcodeOf('select'),
} as const;

export interface RegionDispatchParts {
  readonly f: FunctionCode;
  readonly cache: SlotCache;
  /** What each node finds in locals. */
  readonly held: readonly SlotSet[];
  readonly chosen: RegionEntries;
  /** Number of an entry while control is on its way there; lower than that of all inner ones when it is not. */
  readonly entry: Local;
  /** Where forward edges to merge nodes go. */
  readonly blockLabel: readonly number[];
}

export class RegionDispatch {
  readonly #p: RegionDispatchParts;
  readonly #shape: FlowShape;
  /** Numbered behind what the root dispatches to. */
  readonly #inner: readonly InnerEntry[];

  constructor(parts: RegionDispatchParts) {
    this.#p = parts;
    this.#shape = parts.chosen.shape;
    this.#inner = parts.chosen.inner;
  }

  numberOf(node: number): number {
    const { dispatched } = this.#shape;
    const inner = this.#inner.findIndex((entry) => entry.node === node);
    return inner < 0 ? dispatched.indexOf(node) : dispatched.length + inner;
  }

  /** Takes the number out of the lower bits. */
  writeStart(mask: number): void {
    const { f, entry } = this.#p;
    if (this.#shape.dispatched.length + this.#inner.length < 2) return;
    f.get(entry);
    f.i32(mask);
    f.op(O.and);
    f.set(entry);
  }

  /** `writeTree` writes a node to which nothing else leads. */
  writeRoot(writeTree: (node: number) => void): void {
    const { f, entry, held, blockLabel } = this.#p;
    const { dispatched } = this.#shape;
    if (dispatched.length === 1) {
      this.#holdFor(dispatched[0]);
      writeTree(dispatched[0]);
      return;
    }
    // What a block finds in locals is loaded on the way to it.
    const ways = dispatched.filter((node) => !held[node].isEmpty).map((node) => ({ node, label: f.block() }));
    const numbered = [...dispatched, ...this.#inner.map(({ node }) => this.#outermost(node))];
    const labels = numbered.map((node): Label => ways.find((way) => way.node === node)?.label ?? blockLabel[node]);
    f.get(entry);
    f.brTable(labels, labels[0]);
    for (const { node } of ways.reverse()) {
      f.end();
      this.#holdFor(node);
      f.br(blockLabel[node]);
    }
  }
  #holdFor(node: number): void {
    const { cache, held } = this.#p;
    cache.clean(SlotSet.NONE);
    cache.hold(held[node]);
  }
  #outermost(node: number): number {
    const entry = this.#inner.find((inner) => inner.node === node);
    return entry === undefined ? node : this.#outermost(entry.via);
  }

  /** At a loop's header: leads on who comes from the root to a loop within it. */
  writeWaysWithin(header: number): void {
    const { f, entry, cache, held, blockLabel } = this.#p;
    const first = this.#shape.dispatched.length;
    const ways = this.#inner.flatMap(({ node, via }, i) => (via === header ? [{ node, number: first + i }] : []));
    if (ways.length === 0) return;
    const heldHere = cache.held;
    f.get(entry);
    f.i32(first);
    f.op(O.geU);
    f.ifRarely();
    ways.forEach(({ node, number }, i) => {
      const next = ways[i + 1]?.number;
      if (next !== undefined) {
        f.get(entry);
        f.i32(next);
        f.op(O.ltU);
        f.if();
      }
      // Who is there now is led nowhere else.
      f.i32(0);
      f.get(entry);
      f.get(entry);
      f.i32(number);
      f.op(O.eq);
      f.op(O.select);
      f.set(entry);
      // Nothing has been set since the root: memory has everything, also what counts as dirty here.
      cache.hold(held[node]);
      f.br(blockLabel[node]);
      if (next !== undefined) f.end();
      cache.held = heldHere;
    });
    f.end();
  }
}
