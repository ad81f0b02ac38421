// How a machine shares its host's event loop: a turn for the host's events while the guest runs, a sleep that can be cut short while it is halted.

export interface EventLoop {
  /** Resolves once the events that wait now have been served. */
  yieldToHost(): Promise<void>;
  /** Keeps the program alive; Infinity: until `wake`. One sleeper at a time. */
  sleep(timeoutMs: number): Promise<void>;
  /** Ends a `sleep` now; nothing when nobody sleeps. */
  wake(): void;
}

/** What hosts do in different ways. */
export interface EventLoopHost<Timer> {
  setTimeout(then: () => void, timeoutMs: number): Timer;
  clearTimeout(timer: Timer): void;
  /** Calls `then` once the events that wait now have been served. */
  takeTurn(then: () => void): void;
  /** Calls `then`, from a timer or a `wake`. */
  endSleep(then: () => void): void;
}

const LONGEST_TIMEOUT_MS = 0x7fffffff;

/** Each machine has one of its own. */
export function eventLoopOf<Timer>(host: EventLoopHost<Timer>): EventLoop {
  let wakeSleeper: (() => void) | undefined;
  return {
    yieldToHost: () => new Promise((resolve) => host.takeTurn(resolve)),
    sleep: (timeoutMs) =>
      new Promise((resolve) => {
        const timeout = host.setTimeout(() => wakeSleeper?.(), Math.min(timeoutMs, LONGEST_TIMEOUT_MS));
        wakeSleeper = () => {
          wakeSleeper = undefined;
          host.clearTimeout(timeout);
          host.endSleep(resolve);
        };
      }),
    wake: () => wakeSleeper?.(),
  };
}
