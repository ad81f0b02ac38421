// One x86 vCPU: ties state, lifting, address translation and event delivery together for the accelerator.

import type { Access, CodeSource, GuestCpu, StartState, Translation, VcpuPorts } from '@anillo/ir/frontend';
import type { Block } from '@anillo/ir/block';
import { createContext, type X86Config } from './context.ts';
import type { CpuModel } from './cpu-model.ts';
import { architectureOf, dumpRegisters, readDebugRegister, writeDebugRegister } from './debug-registers.ts';
import { settleNonCanonical } from './canonical-fault.ts';
import { Decoder, type OpcodeTable } from './decode.ts';
import { describeTrap } from './describe-trap.ts';
import type { HelperMap, X86Context } from './helper-map.ts';
import { BlockLifter } from './lift-block.ts';
import { probeTranslation, translate } from './mmu.ts';
import { resetState, setStartState } from './reset-state.ts';
import { beginStep, deliverStep, settleGather } from './single-step.ts';
import { EFLAG } from './state.ts';
import { tellStolen } from './steal-time.ts';
import { setWord, word, WORD } from './state-words.ts';
import { deliver, deliverInterrupt, deliverNmi } from './trap.ts';

export class X86Cpu implements GuestCpu {
  readonly helpers: Readonly<Record<string, (...args: number[]) => number>>;
  readonly context: X86Context;
  readonly #lifter: BlockLifter;
  readonly #decoder: Decoder;

  constructor(ports: VcpuPorts, config: X86Config, helpers: HelperMap, tableFor: (model: CpuModel) => OpcodeTable) {
    const cpu = createContext(ports, config);
    this.context = cpu;
    const table = tableFor(cpu.model);
    this.#lifter = new BlockLifter(table);
    this.#decoder = new Decoder(table);
    this.helpers = Object.fromEntries(Object.entries(helpers).map(([name, f]) => [name, f.bind(undefined, cpu)]));
    this.reset();
  }

  bindRoutines(compiled: Readonly<Record<string, unknown>>): void {
    Object.assign(this.context.routines, compiled);
  }

  reset(): void {
    resetState(this.context);
  }
  tellStolen(totalNs: number): void {
    tellStolen(this.context, totalNs);
  }
  setStart(start: StartState): void {
    setStartState(this.context, start);
  }

  /** `byteCount`: size of the access, for data breakpoints. */
  translate(access: Access, into: Translation, byteCount = 1): boolean {
    return translate(this.context, access, into, byteCount);
  }
  probe(access: Access, into: Translation): boolean {
    return probeTranslation(this.context, access, into);
  }
  lift(source: CodeSource): Block | undefined {
    return this.#lifter.lift(source);
  }

  /** Part of `deliver`: makes the recorded vector final. */
  settleFault(): void {
    settleNonCanonical(this.context, this.#decoder);
    settleGather(this.context);
  }
  deliver(): boolean {
    this.settleFault();
    return deliver(this.context);
  }
  describeTrap(): string {
    this.settleFault();
    return describeTrap(this.context);
  }
  canInterrupt(): boolean {
    return (word(this.context, WORD.flags) & EFLAG.IF) !== 0 && word(this.context, WORD.interruptShadow) === 0;
  }
  takeShadow(): boolean {
    if (word(this.context, WORD.interruptShadow) === 0) return false;
    setWord(this.context, WORD.interruptShadow, 0);
    return true;
  }
  isStepping(): boolean {
    return beginStep(this.context);
  }
  stepTrap(): boolean {
    return deliverStep(this.context);
  }
  canTakeNmi(): boolean {
    return this.context.ports.interrupts.nmiPending === true && word(this.context, WORD.nmiBlocked) === 0 && word(this.context, WORD.interruptShadow) === 0;
  }
  interrupt(vector: number): boolean {
    if (vector >= 0) return deliverInterrupt(this.context, vector);
    this.context.ports.interrupts.takeNmi?.();
    return deliverNmi(this.context);
  }

  readRegister(name: string): Uint8Array | undefined {
    return readDebugRegister(this.context, name);
  }
  writeRegister(name: string, bytes: Uint8Array): boolean {
    return writeDebugRegister(this.context, name, bytes);
  }
  get architecture(): string {
    return architectureOf(this.context);
  }
  describe(): string {
    return dumpRegisters(this.context);
  }
}
