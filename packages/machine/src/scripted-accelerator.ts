// An accelerator without a CPU, for tests: its "guest" is a function that is called for each slice and uses the board as a CPU would.

import type {
  AcceleratedVm,
  Accelerator,
  BoardPorts,
  CpuStart,
  Vcpu,
  VcpuDebug,
  VcpuExit,
  VcpuStats,
  VmConfig,
} from '@anillo/accel/accelerator';
import { gpa } from '@anillo/base/gpa';
import type { GuestMemory, MemoryRegion } from '@anillo/memory/guest-memory';
import { RegionMemory } from '@anillo/memory/region-memory';

export interface ScriptedGuest {
  readonly ports: BoardPorts;
  readonly memory: GuestMemory;
  /** What the boot protocol asked for; undefined: power-on state. */
  readonly start: CpuStart | undefined;
  /** Slices run since power-on or reset, this one included. */
  readonly sliceCount: number;
  readonly resetCount: number;
  /** `kick` was called since the slice began. */
  readonly kicked: boolean;
}

export type Script = (guest: ScriptedGuest) => VcpuExit;

const NO_STATS: VcpuStats = {
  ...{ interpretedInsns: 0, compiledInsns: 0, compilations: 0, compileMs: 0, modulesAlive: 0, wasmBytes: 0 },
  ...{ cacheFlushes: 0, codeEpochs: 0, tlbMisses: 0, timeMs: {}, exits: {} },
};

const NO_DEBUG: VcpuDebug = {
  architecture: 'none',
  readRegister: () => undefined,
  writeRegister: () => false,
  readMemory: () => undefined,
  writeMemory: () => false,
  setBreakpoint() {},
  clearBreakpoint() {},
  setWatchpoint() {},
  clearWatchpoint() {},
};

class ScriptedVcpu implements Vcpu {
  tellStolen(): void {}
  readonly id = 0;
  readonly debug = NO_DEBUG;
  readonly #script: Script;
  readonly #guest: {
    ports: BoardPorts;
    memory: GuestMemory;
    start: CpuStart | undefined;
    sliceCount: number;
    resetCount: number;
    kicked: boolean;
  };

  constructor(script: Script, ports: BoardPorts, memory: GuestMemory) {
    this.#script = script;
    this.#guest = { ports, memory, start: undefined, sliceCount: 0, resetCount: 0, kicked: false };
  }

  reset(): void {
    this.#guest.resetCount++;
    this.#guest.sliceCount = 0;
    this.#guest.start = undefined;
  }

  setStart(start: CpuStart): void {
    this.#guest.start = start;
  }

  run(_sliceMs: number): VcpuExit {
    this.#guest.sliceCount++;
    this.#guest.kicked = false;
    return this.#script(this.#guest);
  }

  step(): VcpuExit {
    return this.run(0);
  }

  kick(): void {
    this.#guest.kicked = true;
  }

  stats(): VcpuStats {
    return { ...NO_STATS, exits: { slice: this.#guest.sliceCount } };
  }
}

class ScriptedVm implements AcceleratedVm {
  readonly memory: GuestMemory;
  readonly #script: Script;
  readonly #ports: BoardPorts;

  constructor(script: Script, config: VmConfig) {
    let offset = 0;
    const regions: MemoryRegion[] = config.regions.map((r) => {
      const region = { start: gpa(r.start), byteCount: r.byteCount, offset, kind: r.kind };
      offset += r.byteCount;
      return region;
    });
    this.memory = new RegionMemory(new ArrayBuffer(offset), regions);
    this.#script = script;
    this.#ports = config.ports;
  }

  kick(): void {}
  share(): unknown {
    return undefined;
  }
  createVcpu(): Vcpu {
    return new ScriptedVcpu(this.#script, this.#ports, this.memory);
  }

  [Symbol.dispose](): void {}
}

export const scriptedAccelerator = (script: Script): Accelerator => ({
  name: 'scripted',
  createVm: (config) => new ScriptedVm(script, config),
  joinVm() {
    throw new TypeError('a scripted machine has one thread');
  },
});
