// Structural rules of a block, checked in tests after each step of the pipeline. Returns the first violation as text, or undefined.
//
// - arguments have the op's types, and are defined before their use in the same or an enclosing control region (a branch's values stay in it)
// - if / else / end and loop / loop_while nest
// - a slot op has a slot, of the value's type, with a fitting offset; temps are set before they are read, as far as a straight reading tells
// - `pc` is not set by a block's own ops; lanes are in range; `at` never goes back

import type { Block, Inst } from './block.ts';
import { OPS, type OpSpec, type Type } from './ops.ts';
import { terminalValues } from './optimize.ts';
import type { Slot } from './slot.ts';
import { PC, TEMPS_OFFSET } from './vcpu-header.ts';

export function verifyBlock(block: Block): string | undefined {
  const problem = verifyInsts(block.insts, terminalValues(block.terminal), true);
  if (problem) return problem;
  if (block.insnCount < 1) return 'a block has at least one instruction';
  if (block.terminalAt > block.byteCount) return 'the terminal lies beyond the block';
  return undefined;
}

/** `results`: values used after the last inst. `isBlock`: not a routine. */
export function verifyInsts(insts: readonly Inst[], results: readonly Inst[], isBlock: boolean): string | undefined {
  const verifier = new Verifier(isBlock);
  for (const [i, inst] of insts.entries()) {
    const problem = verifier.visit(inst);
    if (problem) return `${inst.op} at position ${i}: ${problem}`;
  }
  return verifier.finish(results);
}

class Verifier {
  readonly #isBlock: boolean;
  /** Values that may be used now, by control region. */
  readonly #scopes: Set<Inst>[] = [new Set()];
  readonly #open: ('if' | 'else' | 'loop')[] = [];
  readonly #tempsSet = new Set<Slot>();
  #at = 0;

  constructor(isBlock: boolean) {
    this.#isBlock = isBlock;
  }

  visit(inst: Inst): string | undefined {
    const spec: OpSpec = OPS[inst.op];
    if (this.#isBlock && inst.at < this.#at) return 'its instruction comes before the last one';
    this.#at = inst.at;
    const problem = this.#arguments(inst, spec) ?? this.#immediate(inst, spec) ?? this.#control(inst);
    if (problem) return problem;
    const type = inst.callee ? inst.callee.result : inst.op === 'get' ? inst.slot?.type : spec.result;
    if (inst.type !== type) return `has type ${inst.type}, not ${type}`;
    if (inst.type !== undefined) this.#scopes.at(-1)?.add(inst);
    return undefined;
  }

  finish(results: readonly Inst[]): string | undefined {
    if (this.#open.length > 0) return `${this.#open.at(-1)} is not closed`;
    return results.every((r) => this.#isKnown(r)) ? undefined : 'the end uses a value that is not defined there';
  }

  #isKnown(value: Inst): boolean {
    return this.#scopes.some((scope) => scope.has(value));
  }

  #arguments(inst: Inst, spec: OpSpec): string | undefined {
    const types: readonly Type[] = inst.callee ? inst.callee.params : inst.op === 'set' && inst.slot ? [inst.slot.type] : spec.args;
    if (inst.args.length !== types.length) return `takes ${types.length} arguments, not ${inst.args.length}`;
    for (const [i, arg] of inst.args.entries()) {
      if (arg.type !== types[i]) return `argument ${i} has type ${arg.type}, not ${types[i]}`;
      if (!this.#isKnown(arg)) return `argument ${i} (${arg.op}) is not defined there`;
    }
    return undefined;
  }

  #immediate(inst: Inst, spec: OpSpec): string | undefined {
    switch (spec.imm) {
      case 'slot':
        return inst.slot ? this.#slot(inst, inst.slot) : 'has no slot';
      case 'callee':
        return inst.callee ? undefined : 'has no callee';
      case 'lane':
        return inst.imm >= 0 && inst.imm < spec.lanes ? undefined : `has no lane ${inst.imm}`;
      case 'bytes16':
        return inst.bytes?.length === 16 ? undefined : 'needs 16 bytes';
      case 'f64':
        return inst.bytes?.length === 8 ? undefined : 'needs 8 bytes';
      default:
        return undefined;
    }
  }

  #slot(inst: Inst, slot: Slot): string | undefined {
    if (slot.temp) {
      if (inst.op === 'set') this.#tempsSet.add(slot);
      else if (!this.#tempsSet.has(slot) && this.#isBlock) return `reads temp ${slot.name} before it is set`;
      return undefined;
    }
    const align = slot.type === 'v128' ? 16 : 8;
    if (slot.offset < 0 || slot.offset >= TEMPS_OFFSET || slot.offset % align !== 0)
      return `slot ${slot.name} has the bad offset ${slot.offset}`;
    if (this.#isBlock && inst.op === 'set' && slot.offset === PC.offset) return 'a block does not set pc';
    return undefined;
  }

  #control(inst: Inst): string | undefined {
    const open = this.#open.at(-1);
    switch (inst.op) {
      case 'if':
      case 'loop':
        this.#enter(inst.op);
        return undefined;
      case 'else':
        if (open !== 'if') return 'has no if';
        this.#leave();
        this.#enter('else');
        return undefined;
      case 'end':
        if (open !== 'if' && open !== 'else') return 'has no if';
        this.#leave();
        return undefined;
      case 'loop_while':
        if (open !== 'loop') return 'has no loop';
        this.#leave();
        return undefined;
      default:
        return undefined;
    }
  }
  #enter(kind: 'if' | 'else' | 'loop'): void {
    this.#open.push(kind);
    this.#scopes.push(new Set());
  }
  #leave(): void {
    this.#open.pop();
    this.#scopes.pop();
  }
}
