// The executors under test: the translator's tiers, driven through the accelerator's own interface with a front end whose exception delivery is
// replaced by "stop and tell". Each follows memory-map.ts (addresses, permissions, CPL 3) and test-case.ts (images in and out).

import type { AcceleratedVm, BoardPorts, InterruptController, Vcpu } from '@anillo/accel/accelerator';
import { createWasmAccelerator } from '@anillo/accel-wasm/wasm-accelerator';
import { gpa } from '@anillo/base/gpa';
import type { Frontend, GuestCpu, VcpuPorts } from '@anillo/ir/frontend';
import { cpuModel } from '@anillo/isa-x86/cpu-model';
import { readFlags, writeFlags } from '@anillo/isa-x86/flags';
import { X86 } from '@anillo/isa-x86/frontend';
import type { X86Context } from '@anillo/isa-x86/helper-map';
import { syncMode } from '@anillo/isa-x86/mode';
import type { X86View } from '@anillo/isa-x86/state';
import type { X86Cpu } from '@anillo/isa-x86/x86-cpu';
import { loadFloatingPoint, saveFloatingPoint } from './floating-point-image.ts';
import type { Executor } from './executor.ts';
import {
  CODE_AREA_BYTES,
  CODE_BASE,
  DATA_BASE,
  DATA_BYTES,
  PAGE_BYTES,
  READ_ONLY_BASE,
  READ_ONLY_BYTES,
  readOnlyPage,
  UD2,
} from './memory-map.ts';
import { IMAGE, IMAGE_BYTES, NO_FAULT, setU32, setU64, type TestCase, type TestResult, u64 } from './test-case.ts';

export interface AnilloOptions {
  /** Compile each case at once, instead of interpreting it first. */
  readonly forceCompile: boolean;
}

/** The tiers to compare with the host. */
export function createAnilloExecutors(options: AnilloOptions): Executor[] {
  return options.forceCompile ? [new TranslatorExecutor('jit')] : [new TranslatorExecutor('interp'), new TranslatorExecutor('jit')];
}

const RAM_BYTES = 2 << 20;
/** Guest-physical places: page tables, then the areas of the memory map. */
const TABLES = 0x10000;
const CODE = 0x100000;
const DATA = 0x108000;
const READ_ONLY = 0x110000;
const GIVE_UP_SLICES = 40;

const NO_INTERRUPTS: InterruptController = {
  isPending: () => false,
  acknowledge: () => -1,
  readRegister: () => undefined,
  writeRegister: () => false,
  getTaskPriority: () => 0,
  setTaskPriority: () => {},
  onChange: undefined,
};

/** Processor time: where others have the host's CPUs for seconds, a case has not hung. */
function threadNs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) * 1000;
}

class TranslatorExecutor implements Executor {
  readonly name: string;
  readonly #vm: AcceleratedVm;
  readonly #vcpu: Vcpu;
  #context: X86Context | undefined;
  #fault = { vector: NO_FAULT, error: 0 };

  constructor(tier: 'jit' | 'interp') {
    this.name = tier === 'jit' ? 'compiled' : 'interpreter';
    const ports: BoardPorts = {
      readPort: () => 0xffff_ffff,
      writePort: () => {},
      readMmio: () => 0xffff_ffff,
      writeMmio: () => {},
      interrupts: () => NO_INTERRUPTS,
      nowNs: threadNs,
      poll: () => {},
    };
    const accelerator = createWasmAccelerator(this.#stoppingFrontend(), { cpuConfig: (name) => ({ model: cpuModel(name) }), hotAt: 1 });
    this.#vm = accelerator.createVm({ regions: [{ start: 0, byteCount: RAM_BYTES, kind: 'ram' }], cpuModel: 'max', ports, tier });
    this.#vcpu = this.#vm.createVcpu(0);
    this.#writeTables();
    this.#vm.memory.write(gpa(READ_ONLY), readOnlyPage());
  }

  /** X86 with exceptions recorded instead of delivered. */
  #stoppingFrontend(): Frontend {
    return {
      ...X86,
      createCpu: (ports: VcpuPorts, config: unknown): GuestCpu => {
        const cpu = X86.createCpu(ports, config);
        const { context } = cpu as X86Cpu;
        const { view } = context;
        this.#context = context;
        const stop = (): boolean => {
          (cpu as X86Cpu).settleFault();
          return this.#record(view);
        };
        const stopAfterStep = (): boolean => view.stepFlags === 0 || this.#recordStep();
        return new Proxy(cpu, {
          get: (target, property) => {
            if (property === 'deliver') return stop;
            if (property === 'stepTrap') return stopAfterStep;
            const value = Reflect.get(target, property, target) as unknown;
            return typeof value === 'function' ? value.bind(target) : value;
          },
        });
      },
    };
  }

