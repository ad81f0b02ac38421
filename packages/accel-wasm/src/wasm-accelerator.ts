// The translator as an accelerator: one WebAssembly memory a machine, the runtime module of the front end, vCPUs over it.

import type { AcceleratedVm, Accelerator, BoardPorts, JoinConfig, Vcpu, VmConfig } from '@anillo/accel/accelerator';
import type { Trace } from '@anillo/accel/trace';
import { AnilloError } from '@anillo/base/anillo-error';
import { hostRelaxedSimd } from '@anillo/codegen/relaxed-simd';
import { jumpTargets } from '@anillo/codegen/jump-targets';
import { JUMP_CACHE_BYTES } from '@anillo/codegen/jump-cache';
import { BlockEncoder } from '@anillo/codegen/bytecode';
import { buildRuntime, type Runtime } from '@anillo/codegen/runtime-module';
import type { Frontend, VcpuPorts } from '@anillo/ir/frontend';
import { JUMP_CACHE_OFFSET, VcpuHeader } from '@anillo/ir/vcpu-header';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import { RegionMemory } from '@anillo/memory/region-memory';
import { CodePages } from './code-pages.ts';
import { MemoryMiss } from './memory-miss.ts';
import { GRANULES_AT, ONES_PAGE, planMemory, type MemoryPlan } from './memory-plan.ts';
import { FunctionTable } from './function-table.ts';
import { RegionPromoter } from './region-promoter.ts';
import { RememberedBlocks } from './remembered-blocks.ts';
import { RememberedRegions } from './remembered-regions.ts';
import { SharedCode } from './shared-code.ts';
import { TimeAccount } from './time-account.ts';
import { TranslationCache } from './translation-cache.ts';
import { VcpuTlb } from './vcpu-tlb.ts';
import { Watchpoints } from './watchpoints.ts';
import { WasmVcpu } from './wasm-vcpu.ts';

/** Executions after which a block is compiled. */
const HOT_AT = 3000;
const NEVER = 0;
/** V8's default is a stack of 984 KiB. */
const STACK_KIB = 400;
const FOUR_GIB = 0x1_0000_0000;

/** Declared by modules for shared memories; a memory may be smaller. */
const SHARED_MAXIMUM_PAGES = 65536;

/** What a vCPU has of its machine. */
export interface VmParts {
  readonly buffer: ArrayBufferLike;
  readonly plan: MemoryPlan;
  readonly memory: GuestMemory;
  readonly ports: BoardPorts;
  readonly cache: TranslationCache;
  readonly trace: Trace | undefined;
  /** With several vCPUs. */
  readonly shared: SharedCode | undefined;
  /** Drops what any vCPU has translated from bytes of one page. */
  forgetRange(at: number, byteCount: number): void;
  /** Is the page at a guest-physical address RAM? */
  isWritable(address: number): boolean;
}

export interface WasmAcceleratorOptions {
  /** Parsed CPU model for the front end's vCPU `id` of `count`. */
  readonly cpuConfig?: (model: string, id: number, count: number) => unknown;
  /** Keeps the generated runtime module between runs; its `load` answers only for the same generator and front end. */
  readonly runtimeStore?: RuntimeSource;
  /**
   * Keeps translations between runs, by a key that says for which CPU they are. What it gives need not be ours: it is looked at. `save` answers for that they
   * are given only to the same translator, undamaged.
   */
  readonly translationStore?: { load(key: string): Uint8Array | undefined; save(key: string, translations: Uint8Array): void };
  /** Executions after which a block is compiled; 1 compiles everything at once. */
  readonly hotAt?: number;
  /** KiB of the host's stack that the guest's calls may take; needs some 300 more. */
  readonly stackKib?: number;
}

/** There are two: for a memory of one thread, and for a shared one. */
export interface RuntimeSource {
  load(isShared: boolean): Runtime | undefined;
  save(isShared: boolean, runtime: Runtime): void;
}

