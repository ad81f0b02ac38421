// Guest memory as rings need it: device addresses become views of it, indices are read and written in order (Virtio 1.2, 2.7.13 and 2.8.21). With several CPUs
// the other end is another thread, so all that says "it is there" goes through Atomics. Nothing is remembered: an IOMMU may take any page away at any time.

import type { GuestMemory } from '@anillo/memory/guest-memory';

const PAGE_BYTES = 4096;

/** Offset in the machine's memory of a range within one page, or -1. */
export type AddressMap = (address: number, byteCount: number, isWrite: boolean) => number;

export interface Descriptor {
  address: number;
  byteCount: number;
  /** The third word, as it lies there: flags and next (split), id and flags (packed). */
  low: number;
  high: number;
}

export class RingMemory {
  readonly #memory: GuestMemory;
  readonly #map: AddressMap;
  readonly #isPaged: () => boolean;
  readonly #data: DataView;
  readonly #cells: Uint16Array;

  /** `isPaged`: addresses are translated page by page, else they are those of memory. */
  constructor(memory: GuestMemory, map: AddressMap, isPaged: () => boolean) {
    this.#memory = memory;
    this.#map = map;
    this.#isPaged = isPaged;
    this.#data = new DataView(memory.buffer);
    this.#cells = new Uint16Array(memory.buffer, 0, Math.floor(memory.buffer.byteLength / 2));
  }

  /** An even address, with everything read later behind it; -1: it is not there. */
  load16(address: number): number {
    const at = this.#map(address, 2, false);
    return at < 0 ? -1 : Atomics.load(this.#cells, at >>> 1);
  }

  /** An even address, with everything written earlier before it. False: it is not there. */
  store16(address: number, value: number): boolean {
    const at = this.#map(address, 2, true);
    if (at < 0) return false;
    Atomics.store(this.#cells, at >>> 1, value);
    this.#memory.wrote(at, 2);
    return true;
  }

  /** An address that is a multiple of 4. False: it is not there. */
  write32(address: number, value: number): boolean {
    const at = this.#map(address, 4, true);
    if (at < 0) return false;
    this.#data.setUint32(at, value, true);
    this.#memory.wrote(at, 4);
    return true;
  }

  /** A descriptor at any address, for tables that guests put where they like. False: it is not there. */
  readDescriptor(address: number, into: Descriptor): boolean {
    const isWhole = !this.#isPaged() || (address % PAGE_BYTES) + 16 <= PAGE_BYTES;
    const at = isWhole ? this.#map(address, 16, false) : -1;
    if (at < 0) return !isWhole && this.#readSplitDescriptor(address, into);
    this.#decode(this.#data, at, into);
    return true;
  }

  #decode(data: DataView, at: number, into: Descriptor): void {
    into.address = data.getUint32(at, true) + data.getUint32(at + 4, true) * 2 ** 32;
    into.byteCount = data.getUint32(at + 8, true);
    into.low = data.getUint16(at + 12, true);
    into.high = data.getUint16(at + 14, true);
  }

  /** It lies in two pages. */
  #readSplitDescriptor(address: number, into: Descriptor): boolean {
    const bytes = new DataView(new ArrayBuffer(16));
    for (let i = 0; i < 16; i++) {
      const at = this.#map(address + i, 1, false);
      if (at < 0) return false;
      bytes.setUint8(i, this.#data.getUint8(at));
    }
    this.#decode(bytes, 0, into);
    return true;
  }

  /** Appends views of the range, at most `most` in all; false: some of it is not there, or there are too many. */
  addViews(address: number, byteCount: number, isWrite: boolean, into: Uint8Array[], most: number): boolean {
    if (!this.#isPaged()) {
      const at = this.#map(address, byteCount, isWrite);
      if (at < 0 || into.length >= most) return false;
      into.push(new Uint8Array(this.#memory.buffer, at, byteCount));
      return true;
    }
    let start = -1;
    let end = -1;
    for (let from = 0; from < byteCount; ) {
      const count = Math.min(byteCount - from, PAGE_BYTES - ((address + from) % PAGE_BYTES));
      const at = this.#map(address + from, count, isWrite);
      if (at < 0) return false;
      if (at !== end) {
        if (start >= 0) into.push(new Uint8Array(this.#memory.buffer, start, end - start));
        if (into.length >= most) return false;
        start = at;
      }
      end = at + count;
      from += count;
    }
    into.push(new Uint8Array(this.#memory.buffer, start, end - start));
    return true;
  }

  /** A device has filled views of guest memory. */
  wrote(views: readonly Uint8Array[]): void {
    for (const view of views) this.#memory.wrote(view.byteOffset, view.length);
  }
}
