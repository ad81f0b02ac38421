// The oracle: executes blocks in BigInt arithmetic over a byte image of the vCPU struct and a guest memory given as functions. Slow and plain on
// purpose; both tiers are tested against it. Calls run host functions given by name.

import type { Block, Inst } from './block.ts';
import { Builder } from './builder.ts';
import type { Routine } from './callee.ts';
import { f32Bits, f32Of, f64Bits, f64Of, SCALAR, unsigned, type ScalarValue } from './evaluate-scalar.ts';
import { evaluateVector, lanesOf, vectorOf, type VectorValue } from './evaluate-vector.ts';
import { EXIT } from './frontend.ts';
import { OPS, type OpName, type OpSpec, type Type } from './ops.ts';
import type { Slot } from './slot.ts';
import { VcpuHeader } from './vcpu-header.ts';

export type EvaluatedValue = ScalarValue | VectorValue;

/** What the oracle needs of the world. Functions return undefined / false for a fault. */
export interface EvaluatorWorld {
  /** vCPU struct. */
  readonly state: DataView;
  /** `byteCount` bytes at a linear address, as a little-endian number. */
  load(va: bigint, byteCount: number): bigint | undefined;
  store(va: bigint, byteCount: number, value: bigint): boolean;
  probe(va: bigint, byteCount: number): boolean;
  /** The machine's memory, for ops on byte offsets. */
  readonly memory: DataView;
  /** Runs a helper (or tlb.read, tlb.write); 'trap' if it trapped. Routines are evaluated from their IR. */
  call(name: string, args: readonly EvaluatedValue[]): EvaluatedValue | undefined | 'trap';
}

const at = VcpuHeader.offset;
const WIDTH: Readonly<Record<string, number>> = { '8': 1, '16': 2, '32': 4, '64': 8, '128': 16 };

/** Bits of a value. */
export function bitsOf(type: Type, value: EvaluatedValue): bigint {
  if (value instanceof Uint8Array) return lanesOf(value, 64).reduceRight((sum, lane) => (sum << 64n) | lane, 0n);
  if (typeof value === 'bigint') return value;
  return type === 'f32' ? f32Bits(value) : f64Bits(value);
}
export function valueOfBits(type: Type, bits: bigint): EvaluatedValue {
  switch (type) {
    case 'i32':
      return unsigned(32, bits);
    case 'i64':
      return unsigned(64, bits);
    case 'f32':
      return f32Of(unsigned(32, bits));
    case 'f64':
      return f64Of(unsigned(64, bits));
    case 'v128':
      return vectorOf([unsigned(64, bits), bits >> 64n], 64);
  }
}

export function readBits(view: DataView, offset: number, byteCount: number): bigint {
  let out = 0n;
  for (let i = byteCount - 1; i >= 0; i--) out = (out << 8n) | BigInt(view.getUint8(offset + i));
  return out;
}
export function writeBits(view: DataView, offset: number, byteCount: number, value: bigint): void {
  for (let i = 0; i < byteCount; i++) view.setUint8(offset + i, Number((value >> BigInt(8 * i)) & 0xffn));
}

/** Result of a pure op. */
export function evaluatePure(inst: Inst, args: readonly EvaluatedValue[]): EvaluatedValue {
  switch (inst.op) {
    case 'i32.const':
      return unsigned(32, BigInt(inst.imm));
    case 'i64.const':
      return (unsigned(32, BigInt(inst.immHigh)) << 32n) | unsigned(32, BigInt(inst.imm));
    case 'f64.const':
      return new DataView((inst.bytes as Uint8Array).slice().buffer).getFloat64(0, true);
    case 'v128.const':
      return inst.bytes as Uint8Array;
    default: {
      const scalar = SCALAR[inst.op] as ((...a: readonly EvaluatedValue[]) => ScalarValue) | undefined;
      return scalar ? scalar(...args) : evaluateVector(inst.op, args, inst.imm, inst.bytes);
    }
  }
}

const LEAVE = Symbol('leave');

class Evaluation {
  readonly #world: EvaluatorWorld;
  readonly #values = new Map<Inst, EvaluatedValue>();
  readonly #temps = new Map<Slot, EvaluatedValue>();

  constructor(world: EvaluatorWorld) {
    this.#world = world;
  }

  value(inst: Inst): EvaluatedValue {
    const value = this.#values.get(inst);
    if (value === undefined) throw new TypeError(`${inst.op} is used before it is computed`);
    return value;
  }

  setTemp(slot: Slot, value: EvaluatedValue): void {
    this.#temps.set(slot, value);
  }

  /** False: left by a trap or fault. */
  runToEnd(insts: readonly Inst[]): boolean {
    try {
      this.#run(insts);
      return true;
    } catch (e) {
      if (e === LEAVE) return false;
      throw e;
    }
  }

