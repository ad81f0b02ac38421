// Node's event loop, as a machine shares it.

import { type EventLoop, eventLoopOf } from '@anillo/base/event-loop';

export interface NodeEventLoop extends EventLoop {
  /** Blocks the thread; as exact as the host's scheduler. */
  nap(timeoutMs: number): void;
}

/** Each machine has one of its own. */
export function createEventLoop(): NodeEventLoop {
  const never = new Int32Array(new SharedArrayBuffer(4));
  return {
    ...eventLoopOf({
      setTimeout: (then, timeoutMs) => setTimeout(then, timeoutMs),
      clearTimeout: (timer) => clearTimeout(timer),
      takeTurn: (then) => void setImmediate(then),
      endSleep: (then) => then(),
    }),
    nap: (timeoutMs) => void Atomics.wait(never, 0, 0, timeoutMs),
  };
}
