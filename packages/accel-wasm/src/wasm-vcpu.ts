// One vCPU of the translator: the loop around the generated code's `run`. It translates what is missing, delivers traps and interrupts, promotes
// hot code, and returns to the machine when the slice is over or the guest waits.
//
//   run -> MISS   -> lift, optimise, encode, insert -> run
//       -> HOT    -> compile the neighbourhood      -> run
//       -> TRAP   -> front end delivers what its routine has not, or code was about to be overwritten (STALE_CODE), or a watchpoint was hit
//       -> BUDGET -> timers, interrupts             -> run, or back to the machine
//       -> POLL   -> interrupts                     -> run
//       -> HALT ... reasons of `exit` terminals

import type { CpuStart, Vcpu, VcpuDebug, VcpuExit, VcpuStats } from '@anillo/accel/accelerator';
import type { Trace } from '@anillo/accel/trace';
import { ACCESS, EXIT, type GuestCpu, type Translation } from '@anillo/ir/frontend';
import type { Block } from '@anillo/ir/block';
import { VcpuHeader } from '@anillo/ir/vcpu-header';
import { CodeLifter } from './code-lifter.ts';
import { GuestDebug } from './guest-debug.ts';
import type { MemoryMiss } from './memory-miss.ts';
import type { RegionPromoter } from './region-promoter.ts';
import type { VmParts } from './wasm-accelerator.ts';
import type { VcpuTlb } from './vcpu-tlb.ts';
import type { Watchpoints } from './watchpoints.ts';

/** Guest instructions between looks at the clock, at first; adapted so that a burst takes about a quarter of a millisecond. Few at first: all code is new. */
const FIRST_BURST = 100;
const MIN_BURST = 5_000;
const MAX_BURST = 400_000;
const BURST_MS = 0.25;
const BLOCK_INSNS = 48;
const LONGEST_INSN = 15;

const hex = (value: bigint): string => `0x${value.toString(16)}`;

export interface VcpuParts {
  readonly id: number;
  readonly vm: VmParts;
  readonly cpu: GuestCpu;
  readonly state: number;
  readonly tlb: VcpuTlb;
  readonly miss: MemoryMiss;
  readonly watchpoints: Watchpoints;
  readonly compiler: RegionPromoter | undefined;
  /** The runtime module's dispatcher. */
  readonly runBlocks: (state: number) => number;
  readonly hotAt: number;
  /** See VcpuStats. */
  timeMs(): Readonly<Record<string, number>>;
}

export class WasmVcpu implements Vcpu {
  readonly id: number;
  readonly debug: VcpuDebug;
  readonly #p: VcpuParts;
  readonly #view: ReturnType<typeof VcpuHeader.view>;
  /** Guest instructions for which budget was spent or taken away, and those of them that were taken away. */
  #retired = 0;
  #unused = 0;
  readonly #into: Translation = { gpa: 0, grants: 0, pageBytes: 4096, isGlobal: false };
  readonly #breakpoints = new Set<bigint>();
  readonly #exits = new Map<string, number>();
  readonly #trace: Trace | undefined;
  readonly #code: CodeLifter;
  #burst = FIRST_BURST;
  #halted = false;
  #shutDown = false;
  /** Breakpoint just reported: stepped over when the guest goes on. */
  #stoppedAt: bigint | undefined = undefined;

  constructor(parts: VcpuParts) {
    this.#p = parts;
    this.id = parts.id;
    this.#trace = parts.vm.trace;
    const { buffer } = parts.vm;
    this.#view = VcpuHeader.view(buffer, parts.state);
    const { vm, cpu, state, tlb } = parts;
    this.#code = new CodeLifter({ vm, cpu, state, tlb, breakpoints: this.#breakpoints });
    this.debug = new GuestDebug({
      cpu: parts.cpu,
      view: this.#view,
      memory: parts.vm.memory,
      breakpoints: this.#breakpoints,
      watchpoints: parts.watchpoints,
      changed: () => {
        parts.tlb.flush();
        parts.vm.cache.dropAll();
      },
    });
    this.#view.hostTraps = this.#trace?.traps === true || this.#trace?.exits === true ? 1 : 0;
    parts.vm.ports.interrupts(parts.id).onChange = () => this.#attend();
  }

