// Node's time for the network.

import type { Clock } from '@anillo/net/clock';

export const networkClock: Clock = {
  nowMs: () => performance.now(),
  after: (delayMs, then) => {
    const timer = setTimeout(then, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (then) => queueMicrotask(then),
};
