// Runs one x87 instruction from lifted code to helpers, for the tests: decodes, lifts, and evaluates the few IR ops that its rows use.
// Memory operand at [rdi], 64-bit mode, one RAM area that holds the vCPU struct too.

import { Builder } from '@anillo/ir/builder';
import type { Inst } from '@anillo/ir/block';
import type { VcpuPorts } from '@anillo/ir/frontend';
import type { CpuModel } from '../cpu-model.ts';
import { FEATURES } from '../cpu-model.ts';
import { buildOpcodeTable, Decoder, emptyDecoded } from '../decode.ts';
import { getEflags, setEflags } from '../eflags.ts';
import type { X86Context } from '../helper-map.ts';
import { X87_ROWS } from '../insn/x87.ts';
import { Lift } from '../lift.ts';
import { CR0, MODE } from '../mode.ts';
import { createContext } from '../context.ts';
import { X87_HELPERS } from './x87-helper-map.ts';

const OPERAND_AT = 0x10000;
const IMAGE_AT = 0x11000;
const model: CpuModel = { name: 'test', features: new Set(FEATURES) };
const decoder = new Decoder(buildOpcodeTable(X87_ROWS, model));

type Cell = number | bigint;

/** A vCPU with nothing around it. */
export function bareContext(): X86Context {
  const buffer = new ArrayBuffer(0x20000);
  const ports: Partial<VcpuPorts> = { buffer, state: 0, ramAt: (gpa) => gpa, requestExit: () => undefined };
  return createContext(ports as VcpuPorts, { model });
}

class Trap extends Error {}

class Evaluator {
  readonly #cpu: X86Context;
  readonly #temps = new Map<string, Cell>();

  constructor(cpu: X86Context) {
    this.#cpu = cpu;
  }

  run(insts: readonly Inst[]): Map<Inst, Cell> {
    const values = new Map<Inst, Cell>();
    for (let i = 0; i < insts.length; i++) {
      const inst = insts[i] as Inst;
      const args = inst.args.map((x) => values.get(x) as Cell);
      if (inst.op === 'if' || inst.op === 'else') {
        if (inst.op === 'else' || args[0] === 0) i = skip(insts, i);
        continue;
      }
      if (inst.op === 'end') continue;
      const result = this.#step(inst, args);
      if (result !== undefined) values.set(inst, inst.type === 'i64' ? BigInt.asUintN(64, BigInt(result)) : Number(result) | 0);
    }
    return values;
  }

