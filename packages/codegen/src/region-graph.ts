// The control flow graph of a region. Its nodes are the region's blocks, in order, and behind them two kinds of glue:
//
// - switches: indirect jumps whose targets are known and in the region, all those that share a target. A block leads to its switch, the switch to the targets.
// - tails: a call that has been inlined leaves the region other than by its return (a cold branch, a jump through a pointer): what it goes to is called
//   as a function, and the caller goes on behind it.

import { filled } from './control-flow.ts';
import type { InlinedCall, Region, RegionBlock } from './region-compiler.ts';

export interface SwitchTarget {
  readonly node: number;
  readonly offset: number;
}

type CallKey = InlinedCall | undefined;

/** More blocks than this jump to a switch: what they hold in locals differs too much to be kept. */
const SITES_THAT_KEEP_LOCALS = 3;

export class RegionGraph {
  readonly region: Region;
  /** By node; twice where both ways of a branch lead there. */
  readonly successors: readonly (readonly number[])[];
  /** Targets by switch; the node of the first one is the number of blocks. */
  readonly switches: readonly (readonly SwitchTarget[])[];
  /** Calls by tail; their nodes follow those of the switches. */
  readonly tails: readonly InlinedCall[];
  readonly #byPlace = new Map<CallKey, Map<number, number>>();
  /** Inlined calls by their caller and the offset of the block that calls. */
  readonly #inlined = new Map<CallKey, Map<number, InlinedCall>>();
  readonly #switchOf: number[];
  readonly #tailOf = new Map<InlinedCall, number>();
  readonly #sites: readonly number[];

