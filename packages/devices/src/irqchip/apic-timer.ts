// Timer of the local APIC (SDM 3A 12.5.4): one-shot, periodic and TSC-deadline. Its input clock is 1 GHz whatever the CPU's: one nanosecond of guest
// time a tick before the divider. CPUID leaf 0x15 (core crystal clock) and KVM's convention tell guests the same figure.

import type { Clock, Timer } from '../device.ts';

export const APIC_TIMER_HZ = 1_000_000_000;
const MASKED = 1 << 16;
const PERIODIC = 1;
const TSC_DEADLINE = 2;
const NEVER = -1;

/** The timer's part of the local APIC's state. */
export interface ApicTimerCells {
  lvtTimer: number;
  initialCount: number;
  divideConfiguration: number;
  /** Guest time of the next expiry; below 0: stopped. */
  nextNs: number;
  deadlineLow: number;
  deadlineHigh: number;
}

export interface ApicTimerOptions {
  readonly clock: Clock;
  readonly cells: ApicTimerCells;
  readonly tscToNs: (low: number, high: number) => number;
  /** Expired while not masked. */
  readonly onExpire: () => void;
}

export class ApicTimer {
  readonly #clock: Clock;
  readonly #cells: ApicTimerCells;
  readonly #tscToNs: (low: number, high: number) => number;
  readonly #onExpire: () => void;
  readonly #timer: Timer;

  constructor(options: ApicTimerOptions) {
    this.#clock = options.clock;
    this.#cells = options.cells;
    this.#tscToNs = options.tscToNs;
    this.#onExpire = options.onExpire;
    this.#timer = options.clock.createTimer(() => this.#settle());
  }

  get #mode(): number {
    return (this.#cells.lvtTimer >>> 17) & 3;
  }

  get #divisor(): number {
    const d = this.#cells.divideConfiguration;
    return 1 << ((((d & 3) | ((d >> 1) & 4)) + 1) & 7);
  }

  /** Power-on: stopped. */
  stop(): void {
    this.#cells.nextNs = NEVER;
    this.#cells.deadlineLow = this.#cells.deadlineHigh = 0;
    this.#timer.disarm();
  }

  /** Arms the host side again from the cells (after a restore or a change of mask). */
  rearm(): void {
    const { nextNs, lvtTimer } = this.#cells;
    if (nextNs < 0 || (lvtTimer & MASKED) !== 0) this.#timer.disarm();
    else this.#timer.arm(nextNs);
  }

  /** Brings the cells up to now: an expiry that is due happens. */
  #settle(): void {
    const cells = this.#cells;
    const now = this.#clock.nowNs();
    if (cells.nextNs >= 0 && cells.nextNs <= now) {
      const periodNs = cells.initialCount * this.#divisor;
      if (this.#mode === PERIODIC && periodNs > 0) cells.nextNs += (Math.floor((now - cells.nextNs) / periodNs) + 1) * periodNs;
      else cells.nextNs = NEVER;
      cells.deadlineLow = cells.deadlineHigh = 0;
      if ((cells.lvtTimer & MASKED) === 0) this.#onExpire();
    }
    this.rearm();
  }

  writeLvt(value: number): void {
    this.#settle();
    const before = this.#mode;
    this.#cells.lvtTimer = value;
    const after = this.#mode;
    // SDM 3A 12.5.4.1: a switch to or from TSC-deadline mode disarms the timer.
    if (before !== after && (before === TSC_DEADLINE || after === TSC_DEADLINE)) {
      this.#cells.initialCount = 0;
      this.stop();
    }
    this.rearm();
  }

  writeInitialCount(count: number): void {
    if (this.#mode === TSC_DEADLINE) return;
    this.#cells.initialCount = count;
    this.#cells.nextNs = count === 0 ? NEVER : this.#clock.nowNs() + count * this.#divisor;
    this.rearm();
  }

  writeDivide(value: number): void {
    this.#settle();
    const count = this.readCurrentCount();
    this.#cells.divideConfiguration = value & 0xb;
    if (this.#cells.nextNs >= 0 && this.#mode !== TSC_DEADLINE) this.#cells.nextNs = this.#clock.nowNs() + count * this.#divisor;
    this.rearm();
  }

  readCurrentCount(): number {
    const { nextNs, initialCount } = this.#cells;
    if (nextNs < 0 || this.#mode === TSC_DEADLINE) return 0;
    const divisor = this.#divisor;
    let leftNs = nextNs - this.#clock.nowNs();
    if (leftNs <= 0) {
      if (this.#mode !== PERIODIC) return 0;
      const periodNs = initialCount * divisor;
      leftNs = periodNs - (-leftNs % periodNs);
    }
    return Math.min(Math.ceil(leftNs / divisor), initialCount);
  }

  /** IA32_TSC_DEADLINE; ignored in the other modes. A deadline in the past expires at once. */
  writeDeadline(low: number, high: number): void {
    if (this.#mode !== TSC_DEADLINE) return;
    this.#cells.deadlineLow = low;
    this.#cells.deadlineHigh = high;
    this.retarget();
  }

  /** The TSC was written or changed its rate. */
  retarget(): void {
    const cells = this.#cells;
    if (this.#mode !== TSC_DEADLINE) return;
    const armed = (cells.deadlineLow | cells.deadlineHigh) !== 0;
    cells.nextNs = armed ? Math.max(0, this.#tscToNs(cells.deadlineLow, cells.deadlineHigh)) : NEVER;
    this.#settle();
  }
}
