// The event loop of a page or worker, as a machine shares it. Turns are messages to oneself: timers are too coarse for that, and a timer that is set by a timer
// waits for 4 ms at least (HTML, 8.6 "Timers", nesting level), so a sleep ends with a message too.

import { type EventLoop, eventLoopOf } from '@anillo/base/event-loop';

/** Each machine has one of its own. */
export function createEventLoop(): EventLoop {
  const { port1, port2 } = new MessageChannel();
  const turns: (() => void)[] = [];
  port1.onmessage = () => turns.shift()?.();
  const takeTurn = (then: () => void): void => {
    turns.push(then);
    port2.postMessage(undefined);
  };
  return eventLoopOf({
    setTimeout: (then, timeoutMs) => setTimeout(then, timeoutMs),
    clearTimeout: (timer) => clearTimeout(timer),
    takeTurn,
    endSleep: takeTurn,
  });
}
