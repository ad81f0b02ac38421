// A chain of buffers as a device sees it, whichever ring it came from: what it may read, then what it may write. They are views of guest memory, so what is read
// twice may differ: a device copies what it decides by.

/** The part [from, from + byteCount) of a list of buffers that lie one after the other; shorter where they end. */
export function partOf(views: readonly Uint8Array[], from: number, byteCount: number): Uint8Array[] {
  const part: Uint8Array[] = [];
  let skip = from;
  let left = byteCount;
  for (const view of views) {
    if (left <= 0) break;
    if (skip >= view.length) {
      skip -= view.length;
      continue;
    }
    const count = Math.min(left, view.length - skip);
    part.push(count === view.length ? view : view.subarray(skip, skip + count));
    skip = 0;
    left -= count;
  }
  return part;
}

/** Copies out of a list of buffers, from the byte `from` on; gives the number of bytes. */
export function gather(views: readonly Uint8Array[], from: number, into: Uint8Array): number {
  let filled = 0;
  for (const part of partOf(views, from, into.length)) {
    into.set(part, filled);
    filled += part.length;
  }
  return filled;
}

/** Copies into a list of buffers, from the byte `from` on; gives the number of bytes. */
export function scatter(views: readonly Uint8Array[], from: number, bytes: Uint8Array): number {
  let taken = 0;
  for (const part of partOf(views, from, bytes.length)) {
    part.set(bytes.subarray(taken, taken + part.length));
    taken += part.length;
  }
  return taken;
}

const total = (views: readonly Uint8Array[]): number => views.reduce((sum, view) => sum + view.length, 0);

export class Chain {
  /** What the ring calls it. */
  readonly id: number;
  /** Descriptors that it takes in the ring. */
  readonly slotCount: number;
  /** The queue's life in which it was taken: a reset ends it. */
  readonly epoch: number;
  readonly readable: readonly Uint8Array[];
  readonly writable: readonly Uint8Array[];
  readonly readableBytes: number;
  readonly writableBytes: number;

  constructor(id: number, slotCount: number, epoch: number, readable: readonly Uint8Array[], writable: readonly Uint8Array[]) {
    this.id = id;
    this.slotCount = slotCount;
    this.epoch = epoch;
    this.readable = readable;
    this.writable = writable;
    this.readableBytes = total(readable);
    this.writableBytes = total(writable);
  }
}