  #run(insts: readonly Inst[]): void {
    const match = matchControl(insts);
    for (let i = 0; i < insts.length; i++) {
      const inst = insts[i];
      switch (inst.op) {
        case 'if':
          if (this.value(inst.args[0]) === 0n) i = match.get(i) as number;
          break;
        case 'else':
          i = match.get(i) as number;
          break;
        case 'loop_while':
          if (this.value(inst.args[0]) !== 0n) i = match.get(i) as number;
          break;
        case 'loop':
        case 'end':
          break;
        default:
          this.#execute(inst);
      }
    }
  }

  #trap(inst: Inst, code: number | undefined): never {
    const { state } = this.#world;
    if (code !== undefined) state.setUint32(at.trapCode, code, true);
    state.setUint32(at.trapped, 1, true);
    state.setUint32(at.trapAt, inst.at, true);
    throw LEAVE;
  }

  #execute(inst: Inst): void {
    const args = inst.args.map((a) => this.value(a));
    const result = this.#result(inst, args);
    if (result !== undefined) this.#values.set(inst, result);
  }

  #result(inst: Inst, args: readonly EvaluatedValue[]): EvaluatedValue | undefined {
    const spec: OpSpec = OPS[inst.op];
    switch (spec.effect) {
      case 'get':
        return this.#get(inst.slot as Slot);
      case 'set':
        this.#set(inst.slot as Slot, args[0]);
        return undefined;
      case 'call': {
        const { callee } = inst;
        if (!callee) throw new TypeError('a call without callee');
        const result = callee.kind === 'routine' ? evaluateRoutine(callee, args, this.#world) : this.#world.call(callee.name, args);
        if (result === 'trap') this.#trap(inst, undefined);
        return result;
      }
      case 'load':
      case 'store':
        return this.#access(inst, args);
      case 'stateLoad':
      case 'stateStore':
        return this.#stateAccess(inst, args);
      default:
        if (inst.op !== 'raise_if') return evaluatePure(inst, args);
        if (args[0] !== 0n) this.#trap(inst, inst.imm);
        return undefined;
    }
  }

  #get(slot: Slot): EvaluatedValue {
    if (slot.temp) return this.#temps.get(slot) ?? valueOfBits(slot.type, 0n);
    return valueOfBits(slot.type, readBits(this.#world.state, slot.offset, slot.type === 'v128' ? 16 : 8));
  }
  #set(slot: Slot, value: EvaluatedValue): void {
    if (slot.temp) this.#temps.set(slot, value);
    else writeBits(this.#world.state, slot.offset, slot.type === 'v128' ? 16 : slot.type === 'f32' ? 4 : 8, bitsOf(slot.type, value));
  }

  #load(inst: Inst, va: bigint, byteCount: number): bigint {
    return this.#world.load(va, byteCount) ?? this.#trap(inst, undefined);
  }
  #store(inst: Inst, va: bigint, byteCount: number, value: bigint): void {
    if (!this.#world.store(va, byteCount, unsigned(8 * byteCount, value))) this.#trap(inst, undefined);
  }

  #access(inst: Inst, args: readonly EvaluatedValue[]): EvaluatedValue | undefined {
    const va = unsigned(64, (args[0] as bigint) + BigInt(inst.imm));
    const [, type, kind, bits, extra] = /^(?:(\w\d+)\.)?(load|store|rmw|probe_write)(\d*)[._]?(\w*)$/.exec(inst.op) as unknown as string[];
    const byteCount = WIDTH[bits || type.slice(1)];
    if (kind === 'load') {
      const loaded = this.#load(inst, va, byteCount);
      return valueOfBits(type as Type, extra === 's' ? BigInt.asIntN(8 * byteCount, loaded) : loaded);
    }
    if (kind === 'store') {
      this.#store(inst, va, byteCount, bitsOf(type as Type, args[1]));
      return undefined;
    }
    if (!this.#world.probe(va, byteCount)) this.#trap(inst, undefined);
    if (kind === 'probe_write') return undefined;
    const old = this.#load(inst, va, byteCount);
    const operand = args[1] as bigint;
    if (extra === 'xchg') this.#store(inst, va, byteCount, operand);
    else if (extra === 'cmpxchg') this.#store(inst, va, byteCount, old === unsigned(8 * byteCount, operand) ? (args[2] as bigint) : old);
    else this.#store(inst, va, byteCount, (SCALAR[`${type}.${extra}`] as (a: bigint, b: bigint) => bigint)(old, operand));
    return old;
  }

  #lookUp(op: OpName, args: readonly EvaluatedValue[]): EvaluatedValue {
    const found = this.#world.call(op.startsWith('tlb.write') ? 'tlb.write' : 'tlb.read', args) as bigint;
    if (!op.endsWith('_distance')) return found;
    return unsigned(32, found) === 0xffff_ffffn ? unsigned(64, -1n) : (args[0] as bigint) & 0xfffn;
  }

  #stateAccess(inst: Inst, args: readonly EvaluatedValue[]): EvaluatedValue | undefined {
    const { state, memory } = this.#world;
    if (inst.op === 'memory.copy' || inst.op === 'memory.fill') {
      const [to, from, count] = args.map(Number);
      const bytes = new Uint8Array(memory.buffer, memory.byteOffset, memory.byteLength);
      if (inst.op === 'memory.copy') bytes.copyWithin(to, from, from + count);
      else bytes.fill(from & 0xff, to, to + count);
      return undefined;
    }
    if (inst.op === 'fence') return undefined;
    if (inst.op === 'i32.ram_cmpxchg') {
      const [offset, expected, replacement] = args.map(Number);
      const old = memory.getUint32(offset, true);
      if (old === expected >>> 0) memory.setUint32(offset, replacement, true);
      return valueOfBits('i32', BigInt(old));
    }
    if (inst.op.startsWith('tlb.')) return this.#lookUp(inst.op, args);
    const ram = /^([iv]\d+)\.ram_(load|store)$/.exec(inst.op);
    const inState = /^state\.(load|store)(\d+)$/.exec(inst.op);
    const view = ram ? memory : state;
    const byteCount = ram ? WIDTH[ram[1].slice(1)] : WIDTH[inState?.[2] ?? ''];
    const offset = Number(BigInt.asIntN(32, args[0] as bigint)) + (ram ? 0 : inst.imm);
    if ((ram?.[2] ?? inState?.[1]) === 'load') return valueOfBits(inst.type as Type, readBits(view, offset, byteCount));
    writeBits(view, offset, byteCount, bitsOf((OPS[inst.op].args as readonly Type[])[1], args[1]));
    return undefined;
  }
}