export function createWasmAccelerator(frontend: Frontend, options: WasmAcceleratorOptions = {}): Accelerator {
  return {
    name: 'wasm',
    createVm: (config) => new WasmVm(frontend, options, newVm(frontend, options, config), { ...config, id: 0 }),
    joinVm: (share, config) => new WasmVm(frontend, options, share as VmShare, config),
  };
}

/** The runtime module of a front end: the same for every machine, whatever its memory. */
export function generateRuntime({ routines, helpers, walk, walkFault, events }: Frontend, isShared: boolean): Runtime {
  const sharedMaximumPages = isShared ? SHARED_MAXIMUM_PAGES : undefined;
  return buildRuntime({
    routines,
    helpers,
    walk: walk && { routine: walk, granulesAt: GRANULES_AT, fault: walkFault },
    sharedMaximumPages,
    events,
  });
}

/** What the threads of a machine have alike; plain data for a structured clone. */
interface VmShare {
  readonly cpuCount: number;
  readonly regions: VmConfig['regions'];
  readonly cpuModel: string;
  readonly tier: VmConfig['tier'];
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly opcodes: ReadonlyMap<string, number>;
  /** What was kept of earlier runs, for several threads. */
  readonly kept: Uint8Array | undefined;
}

function newVm(frontend: Frontend, options: WasmAcceleratorOptions, config: VmConfig): VmShare {
  const { regions, cpuModel, tier, cpuCount = 1 } = config;
  const isShared = cpuCount > 1;
  const memory = makeMemory(planMemory(cpuCount, regions), isShared);
  new Uint8Array(memory.buffer).fill(0xff, ONES_PAGE, ONES_PAGE + 4096);
  let runtime = options.runtimeStore?.load(isShared);
  if (runtime === undefined) {
    runtime = generateRuntime(frontend, isShared);
    options.runtimeStore?.save(isShared, runtime);
  }
  const module = new WebAssembly.Module(runtime.bytes);
  const kept = isShared ? inSharedMemory(options.translationStore?.load(translationKey(frontend, config))) : undefined;
  return { cpuCount, regions, cpuModel, tier, memory, module, opcodes: runtime.opcodes, kept };
}

const translationKey = ({ name }: Frontend, { cpuModel, cpuCount = 1 }: Pick<VmConfig, 'cpuModel' | 'cpuCount'>): string =>
  `${name} ${cpuModel}${cpuCount > 1 ? ' shared' : ''}`;

function inSharedMemory(bytes: Uint8Array | undefined): Uint8Array | undefined {
  const shared = bytes && new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared?.set(bytes as Uint8Array);
  return shared;
}

function makeMemory(plan: MemoryPlan, shared: boolean): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: plan.pageCount, maximum: plan.pageCount, shared });
  } catch (cause) {
    throw new AnilloError(
      'BAD_MEMORY',
      `The host did not give ${Math.ceil(plan.pageCount / 16)} MiB of memory for the guest; ask for less with --memory.`,
      { cause },
    );
  }
}

/** The board's answers, while which the vCPU is outside (SharedCode): the board may be on another thread, and writes to memory. */
function answeredOutside(ports: BoardPorts, shared: SharedCode): BoardPorts {
  return {
    readPort: (port, byteCount) => shared.outside(() => ports.readPort(port, byteCount)),
    writePort: (port, byteCount, value) => shared.outside(() => ports.writePort(port, byteCount, value)),
    readMmio: (address, byteCount) => shared.outside(() => ports.readMmio(address, byteCount)),
    writeMmio: (address, byteCount, value) => shared.outside(() => ports.writeMmio(address, byteCount, value)),
    interrupts: (id) => ports.interrupts(id),
    nowNs: () => ports.nowNs(),
    poll: () => ports.poll(),
  };
}

