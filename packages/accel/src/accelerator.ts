// The contract between a machine and what runs its guest code (translator, /dev/kvm, ...). Consumer side: only what the machine needs.
// Threads: the first vCPU runs on the thread that made the machine, in slices; every other one on a thread of its own, which joins the machine.

import type { GuestMemory } from '@anillo/memory/guest-memory';
import type { Profile } from './profile.ts';
import type { Trace } from './trace.ts';

/** What the board answers to vCPUs. Called synchronously, from the thread on which `run` was called. */
export interface BoardPorts {
  readPort(port: number, byteCount: 1 | 2 | 4): number;
  writePort(port: number, byteCount: 1 | 2 | 4, value: number): void;
  readMmio(address: number, byteCount: 1 | 2 | 4): number;
  writeMmio(address: number, byteCount: 1 | 2 | 4, value: number): void;
  /** Interrupt controller of vCPU `id`. */
  interrupts(id: number): InterruptController;
  /** Guest time in nanoseconds since power-on. */
  nowNs(): number;
  /** Called between bursts of guest code (about four times a millisecond): fire the timers that are due. */
  poll(): void;
}

/** Local interrupt controller as its vCPU sees it (x86: the local APIC with, for the boot CPU, the 8259 behind it). */
export interface InterruptController {
  /** An interrupt asks for delivery (priority permitting). */
  isPending(): boolean;
  /** Takes it: vector, or -1 if it went away. */
  acknowledge(): number;
  /** Registers reached through the CPU (x86: MSR 0x1b and 0x800..0x8ff). Undefined / false: no such register, or not allowed. */
  readRegister(index: number): { low: number; high: number } | undefined;
  writeRegister(index: number, low: number, high: number): boolean;
  /** Task priority (x86: CR8, 0..15). */
  getTaskPriority(): number;
  setTaskPriority(priority: number): void;
  /** Sends an interrupt to the vCPU with that ID, for hypercalls (x86: command is delivery mode and vector). Was it taken? */
  sendInterrupt?(command: number, destination: number): boolean;
  /** Another vCPU wants this one to go on without an interrupt where it waits for one, or will wait next. Takes that. */
  takeUnhalt?(): boolean;
  /** Called by the accelerator once: tell me when isPending may have become true. */
  onChange: (() => void) | undefined;
}

export type VcpuExit =
  /** The slice is used up; run again. */
  | { readonly kind: 'slice' }
  /** Waits for an interrupt. */
  | { readonly kind: 'halted' }
  /** Triple fault or equivalent; `state` is a register dump for people. */
  | { readonly kind: 'shutdown'; readonly state: string }
  /** A debugger's breakpoint, watchpoint or step was hit. */
  | { readonly kind: 'debug'; readonly reason: 'breakpoint' | 'watchpoint' | 'step'; readonly address: bigint };

export interface VcpuStats {
  readonly interpretedInsns: number;
  readonly compiledInsns: number;
  readonly compilations: number;
  readonly compileMs: number;
  /** Compiled modules that the host's engine has not given back, and the bytes of all that were ever compiled. */
  readonly modulesAlive: number;
  readonly wasmBytes: number;
  /** Times that all translations were forgotten for want of room, and times that compiled code had to look up its targets again. */
  readonly cacheFlushes: number;
  readonly codeEpochs: number;
  readonly tlbMisses: number;
  readonly exits: Readonly<Record<string, number>>;
  /** Host time in milliseconds by what it was spent on: guest code by tier, and what the host does for it. */
  readonly timeMs: Readonly<Record<string, number>>;
}

