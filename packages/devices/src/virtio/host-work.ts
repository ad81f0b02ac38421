// How much the host has under way for a device that touches guest memory. Whoever would use that memory for something else (a reset, a snapshot) waits for it.

export class HostWork {
  #count = 0;
  #waiting: (() => void)[] = [];

  get isIdle(): boolean {
    return this.#count === 0;
  }

  begin(): void {
    this.#count++;
  }

  end(): void {
    if (--this.#count > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const then of waiting) then();
  }

  /** Calls `then` as soon as nothing is under way: at once, or from within the last `end`. */
  whenIdle(then: () => void): void {
    if (this.isIdle) then();
    else this.#waiting.push(then);
  }
}
