// What a machine needs of the host it runs on. Node and browsers differ only here.

export interface MachineHost {
  /** Monotonic time, nanoseconds. */
  nowNs(): number;
  /** Milliseconds since 1970 UTC. */
  wallMs(): number;
  /** Lets the host's events (input, timers) be served, and comes back as soon as they are. */
  yieldToHost(): Promise<void>;
  /** Waits, and keeps the program alive; Infinity: until `wake`. One sleeper at a time. */
  sleep(timeoutMs: number): Promise<void>;
  /** Ends a `sleep` now; nothing when nobody sleeps. */
  wake(): void;
  /** Blocks the thread, for less than a millisecond. Absent: not allowed. */
  readonly nap?: (timeoutMs: number) => void;
  /** Processor time that the calling thread has used. Absent: not known. */
  readonly threadNs?: () => number;
  /** A thread for a vCPU (smp/processor-thread.ts): `data` reaches it by structured clone, shared memory stays shared. Absent: there are none. */
  readonly startThread?: (data: unknown) => HostThread;
}

export interface HostThread {
  onMessage: ((message: unknown) => void) | undefined;
  /** Resolves when it has ended, rejects when it has failed. */
  readonly ended: Promise<void>;
}
