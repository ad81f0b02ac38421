// State slots kept in WebAssembly locals while a compiled function runs. A slot is loaded where it is first needed and written back where others can
// look: before calls that read it, where the function is left, and where it faults. While code is written the cache knows, for the place reached,
// which locals hold their slot ("held") and which of these memory does not have yet ("dirty": always held).

import type { Inst } from '@anillo/ir/block';
import type { Callee, StateAccess } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import type { FunctionCode, Local } from './function-code.ts';
import { emitSlotLoad, emitSlotStore } from './slot-access.ts';

/** Set of slots, a bit each by their number in the cache. */
export type SlotSet = bigint;

/** A stretch of a block between calls that change cached slots. */
export interface Segment {
  /** Slots whose value is needed: read before any certain set, or set on some ways only. */
  readonly needs: SlotSet;
  /** Slots set, on some way at least. */
  readonly sets: SlotSet;
  /** What the call at the segment's end takes out of the cache; 0 at the end of the block. */
  readonly clobbers: SlotSet;
  /** What is written back before that call. */
  readonly writtenBack: SlotSet;
}

/** Sets are gone through by words of so many bits. */
const WORD_BITS = 32;

interface Frame {
  held: SlotSet;
  dirty: SlotSet;
  /** The state at the end of the first arm, once past `else`. */
  arm: { held: SlotSet; dirty: SlotSet } | undefined;
}

export class SlotCache {
  held: SlotSet = 0n;
  dirty: SlotSet = 0n;
  readonly #f: FunctionCode;
  readonly #cpu: Local;
  readonly #bits = new Map<number, number>();
  readonly #slots: Slot[] = [];
  readonly #locals: Local[] = [];
  readonly #frames: Frame[] = [];
  #segments: readonly Segment[] = [];
  #segment = 0;

  constructor(f: FunctionCode, cpu: Local) {
    this.#f = f;
    this.#cpu = cpu;
  }

  /** The set of one slot; 0 for those that are never in a local. To be asked for every slot before code is written. */
  add(slot: Slot): SlotSet {
    if (slot.pinned || slot.temp) return 0n;
    let number = this.#bits.get(slot.offset);
    if (number === undefined) {
      number = this.#slots.length;
      this.#bits.set(slot.offset, number);
      this.#slots.push(slot);
      this.#locals.push(this.#f.local(slot.type));
    }
    return 1n << BigInt(number);
  }
  #known(slot: Slot): SlotSet {
    const number = slot.pinned || slot.temp ? undefined : this.#bits.get(slot.offset);
    return number === undefined ? 0n : 1n << BigInt(number);
  }
  #all(what: StateAccess): SlotSet {
    if (what === 'none') return 0n;
    if (what === 'all') return (1n << BigInt(this.#slots.length)) - 1n;
    return what.reduce((set, slot) => set | this.#known(slot), 0n);
  }
  /** What of the cache a call needs in memory: what it reads, and what it may leave as it is. */
  #writtenBackFor(callee: Callee): SlotSet {
    return this.#all(callee.writes === 'all' ? 'all' : callee.reads);
  }

  /** Cuts straight-line code into segments. All its slots must have been added. */
  analyse(insts: readonly Inst[]): Segment[] {
    const segments: Segment[] = [];
    let needs = 0n;
    let sets = 0n;
    let certain = 0n;
    let level = 0;
    for (const inst of insts) {
      const { slot, callee } = inst;
      if (inst.spec.effect === 'control') level += inst.op === 'if' || inst.op === 'loop' ? 1 : inst.op === 'else' ? 0 : -1;
      else if (callee) {
        const clobbers = this.#all(callee.writes);
        if (clobbers === 0n) continue;
        if (level > 0) {
          // On one way only: what it changes is loaded again there, so it must be held before.
          continue;
        }
        segments.push({ needs, sets, clobbers, writtenBack: this.#writtenBackFor(callee) });
        needs = sets = certain = 0n;
      } else if (slot) {
        const bit = this.#known(slot);
        if (inst.op === 'set') {
          sets |= bit;
          if (level === 0) certain |= bit;
          else needs |= bit & ~certain;
        } else needs |= bit & ~certain;
      }
    }
    segments.push({ needs, sets, clobbers: 0n, writtenBack: 0n });
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
    const number = this.#bits.get(slot.offset);
    if (number === undefined) throw new TypeError(`slot ${slot.name} was not announced to the cache`);
    return number;
  }
  /** The local that holds the slot. */
  read(slot: Slot): Local {
    const number = this.#numberOf(slot);
    if ((this.held & (1n << BigInt(number))) === 0n) throw new TypeError(`slot ${slot.name} is read from a local that does not hold it`);
    return this.#locals[number] as Local;
  }
  /** The local that is about to be set to the slot's new value. */
  write(slot: Slot): Local {
    const number = this.#numberOf(slot);
    this.held |= 1n << BigInt(number);
    this.dirty |= 1n << BigInt(number);
    return this.#locals[number] as Local;
  }

  /** Loads what is not held. */
  hold(what: SlotSet): void {
    this.#each(what & ~this.held, (slot, local) => {
      this.#f.get(this.#cpu);
      emitSlotLoad(this.#f, slot.type, slot.offset);
      this.#f.set(local);
    });
    this.held |= what;
  }

  /** Writes what is dirty in `what` to memory; the state of the cache stays, for code that is left after it (see `clean`). */
  writeBack(what: SlotSet = this.dirty): void {
    this.#each(what & this.dirty, (slot, local) => {
      this.#f.get(this.#cpu);
      this.#f.get(local);
      emitSlotStore(this.#f, slot.type, slot.offset);
    });
  }
  /** Nothing is dirty any more, and only `held` still holds. */
  clean(held: SlotSet = this.held): void {
    this.dirty = 0n;
    this.held = held;
  }

  beforeCall(callee: Callee): void {
    const what = this.#writtenBackFor(callee);
    this.writeBack(what);
    this.dirty &= ~what;
  }
  /** What is dirty where a callee has written to memory itself. */
  dirtyBut(written: StateAccess): SlotSet {
    return this.dirty & ~this.#all(written);
  }
  afterCall(callee: Callee): void {
    const written = this.#all(callee.writes);
    if (written === 0n) return;
    const wereHeld = this.held;
    this.dirty &= ~written;
    this.held &= ~written;
    if (this.#frames.length > 0) this.hold(written & wereHeld);
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
    this.held &= other.held;
    this.dirty |= other.dirty;
  }

  #each(what: SlotSet, visit: (slot: Slot, local: Local) => void): void {
    for (let base = 0, rest = what; rest !== 0n; base += WORD_BITS, rest >>= BigInt(WORD_BITS)) {
      for (let word = Number(BigInt.asUintN(WORD_BITS, rest)) | 0; word !== 0; word &= word - 1) {
        const i = base + 31 - Math.clz32(word & -word);
        visit(this.#slots[i] as Slot, this.#locals[i] as Local);
      }
    }
  }
}
