// Writes ops in order into a block or a routine. Folds constants where that is free; everything else is the passes' work.

import { Inst, type Block, type Terminal, type Value } from './block.ts';
import type { Callee, StateAccess } from './callee.ts';
import { OPS, type ArgTypes, type OpName, type OpSpec, type ResultType, type Type } from './ops.ts';
import { tempSlot, type Slot } from './slot.ts';

type Values<A extends readonly Type[]> = { [K in keyof A]: Value<A[K] & Type> };
/** Ops that `op()` takes: no immediate, no slot, no control. */
type PlainOp = {
  [N in OpName]: (typeof OPS)[N]['imm'] extends 'none' ? N : N;
}[OpName];
type ResultValue<N extends OpName> = ResultType<N> extends Type ? Value<ResultType<N>> : undefined;
type IntType = 'i32' | 'i64';

/** What writes state that nobody has looked at yet. */
export interface Deferred {
  writeDeferred(): void;
}

interface VectorValues {
  readonly held: Map<Slot, Inst>;
  readonly origins: Map<Inst, Inst>;
}

const NO_ARGS: readonly Inst[] = [];
const SELECT = {
  i32: OPS['i32.select'],
  i64: OPS['i64.select'],
  f32: OPS['f32.select'],
  f64: OPS['f64.select'],
  v128: OPS['v128.select'],
} as const;

export class Builder {
  readonly insts: Inst[] = [];
  /** Byte offset of the guest instruction being lifted. */
  at = 0;
  #temps = 0;
  #deferred: Deferred | undefined = undefined;
  /** Number of open `if`s and loops. */
  depth = 0;
  /** Calls so far that may have changed any slot. */
  upheavals = 0;
  /** What vector slots hold, each value by the first inst that gave it. */
  #vectors: VectorValues | undefined = undefined;