  #step(inst: Inst, args: Cell[]): Cell | undefined {
    const { data } = this.#cpu;
    const [name, suffix] = inst.op.split('.') as [string, string | undefined];
    const slot = inst.slot;
    switch (name) {
      case 'get':
        if (slot?.temp) return this.#temps.get(slot.name);
        return data.getBigUint64(slot?.offset ?? 0, true);
      case 'set':
        if (slot?.temp) this.#temps.set(slot.name, args[0] as Cell);
        else data.setBigUint64(slot?.offset ?? 0, args[0] as bigint, true);
        return undefined;
      case 'call':
        return this.#call(inst, args);
      case 'raise_if':
        if (args[0]) throw new Trap();
        return undefined;
      case 'state':
        if (suffix === 'load32') return data.getUint32((args[0] as number) + inst.imm, true);
        data.setUint32((args[0] as number) + inst.imm, args[1] as number, true);
        return undefined;
      case 'probe_write8': case 'probe_write16': case 'probe_write32': case 'probe_write64':
        return undefined;
      default:
        return this.#operate(inst, suffix as string, args);
    }
  }

  #operate(inst: Inst, operation: string, args: Cell[]): Cell | undefined {
    const { data } = this.#cpu;
    const at = Number(args[0] ?? 0) + inst.imm;
    const [x, y] = args.map((v) => BigInt(v)) as [bigint, bigint];
    switch (operation) {
      case 'const': return inst.op === 'i64.const' ? (BigInt(inst.immHigh) << 32n) | BigInt(inst.imm >>> 0) : inst.imm;
      case 'load': return inst.type === 'i64' ? data.getBigUint64(at, true) : data.getUint32(at, true);
      case 'load16_u': return data.getUint16(at, true);
      case 'store': return void (inst.op === 'i64.store' ? data.setBigUint64(at, args[1] as bigint, true) : data.setUint32(at, args[1] as number, true));
      case 'store16': return void data.setUint16(at, args[1] as number, true);
      case 'and': return x & y;
      case 'or': return x | y;
      case 'xor': return x ^ y;
      case 'add': return x + y;
      case 'sub': return x - y;
      case 'shl': return x << (y & 63n);
      case 'shr_u': return BigInt.asUintN(inst.type === 'i64' ? 64 : 32, x) >> (y & 63n);
      case 'eqz': return x === 0n ? 1 : 0;
      case 'eq': return x === y ? 1 : 0;
      case 'ne': return x === y ? 0 : 1;
      case 'wrap_i64': return Number(BigInt.asIntN(32, x));
      case 'extend_i32_u': return BigInt.asUintN(32, x);
      case 'insert16': return (x & ~0xffffn) | (y & 0xffffn);
      case 'popcnt': return BigInt.asUintN(32, x).toString(2).replaceAll('0', '').length;
      default: throw new TypeError(`the evaluator of x87 tests lacks ${inst.op}`);
    }
  }

  #call(inst: Inst, args: Cell[]): Cell | undefined {
    const callee = inst.callee as NonNullable<Inst['callee']>;
    if (callee.kind === 'helper') {
      const result = (X87_HELPERS[callee.name] as (cpu: X86Context, ...args: number[]) => number)(this.#cpu, ...(args as number[]));
      if (callee.traps && result) throw new Trap();
      return result;
    }
    const b = new Builder();
    const params = callee.params.map((type) => b.temp(type));
    params.forEach((p, i) => this.#temps.set(p.name, args[i] as Cell));
    const out = callee.build(b, params.map((p) => b.get(p)));
    return out && new Evaluator(this.#cpu).run(b.insts).get(out);
  }
}

/** Index of the `else` or `end` that belongs to the `if` or `else` at i. */
function skip(insts: readonly Inst[], i: number): number {
  let depth = 0;
  for (let at = i + 1; ; at++) {
    const { op } = insts[at] as Inst;
    if (op === 'if') depth++;
    else if (depth === 0 && (op === 'end' || op === 'else')) return at;
    else if (op === 'end') depth--;
  }
}

export interface Machine {
  /** FNSAVE image in the 32-bit protected-mode format. */
  image: Uint8Array;
  /** 128 bytes at the memory operand. */
  operand: Uint8Array;
  eflags: number;
  eax: number;
}

export type Outcome = 'done' | 'trap' | 'undefined';

const evaluate = (cpu: X86Context, bytes: Uint8Array): Outcome => {
  const d = emptyDecoded();
  if (decoder.decode(bytes, 0, 64, false, d) !== 'ok') return 'undefined';
  const c = new Lift(2 | MODE.FLAT | MODE.PROTECTED | MODE.X87, d);
  c.begin(0, bytes.length);
  d.row.lift(c);
  try {
    new Evaluator(cpu).run(c.b.insts);
  } catch (error) {
    if (error instanceof Trap) return 'trap';
    throw error;
  }
  return 'done';
};

/** Loads the machine's state, runs the instruction, puts the state back into it. */
export function replayX87(instruction: Uint8Array, machine: Machine): Outcome {
  const cpu = bareContext();
  cpu.view.cr0 = BigInt(CR0.NE | CR0.PE);
  cpu.bytes.set(machine.image, IMAGE_AT);
  cpu.view.gpr[7] = BigInt(IMAGE_AT);
  evaluate(cpu, Uint8Array.of(0xdd, 0x27));
  cpu.bytes.set(machine.operand, OPERAND_AT);
  cpu.view.gpr[7] = BigInt(OPERAND_AT);
  cpu.view.gpr[0] = 0x12345678n;
  setEflags(cpu, machine.eflags);
  const outcome = evaluate(cpu, instruction);
  machine.eflags = getEflags(cpu);
  machine.eax = Number(cpu.view.gpr[0]);
  machine.operand = cpu.bytes.slice(OPERAND_AT, OPERAND_AT + 128);
  cpu.view.gpr[7] = BigInt(IMAGE_AT);
  evaluate(cpu, Uint8Array.of(0xdd, 0x37));
  machine.image = cpu.bytes.slice(IMAGE_AT, IMAGE_AT + 108);
  return outcome;
}
