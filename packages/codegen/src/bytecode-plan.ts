// Decides where each value of a block lives in the interpreter: the register-allocation half of the bytecode encoder.
// Positions are indices in `block.insts`; the terminal's position is insts.length.
//
// - Ops that only reinterpret (wrap, zero extension of what is stored zero-extended, bit casts) are names for their operand ("root").
// - `get X` is a name for slot X while no set of X comes before its last use; else it is copied.
// - `set X = v` makes v's op write X itself when nothing between the op and the set could see the difference.

import type { Block, Inst } from '@anillo/ir/block';
import { type Effect, OPS, type OpName, type OpSpec, type Type } from '@anillo/ir/ops';
import type { Slot } from '@anillo/ir/slot';
import { TEMPS_OFFSET } from '@anillo/ir/vcpu-header';
import { hasConstantForm } from './interpreter-arms.ts';

const NEVER = 0x7fffffff;
/** Slot indices: state slots by offset / 8, all pinned slots share one, IR temps follow. */
const PINNED = TEMPS_OFFSET / 8;
const FIRST_TEMP = PINNED + 1;
const MAX_TEMP_SLOTS = 4096;
const SLOT_INDICES = FIRST_TEMP + MAX_TEMP_SLOTS;

/** Ops that only rename their operand, as far as its bytes allow. */
const RENAMES: ReadonlySet<OpName> = new Set<OpName>([
  'i32.wrap_i64',
  'i64.extend_i32_u',
  'i32.reinterpret_f32',
  'f32.reinterpret_i32',
  'i64.reinterpret_f64',
  'f64.reinterpret_i64',
]);

/** What the plan must know of an op, by its code: one of these, perhaps with RENAMES or CONSTANT_FORM. */
const TRAIT = { NONE: 0, GET: 1, SET: 2, CONTROL: 3, STATE: 4, BARRIER: 5, KIND: 7, RENAMES: 8, CONSTANT_FORM: 16, CONSTANT: 32 } as const;

const TRAIT_OF_EFFECT: Readonly<Record<Effect, number>> = {
  pure: TRAIT.NONE,
  get: TRAIT.GET,
  set: TRAIT.SET,
  control: TRAIT.CONTROL,
  stateLoad: TRAIT.STATE,
  stateStore: TRAIT.STATE,
  load: TRAIT.BARRIER,
  store: TRAIT.BARRIER,
  call: TRAIT.BARRIER,
  trap: TRAIT.NONE,
};

function traitsOf(spec: OpSpec): number {
  if (spec.name === 'raise_if') return TRAIT.BARRIER;
  const isConst = spec.name === 'i32.const' || spec.name === 'i64.const';
  return (
    TRAIT_OF_EFFECT[spec.effect] |
    (RENAMES.has(spec.name) ? TRAIT.RENAMES : 0) |
    (hasConstantForm(spec) ? TRAIT.CONSTANT_FORM : 0) |
    (isConst ? TRAIT.CONSTANT : 0)
  );
}
const TRAITS = Uint8Array.from(Object.values(OPS), traitsOf);

const isConstant = (inst: Inst): boolean => (TRAITS[inst.spec.code] & TRAIT.CONSTANT) !== 0;
/** Does the op take its last operand, a constant, from the instruction? */
export const takesConstant = (inst: Inst): boolean => (TRAITS[inst.spec.code] & TRAIT.CONSTANT_FORM) !== 0 && isConstant(inst.args[1]);

/** May the bytes that an op of type `from` stores stand for a slot of type `to`? */
function storesAs(from: Type | undefined, to: Type): boolean {
  switch (to) {
    case 'i32':
      return from === 'i32';
    case 'f32':
      return from === 'i32' || from === 'f32';
    case 'v128':
      return from === 'v128';
    default:
      return from === 'i32' || from === 'i64' || from === 'f64';
  }
}

