// The retransmission timeout (RFC 6298).

const INITIAL_RTO_MS = 1000;
/** Below the second that RFC 6298 asks for: the link is memory, the peer's delayed acknowledgments are what must fit. */
const SMALLEST_RTO_MS = 250;
const LARGEST_RTO_MS = 60_000;
const GRANULARITY_MS = 10;

export class RttEstimator {
  #smoothedMs = -1;
  #variationMs = 0;
  #baseMs = INITIAL_RTO_MS;
  #backoff = 0;

  /** How often in a row it has been doubled. */
  get backoff(): number {
    return this.#backoff;
  }

  get rtoMs(): number {
    return Math.min(LARGEST_RTO_MS, this.#baseMs * 2 ** Math.min(this.#backoff, 8));
  }

  get smoothedMs(): number {
    return Math.max(0, this.#smoothedMs);
  }

  sample(rttMs: number): void {
    if (this.#smoothedMs < 0) {
      this.#smoothedMs = rttMs;
      this.#variationMs = rttMs / 2;
    } else {
      this.#variationMs = 0.75 * this.#variationMs + 0.25 * Math.abs(this.#smoothedMs - rttMs);
      this.#smoothedMs = 0.875 * this.#smoothedMs + 0.125 * rttMs;
    }
    const rtoMs = this.#smoothedMs + Math.max(GRANULARITY_MS, 4 * this.#variationMs);
    this.#baseMs = Math.min(LARGEST_RTO_MS, Math.max(SMALLEST_RTO_MS, rtoMs));
  }

  back(): void {
    this.#backoff++;
  }

  /** Something new has been acknowledged. */
  endBackoff(): void {
    this.#backoff = 0;
  }
}
