// How the machine's thread waits while the boot CPU is halted: for its next timer, for the other CPUs' signals, or in the host's event loop, which serves
// whatever else may come and takes long to wake.

import type { GuestClock } from '@anillo/devices/clock/guest-clock';
import type { MachineHost } from './machine-host.ts';
import type { Processors } from './smp/processors.ts';

const NS_PER_MS = 1e6;
/** Below this a wait does without the host's timers, which are no finer. */
const SHORTEST_SLEEP_NS = 0.5 * NS_PER_MS;
/** Longest wait during which the host's events are not served, and the shortest: the host ends naps so much too late. */
const LONGEST_NAP_NS = 1 * NS_PER_MS;
const SHORTEST_NAP_NS = 0.06 * NS_PER_MS;

export interface GuestWaitOptions {
  readonly host: MachineHost;
  readonly clock: GuestClock;
  /** With several CPUs. */
  readonly processors: Processors | undefined;
  /** Told of every wait: when it began. */
  readonly waited: (sinceNs: number) => void;
}

export class GuestWait {
  readonly #o: GuestWaitOptions;
  /** The last wait was short. */
  #napsPay = false;

  constructor(options: GuestWaitOptions) {
    this.#o = options;
  }

  get #untilTimerNs(): number {
    return this.#o.clock.nextDeadlineNs() - this.#o.clock.nowNs();
  }

  /** A short wait, without the event loop. Has something come? */
  nap(): boolean {
    const { host, processors, waited } = this.#o;
    const waitNs = this.#untilTimerNs;
    const isShort = waitNs < SHORTEST_SLEEP_NS;
    const sinceNs = host.nowNs();
    if (processors === undefined) {
      if (!isShort || waitNs < SHORTEST_NAP_NS || host.nap === undefined) return false;
      host.nap(waitNs / NS_PER_MS);
      waited(sinceNs);
      return false;
    }
    if (!isShort && !this.#napsPay) return false;
    this.#napsPay = processors.nap(Math.min(waitNs, LONGEST_NAP_NS));
    waited(sinceNs);
    return isShort || this.#napsPay;
  }

  /** A turn of the event loop, or as many as there are until something comes. */
  async sleep(): Promise<void> {
    const { host, processors, waited } = this.#o;
    const startNs = host.nowNs();
    const waitNs = this.#untilTimerNs;
    if (waitNs < SHORTEST_SLEEP_NS) await host.yieldToHost();
    else if (processors?.watch(() => host.wake()) !== false) {
      await host.sleep(Math.round(waitNs / NS_PER_MS));
      waited(startNs);
    }
    this.#napsPay = host.nowNs() - startNs < LONGEST_NAP_NS;
  }
}
