// How a machine shares the event loop of a page or worker. Turns are messages to oneself: timers are too coarse for that, and a timer that is set by a timer
// waits for 4 ms at least (HTML, 8.6 "Timers", nesting level), so a sleep ends with a message too.

export interface EventLoop {
  /** Resolves once the events that wait now have been served. */
  yieldToHost(): Promise<void>;
  /** Infinity: until `wake`. One sleeper at a time. */
  sleep(timeoutMs: number): Promise<void>;
  wake(): void;
}

const LONGEST_TIMEOUT_MS = 0x7fffffff;

/** Each machine has one of its own. */
export function createEventLoop(): EventLoop {
  const { port1, port2 } = new MessageChannel();
  const turns: (() => void)[] = [];
  port1.onmessage = () => turns.shift()?.();
  const takeTurn = (then: () => void): void => {
    turns.push(then);
    port2.postMessage(undefined);
  };
  let wakeSleeper: (() => void) | undefined;
  return {
    yieldToHost: () => new Promise(takeTurn),
    sleep: (timeoutMs) =>
      new Promise((resolve) => {
        const timeout = setTimeout(() => wakeSleeper?.(), Math.min(timeoutMs, LONGEST_TIMEOUT_MS));
        wakeSleeper = () => {
          wakeSleeper = undefined;
          clearTimeout(timeout);
          takeTurn(resolve);
        };
      }),
    wake: () => wakeSleeper?.(),
  };
}