/** For `if` and `else`: position of the matching `else` or `end`; for `loop_while`: of its `loop`. */
function matchControl(insts: readonly Inst[]): Map<number, number> {
  const match = new Map<number, number>();
  const open: number[] = [];
  insts.forEach((inst, i) => {
    if (inst.op === 'if' || inst.op === 'loop') open.push(i);
    else if (inst.op === 'else' || inst.op === 'end') {
      match.set(open.pop() as number, i);
      if (inst.op === 'else') open.push(i);
    } else if (inst.op === 'loop_while') match.set(i, open.pop() as number);
  });
  return match;
}

/** Executes a routine; 'trap' if it trapped. */
export function evaluateRoutine(
  routine: Routine,
  args: readonly EvaluatedValue[],
  world: EvaluatorWorld,
): EvaluatedValue | undefined | 'trap' {
  const b = new Builder();
  const params = routine.params.map((type) => b.temp(type));
  const result = routine.build(
    b,
    params.map((slot) => b.get(slot)),
  );
  const evaluation = new Evaluation(world);
  params.forEach((slot, i) => evaluation.setTemp(slot, args[i]));
  return evaluation.runToEnd(b.insts) ? result && evaluation.value(result) : 'trap';
}

/** Executes a block whose start is at the `pc` of the state. Returns an EXIT reason, or 0 when `pc` is the next block's. */
export function evaluateBlock(block: Block, world: EvaluatorWorld): number {
  const evaluation = new Evaluation(world);
  const { state } = world;
  const { terminal } = block;
  const move = (to: bigint): void => state.setBigUint64(at.pc, unsigned(block.pcBits, to), true);
  const pc = state.getBigUint64(at.pc, true);
  if (!evaluation.runToEnd(block.insts)) return EXIT.TRAP;
  switch (terminal.kind) {
    case 'jump':
    case 'call':
      move(pc + BigInt(terminal.delta));
      return terminal.kind === 'jump' && terminal.poll && state.getUint32(at.pending, true) !== 0 ? EXIT.POLL : 0;
    case 'branch':
      move(pc + BigInt(evaluation.value(terminal.cond) !== 0n ? terminal.taken : terminal.fall));
      return 0;
    case 'indirect':
    case 'callIndirect':
      move(evaluation.value(terminal.target) as bigint);
      return 0;
    case 'dispatch':
      return state.getUint32(at.pending, true) !== 0 ? EXIT.POLL : 0;
    case 'exit':
      move(pc + BigInt(terminal.delta));
      state.setUint32(at.exitReason, terminal.reason, true);
      return terminal.reason;
    case 'trap':
      state.setUint32(at.trapCode, terminal.code, true);
      state.setUint32(at.trapped, 1, true);
      state.setUint32(at.trapAt, block.terminalAt, true);
      return EXIT.TRAP;
  }
}
