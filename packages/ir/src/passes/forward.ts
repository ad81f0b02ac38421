// Forward pass: values of slots are known after a get or set, so later gets of them vanish; constants fold.

import { withArg, type Inst } from '../block.ts';
import type { Slot } from '../slot.ts';
import { fold, foldCondition } from './fold.ts';
import { SlotNumbers } from './slot-numbers.ts';

/** Ids of values that folding makes: not yet in the list, and in it. */
const NEW = -1;
const PLACED = -2;

interface ControlFrame {
  /** Known values at the `if`. */
  readonly before: readonly (Inst | undefined)[];
  /** Known values after all branches that are written so far. */
  after: (Inst | undefined)[] | undefined;
}

export class ForwardPass {
  readonly #numbers = new SlotNumbers();
  #known: (Inst | undefined)[] = [];
  readonly #frames: ControlFrame[] = [];
  /** By id: the value that stands for an inst that is gone. */
  #replacement: (Inst | undefined)[] = [];

  /** Returns what becomes of `insts`, which are used up. */
  run(insts: Inst[]): Inst[] {
    this.#numbers.clear();
    this.#known = [];
    this.#replacement = [];
    let count = 0;
    for (let i = 0; i < insts.length; i++) {
      const inst = insts[i];
      inst.id = i;
      this.#rewriteArgs(inst);
      const replacement = this.#visit(inst);
      this.#replacement.push(replacement);
      if (replacement === undefined) {
        insts[count++] = inst;
      } else if (replacement.id === NEW) {
        replacement.id = PLACED;
        insts[count++] = replacement;
      }
    }
    return insts.slice(0, count);
  }

  /** The value that stands for `value` after `run`. */
  resolve<T extends Inst>(value: T): T {
    return (value.id >= 0 ? (this.#replacement[value.id] ?? value) : value) as T;
  }

  #rewriteArgs(inst: Inst): void {
    const { args } = inst;
    for (let a = 0; a < args.length; a++) {
      const value = this.resolve(args[a]);
      if (value !== args[a]) inst.args = withArg(inst.args, a, value);
    }
  }

  /** Returns what replaces the inst. A `set` that changes nothing is replaced by its value. */
  #visit(inst: Inst): Inst | undefined {
    switch (inst.spec.effect) {
      case 'pure': {
        const { args } = inst;
        if (args.length === 3 && args[2].op === 'i32.ne') inst.args = withArg(args, 2, foldCondition(args[2]));
        return fold(inst);
      }
      case 'get':
        return this.#visitGet(inst);
      case 'set':
        return this.#visitSet(inst);
      case 'trap':
        if (inst.op === 'raise_if') inst.args = [foldCondition(inst.args[0])];
        return undefined;
      case 'stateStore':
        this.#forgetPinned();
        return undefined;
      case 'call':
        this.#visitCall(inst);
        return undefined;
      case 'control':
        this.#visitControl(inst);
        return undefined;
      default:
        return undefined;
    }
  }

  #visitGet(inst: Inst): Inst | undefined {
    const number = this.#numbers.of(inst.slot as Slot);
    const known = this.#known[number];
    if (known && known.type === inst.type) return known;
    this.#known[number] = inst;
    return undefined;
  }

  #visitSet(inst: Inst): Inst | undefined {
    const slot = inst.slot as Slot;
    const number = this.#numbers.of(slot);
    const value = inst.args[0];
    if (this.#known[number] === value) return value;
    if (slot.pinned) this.#forgetPinned();
    this.#known[number] = value.type === slot.type ? value : undefined;
    return undefined;
  }

  #forgetPinned(): void {
    const { slots } = this.#numbers;
    for (let n = 0; n < slots.length; n++) if (slots[n].pinned) this.#known[n] = undefined;
  }

  #visitCall(inst: Inst): void {
    if (inst.callee?.pure) return;
    this.#forgetPinned();
    const writes = inst.callee?.writes ?? 'all';
    if (writes === 'none') return;
    if (writes !== 'all') {
      for (const slot of writes) this.#known[this.#numbers.of(slot)] = undefined;
      return;
    }
    const { slots } = this.#numbers;
    for (let n = 0; n < slots.length; n++) if (!slots[n].temp) this.#known[n] = undefined;
  }

  #visitControl(inst: Inst): void {
    switch (inst.op) {
      case 'if':
        inst.args = [foldCondition(inst.args[0])];
        this.#frames.push({ before: this.#known.slice(), after: undefined });
        break;
      case 'else': {
        const frame = this.#frames.at(-1) as ControlFrame;
        frame.after = common(frame.before, this.#known);
        this.#known = frame.before.slice();
        break;
      }
      case 'end': {
        const frame = this.#frames.pop() as ControlFrame;
        this.#known = common(frame.after ?? frame.before, this.#known);
        break;
      }
      case 'loop':
        this.#known = [];
        break;
      default:
        inst.args = [foldCondition(inst.args[0])];
        this.#known = [];
    }
  }
}

function common(a: readonly (Inst | undefined)[], b: readonly (Inst | undefined)[]): (Inst | undefined)[] {
  return a.map((value, i) => (value === b[i] ? value : undefined));
}