export class BytecodePlan {
  /** Position of the op whose location holds the value. */
  root = new Int32Array(1024);
  /** Last position at which a root's location is read; -1: never. */
  lastUse = new Int32Array(1024);
  /** For a set: the op writes the slot itself. For an op: 1 + position of the set that it writes for. */
  writesFor = new Int32Array(1024);
  elided = new Uint8Array(1024);
  /** For a get: 1 if it must be copied when reached. */
  copied = new Uint8Array(1024);
  /** Last position at which an IR temp's location matters, by temp index. */
  readonly tempEnd = new Int32Array(MAX_TEMP_SLOTS);
  #nextClobber = new Int32Array(1024);
  /** Temps seen so far are below this index. */
  #tempCount = 0;
  /** Backward pass: position of the next write. Forward pass: last write and last read. All reset by stamp. */
  readonly #stamp = new Int32Array(SLOT_INDICES);
  readonly #nextSet = new Int32Array(SLOT_INDICES);
  readonly #lastWrite = new Int32Array(SLOT_INDICES);
  readonly #lastRead = new Int32Array(SLOT_INDICES);
  readonly #loopEnd = new Map<number, number>();
  #round = 0;

  /** Analyses a block; renumbers its insts. */
  run(block: Block): void {
    const { insts } = block;
    this.#reserve(insts.length);
    this.#tempCount = 0;
    this.#findLoops(insts);
    this.#findUses(block);
    this.#findClobbers(insts);
    this.#place(insts);
    if (this.#loopEnd.size > 0) this.tempEnd.fill(NEVER, 0, this.#tempCount);
  }

  get tempCount(): number {
    return this.#tempCount;
  }
  tempIndex(slot: Slot): number {
    const { index } = slot;
    if (index >= MAX_TEMP_SLOTS) throw new RangeError('a block has too many temps; lift fewer instructions into it');
    for (; this.#tempCount <= index; this.#tempCount++) this.tempEnd[this.#tempCount] = -1;
    return index;
  }

  #reserve(count: number): void {
    if (this.root.length > count) return;
    const capacity = count * 2;
    this.root = new Int32Array(capacity);
    this.lastUse = new Int32Array(capacity);
    this.writesFor = new Int32Array(capacity);
    this.elided = new Uint8Array(capacity);
    this.copied = new Uint8Array(capacity);
    this.#nextClobber = new Int32Array(capacity);
  }

  #slotIndex(slot: Slot): number {
    if (slot.temp) return FIRST_TEMP + this.tempIndex(slot);
    return slot.pinned ? PINNED : slot.offset >> 3;
  }

  #findLoops(insts: readonly Inst[]): void {
    if (this.#loopEnd.size > 0) this.#loopEnd.clear();
    const open: number[] = [];
    for (let i = 0; i < insts.length; i++) {
      const { op } = insts[i];
      if (op === 'loop') open.push(i);
      else if (op === 'loop_while') this.#loopEnd.set(open.pop() as number, i);
    }
  }

  #use(value: Inst, position: number): void {
    const root = this.root[value.id];
    let end = position;
    // A value from before a loop is needed until the loop's last round ends.
    if (this.#loopEnd.size > 0) end = this.#loopExtent(root, position);
    if (end > this.lastUse[root]) this.lastUse[root] = end;
  }