class WasmVm implements AcceleratedVm {
  readonly memory: GuestMemory;
  readonly #frontend: Frontend;
  readonly #share: VmShare;
  readonly #options: WasmAcceleratorOptions;
  readonly #table = new WebAssembly.Table({ initial: 1024, element: 'anyfunc' });
  readonly #remembered: RememberedBlocks;
  #regions: RememberedRegions | undefined;
  readonly #parts: VmParts;
  readonly #time: TimeAccount;
  readonly #words: Int32Array;
  readonly #vcpuId: number;

  constructor(frontend: Frontend, options: WasmAcceleratorOptions, share: VmShare, config: JoinConfig) {
    this.#frontend = frontend;
    this.#time = new TimeAccount(config.profile, () => config.ports.nowNs());
    const ports = this.#time.timedPorts(config.ports);
    this.#options = options;
    this.#share = share;
    this.#vcpuId = config.id;
    const { cpuCount } = share;
    const { buffer } = share.memory;
    const plan = planMemory(cpuCount, share.regions);
    this.#words = new Int32Array(buffer);
    this.memory = new RegionMemory(buffer, plan.regions);
    const shared = cpuCount > 1 ? new SharedCode(buffer, plan, config.id, cpuCount) : undefined;
    const codePages = shared?.codePages ?? new CodePages(buffer, plan.granulesAt, plan.pageCount * 65536);
    const kept = cpuCount > 1 ? share.kept : options.translationStore?.load(this.#translationKey);
    this.#remembered = new RememberedBlocks(share.opcodes, kept);
    const cache = new TranslationCache(buffer, plan, config.id, new BlockEncoder(share.opcodes, buffer), codePages, this.#remembered);
    this.memory.watcher = shared ?? { beginWrite: (offset, byteCount) => cache.dropRange(offset, byteCount), endWrite() {} };
    const { memory } = this;
    this.#parts = {
      buffer,
      plan,
      memory,
      ports: shared === undefined ? ports : answeredOutside(ports, shared),
      cache,
      trace: config.trace,
      shared,
      forgetRange: (at, byteCount) => (shared ?? cache).dropRange(at, byteCount),
      isWritable: (address) => memory.offsetOf(address - (address % 4096), 4096, true) >= 0,
    };
  }

  /** Read when the first block is hot. With several vCPUs code may change while it is looked at. */
  #keptRegions(): RememberedRegions | undefined {
    const { translationStore } = this.#options;
    if (translationStore === undefined || this.#parts.shared !== undefined) return undefined;
    const { isThere, fuses, picks } = hostRelaxedSimd();
    this.#regions ??= new RememberedRegions((fuses ? 1 : 0) | (picks ? 2 : 0) | (isThere ? 4 : 0), translationStore.load(this.#regionKey));
    return this.#regions;
  }
  get #regionKey(): string {
    return `${this.#translationKey} regions`;
  }
  get #translationKey(): string {
    return translationKey(this.#frontend, this.#share);
  }

