// Runs one x87 instruction from lifted code to helpers, for the tests: decodes, lifts, and evaluates the IR.
// Memory operand at [rdi], 64-bit mode, one RAM area that holds the vCPU struct too.

import { evaluateBlock, readBits, writeBits, type EvaluatorWorld } from '@anillo/ir/evaluate';
import { EXIT, type VcpuPorts } from '@anillo/ir/frontend';
import type { CpuModel } from '../cpu-model.ts';
import { FEATURES } from '../cpu-model.ts';
import { buildOpcodeTable, Decoder, emptyDecoded } from '../decode.ts';
import { getEflags, setEflags } from '../eflags.ts';
import type { HelperFunction, X86Context } from '../helper-map.ts';
import { X87_ROWS } from '../insn/x87.ts';
import { Lift } from '../lift.ts';
import { CR0, MODE } from '../mode.ts';
import { createContext } from '../context.ts';
import { X87_HELPERS } from './x87-helper-map.ts';

const OPERAND_AT = 0x10000;
const IMAGE_AT = 0x11000;
const model: CpuModel = { name: 'test', features: new Set(FEATURES) };
const decoder = new Decoder(buildOpcodeTable(X87_ROWS, model));

/** A vCPU with nothing around it. */
export function bareContext(): X86Context {
  const buffer = new ArrayBuffer(0x20000);
  const ports: Partial<VcpuPorts> = { buffer, state: 0, ramAt: (gpa) => gpa, requestExit: () => undefined };
  return createContext(ports as VcpuPorts, { model });
}

/** The vCPU's own memory, flat and without faults. */
function worldOf(cpu: X86Context): EvaluatorWorld {
  const { data } = cpu;
  return {
    state: data,
    memory: data,
    load: (va, byteCount) => readBits(data, Number(va), byteCount),
    store: (va, byteCount, value) => {
      writeBits(data, Number(va), byteCount, value);
      return true;
    },
    probe: () => true,
    call: (name, args) => {
      const run = X87_HELPERS[name] as HelperFunction;
      return run(cpu, ...args.map((v) => Number(BigInt.asIntN(32, v as bigint)))) === 0 ? undefined : 'trap';
    },
  };
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
  const block = c.b.finish(c.terminal ?? { kind: 'jump', delta: bytes.length, poll: false }, { byteCount: bytes.length, insnCount: 1, pcBits: 64 });
  const outcome = evaluateBlock(block, worldOf(cpu));
  cpu.view.pc = 0n;
  return outcome === EXIT.TRAP ? 'trap' : 'done';
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