  constructor(region: Region) {
    this.region = region;
    region.forEach(({ offset, within }, node) => {
      put(this.#byPlace, within, offset, node);
      for (let call = within; call !== undefined; call = call.within) put(this.#inlined, call.within, call.at, call);
    });
    this.#switchOf = filled(region.length, -1);
    const { switches, sites } = this.#findSwitches();
    this.switches = switches;
    this.#sites = sites;
    this.tails = this.#findTails();
    this.successors = [
      ...region.map((_, node) => this.#blockSuccessors(node)),
      ...switches.map((targets, n) => known(...targets.map(({ node }) => node), this.tailOf(region.length + n))),
      ...this.tails.map((call) => [this.#find(call.within, call.returnOffset) as number]),
    ];
  }

  #find(within: CallKey, offset: number): number | undefined {
    return this.#byPlace.get(within)?.get(offset);
  }
  #block(node: number): RegionBlock {
    return this.region[node] as RegionBlock;
  }

  /** The block at `delta` from a block, in the same function of the guest. */
  targetOf(node: number, delta: number): number | undefined {
    const { within, offset } = this.#block(node);
    return this.#find(within, offset + delta);
  }
  /** Where the call at a block's end goes on within the region, if it has been inlined. */
  calleeOf(node: number): number | undefined {
    const { within, offset, block } = this.#block(node);
    const call = block.terminal.kind === 'call' ? this.#inlined.get(within)?.get(offset) : undefined;
    return call && block.terminal.kind === 'call' ? this.#find(call, offset + block.terminal.delta) : undefined;
  }
  /** Where the return at a block's end is expected to go. */
  returnOf(node: number): SwitchTarget | undefined {
    const { within, block } = this.#block(node);
    if (within === undefined || block.terminal.kind !== 'indirect' || block.terminal.hint !== 'ret') return undefined;
    const back = this.#find(within.within, within.returnOffset);
    return back === undefined ? undefined : { node: back, offset: within.returnOffset };
  }
  switchOf(node: number): number | undefined {
    const found = this.#switchOf[node] as number;
    return found < 0 ? undefined : found;
  }
  /** Where a block or switch goes that leaves the region by a jump, if its function has been inlined. */
  tailOf(node: number): number | undefined {
    const { within } = this.#block(this.isBlock(node) ? node : (this.targets(node)[0] as SwitchTarget).node);
    return within && this.#tailOf.get(within);
  }

  isBlock(node: number): boolean {
    return node < this.region.length;
  }
  isSwitch(node: number): boolean {
    return !this.isBlock(node) && node < this.region.length + this.switches.length;
  }
  /** What a switch's node decides between. */
  targets(node: number): readonly SwitchTarget[] {
    return this.switches[node - this.region.length] as readonly SwitchTarget[];
  }
  tail(node: number): InlinedCall {
    return this.tails[node - this.region.length - this.switches.length] as InlinedCall;
  }
  /** Does the node find nothing in locals, all slots being in memory? */
  isBare(node: number): boolean {
    if (this.isBlock(node)) return false;
    return !this.isSwitch(node) || this.#sitesOf(node) > SITES_THAT_KEEP_LOCALS;
  }
  #sitesOf(node: number): number {
    return this.#sites[node - this.region.length] as number;
  }
  /** Is the block's end a call that is made, and not inlined? Then nothing is in locals behind it. */
  makesCall(node: number): boolean {
    if (this.isBlock(node)) return 'returnDelta' in this.#block(node).block.terminal && this.calleeOf(node) === undefined;
    return !this.isSwitch(node);
  }
  /** A switch that several blocks jump to is the middle of what they form, so it may stand for its targets. */
  mayEnter(node: number): boolean {
    if (this.isSwitch(node)) return this.#sitesOf(node) > 1 && this.targets(node).every((target) => this.mayEnter(target.node));
    return this.isBlock(node) && this.#block(node).entry && this.#block(node).within === undefined;
  }

  /** Indirect jumps with a target in common share a switch. */
  #findSwitches(): { switches: SwitchTarget[][]; sites: number[] } {
    const switches: Map<number, SwitchTarget>[] = [];
    const sites: number[] = [];
    const byTarget = new Map<number, number>();
    const merged: number[] = [];
    const leader = (n: number): number => (merged[n] === n ? n : leader(merged[n] as number));
    const own = this.region.map(({ within, targets }) =>
      (targets ?? []).flatMap((offset) => {
        const node = this.#find(within, offset);
        return node === undefined ? [] : [{ node, offset }];
      }),
    );
    own.forEach((targets, node) => {
      if (targets.length === 0) return;
      const number = switches.length;
      switches.push(new Map());
      sites.push(1);
      merged.push(number);
      this.#switchOf[node] = number;
      for (const target of targets) {
        const other = leader(byTarget.get(target.node) ?? number);
        byTarget.set(target.node, number);
        const mine = leader(number);
        switches[mine]?.set(target.node, target);
        if (other === mine) continue;
        for (const [key, value] of switches[other] ?? []) switches[mine]?.set(key, value);
        sites[mine] = (sites[mine] as number) + (sites[other] as number);
        merged[other] = mine;
      }
    });
    const leaders = merged.filter((to, n) => to === n);
    for (let node = 0; node < own.length; node++) {
      const number = this.#switchOf[node] as number;
      if (number >= 0) this.#switchOf[node] = this.region.length + leaders.indexOf(leader(number));
    }
    return {
      switches: leaders.map((n) => [...(switches[n] as Map<number, SwitchTarget>).values()]),
      sites: leaders.map((n) => sites[n] as number),
    };
  }

  #findTails(): InlinedCall[] {
    const tails: InlinedCall[] = [];
    this.region.forEach(({ within }, node) => {
      if (within === undefined || this.#tailOf.has(within) || !this.#leaves(node)) return;
      if (this.#find(within.within, within.returnOffset) === undefined) return;
      this.#tailOf.set(within, this.region.length + this.switches.length + tails.length);
      tails.push(within);
    });
    return tails;
  }
  /** May the block leave the region by a jump? */
  #leaves(node: number): boolean {
    const { terminal } = this.#block(node).block;
    switch (terminal.kind) {
      case 'jump':
        return this.targetOf(node, terminal.delta) === undefined;
      case 'branch':
        return this.targetOf(node, terminal.taken) === undefined || this.targetOf(node, terminal.fall) === undefined;
      case 'indirect':
        return terminal.hint === 'jump';
      default:
        return false;
    }
  }

  #blockSuccessors(node: number): number[] {
    const { terminal } = this.#block(node).block;
    const jump = (delta: number): number | undefined => this.targetOf(node, delta) ?? this.tailOf(node);
    switch (terminal.kind) {
      case 'jump':
        return known(jump(terminal.delta));
      case 'branch':
        return known(jump(terminal.taken), jump(terminal.fall));
      case 'call':
        return known(this.calleeOf(node) ?? this.targetOf(node, terminal.returnDelta));
      case 'callIndirect':
        return known(this.targetOf(node, terminal.returnDelta));
      case 'indirect':
        return terminal.hint === 'ret' ? known(this.returnOf(node)?.node) : known(this.switchOf(node) ?? this.tailOf(node));
      default:
        return [];
    }
  }
}

function known(...nodes: (number | undefined)[]): number[] {
  const found: number[] = [];
  for (const node of nodes) if (node !== undefined) found.push(node);
  return found;
}

function put<K, V>(maps: Map<K, Map<number, V>>, key: K, offset: number, value: V): void {
  const map = maps.get(key);
  if (map) map.set(offset, value);
  else maps.set(key, new Map([[offset, value]]));
}
