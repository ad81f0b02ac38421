// A bandwidth limit: so many bytes a second, and a burst beyond them. Debt is allowed, for a frame goes whole or not at all.

/** So long the full rate may be saved up. */
const BURST_MS = 50;
/** Some frames of 64 KiB would not pass at low rates otherwise. */
const SMALLEST_BURST_BYTES = 16 * 1024;

export class TokenBucket {
  #bytesPerSecond: number | undefined;
  #tokens = 0;
  #filledMs = 0;

  /** Undefined: no limit. */
  constructor(bytesPerSecond?: number) {
    this.setRate(bytesPerSecond);
  }

  setRate(bytesPerSecond: number | undefined): void {
    this.#bytesPerSecond = bytesPerSecond;
    this.#tokens = this.#burst;
  }

  get isLimited(): boolean {
    return this.#bytesPerSecond !== undefined;
  }

  get #burst(): number {
    return Math.max(SMALLEST_BURST_BYTES, ((this.#bytesPerSecond ?? 0) * BURST_MS) / 1000);
  }

  /** How long nothing may be sent; 0: now. */
  waitMs(nowMs: number): number {
    if (this.#bytesPerSecond === undefined) return 0;
    this.#tokens = Math.min(this.#burst, this.#tokens + (Math.max(0, nowMs - this.#filledMs) * this.#bytesPerSecond) / 1000);
    this.#filledMs = nowMs;
    return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens * 1000) / this.#bytesPerSecond);
  }

  /** Counts what has been sent; the answer is that of `waitMs` afterwards. */
  take(byteCount: number, nowMs: number): number {
    if (this.#bytesPerSecond === undefined) return 0;
    this.waitMs(nowMs);
    this.#tokens -= byteCount;
    return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens * 1000) / this.#bytesPerSecond);
  }
}