  #loopExtent(root: number, position: number): number {
    let end = position;
    for (const [start, loopEnd] of this.#loopEnd) {
      if (start > root && start < position && position <= loopEnd && loopEnd > end) end = loopEnd;
    }
    return end;
  }

  #findUses(block: Block): void {
    const { insts, terminal } = block;
    const { root, lastUse, writesFor, elided, copied } = this;
    for (let i = 0; i < insts.length; i++) {
      const inst = insts[i];
      inst.id = i;
      lastUse[i] = -1;
      root[i] = i;
      writesFor[i] = 0;
      elided[i] = 0;
      copied[i] = 0;
      const traits = TRAITS[inst.spec.code];
      if ((traits & TRAIT.RENAMES) !== 0) {
        const operand = root[inst.args[0].id];
        if (inst.op !== 'i64.extend_i32_u' || insts[operand].type === 'i32') {
          root[i] = operand;
          continue;
        }
      }
      const { args } = inst;
      let count = args.length;
      if ((traits & TRAIT.CONSTANT_FORM) !== 0) {
        if (isConstant(args[1])) count = 1;
      } else if (traits === TRAIT.SET && isConstant(args[0])) count = 0;
      for (let a = 0; a < count; a++) this.#use(args[a], i);
    }
    if (terminal.kind === 'branch') this.#use(terminal.cond, insts.length);
    if (terminal.kind === 'indirect' || terminal.kind === 'callIndirect') this.#use(terminal.target, insts.length);
  }

  /** For each get and set: position of the next write of its slot by anything. */
  #findClobbers(insts: readonly Inst[]): void {
    const next = this.#nextSet;
    const stamp = this.#stamp;
    const clobber = this.#nextClobber;
    const round = ++this.#round;
    let nextCall = NEVER;
    for (let i = insts.length - 1; i >= 0; i--) {
      const inst = insts[i];
      if (inst.slot) {
        const index = this.#slotIndex(inst.slot);
        const own = stamp[index] === round ? next[index] : NEVER;
        clobber[i] = inst.slot.temp || own < nextCall ? own : nextCall;
        if (inst.op === 'set') {
          stamp[index] = round;
          next[index] = i;
        }
      } else if (inst.callee) {
        const { writes } = inst.callee;
        stamp[PINNED] = round;
        next[PINNED] = i;
        if (writes === 'all') nextCall = i;
        else if (writes !== 'none') for (const slot of writes) this.#noteWrite(slot, i, round);
      } else if (inst.spec.effect === 'stateStore') {
        stamp[PINNED] = round;
        next[PINNED] = i;
      }
    }
  }
  #noteWrite(slot: Slot, position: number, round: number): void {
    const index = this.#slotIndex(slot);
    this.#stamp[index] = round;
    this.#nextSet[index] = position;
  }

  #touch(index: number, round: number): void {
    if (this.#stamp[index] === round) return;
    this.#stamp[index] = round;
    this.#lastWrite[index] = -1;
    this.#lastRead[index] = -1;
  }

  #place(insts: readonly Inst[]): void {
    const round = ++this.#round;
    let lastBarrier = -1;
    let lastControl = -1;
    let lastStateAccess = -1;
    for (let i = 0; i < insts.length; i++) {
      const inst = insts[i];
      switch (TRAITS[inst.spec.code] & TRAIT.KIND) {
        case TRAIT.GET:
          this.#placeGet(inst, i, round);
          break;
        case TRAIT.SET:
          this.#placeSet(inst, i, round, insts, lastBarrier, lastControl, lastStateAccess);
          break;
        case TRAIT.CONTROL:
          lastControl = i;
          break;
        case TRAIT.STATE:
          lastStateAccess = i;
          break;
        case TRAIT.BARRIER:
          lastBarrier = i;
          break;
      }
    }
  }

  #placeGet(inst: Inst, i: number, round: number): void {
    const slot = inst.slot as Slot;
    const index = this.#slotIndex(slot);
    this.#touch(index, round);
    const aliased = this.lastUse[i] <= this.#nextClobber[i];
    if (!aliased) this.copied[i] = 1;
    const end = aliased ? Math.max(this.lastUse[i], i) : i;
    if (end > this.#lastRead[index]) this.#lastRead[index] = end;
    if (slot.temp) this.#keepTemp(slot, end);
  }
  #keepTemp(slot: Slot, until: number): void {
    const index = this.tempIndex(slot);
    if (until > this.tempEnd[index]) this.tempEnd[index] = until;
  }

  #placeSet(inst: Inst, i: number, round: number, insts: readonly Inst[], barrier: number, control: number, stateAccess: number): void {
    const slot = inst.slot as Slot;
    const index = this.#slotIndex(slot);
    this.#touch(index, round);
    const from = this.root[inst.args[0].id];
    const source = insts[from];
    const seen = Math.max(
      control,
      slot.temp ? -1 : barrier,
      slot.pinned ? stateAccess : -1,
      this.#lastWrite[index] + 1,
      this.#lastRead[index],
    );
    if (slot.temp) this.#keepTemp(slot, i);
    if (
      seen <= from &&
      this.writesFor[from] === 0 &&
      source.op !== 'get' &&
      !isConstant(source) &&
      storesAs(source.type, slot.type) &&
      this.#nextClobber[i] >= this.lastUse[from]
    ) {
      this.writesFor[from] = i + 1;
      this.elided[i] = 1;
      this.#lastWrite[index] = from;
      this.#lastRead[index] = Math.max(this.#lastRead[index], this.lastUse[from]);
      if (slot.temp) this.#keepTemp(slot, this.lastUse[from]);
      return;
    }
    this.#lastWrite[index] = i;
  }
}
