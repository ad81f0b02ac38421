// Decides, for straight-line IR, which values become part of the expression that uses them and which go into locals.
// Positions are indices in the inst list; uses at the very end (terminal, result) have position insts.length.
// A value that is computed inside another's expression is computed at that one's place ("site").

import type { Inst } from '@anillo/ir/block';
import type { Effect } from '@anillo/ir/ops';
import { SlotNumbers } from '@anillo/ir/passes/slot-numbers';
import { PC } from '@anillo/ir/vcpu-header';
import type { Slot } from '@anillo/ir/slot';

export type Placement = 0 | 1 | 2 | 3;
/** SKIP: dead, or no value. INLINE: inside its one user. AGAIN: written anew at each use (constants, cached slots). LOCAL: computed once. */
export const PLACE = { SKIP: 0, INLINE: 1, AGAIN: 2, LOCAL: 3 } as const satisfies Record<string, Placement>;

const NEVER = 0x7fffffff;

export class ExpressionPlan {
  readonly placement: Placement[] = [];
  /** Last position at which the value's local is read. */
  readonly lastUse: number[] = [];
  readonly #site: number[] = [];
  readonly #uses: number[] = [];
  /** Control region of each position: changes at every control op. */
  readonly #region: number[] = [];
  readonly #slots = new SlotNumbers();
  /** By number of the slot. */
  #nextSet: number[] = [];
  #nextEffect = NEVER;
  #nextCall = NEVER;
  readonly #loops: number[] = [];

  /** `results`: values used after the last inst. Renumbers the insts. */
  run(insts: readonly Inst[], results: readonly Inst[]): void {
    const count = insts.length;
    this.#prepare(insts);
    this.#slots.clear();
    this.#nextSet = [];
    this.#nextEffect = NEVER;
    this.#nextCall = NEVER;
    this.#site[count] = count;
    for (let r = 0; r < results.length; r++) this.#use(results[r], count);
    for (let i = count - 1; i >= 0; i--) this.#visit(insts[i], i);
  }

  #prepare(insts: readonly Inst[]): void {
    const open: number[] = [];
    let region = 0;
    this.#loops.length = 0;
    for (let i = 0; i < insts.length; i++) {
      const inst = insts[i];
      inst.id = i;
      this.#uses[i] = 0;
      this.lastUse[i] = -1;
      this.placement[i] = PLACE.SKIP;
      this.#region[i] = region;
      this.#site[i] = i;
      if (inst.spec.effect !== 'control') continue;
      region += 1;
      if (inst.op === 'loop') open.push(i);
      else if (inst.op === 'loop_while') this.#loops.push(open.pop() as number, i);
    }
    this.#region[insts.length] = region;
  }

  #use(value: Inst, site: number): void {
    const { id } = value;
    this.#uses[id] += 1;
    let end = site;
    for (let l = 0; l < this.#loops.length; l += 2) {
      const loopEnd = this.#loops[l + 1];
      if (this.#loops[l] > id && this.#loops[l] < site && site <= loopEnd && loopEnd > end) end = loopEnd;
    }
    if (end > this.lastUse[id]) this.lastUse[id] = end;
  }

  /** Backward: all uses of `inst` are known. */
  #visit(inst: Inst, i: number): void {
    const effect: Effect = inst.op !== 'raise_if' && inst.spec.effect === 'trap' ? 'pure' : inst.spec.effect;
    const used = this.#uses[i] > 0;
    const removable = effect === 'pure' || effect === 'get' || effect === 'stateLoad';
    if (removable && !used) return;
    if (inst.type !== undefined && used) this.placement[i] = this.#place(inst, i, effect);
    if (this.placement[i] === PLACE.INLINE) this.#site[i] = this.lastUse[i];
    this.#noteEffects(inst, i, effect);
    const { args } = inst;
    for (let a = 0; a < args.length; a++) this.#use(args[a], this.#site[i]);
  }

  #place(inst: Inst, i: number, effect: Effect): Placement {
    const site = this.lastUse[i];
    const inlinable = this.#uses[i] === 1 && this.#region[site] === this.#region[i];
    switch (effect) {
      case 'pure':
        if (inst.args.length === 0 && inst.op !== 'v128.const') return PLACE.AGAIN;
        return inlinable ? PLACE.INLINE : PLACE.LOCAL;
      case 'get': {
        const slot = inst.slot as Slot;
        if (slot.pinned) return inlinable && this.#nextEffect >= site ? PLACE.INLINE : PLACE.LOCAL;
        return this.#nextWrite(slot) >= site ? PLACE.AGAIN : PLACE.LOCAL;
      }
      case 'load':
      case 'stateLoad':
        return inlinable && this.#nextEffect >= site ? PLACE.INLINE : PLACE.LOCAL;
      default:
        return PLACE.LOCAL;
    }
  }

  #nextWrite(slot: Slot): number {
    const number = this.#slots.find(slot);
    const own = number < 0 ? NEVER : this.#nextSet[number];
    return slot.temp ? own : Math.min(own, this.#nextCall);
  }

  #noteEffects(inst: Inst, i: number, effect: Effect): void {
    if (effect === 'pure' || effect === 'get' || effect === 'stateLoad') return;
    this.#nextEffect = i;
    if (inst.op === 'set') this.#noteSet(inst.slot as Slot, i);
    if (inst.callee && inst.callee.writes !== 'none') {
      if (inst.callee.writes === 'all') this.#nextCall = i;
      else for (const slot of inst.callee.writes) this.#noteSet(slot, i);
    }
  }

  #noteSet(slot: Slot, i: number): void {
    this.#nextSet[this.#slots.of(slot)] = i;
  }
}

export const isPc = (slot: Slot): boolean => slot.offset === PC.offset && !slot.temp;
