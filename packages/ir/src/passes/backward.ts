// Backward pass: a set that another overwrites before anyone can look is removed, and so is every value that nobody uses.
// Who looks: gets, faults and traps, calls, the end of the block. Nobody looks at temps from outside the block.

import type { Inst } from '../block.ts';
import type { Slot } from '../slot.ts';
import { foldAddress } from './fold.ts';
import { SlotNumbers } from './slot-numbers.ts';

interface ControlFrame {
  /** What is overwritten below the `end`, and at the start of the else branch once that has been passed. */
  readonly below: Uint8Array;
  elseTop: Uint8Array | undefined;
}

export class BackwardPass {
  readonly #numbers = new SlotNumbers();
  /** By slot number: 1 if overwritten below before anyone looks. */
  #overwritten = new Uint8Array(64);
  readonly #frames: ControlFrame[] = [];
  #needed = new Uint8Array(256);
  #uses = new Uint16Array(256);

  /** Rewrites `insts` in place and renumbers them. `results` are used after the last one. */
  run(insts: Inst[], results: readonly Inst[]): void {
    this.#numbers.clear();
    this.#frames.length = 0;
    if (this.#needed.length < insts.length) this.#needed = new Uint8Array(insts.length * 2);
    this.#needed.fill(0, 0, insts.length);
    for (let i = 0; i < insts.length; i++) {
      insts[i].id = i;
      const { slot } = insts[i];
      if (slot) this.#numbers.of(slot);
    }
    this.#foldAddresses(insts, results);
    const { slots } = this.#numbers;
    this.#overwritten = new Uint8Array(slots.length);
    for (let n = 0; n < slots.length; n++) this.#overwritten[n] = slots[n].temp ? 1 : 0;
    for (const result of results) this.#needed[result.id] = 1;
    let to = insts.length;
    for (let i = insts.length - 1; i >= 0; i--) {
      if (!this.#keeps(insts[i])) continue;
      const { op } = insts[i];
      if ((op === 'if' || op === 'else') && insts[to].op === 'end') {
        // Nothing is left between: an empty else goes alone, an empty if with its end.
        if (op === 'if') to += 1;
        continue;
      }
      for (const arg of insts[i].args) this.#needed[arg.id] = 1;
      insts[--to] = insts[i];
    }
    insts.copyWithin(0, to);
    insts.length -= to;
    for (let i = 0; i < insts.length; i++) insts[i].id = i;
  }

  /** Takes constants into the displacements of memory ops, where that makes the addition vanish. */
  #foldAddresses(insts: readonly Inst[], results: readonly Inst[]): void {
    if (this.#uses.length < insts.length) this.#uses = new Uint16Array(insts.length * 2);
    this.#uses.fill(0, 0, insts.length);
    for (const result of results) this.#uses[result.id] += 2;
    for (const inst of insts) for (const arg of inst.args) this.#uses[arg.id] += 1;
    for (const inst of insts) {
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
