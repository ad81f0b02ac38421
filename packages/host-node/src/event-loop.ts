// How a machine shares Node's event loop: a turn for the host's events while the guest runs, a sleep that can be cut short while it is halted.

export interface EventLoop {
  /** Resolves once the events that wait now have been served. */
  yieldToHost(): Promise<void>;
  /** Keeps the program alive; Infinity: until `wake`. One sleeper at a time. */
  sleep(timeoutMs: number): Promise<void>;
  wake(): void;
}

const LONGEST_TIMEOUT_MS = 0x7fffffff;

/** Each machine has one of its own. */
export function createEventLoop(): EventLoop {
  let wakeSleeper: (() => void) | undefined;
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
  };
}
