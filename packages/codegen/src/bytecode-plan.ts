// Decides where each value of a block lives in the interpreter: the register-allocation half of the bytecode encoder.
// Positions are indices in `block.insts`; the terminal's position is insts.length.
//
// - Ops that only reinterpret (wrap, zero extension of what is stored zero-extended, bit casts) are names for their operand ("root").
// - `get X` is a name for slot X while no set of X comes before its last use; else it is copied.
// - `set X = v` makes v's op write X itself when nothing between the op and the set could see the difference.

import type { Block, Inst } from '@anillo/ir/block';
import { type Effect, type Immediate, OPS, type OpName, type OpSpec, type Type } from '@anillo/ir/ops';
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

/** What the encoder must know of an op, by its code: one of the first eight, perhaps with some of the others. */
export const TRAIT = {
  NONE: 0,
  GET: 1,
  SET: 2,
  CONTROL: 3,
  STATE_LOAD: 4,
  STATE_STORE: 5,
  BARRIER: 6,
  CALL: 7,
  KIND: 7,
  RENAMES: 8,
  CONSTANT_FORM: 16,
  CONSTANT: 32,
  /** Of no effect where nobody wants the result. */
  DROPPABLE: 64,
  HAS_RESULT: 128,
  HAS_LANE: 256,
  HAS_DISPLACEMENT: 512,
  HAS_BYTES: 1024,
  /** Of an op at its place in a block: its last operand (a set's only one) is a constant, which it takes from the instruction. */
  TAKES_CONSTANT: 2048,
} as const;

const KIND_OF_EFFECT: Readonly<Record<Effect, number>> = {
  pure: TRAIT.NONE,
  get: TRAIT.GET,
  set: TRAIT.SET,
  control: TRAIT.CONTROL,
  stateLoad: TRAIT.STATE_LOAD,
  stateStore: TRAIT.STATE_STORE,
  load: TRAIT.BARRIER,
  store: TRAIT.BARRIER,
  call: TRAIT.CALL,
  trap: TRAIT.NONE,
};
const IMMEDIATE_TRAITS: Readonly<Partial<Record<Immediate, number>>> = {
  lane: TRAIT.HAS_LANE,
  disp: TRAIT.HAS_DISPLACEMENT,
  trapCode: TRAIT.HAS_DISPLACEMENT,
  bytes16: TRAIT.HAS_BYTES,
  f64: TRAIT.HAS_BYTES,
};

