// Devices expect something of the host: the end of a transfer, an answer of a network. While they do, a guest that computes is interrupted more often for the
// host's events, and one that waits does so within the event loop.

/** Host time between two looks at the host's events, usually and while something is expected. */
const SLICE_NS = 4e6;
const SHORT_SLICE_NS = 0.25e6;
/** For so long after a device has said so. */
const LASTS_NS = 20e6;

export class HostExpectation {
  readonly #nowNs: () => number;
  #untilNs = 0;
  #lookedNs = 0;

  constructor(nowNs: () => number) {
    this.#nowNs = nowNs;
  }

  expect(): void {
    this.#untilNs = this.#nowNs() + LASTS_NS;
  }

  get isExpecting(): boolean {
    return this.#nowNs() < this.#untilNs;
  }

  /** The host's events have been served. */
  looked(): void {
    this.#lookedNs = this.#nowNs();
  }

  /** Is it time to look at them again? */
  get isDue(): boolean {
    const nowNs = this.#nowNs();
    return nowNs - this.#lookedNs >= (nowNs < this.#untilNs ? SHORT_SLICE_NS : SLICE_NS);
  }
}
