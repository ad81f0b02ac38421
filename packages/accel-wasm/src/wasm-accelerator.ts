// The translator as an accelerator: one WebAssembly memory a machine, the runtime module of the front end, vCPUs over it.

import type { AcceleratedVm, Accelerator, BoardPorts, Vcpu, VmConfig } from '@anillo/accel/accelerator';
import type { Trace } from '@anillo/accel/trace';
import { AnilloError } from '@anillo/base/anillo-error';
import { JUMP_CACHE_BYTES } from '@anillo/codegen/jump-cache';
import { BlockEncoder } from '@anillo/codegen/bytecode';
import { buildRuntime, type Runtime } from '@anillo/codegen/runtime-module';
import type { Frontend, VcpuPorts } from '@anillo/ir/frontend';
import { JUMP_CACHE_OFFSET, VcpuHeader } from '@anillo/ir/vcpu-header';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import { RegionMemory } from '@anillo/memory/region-memory';
import { MemoryMiss } from './memory-miss.ts';
import { ONES_PAGE, planMemory, type MemoryPlan } from './memory-plan.ts';
import { TimeAccount } from './time-account.ts';
import { FunctionTable } from './function-table.ts';
import { RegionPromoter } from './region-promoter.ts';
import { RememberedBlocks } from './remembered-blocks.ts';
import { TranslationCache } from './translation-cache.ts';
import { VcpuTlb } from './vcpu-tlb.ts';
import { Watchpoints } from './watchpoints.ts';
import { WasmVcpu } from './wasm-vcpu.ts';

/** Executions after which a block is compiled. */
const HOT_AT = 4000;
const NEVER = 0;
const FOUR_GIB = 0x1_0000_0000;

/** What the vCPUs of a machine share. */
export interface VmParts {
  readonly buffer: ArrayBufferLike;
  readonly plan: MemoryPlan;
  readonly memory: GuestMemory;
  readonly ports: BoardPorts;
  readonly cache: TranslationCache;
  readonly trace: Trace | undefined;
  /** Is the page at a guest-physical address RAM? */
  isWritable(address: number): boolean;
}

export interface WasmAcceleratorOptions {
  /** Parsed CPU model for the front end. */
  readonly cpuConfig?: (model: string) => unknown;
  /** Keeps the generated runtime module between runs; its `load` answers only for the same generator and front end. */
  readonly runtimeStore?: { load(): Runtime | undefined; save(runtime: Runtime): void };
  /**
   * Keeps translations between runs, by a key that says for which CPU they are. What it gives need not be ours: it is looked at. `save` answers for that they
   * are given only to the same translator, undamaged.
   */
  readonly translationStore?: { load(key: string): Uint8Array | undefined; save(key: string, translations: Uint8Array): void };
  /** Executions after which a block is compiled; 1 compiles everything at once. */
  readonly hotAt?: number;
}

export function createWasmAccelerator(frontend: Frontend, options: WasmAcceleratorOptions = {}): Accelerator {
  return { name: 'wasm', createVm: (config) => new WasmVm(frontend, config, options) };
}

/** The runtime module of a front end: the same for every machine with one vCPU, whatever its memory. */
export function generateRuntime({ routines, helpers, walk, walkFault, events }: Frontend): Runtime {
  const { bucketsAt, granulesAt } = planMemory(1, []);
  return buildRuntime({ routines, helpers, bucketsAt, walk: walk && { routine: walk, granulesAt, fault: walkFault }, events });
}

function makeMemory(plan: MemoryPlan): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: plan.pageCount, maximum: plan.pageCount });
  } catch (cause) {
    throw new AnilloError(
      'BAD_MEMORY',
      `The host did not give ${Math.ceil(plan.pageCount / 16)} MiB of memory for the guest; ask for less with --memory.`,
      { cause },
    );
  }
}

class WasmVm implements AcceleratedVm {
  readonly memory: GuestMemory;
  readonly #frontend: Frontend;
  readonly #config: VmConfig;
  readonly #options: WasmAcceleratorOptions;
  readonly #wasmMemory: WebAssembly.Memory;
  readonly #table = new WebAssembly.Table({ initial: 1024, element: 'anyfunc' });
  readonly #runtime: Runtime;
  readonly #remembered: RememberedBlocks;
  readonly #parts: VmParts;
  readonly #time: TimeAccount;

  constructor(frontend: Frontend, config: VmConfig, options: WasmAcceleratorOptions) {
    this.#frontend = frontend;
    this.#time = new TimeAccount(config.profile, () => config.ports.nowNs());
    this.#config = { ...config, ports: this.#time.timedPorts(config.ports) };
    this.#options = options;
    const plan = planMemory(1, config.regions);
    this.#wasmMemory = makeMemory(plan);
    const { buffer } = this.#wasmMemory;
    new Uint8Array(buffer).fill(0xff, ONES_PAGE, ONES_PAGE + 4096);
    this.memory = new RegionMemory(buffer, plan.regions);
    this.#runtime = this.#loadRuntime();
    const { opcodes } = this.#runtime;
    this.#remembered = new RememberedBlocks(opcodes, options.translationStore?.load(this.#translationKey));
    const cache = new TranslationCache(buffer, plan, new BlockEncoder(opcodes, buffer), this.#remembered);
    this.memory.onWrite = (offset, byteCount) => cache.dropRange(offset, byteCount);
    const { memory } = this;
    this.#parts = {
      buffer,
      plan,
      memory,
      ports: this.#config.ports,
      cache,
      trace: config.trace,
      isWritable: (address) => memory.offsetOf(address - (address % 4096), 4096, true) >= 0,
    };
  }