/** Debugger's access to a vCPU that is not running. Register names are gdb's of the architecture ("rax", "eflags", "cr3", "xmm0"...). */
export interface VcpuDebug {
  readonly architecture: string;
  readRegister(name: string): Uint8Array | undefined;
  writeRegister(name: string, bytes: Uint8Array): boolean;
  /** Linear address space as the guest has it now; undefined where not mapped. */
  readMemory(linear: bigint, byteCount: number): Uint8Array | undefined;
  writeMemory(linear: bigint, bytes: Uint8Array): boolean;
  setBreakpoint(linear: bigint): void;
  clearBreakpoint(linear: bigint): void;
  setWatchpoint(linear: bigint, byteCount: number, kind: 'write' | 'read' | 'access'): void;
  clearWatchpoint(linear: bigint, byteCount: number, kind: 'write' | 'read' | 'access'): void;
}

export interface Vcpu {
  readonly id: number;
  readonly debug: VcpuDebug;
  reset(): void;
  /** Runs the guest for at most about `sliceMs` of host time. */
  run(sliceMs: number): VcpuExit;
  /** Executes exactly one guest instruction (or delivers one interrupt). */
  step(): VcpuExit;
  /** Makes a `run` in progress (called from within a BoardPorts call) return soon. */
  kick(): void;
  /** Sets up registers for a boot protocol. Names as in `debug`. Segments: see `CpuStart` of the board. */
  setStart(start: CpuStart): void;
  /** Host time in which the guest wanted to run but had no processor, since power-on: for guests that ask for it. Not while the vCPU runs. */
  tellStolen(totalNs: number): void;
  stats(): VcpuStats;
}

/** CPU state that a boot protocol wants, beyond reset. */
export interface CpuStart {
  /** 'reset' keeps power-on state (firmware); 'real16' too, but for the code segment, which begins at `pc` less its low four bits; the others give flat segments. */
  readonly mode: 'reset' | 'real16' | 'protected32' | 'long64';
  readonly pc: number;
  /** General registers by name ("rsi", "rbx", ...). */
  readonly registers: Readonly<Record<string, number>>;
  /** Page-table root for long64 (guest-physical), GDT for both. */
  readonly cr3?: number;
  readonly gdt?: { readonly base: number; readonly limit: number; readonly codeSelector: number; readonly dataSelector: number };
  /** Registers reached by number that firmware would have set (x86: MSRs); those that the CPU model lacks are skipped. */
  readonly modelRegisters?: readonly { readonly index: number; readonly low: number; readonly high: number }[];
  /** What survives an INIT stays as it is (x86: MTRRs, PAT, the TSC). */
  readonly afterInit?: boolean;
}

export interface VmConfig {
  /** Default: 1. With more, the others' threads join by `share`. */
  readonly cpuCount?: number;
  /** RAM bytes below 4 GiB and above, ROM areas. */
  readonly regions: readonly { readonly start: number; readonly byteCount: number; readonly kind: 'ram' | 'rom' }[];
  readonly cpuModel: string;
  readonly ports: BoardPorts;
  /** 'jit' or 'interp' for the translator. */
  readonly tier: 'jit' | 'interp';
  /** The accelerator tells traps, interrupts, exits and blocks; the machine ports and mmio. */
  readonly trace?: Trace;
  /** Told where host time goes. */
  readonly profile?: Profile;
}

/** What another thread joins the machine with, for its one vCPU. */
export interface JoinConfig {
  readonly id: number;
  readonly ports: BoardPorts;
  readonly trace?: Trace;
  readonly profile?: Profile;
}

export interface AcceleratedVm {
  readonly memory: GuestMemory;
  /** Once on each thread. */
  createVcpu(id: number): Vcpu;
  /** Makes a vCPU leave guest code soon, from any thread: `poll` is called and interrupts are looked at. */
  kick(id: number): void;
  /** What a thread needs to join the machine: survives a structured clone, memory shared. */
  share(): unknown;
  [Symbol.dispose](): void;
}

export interface Accelerator {
  readonly name: string;
  createVm(config: VmConfig): AcceleratedVm;
  /** On another thread than the machine's: `share` is what the machine's `share` gave. */
  joinVm(share: unknown, config: JoinConfig): AcceleratedVm;
}