  reset(): void {
    this.#halted = false;
    this.#shutDown = false;
    this.#p.cpu.reset();
    this.#p.tlb.flush();
  }

  setStart(start: CpuStart): void {
    this.#halted = false;
    this.#shutDown = false;
    this.#p.cpu.setStart(start);
  }

  tellStolen(totalNs: number): void {
    this.#p.cpu.tellStolen?.(totalNs);
  }

  kick(): void {
    this.#kicked = true;
    this.#attend();
  }
  #kicked = false;

  /** Ends the burst soon: there may be an interrupt. */
  #attend(): void {
    this.#view.pending = 1;
    this.endBurst();
  }
  /** Takes what is left of the budget away. */
  endBurst(): void {
    if (this.#view.budget <= 0) return;
    this.#unused += this.#view.budget;
    this.#view.budget = 0;
  }
  #nowMs(): number {
    return this.#p.vm.ports.nowNs() / 1e6;
  }

  run(sliceMs: number): VcpuExit {
    return this.#inside(() => this.#slice(sliceMs));
  }
  #inside(run: () => VcpuExit): VcpuExit {
    const { shared } = this.#p.vm;
    shared?.enter();
    try {
      return run();
    } finally {
      shared?.leave();
    }
  }

  #slice(sliceMs: number): VcpuExit {
    const end = this.#nowMs() + sliceMs;
    this.#kicked = false;
    for (;;) {
      const exit = this.#burstOnce(this.#burst);
      if (exit !== undefined) return exit;
      if (this.#kicked || this.#nowMs() >= end) return { kind: 'slice' };
    }
  }

  step(): VcpuExit {
    return this.#inside(() => this.#step());
  }

  #step(): VcpuExit {
    this.#stoppedAt = undefined;
    this.#p.watchpoints.isSuspended = true;
    const exit = this.#takeEvents() ?? this.#single();
    this.#p.watchpoints.isSuspended = false;
    return exit ?? { kind: 'debug', reason: 'step', address: this.#code.linearPc() };
  }

  /** Runs about `insns` guest instructions. Undefined: nothing to report. */
  #burstOnce(insns: number): VcpuExit | undefined {
    this.#poll();
    if (this.#kicked) return undefined;
    const event = this.#takeEvents();
    if (event !== undefined) return event;
    if (this.#p.cpu.isStepping()) return this.#stepwise(Math.min(insns, 2000));
    const resumed = this.#stoppedAt !== undefined && this.#stoppedAt === this.#code.linearPc();
    this.#stoppedAt = undefined;
    if (this.#p.cpu.takeShadow() || resumed) {
      const exit = this.#single();
      if (exit !== undefined) return exit;
    }
    const start = this.#nowMs();
    this.#view.budget = insns;
    const exit = this.#runUntilBudget();
    this.#retired += insns - this.#view.budget;
    const ms = this.#nowMs() - start;
    if (ms > BURST_MS * 2) this.#burst = Math.min(this.#burst, Math.max(MIN_BURST, this.#burst >> 1));
    else if (ms < BURST_MS / 2) this.#burst = Math.min(MAX_BURST, this.#burst * 2);
    return exit;
  }

  #poll(): void {
    const { shared, ports, cache } = this.#p.vm;
    if (shared === undefined) {
      ports.poll();
      return;
    }
    shared.outside(() => ports.poll());
    if (!shared.isBehind) return;
    shared.isBehind = false;
    cache.dropAll();
  }

  /** Halts, interrupts and NMIs. Undefined: there is guest code to run. */
  #takeEvents(): VcpuExit | undefined {
    if (this.#shutDown) return { kind: 'shutdown', state: this.#p.cpu.describe() };
    const controller = this.#p.vm.ports.interrupts(this.id);
    const { cpu } = this.#p;
    if (cpu.canTakeNmi()) {
      this.#halted = false;
      if (this.#trace?.interrupts === true) this.#trace.line(`NMI at ${hex(this.#code.linearPc())}`);
      if (!cpu.interrupt(-1)) return this.#shutdown();
    }
    const pending = controller.isPending();
    this.#view.pending = pending ? 1 : 0;
    if (pending && cpu.canInterrupt()) {
      const vector = controller.acknowledge();
      if (vector >= 0) {
        this.#halted = false;
        this.#count('interrupt');
        if (this.#trace?.interrupts === true) this.#trace.line(`interrupt ${hex(BigInt(vector))} at ${hex(this.#code.linearPc())}`);
        if (!cpu.interrupt(vector)) return this.#shutdown();
      }
      this.#view.pending = controller.isPending() ? 1 : 0;
    }
    if (this.#halted && controller.takeUnhalt?.() === true) this.#halted = false;
    return this.#halted ? { kind: 'halted' } : undefined;
  }

  #shutdown(): VcpuExit {
    this.#shutDown = true;
    return { kind: 'shutdown', state: this.#p.cpu.describe() };
  }

  #count(reason: string): void {
    this.#exits.set(reason, (this.#exits.get(reason) ?? 0) + 1);
    if (this.#trace?.exits === true)
      this.#trace.line(`exit ${reason} at ${hex(this.#code.linearPc() + (reason === 'trap' ? BigInt(this.#view.trapAt) : 0n))}`);
  }

  #tellTrap(): void {
    if (this.#trace?.traps === true) this.#trace.line(`trap ${this.#p.cpu.describeTrap?.() ?? ''}`);
  }

  /** The dispatcher until the budget is used up or something is to be reported. */
  #runUntilBudget(): VcpuExit | undefined {
    const { runBlocks, state } = this.#p;
    for (;;) {
      const reason = runBlocks(state);
      switch (reason) {
        case EXIT.MISS:
          this.#count('miss');
          if (!this.#translate(BLOCK_INSNS)) return this.#shutdown();
          break;
        case EXIT.HOT:
          this.#count('hot');
          this.#p.vm.cache.noteHot(this.#view.block);
          if (this.#breakpoints.size === 0) this.#p.compiler?.promote(this.#view.block);
          break;
        case EXIT.BUDGET:
          this.#count('budget');
          return undefined;
        case EXIT.POLL:
          this.#count('poll');
          // An interrupt that is held off stays pending, and whatever might let it in polls again.
          if (this.#p.cpu.canInterrupt() || this.#p.cpu.canTakeNmi()) return undefined;
          break;
        case EXIT.TRAP: {
          const exit = this.#trap();
          if (exit !== undefined) return exit === 'go' ? undefined : exit;
          if (this.#p.cpu.isStepping() || this.#view.budget <= 0) return undefined;
          break;
        }
        case EXIT.HALT:
          this.#count('halt');
          this.#halted = true;
          return undefined;
        case EXIT.SHUTDOWN:
          return this.#shutdown();
        case EXIT.DEBUG:
          return this.#breakpoint();
        default:
          this.#count('yield');
          return undefined;
      }
    }
  }

  /** After EXIT.TRAP. Undefined: delivered, go on; 'go': end the burst. */
  #trap(): VcpuExit | 'go' | undefined {
    const view = this.#view;
    if (view.trapped !== 0) {
      this.#count('trap');
      this.#tellTrap();
      view.trapped = 0;
      return this.#p.cpu.deliver() ? undefined : this.#shutdown();
    }
    view.pc += BigInt(view.trapAt);
    view.trapAt = 0;
    if (view.exitReason === EXIT.DEBUG) return { kind: 'debug', reason: 'watchpoint', address: this.#p.watchpoints.hitAddress };
    this.#count('staleCode');
    const { at: stored, byteCount } = this.#p.miss.stale;
    this.#p.vm.forgetRange(stored, byteCount);
    // The store is tried again, in a block that may cover what it overwrites if that is near.
    return this.#mayRunInto(stored) ? (this.#single() ?? 'go') : undefined;
  }

  /** May a block that begins at pc have bytes in the page of a place in the machine's memory? */
  #mayRunInto(place: number): boolean {
    this.#code.setAccessAddress(0);
    const low = this.#code.accessLow;
    if ((low & 0xfff) + BLOCK_INSNS * LONGEST_INSN > 0x1000) return true;
    const here = this.#p.tlb.codePageAt(low, this.#code.accessHigh);
    return here < 0 || here === (place & ~0xfff) >>> 0;
  }

  /** Exactly one instruction, which may overwrite code, itself included. */
  #single(): VcpuExit | undefined {
    const { miss, state, runBlocks, cpu } = this.#p;
    const stepping = cpu.isStepping();
    miss.storeThrough = true;
    this.#flushes = this.#p.vm.cache.flushes;
    let exit: VcpuExit | undefined;
    let trapped = false;
    if (!this.#translate(1)) exit = this.#shutdown();
    else {
      this.#view.budget = 1;
      this.#retired += 1;
      for (let reason = runBlocks(state); reason !== EXIT.BUDGET; reason = runBlocks(state)) {
        if (reason === EXIT.TRAP) {
          const result = this.#trap();
          trapped = true;
          exit = result === 'go' ? undefined : result;
        } else if (reason === EXIT.HALT) this.#halted = true;
        else if (reason === EXIT.SHUTDOWN) exit = this.#shutdown();
        else if (reason === EXIT.MISS && this.#view.budget > 0) {
          // The instruction itself has not run yet only if its own guard or page was missing.
          if (!this.#translate(1)) exit = this.#shutdown();
          else continue;
        }
        break;
      }
    }
    miss.storeThrough = false;
    for (const { at: stored, byteCount } of miss.overwritten) this.#p.vm.forgetRange(stored, byteCount);
    miss.overwritten.length = 0;
    this.#joinAgain();
    if (exit === undefined && stepping && !trapped && !cpu.stepTrap()) return this.#shutdown();
    return exit;
  }

  /** Ends translations of single instructions, and puts back those in whose place they stood. */
  #joinAgain(): void {
    const { cache } = this.#p.vm;
    if (cache.flushes === this.#flushes) {
      for (const record of this.#singles) cache.drop(record);
      for (const record of this.#hidden) cache.show(record);
    }
    this.#singles.length = 0;
    this.#hidden.length = 0;
  }
  /** State of the translation cache in which they were made. */
  #flushes = 0;
  readonly #singles: number[] = [];
  readonly #hidden: number[] = [];

  /** Instruction by instruction, under EFLAGS.TF. */
  #stepwise(insns: number): VcpuExit | undefined {
    for (let i = 0; i < insns && this.#p.cpu.isStepping(); i++) {
      const pc = this.#code.linearPc();
      if (this.#breakpoints.has(pc) && this.#stoppedAt !== pc) return this.#breakpoint();
      this.#stoppedAt = undefined;
      const exit = this.#single() ?? this.#takeEvents();
      if (exit !== undefined) return exit;
    }
    return undefined;
  }

  #breakpoint(): VcpuExit {
    this.#stoppedAt = this.#code.linearPc();
    return { kind: 'debug', reason: 'breakpoint', address: this.#stoppedAt };
  }

  /** Makes the block at pc known to the dispatcher. False: shutdown. */
  #translate(maxInsns: number): boolean {
    const view = this.#view;
    const { cpu, tlb, watchpoints } = this.#p;
    const { cache } = this.#p.vm;
    this.#code.setAccessAddress(0);
    view.trapAt = 0;
    if (!cpu.translate(ACCESS.EXECUTE, this.#into)) return this.#fetchFault();
    const low = this.#code.accessLow;
    const high = this.#code.accessHigh;
    const hostPage = this.#code.codePage(this.#into.gpa);
    let grants = this.#into.grants;
    const hostAddress = hostPage + (low & 0xfff);
    const { mode } = view;
    const old = cache.find(hostAddress, mode);
    const guardFailed = old !== 0 && view.block === old;
    if (guardFailed) cache.drop(old);
    else if (old !== 0 && maxInsns === 1) {
      cache.hide(old);
      this.#hidden.push(old);
    }
    view.block = 0;
    if (old === 0 || guardFailed || maxInsns === 1) {
      const isUsual = maxInsns > 1 && this.#breakpoints.size === 0;
      let record = isUsual ? cache.recall(hostAddress, mode, this.#p.hotAt, this.#mark(hostAddress)) : 0;
      if (record === 0) {
        const made = this.#code.lift(hostAddress, mode, maxInsns);
        if (made === undefined) return this.#fetchFault();
        // Not optimised: most blocks run too seldom to repay the passes; hot ones are lifted again and compiled.
        record = cache.insert(made.block, hostAddress, mode, maxInsns === 1 ? 0 : this.#p.hotAt, made.guard, isUsual);
      }
      if (this.#trace?.blocks === true) {
        const [bytes, insns] = [cache.word(record, 'byteCount'), cache.word(record, 'insnCount')];
        this.#trace.line(`block at ${hex(this.#code.linearPc())}, ${bytes} bytes, ${insns} instructions`);
      }
      if (maxInsns === 1) this.#singles.push(record);
    }
    if (cache.codePages.hasCode(hostPage) || !this.#p.vm.isWritable(this.#into.gpa)) grants &= ~(1 << ACCESS.WRITE);
    if (watchpoints.isActive && watchpoints.pageHas(low, high)) grants &= 1 << ACCESS.EXECUTE;
    tlb.fill(low, high, hostPage, grants, this.#into.pageBytes, this.#into.isGlobal);
    return true;
  }

  /** With several vCPUs: how code that starts at an address is marked. */
  #mark(hostAddress: number): ((byteCount: number) => void) | undefined {
    const { shared } = this.#p.vm;
    return shared && ((byteCount) => shared.mark(hostAddress, byteCount));
  }

  #fetchFault(): boolean {
    this.#count('fetchFault');
    this.#tellTrap();
    this.#view.trapped = 0;
    return this.#p.cpu.deliver();
  }

  /** For the compiler (CodeReader). */
  liftAgain(hostAddress: number, mode: number, nextPage: number, end?: number): Block | undefined {
    return this.#code.liftAgain(hostAddress, mode, nextPage, BLOCK_INSNS, end);
  }
  pageAt(pages: number): number {
    this.#code.setAccessAddress(pages * 4096);
    const { cpu, vm } = this.#p;
    return cpu.probe(ACCESS.EXECUTE, this.#into) ? vm.memory.offsetOf(this.#into.gpa - (this.#into.gpa % 4096), 4096, false) : -1;
  }

  stats(): VcpuStats {
    const { compiler, miss, tlb } = this.#p;
    const interpretedInsns = Number(this.#view.retiredInterpreted);
    return {
      interpretedInsns,
      compiledInsns: Math.max(0, this.#retired - this.#unused - interpretedInsns),
      compilations: compiler?.compilations ?? 0,
      compileMs: compiler?.compileMs ?? 0,
      modulesAlive: compiler?.modules.alive ?? 0,
      wasmBytes: compiler?.modules.wasmBytes ?? 0,
      cacheFlushes: this.#p.vm.cache.flushes,
      codeEpochs: tlb.codeEpochs,
      tlbMisses: tlb.fills + this.#view.tlbFills,
      exits: { ...Object.fromEntries(this.#exits), device: miss.deviceAccesses, slowAccess: miss.misses },
      timeMs: this.#p.timeMs(),
    };
  }
}
