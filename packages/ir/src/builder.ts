// Writes ops in order into a block or a routine. Folds constants where that is free; everything else is the passes' work.

import { Inst, type Block, type Terminal, type Value } from './block.ts';
import type { Callee } from './callee.ts';
import { OPS, type ArgTypes, type OpName, type ResultType, type Type } from './ops.ts';
import type { Slot } from './slot.ts';

type Values<A extends readonly Type[]> = { [K in keyof A]: Value<A[K] & Type> };
/** Ops that `op()` takes: no immediate, no slot, no control. */
type PlainOp = {
  [N in OpName]: (typeof OPS)[N]['imm'] extends 'none' ? N : N;
}[OpName];
type ResultValue<N extends OpName> = ResultType<N> extends Type ? Value<ResultType<N>> : undefined;
type IntType = 'i32' | 'i64';

export class Builder {
  readonly insts: Inst[] = [];
  /** Byte offset of the guest instruction being lifted. */
  at = 0;
  #temps = 0;
  #deferred: (() => void) | undefined = undefined;

  /**
   * `write` is to set slots that nobody has looked at since: it is called before the next op at which state can be seen or which is control flow, and
   * at the block's end. A later `defer` replaces it.
   */
  defer(write: (() => void) | undefined): void {
    this.#deferred = write;
  }
  #flush(): void {
    const write = this.#deferred;
    this.#deferred = undefined;
    write?.();
  }

  #push<T extends Type | undefined>(op: OpName, type: T, args: readonly Inst[]): Inst<T> {
    if (this.#deferred !== undefined && isLook(op)) this.#flush();
    const inst = new Inst(op, type, args, this.at, this.insts.length);
    this.insts.push(inst as Inst);
    return inst;
  }

  /** Any op without an immediate, or with a numeric one (`lane`, `disp`) given last. */
  op<N extends PlainOp>(name: N, args: Values<ArgTypes<N>>, imm = 0): ResultValue<N> {
    const inst = this.#push(name, OPS[name].result, args as unknown as readonly Inst[]);
    inst.imm = imm;
    return (OPS[name].result === undefined ? undefined : inst) as ResultValue<N>;
  }

  i32(value: number): Value<'i32'> {
    const inst = this.#push('i32.const', 'i32', []);
    inst.imm = value | 0;
    return inst;
  }
  /** 64-bit constant from a safe integer (negative: sign-extended). */
  i64(value: number): Value<'i64'> {
    return this.i64Words(value | 0, Math.floor(value / 0x1_0000_0000) | 0);
  }
  i64Words(low: number, high: number): Value<'i64'> {
    const inst = this.#push('i64.const', 'i64', []);
    inst.imm = low | 0;
    inst.immHigh = high | 0;
    return inst;
  }
  /** Constant of the named integer type. */
  int<T extends IntType>(type: T, value: number): Value<T> {
    return (type === 'i32' ? this.i32(value) : this.i64(value)) as Value as Value<T>;
  }
  f64(value: number): Value<'f64'> {
    const inst = this.#push('f64.const', 'f64', []);
    inst.bytes = new Uint8Array(new Float64Array([value]).buffer);
    return inst;
  }
  v128(bytes: Uint8Array): Value<'v128'> {
    const inst = this.#push('v128.const', 'v128', []);
    inst.bytes = bytes;
    return inst;
  }
  shuffle(a: Value<'v128'>, b: Value<'v128'>, lanes: readonly number[]): Value<'v128'> {
    const inst = this.#push('i8x16.shuffle', 'v128', [a, b]);
    inst.bytes = Uint8Array.from(lanes);
    return inst;
  }

  get<T extends Type>(slot: Slot<T>): Value<T> {
    const inst = this.#push('get', slot.type, []);
    inst.slot = slot;
    return inst;
  }
  set<T extends Type>(slot: Slot<T>, value: Value<NoInfer<T>>): void {
    this.#push('set', undefined, [value as Inst]).slot = slot;
  }
  /** A new temp slot: a variable of this block or routine, for values that cross `if` and `loop`. */
  temp<T extends Type>(type: T, initial?: Value<T>): Slot<T> {
    const slot: Slot<T> = { name: `t${this.#temps++}`, type, offset: -1, pinned: false, temp: true };
    if (initial !== undefined) this.set(slot, initial);
    return slot;
  }

  /** Calls a routine or helper. The result is undefined where the callee has none. */
  call(callee: Callee, args: readonly Value[] = []): Value {
    if (args.length !== callee.params.length || args.some((a, i) => a.type !== callee.params[i])) {
      throw new TypeError(`${callee.name} takes (${callee.params.join(', ')}), not (${args.map((a) => a.type).join(', ')})`);
    }
    if (!callee.pure) this.#flush();
    const inst = this.#push('call', callee.result, args);
    inst.callee = callee;
    return inst as Value;
  }
  raiseIf(cond: Value<'i32'>, trapCode: number): void {
    this.#push('raise_if', undefined, [cond as Inst]).imm = trapCode;
  }

  if(cond: Value<'i32'>, then: () => void, otherwise?: () => void, rarely = false): void {
    this.#push('if', undefined, [cond as Inst]).imm = rarely ? 1 : 0;
    then();
    if (otherwise) {
      this.#push('else', undefined, []);
      otherwise();
    }
    this.#push('end', undefined, []);
  }
  /** An `if` whose condition hardly ever holds: code after it is not burdened with what a call in it needs. */
  ifRarely(cond: Value<'i32'>, then: () => void, otherwise?: () => void): void {
    this.if(cond, then, otherwise, true);
  }
  /** Runs body, then again while the value that it returns is not 0. */
  loopWhile(body: () => Value<'i32'>): void {
    this.#push('loop', undefined, []);
    const again = body();
    this.#push('loop_while', undefined, [again as Inst]);
  }

  // Integer shorthands: the type is the first argument's.
  #int2<T extends IntType>(name: string, a: Value<T>, b: Value<T>): Value<T> {
    return this.#push(`${a.type}.${name}` as OpName, a.type, [a as Inst, b as Inst]) as Value<T>;
  }
  #cmp<T extends IntType>(name: string, a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#push(`${a.type}.${name}` as OpName, 'i32', [a as Inst, b as Inst]);
  }
  add<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    if (isZero(b)) return a;
    return this.#int2('add', a, b);
  }
  sub<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2('sub', a, b);
  }
  mul<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2('mul', a, b);
  }
  and<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2('and', a, b);
  }
  or<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2('or', a, b);
  }
  xor<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2('xor', a, b);
  }
  shl<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2('shl', a, b);
  }
  shrU<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2('shr_u', a, b);
  }
  shrS<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2('shr_s', a, b);
  }
  rotl<T extends IntType>(a: Value<T>, b: Value<T>): Value<T> {
    return this.#int2('rotl', a, b);
  }
  eq<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp('eq', a, b);
  }
  ne<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp('ne', a, b);
  }
  ltU<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp('lt_u', a, b);
  }
  ltS<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp('lt_s', a, b);
  }
  leU<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp('le_u', a, b);
  }
  leS<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp('le_s', a, b);
  }
  gtU<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp('gt_u', a, b);
  }
  geU<T extends IntType>(a: Value<T>, b: Value<T>): Value<'i32'> {
    return this.#cmp('ge_u', a, b);
  }
  eqz(a: Value<IntType>): Value<'i32'> {
    return this.#push(a.type === 'i32' ? 'i32.eqz' : 'i64.eqz', 'i32', [a as Inst]);
  }
  select<T extends IntType | 'f64' | 'f32' | 'v128'>(cond: Value<'i32'>, yes: Value<T>, no: Value<T>): Value<T> {
    return this.#push(`${yes.type}.select` as OpName, yes.type, [yes as Inst, no as Inst, cond as Inst]) as Value<T>;
  }
  wrap(a: Value<'i64'>): Value<'i32'> {
    return this.#push('i32.wrap_i64', 'i32', [a as Inst]);
  }
  extendU(a: Value<'i32'>): Value<'i64'> {
    return this.#push('i64.extend_i32_u', 'i64', [a as Inst]);
  }
  extendS(a: Value<'i32'>): Value<'i64'> {
    return this.#push('i64.extend_i32_s', 'i64', [a as Inst]);
  }

  /** Closes the block. */
  finish(terminal: Terminal, shape: Omit<Block, 'insts' | 'terminal' | 'terminalAt'>): Block {
    this.#flush();
    return { insts: this.insts, terminal, terminalAt: this.at, ...shape };
  }
}

/** Can state be seen at the op (calls aside), or is it control flow? */
function isLook(op: OpName): boolean {
  switch (OPS[op].effect) {
    case 'load':
    case 'store':
    case 'control':
      return true;
    case 'trap':
      return op === 'raise_if';
    default:
      return false;
  }
}

function isZero(v: Value): boolean {
  return (v.op === 'i32.const' || v.op === 'i64.const') && v.imm === 0 && v.immHigh === 0;
}
