// Guest time over the host's monotonic clock, and the queue of timers on it. Guest time stands still while paused; the wall clock does not.
// `nowNs` is one call and one subtraction, since every RDTSC comes here. Timers wait in a binary heap; the machine's loop asks for the next
// deadline, sleeps at most until then and calls `runDue`.

import { struct } from '@anillo/base/struct';
import type { Clock, Timer } from '../device.ts';
import { DeviceState } from '../device-state.ts';

const STATE = struct({ nowNs: 'f64' });

export interface GuestClockOptions {
  /** Monotonic host time, nanoseconds. */
  readonly hostNowNs: () => number;
  /** The host's wall clock, milliseconds since 1970 UTC; read once, at creation. */
  readonly hostWallMs: () => number;
  /** Where guest time's distance from host time is kept, for several threads: 8 bytes. A clock that joins others takes it as it is. */
  readonly offset?: { readonly cell: Float64Array; readonly joins: boolean };
}

class HeapTimer implements Timer {
  readonly #clock: GuestClock;
  readonly fire: () => void;
  atNs = 0;
  /** Place in the heap, -1 when not armed. */
  place = -1;

  constructor(clock: GuestClock, fire: () => void) {
    this.#clock = clock;
    this.fire = fire;
  }

  arm(atNs: number): void {
    this.#clock.schedule(this, atNs);
  }

  disarm(): void {
    this.#clock.cancel(this);
  }
}

export class GuestClock implements Clock {
  /** An earlier deadline than any before was armed: whoever sleeps must wake up. */
  onEarlier: (() => void) | undefined = undefined;
  readonly #hostNowNs: () => number;
  readonly #wallBaseMs: number;
  readonly #wallBaseHostNs: number;
  /** Host time minus guest time while running. */
  readonly #offset: Float64Array;
  #pausedAtNs: number | undefined = undefined;
  readonly #heap: HeapTimer[] = [];

  /** Starts running, at guest time 0. */
  constructor(options: GuestClockOptions) {
    this.#hostNowNs = options.hostNowNs;
    this.#wallBaseHostNs = options.hostNowNs();
    this.#offset = options.offset?.cell ?? new Float64Array(1);
    if (options.offset?.joins !== true) this.#offset[0] = this.#wallBaseHostNs;
    this.#wallBaseMs = options.hostWallMs();
  }

  nowNs(): number {
    return this.#pausedAtNs ?? this.#hostNowNs() - this.#offset[0];
  }

  /** With a fraction, so that the second's end can be timed. */
  wallMs(): number {
    return this.#wallBaseMs + (this.#hostNowNs() - this.#wallBaseHostNs) / 1e6;
  }

  get paused(): boolean {
    return this.#pausedAtNs !== undefined;
  }

  pause(): void {
    this.#pausedAtNs ??= this.nowNs();
  }

  resume(): void {
    if (this.#pausedAtNs === undefined) return;
    this.#offset[0] = this.#hostNowNs() - this.#pausedAtNs;
    this.#pausedAtNs = undefined;
    this.onEarlier?.();
  }

  createTimer(fire: () => void): Timer {
    return new HeapTimer(this, fire);
  }

  /** Guest time of the first armed timer; Infinity: none. */
  nextDeadlineNs(): number {
    return this.#heap.length === 0 ? Infinity : this.#heap[0].atNs;
  }

  /** Fires the timers that are due at the time of the call, in order of their deadlines; returns how many. */
  runDue(): number {
    if (this.#heap.length === 0) return 0;
    const now = this.nowNs();
    // A timer armed for the past by one that fires waits for the next call: a guest cannot keep us here. The bound is the timers armed now.
    let left = this.#heap.length;
    let fired = 0;
    while (left-- > 0 && this.#heap.length > 0 && this.#heap[0].atNs <= now) {
      const timer = this.#heap[0];
      this.cancel(timer);
      timer.fire();
      fired++;
    }
    return fired;
  }

  /** For HeapTimer: puts it into the queue or moves it there. NaN and Infinity are never. */
  schedule(timer: HeapTimer, atNs: number): void {
    this.cancel(timer);
    if (!(atNs < Infinity)) return;
    timer.atNs = atNs;
    this.#heap.push(timer);
    this.#up(timer, this.#heap.length - 1);
    if (timer.place === 0) this.onEarlier?.();
  }

  cancel(timer: HeapTimer): void {
    const { place } = timer;
    if (place < 0) return;
    timer.place = -1;
    const last = this.#heap.pop() as HeapTimer;
    if (last === timer) return;
    this.#up(last, place);
    this.#down(last, last.place);
  }

  #up(timer: HeapTimer, from: number): void {
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = this.#heap[above];
      if (parent.atNs <= timer.atNs) break;
      this.#heap[place] = parent;
      parent.place = place;
      place = above;
    }
    this.#heap[place] = timer;
    timer.place = place;
  }

  #down(timer: HeapTimer, from: number): void {
    let place = from;
    for (;;) {
      let below = place * 2 + 1;
      if (below >= this.#heap.length) break;
      if (below + 1 < this.#heap.length && this.#heap[below + 1].atNs < this.#heap[below].atNs) below++;
      const child = this.#heap[below];
      if (child.atNs >= timer.atNs) break;
      this.#heap[place] = child;
      child.place = place;
      place = below;
    }
    this.#heap[place] = timer;
    timer.place = place;
  }

  /** Guest time; the timers are re-armed by the devices that own them. */
  save(): Uint8Array {
    const state = new DeviceState(STATE);
    state.view.nowNs = this.nowNs();
    return state.save();
  }

  /** Restore the clock before the devices. */
  restore(bytes: Uint8Array): void {
    const state = new DeviceState(STATE);
    state.restore(bytes);
    const { nowNs } = state.view;
    if (this.#pausedAtNs !== undefined) this.#pausedAtNs = nowNs;
    this.#offset[0] = this.#hostNowNs() - nowNs;
  }
}
