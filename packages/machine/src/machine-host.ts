// What a machine needs of the host it runs on. Node and browsers differ only here.

import type { EventLoop } from '@anillo/base/event-loop';

export interface MachineHost extends EventLoop {
  /** Monotonic time, nanoseconds. */
  nowNs(): number;
  /** Milliseconds since 1970 UTC. */
  wallMs(): number;
  /** Blocks the thread, for less than a millisecond. Absent: not allowed. */
  readonly nap?: (timeoutMs: number) => void;
  /** Processor time that the calling thread has used. Absent: not known. */
  readonly threadNs?: () => number;
  /** Gives whole pages of the buffer back, which read as zeros afterwards. Absent: the host cannot. */
  readonly releaseMemory?: (buffer: ArrayBufferLike, offset: number, byteCount: number) => void;
  /** A thread for a vCPU (smp/processor-thread.ts): `data` reaches it by structured clone, shared memory stays shared. Absent: there are none. */
  readonly startThread?: (data: unknown) => HostThread;
}

export interface HostThread {
  onMessage: ((message: unknown) => void) | undefined;
  /** Resolves when it has ended, rejects when it has failed. */
  readonly ended: Promise<void>;
}
