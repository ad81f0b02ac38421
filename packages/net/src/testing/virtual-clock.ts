// A clock that stands still until it is told to go on: tests are the same every time.

import type { Clock, ClockTimer } from '../clock.ts';

interface Entry {
  readonly dueMs: number;
  readonly order: number;
  readonly then: () => void;
}

export class VirtualClock implements Clock {
  #nowMs = 1_000_000;
  #order = 0;
  readonly #entries = new Set<Entry>();
  #soon: (() => void)[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, then: () => void): ClockTimer {
    const entry = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, then };
    this.#entries.add(entry);
    return { cancel: () => void this.#entries.delete(entry) };
  }

  soon(then: () => void): void {
    this.#soon.push(then);
  }

  get timerCount(): number {
    return this.#entries.size;
  }

  /** Does what is to be done soon. */
  settle(): void {
    while (this.#soon.length > 0) {
      const due = this.#soon;
      this.#soon = [];
      for (const then of due) then();
    }
  }

  /** Runs the next timer. False: there is none before `untilMs`. */
  step(untilMs = Number.POSITIVE_INFINITY): boolean {
    this.settle();
    let next: Entry | undefined;
    for (const entry of this.#entries) {
      if (next === undefined || entry.dueMs < next.dueMs || (entry.dueMs === next.dueMs && entry.order < next.order)) next = entry;
    }
    if (next === undefined || next.dueMs > untilMs) return false;
    this.#entries.delete(next);
    this.#nowMs = Math.max(this.#nowMs, next.dueMs);
    next.then();
    this.settle();
    return true;
  }

  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    while (this.step(untilMs));
    this.#nowMs = untilMs;
  }

  /** Runs until `isDone`, or for so long. True: it is done. */
  runUntil(isDone: () => boolean, limitMs: number): boolean {
    const untilMs = this.#nowMs + limitMs;
    this.settle();
    while (!isDone()) if (!this.step(untilMs)) break;
    return isDone();
  }
}