  get #translationKey(): string {
    return `${this.#frontend.name} ${this.#config.cpuModel}`;
  }

  #loadRuntime(): Runtime {
    const stored = this.#options.runtimeStore?.load();
    if (stored !== undefined) return stored;
    const runtime = generateRuntime(this.#frontend);
    this.#options.runtimeStore?.save(runtime);
    return runtime;
  }

  createVcpu(id: number): Vcpu {
    const { buffer, plan, cache } = this.#parts;
    const state = plan.vcpuAt(id);
    const tlb = new VcpuTlb(buffer, plan, id);
    cache.onFirstCode = (hostPage) => tlb.revokeWrite(hostPage);
    let vcpu: WasmVcpu | undefined;
    const cpu = this.#frontend.createCpu(
      this.#cpuPorts(id, state, tlb, () => vcpu),
      this.#options.cpuConfig?.(this.#config.cpuModel) ?? this.#config.cpuModel,
    );
    const watchpoints = new Watchpoints();
    const miss = new MemoryMiss({ buffer, state, cpu, memory: this.memory, ports: this.#config.ports, tlb, cache, watchpoints });
    const env: Record<string, unknown> = { memory: this.#wasmMemory, table: this.#table };
    const host = this.#time.timedHelpers({ memory_miss: (_cpu, at, kind) => miss.serve(at as number, kind as number) });
    const helper = { ...this.#time.timedHelpers(cpu.helpers) };
    const module = new WebAssembly.Module(this.#runtime.bytes);
    const runtime = new WebAssembly.Instance(module, { env, host, helper }).exports;
    cpu.bindRoutines?.(runtime);
    const isJit = this.#config.tier === 'jit';
    const jumps = (state + JUMP_CACHE_OFFSET) >>> 2;
    const words = new Uint32Array(buffer);
    const clearJumpCaches = (): void => void words.fill(0, jumps, jumps + (JUMP_CACHE_BYTES >>> 2));
    const functions = new FunctionTable({ table: this.#table, absent: runtime.absent, cache, clearJumpCaches });
    const compiler = isJit
      ? new RegionPromoter(cache, functions, {
          lift: (hostAddress, mode, nextPage) => vcpu?.liftAgain(hostAddress, mode, nextPage),
          pageAt: (pages) => vcpu?.pageAt(pages) ?? -1,
          imports: { env, runtime, helper },
          nowMs: () => this.#config.ports.nowNs() / 1e6,
        })
      : undefined;
    vcpu = new WasmVcpu({
      id,
      vm: this.#parts,
      cpu,
      state,
      tlb,
      miss,
      watchpoints,
      compiler,
      runBlocks: this.#time.timedDispatcher(runtime.run as (state: number) => number, VcpuHeader.view(buffer, state)),
      timeMs: () => this.#time.spentMs(),
      hotAt: isJit ? (this.#options.hotAt ?? HOT_AT) : NEVER,
    });
    return vcpu;
  }

  #cpuPorts(id: number, state: number, tlb: VcpuTlb, vcpu: () => WasmVcpu | undefined): VcpuPorts {
    const { ports } = this.#config;
    const { memory } = this;
    const { buffer, cache } = this.#parts;
    const words = new Uint32Array(buffer);
    const largest = this.memory.regions
      .filter((r) => r.kind === 'ram' && r.start < FOUR_GIB)
      .reduce((x, y) => (y.byteCount > x.byteCount ? y : x));
    words[(state + VcpuHeader.offset.ramStart) >>> 2] = largest.start;
    words[(state + VcpuHeader.offset.ramBytes) >>> 2] = largest.byteCount;
    words[(state + VcpuHeader.offset.ramOffset) >>> 2] = largest.offset;
    return {
      buffer,
      state,
      ramAt: (address, byteCount, write) => {
        const at = memory.offsetOf(address, byteCount, write);
        // The caller is about to write there: code translated from it goes first.
        if (write && at >= 0) cache.dropRange(at, byteCount);
        return at;
      },
      readPhysical: (address, byteCount) => ports.readMmio(address, byteCount),
      writePhysical: (address, byteCount, value) => ports.writeMmio(address, byteCount, value),
      readPort: (port, byteCount) => ports.readPort(port, byteCount),
      writePort: (port, byteCount, value) => ports.writePort(port, byteCount, value),
      selectAddressSpace: (key, keep) => tlb.selectSpace(key, keep),
      flushTlb: () => tlb.flush(),
      flushAddressSpace: (key) => tlb.flushOwn(key),
      flushTlbPage: (linearLow, linearHigh) => tlb.flushPage(linearLow, linearHigh),
      requestExit: () => vcpu()?.endBurst(),
      nowNs: () => ports.nowNs(),
      interrupts: ports.interrupts(id),
    };
  }

  [Symbol.dispose](): void {
    this.#parts.cache.dropAll();
    const translations = this.#remembered.image();
    if (translations !== undefined) this.#options.translationStore?.save(this.#translationKey, translations);
  }
}