  /**
   * `writer` is to set slots that nobody has looked at since: it is called before the next op at which state can be seen or which is control flow, and
   * at the block's end. A later `defer` replaces it.
   */
  defer(writer: Deferred | undefined): void {
    this.#deferred = writer;
  }
  #flush(): void {
    const writer = this.#deferred;
    this.#deferred = undefined;
    writer?.writeDeferred();
  }

  #push<T extends Type | undefined>(spec: OpSpec, type: T, args: readonly Inst[]): Inst<T> {
    if (this.#deferred !== undefined && spec.isLook) this.#flush();
    const inst = new Inst(spec, type, args, this.at, this.insts.length);
    this.insts[this.insts.length] = inst as Inst;
    return inst;
  }

  /** Any op without an immediate, or with a numeric one (`lane`, `disp`) given last. */
  op<N extends PlainOp>(name: N, args: Values<ArgTypes<N>>, imm = 0): ResultValue<N> {
    const spec: OpSpec = OPS[name];
    const inst = this.#push(spec, spec.result, args as unknown as readonly Inst[]);
    inst.imm = imm;
    return (spec.result === undefined ? undefined : inst) as ResultValue<N>;
  }

  i32(value: number): Value<'i32'> {
    const inst = this.#push(OPS['i32.const'], 'i32', NO_ARGS);
    inst.imm = value | 0;
    return inst;
  }
  /** 64-bit constant from a safe integer (negative: sign-extended). */
  i64(value: number): Value<'i64'> {
    const low = value | 0;
    if (low === value) return this.i64Words(low, low >> 31);
    return this.i64Words(value | 0, Math.floor(value / 0x1_0000_0000) | 0);
  }
  i64Words(low: number, high: number): Value<'i64'> {
    const inst = this.#push(OPS['i64.const'], 'i64', NO_ARGS);
    inst.imm = low | 0;
    inst.immHigh = high | 0;
    return inst;
  }
  /** Constant of the named integer type. */
  int<T extends IntType>(type: T, value: number): Value<T> {
    return (type === 'i32' ? this.i32(value) : this.i64(value)) as Value as Value<T>;
  }
  f64(value: number): Value<'f64'> {
    const inst = this.#push(OPS['f64.const'], 'f64', NO_ARGS);
    inst.bytes = new Uint8Array(new Float64Array([value]).buffer);
    return inst;
  }
  v128(bytes: Uint8Array): Value<'v128'> {
    const inst = this.#push(OPS['v128.const'], 'v128', NO_ARGS);
    inst.bytes = bytes;
    return inst;
  }
  shuffle(a: Value<'v128'>, b: Value<'v128'>, lanes: readonly number[]): Value<'v128'> {
    const inst = this.#push(OPS['i8x16.shuffle'], 'v128', [a, b]);
    inst.bytes = Uint8Array.from(lanes);
    return inst;
  }

  get<T extends Type>(slot: Slot<T>): Value<T> {
    const inst = this.#push(OPS.get, slot.type, NO_ARGS);
    inst.slot = slot;
    if (slot.type === 'v128' && !slot.pinned && !slot.temp) this.#noteGet(slot, inst as Inst);
    return inst;
  }
  #noteGet(slot: Slot, inst: Inst): void {
    this.#vectors ??= { held: new Map(), origins: new Map() };
    const known = this.#vectors.held.get(slot);
    if (known) this.#vectors.origins.set(inst, known);
    else this.#vectors.held.set(slot, inst);
  }
  #noteSet(slot: Slot, value: Inst): void {
    this.#vectors ??= { held: new Map(), origins: new Map() };
    if (this.depth === 0) this.#vectors.held.set(slot, this.origin(value));
    else this.#vectors.held.delete(slot);
  }
  #noteWrites(writes: StateAccess): void {
    if (writes === 'none') return;
    if (writes === 'all') {
      this.upheavals++;
      this.#vectors = undefined;
    } else if (this.#vectors) for (const slot of writes) this.#vectors.held.delete(slot);
  }
  /** The first inst that gave this value: the same for all gets of a vector slot between two sets, and for copies. What lifting knows of values goes by it. */
  origin(value: Inst): Inst {
    return this.#vectors?.origins.get(value) ?? value;
  }
  set<T extends Type>(slot: Slot<T>, value: Value<NoInfer<T>>): void {
    this.#push(OPS.set, undefined, [value as Inst]).slot = slot;
    if (slot.type === 'v128' && !slot.temp) this.#noteSet(slot, value as Inst);
  }
  /** A new temp slot: a variable of this block or routine, for values that cross `if` and `loop`. */
  temp<T extends Type>(type: T, initial?: Value<T>): Slot<T> {
    const index = this.#temps++;
    const slot = tempSlot(`t${index}`, type, index);
    if (initial !== undefined) this.set(slot, initial);
    return slot;
  }

  /** Calls a routine or helper. The result is undefined where the callee has none. */
  call(callee: Callee, args: readonly Value[] = []): Value {
    if (!takes(callee, args)) {
      throw new TypeError(`${callee.name} takes (${callee.params.join(', ')}), not (${args.map((a) => a.type).join(', ')})`);
    }
    if (!callee.pure) this.#flush();
    const inst = this.#push(OPS.call, callee.result, args);
    inst.callee = callee;
    this.#noteWrites(callee.writes);
    return inst as Value;
  }
  raiseIf(cond: Value<'i32'>, trapCode: number): void {
    this.#push(OPS.raise_if, undefined, [cond as Inst]).imm = trapCode;
  }

  if(cond: Value<'i32'>, then: () => void, otherwise?: () => void, rarely = false): void {
    this.#push(OPS.if, undefined, [cond as Inst]).imm = rarely ? 1 : 0;
    this.depth++;
    then();
    if (otherwise) {
      this.#push(OPS.else, undefined, NO_ARGS);
      otherwise();
    }
    this.depth--;
    this.#push(OPS.end, undefined, NO_ARGS);
  }
  /** An `if` whose condition hardly ever holds: code after it is not burdened with what a call in it needs. */
  ifRarely(cond: Value<'i32'>, then: () => void, otherwise?: () => void): void {
    this.if(cond, then, otherwise, true);
  }
  /** Runs body, then again while the value that it returns is not 0. */
  loopWhile(body: () => Value<'i32'>): void {
    this.#push(OPS.loop, undefined, NO_ARGS);
    this.depth++;
    const again = body();
    this.depth--;
    this.#push(OPS.loop_while, undefined, [again as Inst]);
  }

  // Integer shorthands: the type is the first argument's.
  #int2<T extends IntType>(spec32: OpSpec, spec64: OpSpec, a: Value<T>, b: Value<T>): Value<T> {
    return this.#push(a.type === 'i32' ? spec32 : spec64, a.type, [a as Inst, b as Inst]) as Value<T>;
  }
  #cmp<T extends IntType>(spec32: OpSpec, spec64: OpSpec, a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#push(a.type === 'i32' ? spec32 : spec64, 'i32', [a as Inst, b as Inst]);
  }
  add<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    if (isZero(b)) return a;
    return this.#int2(OPS['i32.add'], OPS['i64.add'], a, b);
  }
  sub<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2(OPS['i32.sub'], OPS['i64.sub'], a, b);
  }
  mul<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2(OPS['i32.mul'], OPS['i64.mul'], a, b);
  }
  and<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2(OPS['i32.and'], OPS['i64.and'], a, b);
  }
  or<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2(OPS['i32.or'], OPS['i64.or'], a, b);
  }
  xor<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2(OPS['i32.xor'], OPS['i64.xor'], a, b);
  }
  shl<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2(OPS['i32.shl'], OPS['i64.shl'], a, b);
  }
  shrU<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2(OPS['i32.shr_u'], OPS['i64.shr_u'], a, b);
  }
  shrS<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2(OPS['i32.shr_s'], OPS['i64.shr_s'], a, b);
  }
  rotl<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2(OPS['i32.rotl'], OPS['i64.rotl'], a, b);
  }
  eq<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp(OPS['i32.eq'], OPS['i64.eq'], a, b);
  }
  ne<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp(OPS['i32.ne'], OPS['i64.ne'], a, b);
  }
  ltU<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp(OPS['i32.lt_u'], OPS['i64.lt_u'], a, b);
  }
  ltS<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp(OPS['i32.lt_s'], OPS['i64.lt_s'], a, b);
  }
  leU<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp(OPS['i32.le_u'], OPS['i64.le_u'], a, b);
  }
  leS<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp(OPS['i32.le_s'], OPS['i64.le_s'], a, b);
  }
  gtU<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp(OPS['i32.gt_u'], OPS['i64.gt_u'], a, b);
  }
  geU<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp(OPS['i32.ge_u'], OPS['i64.ge_u'], a, b);
  }
  eqz(a: Value<IntType>): Value<'i32'> {
    return this.#push(a.type === 'i32' ? OPS['i32.eqz'] : OPS['i64.eqz'], 'i32', [a as Inst]);
  }
  select<T extends IntType | 'f64' | 'f32' | 'v128'>(cond: Value<'i32'>, yes: Value<T>, no: Value<T>): Value<T> {
    return this.#push(SELECT[yes.type], yes.type, [yes as Inst, no as Inst, cond as Inst]) as Value<T>;
  }
  wrap(a: Value<'i64'>): Value<'i32'> {
    return this.#push(OPS['i32.wrap_i64'], 'i32', [a as Inst]);
  }
  extendU(a: Value<'i32'>): Value<'i64'> {
    return this.#push(OPS['i64.extend_i32_u'], 'i64', [a as Inst]);
  }
  extendS(a: Value<'i32'>): Value<'i64'> {
    return this.#push(OPS['i64.extend_i32_s'], 'i64', [a as Inst]);
  }

  /** Closes the block. */
  finish(terminal: Terminal, shape: Omit<Block, 'insts' | 'terminal' | 'terminalAt'>): Block {
    this.#flush();
    const { byteCount, insnCount, pcBits } = shape;
    return { insts: this.insts, terminal, byteCount, insnCount, terminalAt: this.at, pcBits };
  }
}

function takes({ params }: Callee, args: readonly Value[]): boolean {
  for (let i = 0; i < params.length; i++) if (args[i]?.type !== params[i]) return false;
  return args.length === params.length;
}

function isZero(v: Value): boolean {
  return (v.op === 'i32.const' || v.op === 'i64.const') && v.imm === 0 && v.immHigh === 0;
}
