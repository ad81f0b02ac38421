// State slots kept in WebAssembly locals while a compiled function runs. A slot is loaded where it is first needed. What is set goes to memory at once, or is written
// back where others can look: before calls that read it, where the function is left, and where it faults. While code is written the cache knows, for the place
// reached, which locals hold their slot ("held") and which of these memory does not have yet ("dirty": always held).

import type { Inst } from '@anillo/ir/block';
import type { Callee, StateAccess } from '@anillo/ir/callee';
import { SlotNumbers } from '@anillo/ir/passes/slot-numbers';
import type { Slot } from '@anillo/ir/slot';
import type { FunctionCode, Local } from './function-code.ts';
import { emitSlotLoad, emitSlotStore } from './slot-access.ts';
import { SLOTS_AT_MOST, SlotSet } from './slot-set.ts';

/** A stretch of a block between calls that change cached slots. */
export interface Segment {
  /** Slots whose value is needed: read before any certain set, or set on some ways only. */
  readonly needs: SlotSet;
  /** Slots set, on some way at least. */
  readonly sets: SlotSet;
  /** Those of them that memory does not have then. */
  readonly deferred: SlotSet;
  /** What the call at the segment's end takes out of the cache; nothing at the end of the block. */
  readonly clobbers: SlotSet;
  /** What is written back before that call. */
  readonly writtenBack: SlotSet;
}

interface Frame {
  held: SlotSet;
  dirty: SlotSet;
  /** The state at the end of the first arm, once past `else`. */
  arm: { held: SlotSet; dirty: SlotSet } | undefined;
}

export class SlotCache {
  held = SlotSet.NONE;
  dirty = SlotSet.NONE;
  readonly #f: FunctionCode;
  readonly #cpu: Local;
  readonly #defers: boolean;
  readonly #numbers = new SlotNumbers();
  readonly #locals: Local[] = [];
  readonly #frames: Frame[] = [];
  /** Of lists of slots, as callees have them; and of all slots. */
  readonly #listed = new Map<readonly Slot[], SlotSet>();
  #all = SlotSet.NONE;
  #segments: readonly Segment[] = [];
  #segment = 0;

  /** `defers`: memory is to get what is set only where others can look. */
  constructor(f: FunctionCode, cpu: Local, defers: boolean) {
    this.#f = f;
    this.#cpu = cpu;
    this.#defers = defers;
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
  /** What of the cache a call needs in memory: what it reads, and what it may leave as it is. */
  #writtenBackFor(callee: Callee): SlotSet {
    return this.#accessed(callee.writes === 'all' ? 'all' : callee.reads);
  }

  /** Cuts straight-line code into segments. All its slots must have been added. */
  analyse(insts: readonly Inst[]): Segment[] {
    const segments: Segment[] = [];
    let needs = SlotSet.NONE;
    let sets = SlotSet.NONE;
    let certain = SlotSet.NONE;
    let level = 0;
    for (let i = 0; i < insts.length; i++) {
      const inst = insts[i];
      const { slot, callee } = inst;
      if (slot) {
        const number = this.#numbers.find(slot);
        if (number < 0) continue;
        if (inst.op === 'set') sets = sets.with(number);
        if (inst.op === 'set' && level === 0) certain = certain.with(number);
        else if (!certain.has(number)) needs = needs.with(number);
      } else if (callee) {
        const clobbers = this.#accessed(callee.writes);
        // On one way only: what it changes is loaded again there, so it must be held before.
        if (level > 0 || clobbers.isEmpty) continue;
        segments.push({ needs, sets, deferred: this.#defers ? sets : SlotSet.NONE, clobbers, writtenBack: this.#writtenBackFor(callee) });
        needs = sets = certain = SlotSet.NONE;
      } else if (inst.spec.effect === 'control') level += inst.op === 'if' || inst.op === 'loop' ? 1 : inst.op === 'else' ? 0 : -1;
    }
    segments.push({ needs, sets, deferred: this.#defers ? sets : SlotSet.NONE, clobbers: SlotSet.NONE, writtenBack: SlotSet.NONE });
    return segments;
  }

  /** Starts code with these segments at a place where `held` and `dirty` are known. */
  enter(segments: readonly Segment[], held: SlotSet, dirty: SlotSet): void {
    this.#segments = segments;
    this.#segment = 0;
    this.held = held;
    this.dirty = dirty;
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
    const local = this.#locals[number] as Local;
    this.held = this.held.with(number);
    if (this.#defers) {
      push();
      this.#f.set(local);
      this.dirty = this.dirty.with(number);
      return;
    }
    this.#f.get(this.#cpu);
    push();
    this.#f.tee(local);
    emitSlotStore(this.#f, slot.type, slot.offset);
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

  /** Writes what is dirty in `what` to memory; the state of the cache stays, for code that is left after it (see `clean`). */
  writeBack(what: SlotSet = this.dirty): void {
    const set = what.and(this.dirty);
    for (let n = set.next(0); n >= 0; n = set.next(n + 1)) {
      const slot = this.#numbers.slots[n] as Slot;
      this.#f.get(this.#cpu);
      this.#f.get(this.#locals[n] as Local);
      emitSlotStore(this.#f, slot.type, slot.offset);
    }
  }
  /** Nothing is dirty any more, and only `held` still holds. */
  clean(held: SlotSet = this.held): void {
    this.dirty = SlotSet.NONE;
    this.held = held;
  }

  beforeCall(callee: Callee): void {
    const what = this.#writtenBackFor(callee);
    this.writeBack(what);
    this.dirty = this.dirty.without(what);
  }
  /** What is dirty where a callee has written to memory itself. */
  dirtyBut(written: StateAccess): SlotSet {
    return this.dirty.without(this.#accessed(written));
  }
  afterCall(callee: Callee): void {
    const written = this.#accessed(callee.writes);
    if (written.isEmpty) return;
    const wereHeld = this.held;
    this.dirty = this.dirty.without(written);
    this.held = this.held.without(written);
    if (this.#frames.length > 0) this.hold(written.and(wereHeld));
    else this.hold((this.#segments[++this.#segment] as Segment).needs);
  }

  openControl(): void {
    this.#frames.push({ held: this.held, dirty: this.dirty, arm: undefined });
  }
  otherArm(): void {
    const frame = this.#frames.at(-1) as Frame;
    frame.arm = { held: this.held, dirty: this.dirty };
    this.held = frame.held;
    this.dirty = frame.dirty;
  }
  /** `isLoop`: the code since `openControl` has certainly run. */
  closeControl(isLoop: boolean): void {
    const frame = this.#frames.pop() as Frame;
    const other = isLoop ? { held: this.held, dirty: frame.dirty } : (frame.arm ?? frame);
    this.held = this.held.and(other.held);
    this.dirty = this.dirty.or(other.dirty);
  }
}