  /** Takes down the fault and its instruction; returning false ends the run. */
  #record(view: X86View): boolean {
    if (view.trapCode === 0) this.#fault = { vector: view.faultVector, error: Math.max(view.faultError, 0) };
    else this.#fault = { vector: view.trapCode & 0xff, error: 0 };
    view.pc += BigInt(view.trapAt + (view.trapCode === 0 && view.faultSoftware !== 0 ? view.faultInsnBytes : 0));
    view.trapAt = 0;
    view.trapCode = 0;
    return false;
  }

  /** #DB after the instruction that began with EFLAGS.TF set. */
  #recordStep(): boolean {
    this.#fault = { vector: 1, error: 0 };
    return false;
  }

  /** Four-level tables that map the three areas for user mode, 4 KiB pages, accessed and dirty. */
  #writeTables(): void {
    const entries = new Map<number, bigint>();
    let next = TABLES + PAGE_BYTES;
    const put = (table: number, index: number, value: bigint): void => {
      entries.set(table + index * 8, value);
    };
    const child = (table: number, index: number): number => {
      const at = table + index * 8;
      if (!entries.has(at)) {
        put(table, index, BigInt(next) | 7n);
        next += PAGE_BYTES;
      }
      return Number((entries.get(at) as bigint) & ~0xfffn);
    };
    const map = (linear: number, physical: number, byteCount: number, flags: bigint): void => {
      for (let done = 0; done < byteCount; done += PAGE_BYTES) {
        const l = linear + done;
        const table = child(child(child(TABLES, 0), Math.floor(l / 0x4000_0000)), (l >>> 21) & 511);
        put(table, (l >>> 12) & 511, BigInt(physical + done) | flags);
      }
    };
    const noExecute = 1n << 63n;
    map(CODE_BASE, CODE, CODE_AREA_BYTES, 0x65n);
    map(DATA_BASE, DATA, DATA_BYTES, 0x67n | noExecute);
    map(READ_ONLY_BASE, READ_ONLY, READ_ONLY_BYTES, 0x65n | noExecute);
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    for (const [at, value] of entries) {
      view.setBigUint64(0, value, true);
      this.#vm.memory.write(gpa(at), bytes);
    }
  }

  run(cases: readonly TestCase[]): TestResult[] {
    return cases.map((c) => this.#runOne(c));
  }

  #runOne(c: TestCase): TestResult {
    const context = this.#context as X86Context;
    const { view } = context;
    const { memory } = this.#vm;
    const end = c.codeAddress + c.code.length;
    this.#vcpu.reset();
    memory.write(gpa(CODE), new Uint8Array(CODE_AREA_BYTES));
    const room = CODE_BASE + CODE_AREA_BYTES - c.codeAddress;
    const code = new Uint8Array([...c.code, ...UD2]).subarray(0, room);
    memory.write(gpa(CODE + c.codeAddress - CODE_BASE), code);
    memory.write(gpa(DATA), c.data);
    this.#load(context, c);
    this.#fault = { vector: NO_FAULT, error: 0 };
    let outcome: TestResult['outcome'] = 'died';
    let note: string | undefined = 'does not end';
    try {
      for (let i = 0; i < GIVE_UP_SLICES; i++) {
        if (this.#vcpu.run(50).kind !== 'shutdown') continue;
        const isEnd = Number(view.pc) === end && this.#fault.vector === 6;
        outcome = isEnd ? 'end' : 'fault';
        note = undefined;
        if (isEnd) this.#fault = { vector: NO_FAULT, error: 0 };
        break;
      }
    } catch (error) {
      note = error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
    return { outcome, state: this.#save(context), data: memory.read(gpa(DATA), DATA_BYTES), note };
  }

  #load(context: X86Context, c: TestCase): void {
    const { view } = context;
    const flat = (i: number, selector: number, attributes: number): void => {
      view.segmentSelector[i] = selector;
      view.segmentBase[i] = 0n;
      view.segmentLimit[i] = 0xffff_ffff;
      view.segmentAttributes[i] = attributes;
    };
    for (let i = 0; i < 6; i++) flat(i, 0x2b, 0xc0f3);
    flat(1, c.mode === 64 ? 0x33 : 0x23, c.mode === 64 ? 0xa0fb : 0xc0fb);
    // A task-state segment without an I/O map: ports are refused.
    view.segmentBase[7] = 0n;
    view.segmentLimit[7] = 0x66;
    view.segmentAttributes[7] = 0x8b;
    view.cr0 = 0x8005_0033n;
    view.cr3 = BigInt(TABLES);
    view.cr4 = 0x0004_0620n;
    view.efer = 0xd01n;
    view.xcr0 = 7n;
    for (let i = 0; i < 16; i++) view.gpr[i] = u64(c.state, IMAGE.gpr + 8 * i);
    view.pc = BigInt(c.codeAddress);
    writeFlags(view, Number(u64(c.state, IMAGE.rflags)));
    loadFloatingPoint(context, c.state);
    syncMode(context);
    context.ports.flushTlb();
  }

  #save(context: X86Context): Uint8Array {
    const { view } = context;
    const image = new Uint8Array(IMAGE_BYTES);
    for (let i = 0; i < 16; i++) setU64(image, IMAGE.gpr + 8 * i, view.gpr[i]);
    setU64(image, IMAGE.rip, view.pc);
    setU64(image, IMAGE.rflags, BigInt(readFlags(view)));
    setU32(image, IMAGE.vector, this.#fault.vector);
    setU32(image, IMAGE.errorCode, this.#fault.error);
    setU64(image, IMAGE.faultAddress, view.cr2);
    saveFloatingPoint(context, image);
    return image;
  }

  [Symbol.dispose](): void {
    this.#vm[Symbol.dispose]();
  }
}
