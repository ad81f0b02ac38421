// How helpers are written and registered: each file of helpers exports one record of `HelperFunction`s; the front end merges them by name.

import type { VcpuPorts } from '@anillo/ir/frontend';
import type { CpuModel } from './cpu-model.ts';
import type { X86View } from './state.ts';
import { setWord, WORD } from './state-words.ts';
import type { WalkCache } from './walk-cache.ts';

/** What helpers work on: one per vCPU. */
export interface X86Context {
  readonly view: X86View;
  readonly ports: VcpuPorts;
  readonly model: CpuModel;
  /** 32-bit words of the machine's memory; index (ports.state + offset) >> 2 reaches the vCPU struct. */
  readonly words: Uint32Array;
  /** The words of the vCPU struct alone. */
  readonly state: Uint32Array;
  readonly bytes: Uint8Array;
  readonly data: DataView;
  /** Emptied together with the TLB (mmu.ts). */
  readonly walkCache: WalkCache;
  /** The front end's routines as the accelerator has compiled them, by name: (address of the vCPU struct, ...) -> result. Empty where there is none. */
  readonly routines: { readonly currentFlags?: (state: number) => number };
  /** APIC ID. */
  readonly id: number;
  /** CPUs of the machine: cores of one package. */
  readonly count: number;
  /** 32 random bits, for RDRAND and RDSEED. */
  readonly random: () => number;
  /** Wall clock in milliseconds since 1970, for the paravirtual clock. */
  readonly wallClockMs: () => number;
}

/** Arguments are i32; a helper declared `traps` returns 1 when it has recorded a fault (raise), else 0. */
export type HelperFunction = (cpu: X86Context, ...args: number[]) => number;
export type HelperMap = Readonly<Record<string, HelperFunction>>;

/** Records a fault for delivery. Returns 1, for `return raise(...)`. `error` -1: the exception has no error code. */
export function raise(cpu: X86Context, vector: number, error = -1): 1 {
  setWord(cpu, WORD.faultVector, vector);
  setWord(cpu, WORD.faultError, error);
  setWord(cpu, WORD.faultSoftware, 0);
  setWord(cpu, WORD.trapCode, 0);
  setWord(cpu, WORD.trapped, 1);
  return 1;
}
