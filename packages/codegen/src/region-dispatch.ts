// How control gets from a region's start to where it is entered: the root decides by the entry number.

import type { FlowShape } from './control-flow.ts';
import type { FunctionCode, Label, Local } from './function-code.ts';
import type { SlotCache } from './slot-cache.ts';
import { SlotSet } from './slot-set.ts';
import { opcodeOf } from './wasm-opcodes.ts';

const AND = opcodeOf('i32.and');

export interface RegionDispatchParts {
  readonly f: FunctionCode;
  readonly cache: SlotCache;
  /** What each node finds in locals. */
  readonly held: readonly SlotSet[];
  readonly shape: FlowShape;
  /** Number of the way to take from the root. */
  readonly entry: Local;
  /** Where forward edges to merge nodes go. */
  readonly blockLabel: readonly number[];
}

export class RegionDispatch {
  readonly #p: RegionDispatchParts;

  constructor(parts: RegionDispatchParts) {
    this.#p = parts;
  }

  /** Takes the number out of the lower bits. */
  writeStart(mask: number): void {
    const { f, entry, shape } = this.#p;
    if (shape.dispatched.length < 2) return;
    f.get(entry);
    f.i32(mask);
    f.op(AND);
    f.set(entry);
  }

  /** `writeTree` writes a node to which nothing else leads. */
  writeRoot(writeTree: (node: number) => void): void {
    const { f, entry, held, blockLabel, shape } = this.#p;
    const { dispatched } = shape;
    if (dispatched.length === 1) {
      this.#holdFor(dispatched[0]);
      writeTree(dispatched[0]);
      return;
    }
    // What a block finds in locals is loaded on the way to it.
    const ways = dispatched.filter((node) => !held[node].isEmpty).map((node) => ({ node, label: f.block() }));
    const labels = dispatched.map((node): Label => ways.find((way) => way.node === node)?.label ?? blockLabel[node]);
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
}
