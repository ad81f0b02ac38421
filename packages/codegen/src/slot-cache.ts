// State slots read into WebAssembly locals while a compiled function runs: loaded where they are first needed. What is set goes to the local and to memory, so
// whoever leaves the function, calls or faults finds everything there. While code is written the cache knows, for the place reached, which locals hold
// their slot ("held").

import type { Inst } from '@anillo/ir/block';
import type { Callee, StateAccess } from '@anillo/ir/callee';
import { SlotNumbers } from '@anillo/ir/passes/slot-numbers';
import type { Slot } from '@anillo/ir/slot';
import type { FunctionCode, Local } from './function-code.ts';
import { emitSlotLoad, emitSlotStore } from './slot-access.ts';
import { SLOTS_AT_MOST, SlotSet } from './slot-set.ts';

/** A stretch of a block between calls that change cached slots. */
export interface Segment {
  /** Slots whose value is needed: read before any certain set. */
  readonly needs: SlotSet;
  /** Slots that are certainly set. */
  readonly sets: SlotSet;
  /** What the call at the segment's end takes out of the cache; nothing at the end of the block. */
  readonly clobbers: SlotSet;
}

interface Frame {
  readonly held: SlotSet;
  /** What is held at the end of the first arm, once past `else`. */
  arm: SlotSet | undefined;
}

export class SlotCache {
  held = SlotSet.NONE;
  readonly #f: FunctionCode;
  readonly #cpu: Local;
  readonly #numbers = new SlotNumbers();
  readonly #locals: Local[] = [];
  readonly #frames: Frame[] = [];
  /** Of lists of slots, as callees have them; and of all slots. */
  readonly #listed = new Map<readonly Slot[], SlotSet>();
  #all = SlotSet.NONE;
  #segments: readonly Segment[] = [];
  #segment = 0;

  constructor(f: FunctionCode, cpu: Local) {
    this.#f = f;
    this.#cpu = cpu;
  }

  /** To be asked for every slot before code is written. */
  add(slot: Slot): void {
    if (slot.pinned || slot.temp) return;
    const number = this.#numbers.of(slot);
    if (number < this.#locals.length) return;
    if (number === SLOTS_AT_MOST) throw new TypeError(`at most ${SLOTS_AT_MOST} slots that are not pinned can be cached`);
    this.#locals.push(this.#f.local(slot.type));
    this.#all = this.#all.with(number);
  }
  #accessed(what: StateAccess): SlotSet {
    if (what === 'none') return SlotSet.NONE;
    if (what === 'all') return this.#all;
    let set = this.#listed.get(what);
    if (set === undefined) {
      set = SlotSet.NONE;
      for (const slot of what) {
        const number = this.#numbers.find(slot);
        if (number >= 0) set = set.with(number);
      }
      this.#listed.set(what, set);
    }
    return set;
  }

  /** Cuts straight-line code into segments. All its slots must have been added. */
  analyse(insts: readonly Inst[]): Segment[] {
    const segments: Segment[] = [];
    let needs = SlotSet.NONE;
    let sets = SlotSet.NONE;
    let level = 0;
    for (let i = 0; i < insts.length; i++) {
      const inst = insts[i];
      const { slot, callee } = inst;
      if (slot) {
        const number = this.#numbers.find(slot);
        if (number < 0) continue;
        if (inst.op !== 'set') {
          if (!sets.has(number)) needs = needs.with(number);
        } else if (level === 0) sets = sets.with(number);
      } else if (callee) {
        const clobbers = this.#accessed(callee.writes);
        // On one way only: what it changes is loaded again there, so it must be held before.
        if (level > 0 || clobbers.isEmpty) continue;
        segments.push({ needs, sets, clobbers });
        needs = sets = SlotSet.NONE;
      } else if (inst.spec.effect === 'control') level += inst.op === 'if' || inst.op === 'loop' ? 1 : inst.op === 'else' ? 0 : -1;
    }
    segments.push({ needs, sets, clobbers: SlotSet.NONE });
    return segments;
  }

  /** Starts code with these segments at a place where `held` is known. */
  enter(segments: readonly Segment[], held: SlotSet): void {
    this.#segments = segments;
    this.#segment = 0;
    this.held = held;
    this.#frames.length = 0;
    this.hold((segments[0] as Segment).needs);
  }

  #numberOf(slot: Slot): number {
    const number = this.#numbers.find(slot);
    if (number < 0) throw new TypeError(`slot ${slot.name} was not announced to the cache`);
    return number;
  }
  /** The local that holds the slot. */
  read(slot: Slot): Local {
    const number = this.#numberOf(slot);
    if (!this.held.has(number)) throw new TypeError(`slot ${slot.name} is read from a local that does not hold it`);
    return this.#locals[number] as Local;
  }
  /** Sets the slot to what `push` pushes. */
  write(slot: Slot, push: () => void): void {
    const number = this.#numberOf(slot);
    this.#f.get(this.#cpu);
    push();
    this.#f.tee(this.#locals[number] as Local);
    emitSlotStore(this.#f, slot.type, slot.offset);
    this.held = this.held.with(number);
  }

  /** Loads what is not held. */
  hold(what: SlotSet): void {
    const missing = what.without(this.held);
    if (missing.isEmpty) return;
    for (let n = missing.next(0); n >= 0; n = missing.next(n + 1)) {
      const slot = this.#numbers.slots[n] as Slot;
      this.#f.get(this.#cpu);
      emitSlotLoad(this.#f, slot.type, slot.offset);
      this.#f.set(this.#locals[n] as Local);
    }
    this.held = this.held.or(missing);
  }

  afterCall(callee: Callee): void {
    const written = this.#accessed(callee.writes);
    if (written.isEmpty) return;
    const wereHeld = this.held;
    this.held = this.held.without(written);
    if (this.#frames.length > 0) this.hold(written.and(wereHeld));
    else this.hold((this.#segments[++this.#segment] as Segment).needs);
  }

  openControl(): void {
    this.#frames.push({ held: this.held, arm: undefined });
  }
  otherArm(): void {
    const frame = this.#frames.at(-1) as Frame;
    frame.arm = this.held;
    this.held = frame.held;
  }
  /** `isLoop`: the code since `openControl` has certainly run. */
  closeControl(isLoop: boolean): void {
    const frame = this.#frames.pop() as Frame;
    if (!isLoop) this.held = this.held.and(frame.arm ?? frame.held);
  }
}
