// What a debugger has of a machine.

import type { VcpuDebug, VcpuExit } from '@anillo/accel/accelerator';
import type { MachineState } from './machine.ts';

type DebugExit = VcpuExit & { kind: 'debug' };

/** What stopped a CPU. */
export interface DebugStop {
  readonly exit: DebugExit;
  readonly cpu: number;
}

/** A debugger's hold on the machine. Registers and memory are to be touched only while the machine is paused. */
export interface MachineDebug {
  /** The first CPU. */
  readonly cpu: VcpuDebug;
  readonly cpus: readonly VcpuDebug[];
  readonly state: MachineState;
  pause(): Promise<void>;
  resume(): void;
  /** One instruction of one CPU, while paused. */
  step(cpu?: number): VcpuExit;
  /** A breakpoint, watchpoint or step of that CPU paused the machine; also called after `pause`, without an exit. */
  onPause: ((exit: DebugExit | undefined, cpu: number) => void) | undefined;
}

/** Stops of CPUs that wait to be reported. */
export class DebugStops {
  readonly #waiting: DebugStop[] = [];
  readonly #hasBreakpoint: (cpu: number, address: bigint) => boolean;

  constructor(hasBreakpoint: (cpu: number, address: bigint) => boolean) {
    this.#hasBreakpoint = hasBreakpoint;
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  push(stop: DebugStop): void {
    this.#waiting.push(stop);
  }

  /** Those that nobody wants any more are forgotten. */
  next({ onPause }: Pick<MachineDebug, 'onPause'>): DebugStop | undefined {
    if (onPause === undefined) this.#waiting.length = 0;
    for (let stop = this.#waiting.shift(); stop !== undefined; stop = this.#waiting.shift()) {
      if (stop.exit.reason !== 'breakpoint' || this.#hasBreakpoint(stop.cpu, stop.exit.address)) return stop;
    }
    return undefined;
  }
}
