// Backward pass: a set that another overwrites before anyone can look is removed, and so is every value that nobody uses.
// Who looks: gets, faults and traps, calls, the end of the block. Nobody looks at temps from outside the block.

import type { Inst } from '../block.ts';
import type { Slot } from '../slot.ts';
import { foldAddress } from './fold.ts';
import { SlotNumbers } from './slot-numbers.ts';

interface ControlFrame {
  /** What is overwritten below the `end`, and at the start of the else branch once that has been passed. */
  readonly below: readonly number[];
  elseTop: readonly number[] | undefined;
}

export class BackwardPass {
  readonly #numbers = new SlotNumbers();
  /** By slot number: 1 if overwritten below before anyone looks. */
  #overwritten: number[] = [];
  readonly #frames: ControlFrame[] = [];
  #needed = new Uint8Array(256);
  #uses = new Uint16Array(256);

  /** Returns what is left of `insts`, which are used up, with its numbers. `results` are used after the last one. */
  run(insts: Inst[], results: readonly Inst[]): Inst[] {
    this.#start(insts);
    this.#foldAddresses(insts, results);
    for (let r = 0; r < results.length; r++) this.#needed[results[r].id] = 1;
    let to = insts.length;
    for (let i = insts.length - 1; i >= 0; i--) {
      const inst = insts[i];
      if (!this.#keeps(inst)) continue;
      const { op, args } = inst;
      if ((op === 'if' || op === 'else') && insts[to].op === 'end') {
        // Nothing is left between: an empty else goes alone, an empty if with its end.
        if (op === 'if') to += 1;
        continue;
      }
      for (let a = 0; a < args.length; a++) this.#needed[args[a].id] = 1;
      insts[--to] = inst;
    }
    const kept = insts.slice(to);
    for (let i = 0; i < kept.length; i++) kept[i].id = i;
    return kept;
  }

  #start(insts: readonly Inst[]): void {
    const count = insts.length;
    if (this.#needed.length < count) {
      this.#needed = new Uint8Array(count * 2);
      this.#uses = new Uint16Array(count * 2);
    }
    this.#numbers.clear();
    this.#overwritten = [];
    for (let i = 0; i < count; i++) {
      const inst = insts[i];
      inst.id = i;
      this.#needed[i] = 0;
      this.#uses[i] = 0;
      if (inst.slot && this.#numbers.of(inst.slot) === this.#overwritten.length) this.#overwritten.push(inst.slot.temp ? 1 : 0);
    }
  }

  /** Takes constants into the displacements of memory ops, where that makes the addition vanish. */
  #foldAddresses(insts: readonly Inst[], results: readonly Inst[]): void {
    for (let r = 0; r < results.length; r++) this.#uses[results[r].id] += 2;
    for (let i = 0; i < insts.length; i++) {
      const { args } = insts[i];
      for (let a = 0; a < args.length; a++) this.#uses[args[a].id] += 1;
    }
    for (let i = 0; i < insts.length; i++) {
      const inst = insts[i];
      const { effect } = inst.spec;
      if ((effect === 'load' || effect === 'store') && this.#uses[inst.args[0].id] === 1) foldAddress(inst);
    }
  }

  /** Visits an inst; false: it can go. */
  #keeps(inst: Inst): boolean {
    switch (inst.spec.effect) {
      case 'pure':
        return this.#needed[inst.id] === 1;
      case 'get':
        if (this.#needed[inst.id] === 0) return false;
        this.#look(inst.slot as Slot);
        return true;
      case 'set':
        return this.#keepsSet(inst.slot as Slot);
      case 'load':
      case 'store':
        this.#lookAtState();
        return true;
      case 'trap':
        if (inst.op !== 'raise_if') return this.#needed[inst.id] === 1;
        this.#lookAtState();
        return true;
      case 'stateLoad':
        if (this.#needed[inst.id] === 0) return false;
        this.#lookAtPinned();
        return true;
      case 'stateStore':
        return true;
      case 'call':
        if (inst.callee?.pure && this.#needed[inst.id] === 0) return false;
        this.#visitCall(inst);
        return true;
      case 'control':
        this.#visitControl(inst);
        return true;
    }
  }

  #keepsSet(slot: Slot): boolean {
    const number = this.#numbers.of(slot);
    if (this.#overwritten[number] === 1) return false;
    this.#overwritten[number] = 1;
    return true;
  }

  #look(slot: Slot): void {
    if (slot.pinned) this.#lookAtPinned();
    else this.#overwritten[this.#numbers.of(slot)] = 0;
  }
  #lookAtState(): void {
    const { slots } = this.#numbers;
    for (let n = 0; n < this.#overwritten.length; n++) if (!slots[n].temp) this.#overwritten[n] = 0;
  }
  #lookAtPinned(): void {
    const { slots } = this.#numbers;
    for (let n = 0; n < this.#overwritten.length; n++) if (slots[n].pinned) this.#overwritten[n] = 0;
  }

  #visitCall(inst: Inst): void {
    const { callee } = inst;
    if (!callee || callee.traps || callee.reads === 'all') {
      this.#lookAtState();
      return;
    }
    this.#lookAtPinned();
    if (callee.reads !== 'none') for (const slot of callee.reads) this.#look(slot);
  }

  #visitControl(inst: Inst): void {
    switch (inst.op) {
      case 'end':
        this.#frames.push({ below: this.#overwritten.slice(), elseTop: undefined });
        break;
      case 'else': {
        const frame = this.#frames.at(-1) as ControlFrame;
        frame.elseTop = this.#overwritten;
        this.#overwritten = frame.below.slice();
        break;
      }
      case 'if': {
        const frame = this.#frames.pop() as ControlFrame;
        const other = frame.elseTop ?? frame.below;
        for (let n = 0; n < this.#overwritten.length; n++) this.#overwritten[n] &= other[n];
        break;
      }
      default:
        // A loop's body may run again from either end.
        this.#overwritten.fill(0);
    }
  }
}
