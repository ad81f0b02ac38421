// Time as the network sees it: monotonic, and of the host, so that tests may bring their own.

export interface ClockTimer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic, milliseconds. */
  nowMs(): number;
  /** Calls `then` once, not before `delayMs` have passed and never from within this call. */
  after(delayMs: number, then: () => void): ClockTimer;
  /** Calls `then` once what is being done now is done, before other events. */
  soon(then: () => void): void;
}
