// What a debugger has of a machine.

import type { VcpuDebug, VcpuExit } from '@anillo/accel/accelerator';
import type { MachineState } from './machine.ts';

export type DebugExit = VcpuExit & { kind: 'debug' };

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
