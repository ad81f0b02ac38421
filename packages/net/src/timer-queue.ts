// Many deadlines on one timer of the host. Moving one later or clearing it costs nothing: its place in the heap is looked at again when its time has come.

import type { Clock, ClockTimer } from './clock.ts';

export class Deadline {
  readonly #queue: TimerQueue;
  readonly onDue: () => void;
  /** Infinity: not set. */
  dueMs = Number.POSITIVE_INFINITY;
  /** Where it stands in the heap by time; Infinity: it is not there. */
  heapMs = Number.POSITIVE_INFINITY;

  constructor(queue: TimerQueue, onDue: () => void) {
    this.#queue = queue;
    this.onDue = onDue;
  }

  get isSet(): boolean {
    return this.dueMs !== Number.POSITIVE_INFINITY;
  }

  set(dueMs: number): void {
    this.dueMs = dueMs;
    if (dueMs < this.heapMs) this.#queue.insert(this);
  }

  clear(): void {
    this.dueMs = Number.POSITIVE_INFINITY;
  }
}

interface Entry {
  readonly atMs: number;
  readonly deadline: Deadline;
}

export class TimerQueue {
  readonly #clock: Clock;
  readonly #heap: Entry[] = [];
  #timer: ClockTimer | undefined;
  #timerMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** For `Deadline`. */
  insert(deadline: Deadline): void {
    deadline.heapMs = deadline.dueMs;
    this.#push({ atMs: deadline.dueMs, deadline });
    this.#arm();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#heap.length = 0;
    this.#timerMs = Number.NEGATIVE_INFINITY;
  }

  #arm(): void {
    const [first] = this.#heap;
    if (first === undefined || first.atMs >= this.#timerMs) return;
    this.#timer?.cancel();
    this.#timerMs = first.atMs;
    this.#timer = this.#clock.after(Math.max(0, first.atMs - this.#clock.nowMs()), () => this.#run());
  }

  #run(): void {
    this.#timerMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.nowMs();
    while (this.#heap.length > 0 && this.#heap[0].atMs <= nowMs) {
      const { atMs, deadline } = this.#pop();
      // An entry that a nearer one has replaced.
      if (deadline.heapMs !== atMs) continue;
      deadline.heapMs = Number.POSITIVE_INFINITY;
      if (deadline.dueMs <= nowMs) {
        deadline.clear();
        deadline.onDue();
      } else if (deadline.isSet) {
        this.insert(deadline);
      }
    }
    this.#arm();
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent].atMs <= entry.atMs) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): Entry {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop()!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1].atMs < heap[child].atMs) child++;
      if (heap[child].atMs >= last.atMs) break;
      heap[at] = heap[child];
      at = child;
    }
    if (heap.length > 0) heap[at] = last;
    return first;
  }
}
