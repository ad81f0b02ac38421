// How a vCPU's thread waits for its signal. A thread that sleeps is woken by the host, which takes it tens of microseconds; so it first looks at the signal
// for a while, as long as that has paid lately: the time to look grows when a sleep was short, and goes when one was long.

const SHORTEST_LOOK_NS = 8_000;
const LONGEST_LOOK_NS = 200_000;
const LOOKS_A_TIME = 50;

export class SignalWait {
  readonly #signal: Int32Array;
  readonly #nowNs: () => number;
  #lookNs = 0;

  constructor(signal: Int32Array, nowNs: () => number) {
    this.#signal = signal;
    this.#nowNs = nowNs;
  }

  /** Until the signal is no longer `seen`, or for so long. Has it changed? */
  wait(seen: number, timeoutNs: number): boolean {
    const startNs = this.#nowNs();
    if (this.#look(seen, startNs + Math.min(this.#lookNs, timeoutNs))) return true;
    const leftNs = startNs + timeoutNs - this.#nowNs();
    if (leftNs > 0) Atomics.wait(this.#signal, 0, seen, leftNs / 1e6);
    const isShort = this.#nowNs() - startNs < LONGEST_LOOK_NS;
    this.#lookNs = isShort ? Math.min(LONGEST_LOOK_NS, Math.max(SHORTEST_LOOK_NS, this.#lookNs * 2)) : 0;
    return Atomics.load(this.#signal, 0) !== seen;
  }

  #look(seen: number, untilNs: number): boolean {
    do {
      for (let i = 0; i < LOOKS_A_TIME; i++) if (Atomics.load(this.#signal, 0) !== seen) return true;
    } while (this.#nowNs() < untilNs);
    return false;
  }
}