function traitsOf(spec: OpSpec): number {
  const { name, effect } = spec;
  return (
    (name === 'raise_if' ? TRAIT.BARRIER : KIND_OF_EFFECT[effect]) |
    (IMMEDIATE_TRAITS[spec.imm] ?? 0) |
    (RENAMES.has(name) ? TRAIT.RENAMES : 0) |
    (hasConstantForm(spec) ? TRAIT.CONSTANT_FORM : 0) |
    (name === 'i32.const' || name === 'i64.const' ? TRAIT.CONSTANT : 0) |
    (effect === 'pure' || effect === 'stateLoad' ? TRAIT.DROPPABLE : 0) |
    (spec.result === undefined ? 0 : TRAIT.HAS_RESULT)
  );
}
const TRAITS = Uint16Array.from(Object.values(OPS), traitsOf);

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
  /** Of the op at a position (TRAIT). */
  traits = new Uint16Array(1024);
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
  /** Of a get or set: index of its slot. */
  #slotAt = new Int32Array(1024);
  #nextClobber = new Int32Array(1024);
  /** Temps seen so far are below this index. */
  #tempCount = 0;
  /** Backward pass: position of the next write. Forward pass: last write and last read. All reset by stamp. */
  readonly #stamp = new Int32Array(SLOT_INDICES);
  readonly #nextSet = new Int32Array(SLOT_INDICES);
  readonly #lastWrite = new Int32Array(SLOT_INDICES);
  readonly #lastRead = new Int32Array(SLOT_INDICES);
  /** Loops found so far, with their ends. */
  readonly #loops: { readonly start: number; readonly end: number }[] = [];
  #round = 0;

  /** Analyses a block; renumbers its insts. */
  run(block: Block): void {
    const { insts } = block;
    const count = insts.length;
    this.#reserve(count);
    this.#tempCount = 0;
    this.#loops.length = 0;
    this.#findUses(block);
    this.#findClobbers(insts);
    this.#place(insts);
    if (this.#loops.length > 0) this.tempEnd.fill(NEVER, 0, this.#tempCount);
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
    this.traits = new Uint16Array(capacity);
    this.root = new Int32Array(capacity);
    this.lastUse = new Int32Array(capacity);
    this.writesFor = new Int32Array(capacity);
    this.elided = new Uint8Array(capacity);
    this.copied = new Uint8Array(capacity);
    this.#slotAt = new Int32Array(capacity);
    this.#nextClobber = new Int32Array(capacity);
  }

  #slotIndex(slot: Slot): number {
    if (slot.temp) return FIRST_TEMP + this.tempIndex(slot);
    return slot.pinned ? PINNED : slot.offset >> 3;
  }

  #findLoop(insts: readonly Inst[], start: number): void {
    let end = start;
    let depth = 0;
    do {
      const { op } = insts[end++];
      if (op === 'loop') depth++;
      else if (op === 'loop_while') depth--;
    } while (depth > 0);
    this.#loops.push({ start, end: end - 1 });
  }

  #use(value: Inst, position: number): void {
    const root = this.root[value.id];
    // A value from before a loop is needed until the loop's last round ends.
    const end = this.#loops.length === 0 ? position : this.#loopExtent(root, position);
    if (end > this.lastUse[root]) this.lastUse[root] = end;
  }

  #loopExtent(root: number, position: number): number {
    let extent = position;
    for (const { start, end } of this.#loops) {
      if (start > root && start < position && position <= end && end > extent) extent = end;
    }
    return extent;
  }

  #findUses(block: Block): void {
    const { insts, terminal } = block;
    const { traits, root, lastUse, writesFor, elided, copied } = this;
    for (let i = 0; i < insts.length; i++) {
      const inst = insts[i];
      const { args, spec } = inst;
      let trait = TRAITS[spec.code];
      let count = args.length;
      inst.id = i;
      lastUse[i] = -1;
      root[i] = i;
      writesFor[i] = 0;
      elided[i] = 0;
      copied[i] = 0;
      if ((trait & TRAIT.RENAMES) !== 0) {
        const operand = root[args[0].id];
        if (inst.op !== 'i64.extend_i32_u' || insts[operand].type === 'i32') {
          root[i] = operand;
          count = 0;
        }
      } else if ((trait & TRAIT.CONSTANT_FORM) !== 0) {
        if ((traits[args[1].id] & TRAIT.CONSTANT) !== 0) {
          trait |= TRAIT.TAKES_CONSTANT;
          count = 1;
        }
      } else if ((trait & TRAIT.KIND) === TRAIT.SET) {
        this.#slotAt[i] = this.#slotIndex(inst.slot as Slot);
        if ((traits[args[0].id] & TRAIT.CONSTANT) !== 0) {
          trait |= TRAIT.TAKES_CONSTANT;
          count = 0;
        }
      } else if ((trait & TRAIT.KIND) === TRAIT.GET) this.#slotAt[i] = this.#slotIndex(inst.slot as Slot);
      else if ((trait & TRAIT.KIND) === TRAIT.CONTROL && inst.op === 'loop') this.#findLoop(insts, i);
      traits[i] = trait;
      for (let a = 0; a < count; a++) this.#use(args[a], i);
    }
    if (terminal.kind === 'branch') this.#use(terminal.cond, insts.length);
    if (terminal.kind === 'indirect' || terminal.kind === 'callIndirect') this.#use(terminal.target, insts.length);
  }

  /** For each get and set: position of the next write of its slot by anything. */
  #findClobbers(insts: readonly Inst[]): void {
    const next = this.#nextSet;
    const stamp = this.#stamp;
    const { traits } = this;
    const round = ++this.#round;
    let nextCall = NEVER;
    for (let i = insts.length - 1; i >= 0; i--) {
      const kind = traits[i] & TRAIT.KIND;
      if (kind === TRAIT.GET || kind === TRAIT.SET) {
        const index = this.#slotAt[i];
        const own = stamp[index] === round ? next[index] : NEVER;
        this.#nextClobber[i] = index >= FIRST_TEMP || own < nextCall ? own : nextCall;
        if (kind === TRAIT.SET) {
          stamp[index] = round;
          next[index] = i;
        }
      } else if (kind === TRAIT.CALL || kind === TRAIT.STATE_STORE) {
        stamp[PINNED] = round;
        next[PINNED] = i;
        const writes = insts[i].callee?.writes ?? 'none';
        if (writes === 'all') nextCall = i;
        else if (writes !== 'none') for (const slot of writes) this.#noteWrite(slot, i, round);
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
    const { traits } = this;
    const round = ++this.#round;
    let lastBarrier = -1;
    let lastControl = -1;
    let lastStateAccess = -1;
    for (let i = 0; i < insts.length; i++) {
      switch (traits[i] & TRAIT.KIND) {
        case TRAIT.GET:
          this.#placeGet(i, round);
          break;
        case TRAIT.SET:
          this.#placeSet(insts, i, round, lastBarrier, lastControl, lastStateAccess);
          break;
        case TRAIT.CONTROL:
          lastControl = i;
          break;
        case TRAIT.STATE_LOAD:
        case TRAIT.STATE_STORE:
          lastStateAccess = i;
          break;
        case TRAIT.BARRIER:
        case TRAIT.CALL:
          lastBarrier = i;
          break;
      }
    }
  }

  #placeGet(i: number, round: number): void {
    const index = this.#slotAt[i];
    this.#touch(index, round);
    const aliased = this.lastUse[i] <= this.#nextClobber[i];
    if (!aliased) this.copied[i] = 1;
    const end = aliased ? Math.max(this.lastUse[i], i) : i;
    if (end > this.#lastRead[index]) this.#lastRead[index] = end;
    this.#keep(index, end);
  }
  /** The location of a temp matters until a position. */
  #keep(index: number, until: number): void {
    if (index >= FIRST_TEMP && until > this.tempEnd[index - FIRST_TEMP]) this.tempEnd[index - FIRST_TEMP] = until;
  }

  #placeSet(insts: readonly Inst[], i: number, round: number, barrier: number, control: number, stateAccess: number): void {
    const index = this.#slotAt[i];
    this.#touch(index, round);
    this.#keep(index, i);
    const inst = insts[i];
    const from = this.root[inst.args[0].id];
    const seen = Math.max(
      control,
      index >= FIRST_TEMP ? -1 : barrier,
      index === PINNED ? stateAccess : -1,
      this.#lastWrite[index] + 1,
      this.#lastRead[index],
    );
    const source = this.traits[from];
    if (
      seen <= from &&
      this.writesFor[from] === 0 &&
      (source & TRAIT.CONSTANT) === 0 &&
      (source & TRAIT.KIND) !== TRAIT.GET &&
      this.#nextClobber[i] >= this.lastUse[from] &&
      storesAs(insts[from].type, (inst.slot as Slot).type)
    ) {
      this.writesFor[from] = i + 1;
      this.elided[i] = 1;
      this.#lastWrite[index] = from;
      this.#lastRead[index] = Math.max(this.#lastRead[index], this.lastUse[from]);
      this.#keep(index, this.lastUse[from]);
      return;
    }
    this.#lastWrite[index] = i;
  }
}
