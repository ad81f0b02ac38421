// Whether requests to a file are done on the caller's thread, at once, or on Node's: at once as long as the host has in memory what they take, which shows in the time
// that they took. A turn of a thread costs ten times as much as a copy of 4 KiB; a request that waits for a device holds up everything else that the thread does.

/** Longer than any copy of so few bytes, and shorter than most devices take. */
const SLOW_MS = 0.2;
/** After one that was slow. The pause doubles with every further one. */
const SHORTEST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 1000;

export class Promptness {
  readonly #nowMs: () => number;
  #againAtMs = 0;
  #pauseMs = SHORTEST_PAUSE_MS;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Does `work`, and whatever it says; false: not now. */
  try(work: () => boolean): boolean {
    const startMs = this.#nowMs();
    if (startMs < this.#againAtMs) return false;
    const isDone = work();
    const endMs = this.#nowMs();
    if (endMs - startMs > SLOW_MS) {
      this.#againAtMs = endMs + this.#pauseMs;
      this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
    } else this.#pauseMs = Math.max(SHORTEST_PAUSE_MS, this.#pauseMs * 0.98);
    return isDone;
  }
}
