// How a machine shares Node's event loop: a turn for the host's events while the guest runs, a sleep that can be cut short while it is halted.

export interface EventLoop {
  /** Resolves once the events that wait now have been served. */
  yieldToHost(): Promise<void>;
  /** Keeps the program alive; Infinity: until `wake`. One sleeper at a time. */
  sleep(timeoutMs: number): Promise<void>;
  wake(): void;
  /** Blocks the thread; as exact as the host's scheduler. */
  nap(timeoutMs: number): void;
}

const LONGEST_TIMEOUT_MS = 0x7fffffff;

/** Each machine has one of its own. */
export function createEventLoop(): EventLoop {
  let wakeSleeper: (() => void) | undefined;
  const never = new Int32Array(new SharedArrayBuffer(4));
  return {
    yieldToHost: () => new Promise((resolve) => setImmediate(resolve)),
    sleep: (timeoutMs) =>
      new Promise((resolve) => {
        const timeout = setTimeout(() => wakeSleeper?.(), Math.min(timeoutMs, LONGEST_TIMEOUT_MS));
        wakeSleeper = () => {
          wakeSleeper = undefined;
          clearTimeout(timeout);
          resolve();
        };
      }),
    wake: () => wakeSleeper?.(),
    nap: (timeoutMs) => void Atomics.wait(never, 0, 0, timeoutMs),
  };
}
