// Whether requests to a file are done on the caller's thread, at once, or on Node's: at once as long as the host has in memory what they take, which shows in the time
// that they took. A turn of a thread costs ten times as much as a copy of 4 KiB; a request that waits for a device holds up everything else that the thread does. So
// waiting is a debt: it may be a tenth of all time, and some milliseconds at once, for a host that has other work to do as well makes any call slow now and then.

/** Longer than any copy of so few bytes, and shorter than most devices take. */
const QUICK_MS = 0.2;
/** Of all time. */
const WAITING_SHARE = 0.1;
const MOST_DEBT_MS = 20;

export class Promptness {
  readonly #nowMs: () => number;
  #debtMs = 0;
  #countedAtMs = 0;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Does `work`, and whatever it says; false: not now. */
  try(work: () => boolean): boolean {
    const startMs = this.#nowMs();
    if (this.#debtMs > 0) this.#debtMs = Math.max(0, this.#debtMs - (startMs - this.#countedAtMs) * WAITING_SHARE);
    this.#countedAtMs = startMs;
    if (this.#debtMs > MOST_DEBT_MS) return false;
    const isDone = work();
    const tookMs = this.#nowMs() - startMs;
    if (tookMs > QUICK_MS) this.#debtMs += tookMs;
    return isDone;
  }
}