  kick(id: number): void {
    const state = this.#parts.plan.vcpuAt(id);
    Atomics.store(this.#words, (state + VcpuHeader.offset.pending) >>> 2, 1);
    Atomics.store(this.#words, (state + VcpuHeader.offset.budget) >>> 2, 0);
  }

  share(): unknown {
    return this.#share;
  }

  createVcpu(id: number): Vcpu {
    const { buffer, plan, cache, shared, ports } = this.#parts;
    const { cpuModel, cpuCount, tier } = this.#share;
    const state = plan.vcpuAt(id);
    const tlb = new VcpuTlb(buffer, plan, id);
    cache.onFirstCode = (hostPage) => tlb.revokeWrite(hostPage);
    let vcpu: WasmVcpu | undefined;
    const cpuConfig = this.#options.cpuConfig?.(cpuModel, id, cpuCount) ?? { model: cpuModel, id, count: cpuCount };
    const cpu = this.#frontend.createCpu(
      this.#cpuPorts(id, state, tlb, () => vcpu),
      cpuConfig,
    );
    const watchpoints = new Watchpoints();
    const miss = new MemoryMiss({ buffer, state, cpu, memory: this.memory, ports, tlb, cache, watchpoints, shared });
    const env: Record<string, unknown> = { memory: this.#share.memory, table: this.#table };
    const host = this.#time.timedHelpers({ memory_miss: (_cpu, at, kind) => miss.serve(at as number, kind as number) });
    const helper = { ...this.#time.timedHelpers(cpu.helpers) };
    const runtime = new WebAssembly.Instance(this.#share.module, { env, host, helper }).exports;
    cpu.bindRoutines?.(runtime);
    const isJit = tier === 'jit';
    const hotAt = isJit ? (this.#options.hotAt ?? HOT_AT) : NEVER;
    const jumps = (state + JUMP_CACHE_OFFSET) >>> 2;
    const words = new Uint32Array(buffer);
    const clearJumpCaches = (): void => void words.fill(0, jumps, jumps + (JUMP_CACHE_BYTES >>> 2));
    const functions = new FunctionTable({ table: this.#table, absent: runtime.absent, cache, clearJumpCaches });
    const compiler = isJit
      ? new RegionPromoter(cache, functions, {
          lift: (hostAddress, mode, nextPage, end) => vcpu?.liftAgain(hostAddress, mode, nextPage, end),
          pageAt: (pages) => vcpu?.pageAt(pages) ?? -1,
          jumpTargets: () => jumpTargets(words, state),
          imports: { env, runtime, helper },
          sharedMaximumPages: shared && SHARED_MAXIMUM_PAGES,
          memory: new Uint8Array(buffer),
          regions: () => this.#keptRegions(),
          hotAt,
          nowMs: () => ports.nowNs() / 1e6,
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
      hotAt,
    });
    const made = vcpu;
    if (shared) {
      shared.holder = {
        dropGranules: (at, byteCount) => cache.dropGranules(at, byteCount),
        revokeWrite: (hostPage) => tlb.revokeWrite(hostPage),
        lost: () => tlb.flush(),
        endBurst: () => made.endBurst(),
      };
    }
    return vcpu;
  }

  #cpuPorts(id: number, state: number, tlb: VcpuTlb, vcpu: () => WasmVcpu | undefined): VcpuPorts {
    const { memory } = this;
    const { buffer, cache, shared, ports } = this.#parts;
    const words = new Uint32Array(buffer);
    const largest = this.memory.regions
      .filter((r) => r.kind === 'ram' && r.start < FOUR_GIB)
      .reduce((x, y) => (y.byteCount > x.byteCount ? y : x));
    words[(state + VcpuHeader.offset.ramStart) >>> 2] = largest.start;
    words[(state + VcpuHeader.offset.ramBytes) >>> 2] = largest.byteCount;
    words[(state + VcpuHeader.offset.ramOffset) >>> 2] = largest.offset;
    words[(state + VcpuHeader.offset.maxDepth) >>> 2] = this.#options.stackKib ?? STACK_KIB;
    return {
      buffer,
      state,
      ramAt: (address, byteCount, write) => {
        const at = memory.offsetOf(address, byteCount, write);
        // The caller is about to write there: code translated from it goes first.
        if (write && at >= 0) {
          if (shared === undefined) cache.dropRange(at, byteCount);
          else shared.clearForWrite(at, byteCount);
        }
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
      pause: () => shared?.pause(),
      requestExit: () => vcpu()?.endBurst(),
      nowNs: () => ports.nowNs(),
      interrupts: ports.interrupts(id),
    };
  }

  [Symbol.dispose](): void {
    this.#parts.cache.dropAll();
    const translations = this.#remembered.image();
    if (translations !== undefined && this.#vcpuId === 0) this.#options.translationStore?.save(this.#translationKey, translations);
    const regions = this.#regions?.image();
    if (regions !== undefined) this.#options.translationStore?.save(this.#regionKey, regions);
  }
}
