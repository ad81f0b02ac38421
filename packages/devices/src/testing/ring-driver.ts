// The driver's side of a virtqueue, split or packed, as a correct driver writes it: offers chains, takes back what the device has used, and says when it wants to
// be told. It keeps ids of its own, and packs them as tightly as a ring of that size allows.

import { gpa } from '@anillo/base/gpa';
import type { RegionMemory } from '@anillo/memory/region-memory';

export interface DriverBuffer {
  readonly address: number;
  readonly byteCount: number;
  readonly isWritable: boolean;
}

export interface UsedChain {
  readonly id: number;
  readonly writtenBytes: number;
}

const DESCRIPTOR_BYTES = 16;
const FLAG = { next: 1, write: 2, indirect: 4, available: 0x80, used: 0x8000 } as const;

export interface RingDriverOptions {
  readonly memory: RegionMemory;
  readonly size: number;
  readonly hasEventIndex: boolean;
  /** Where its areas are: 64 KiB of memory, a multiple of 4096. */
  readonly base: number;
}

export abstract class RingDriver {
  readonly descriptors: number;
  readonly driver: number;
  readonly device: number;
  readonly size: number;
  protected readonly memory: RegionMemory;
  protected readonly hasEventIndex: boolean;
  /** Descriptors in use by each chain that the device has. */
  protected readonly slots = new Map<number, number>();

  constructor({ memory, size, hasEventIndex, base }: RingDriverOptions) {
    this.memory = memory;
    this.size = size;
    this.hasEventIndex = hasEventIndex;
    this.descriptors = base;
    this.driver = base + size * DESCRIPTOR_BYTES;
    this.device = (this.driver + 6 + size * 2 + 3) & ~3;
  }

  /** Descriptors that are free. */
  get room(): number {
    let used = 0;
    for (const count of this.slots.values()) used += count;
    return this.size - used;
  }

  protected put16(address: number, value: number): void {
    this.memory.write16(gpa(address), value);
  }

  protected get16(address: number): number {
    return this.memory.read16(gpa(address));
  }

  protected putDescriptor(address: number, at: number, byteCount: number, low: number, high: number): void {
    this.memory.write32(gpa(address), at % 2 ** 32);
    this.memory.write32(gpa(address + 4), Math.floor(at / 2 ** 32));
    this.memory.write32(gpa(address + 8), byteCount);
    this.put16(address + 12, low);
    this.put16(address + 14, high);
  }

  /** Makes a chain available and gives its id. `table`: address for an indirect table. Not asked for without room. */
  abstract offer(buffers: readonly DriverBuffer[], table?: number): number;
  /** What the device has used since it was asked last. */
  abstract collect(): UsedChain[];
  /** Does the device want to be notified of what was offered since this was asked last? */
  abstract mustNotify(): boolean;
  /** Asks for an interrupt when the next chain is used, or (false) for none. */
  abstract askForInterrupt(isWanted: boolean): void;
}

export class SplitDriver extends RingDriver {
  #available = 0;
  #seen = 0;
  #notified = 0;
  readonly #free: number[] = Array.from({ length: this.size }, (_, i) => i);
  readonly #chains = new Map<number, readonly number[]>();

  offer(buffers: readonly DriverBuffer[], table?: number): number {
    const ids = this.#free.splice(0, table === undefined ? buffers.length : 1);
    const [head] = ids;
    const place = (i: number): number =>
      table === undefined ? this.descriptors + ids[i] * DESCRIPTOR_BYTES : table + i * DESCRIPTOR_BYTES;
    buffers.forEach(({ address, byteCount, isWritable }, i) => {
      const isLast = i === buffers.length - 1;
      const flags = (isLast ? 0 : FLAG.next) | (isWritable ? FLAG.write : 0);
      this.putDescriptor(place(i), address, byteCount, flags, isLast ? 0 : table === undefined ? ids[i + 1] : i + 1);
    });
    if (table !== undefined)
      this.putDescriptor(this.descriptors + head * DESCRIPTOR_BYTES, table, buffers.length * DESCRIPTOR_BYTES, FLAG.indirect, 0);
    this.slots.set(head, ids.length);
    this.#chains.set(head, ids);
    this.put16(this.driver + 4 + (this.#available % this.size) * 2, head);
    this.#available = (this.#available + 1) & 0xffff;
    this.put16(this.driver + 2, this.#available);
    return head;
  }

  collect(): UsedChain[] {
    const used: UsedChain[] = [];
    for (const end = this.get16(this.device + 2); this.#seen !== end; this.#seen = (this.#seen + 1) & 0xffff) {
      const at = this.device + 4 + (this.#seen % this.size) * 8;
      const id = this.memory.read32(gpa(at));
      used.push({ id, writtenBytes: this.memory.read32(gpa(at + 4)) });
      this.slots.delete(id);
      this.#free.push(...(this.#chains.get(id) ?? []));
      this.#chains.delete(id);
    }
    return used;
  }

  mustNotify(): boolean {
    const before = this.#notified;
    this.#notified = this.#available;
    if (!this.hasEventIndex) return (this.get16(this.device) & 1) === 0;
    const event = this.get16(this.device + 4 + this.size * 8);
    return ((this.#available - event - 1) & 0xffff) < ((this.#available - before) & 0xffff);
  }

  askForInterrupt(isWanted: boolean): void {
    if (this.hasEventIndex) this.put16(this.driver + 4 + this.size * 2, isWanted ? this.#seen : this.#seen - 1);
    else this.put16(this.driver, isWanted ? 0 : 1);
  }
}

export class PackedDriver extends RingDriver {
  /** Positions count through the ring twice: the wrap counter is 1 in the first half. */
  #next = 0;
  #seen = 0;
  #notified = 0;
  #lastId = 0;

  #at(position: number): number {
    return this.descriptors + (position % this.size) * DESCRIPTOR_BYTES;
  }

  #isFirstHalf(position: number): boolean {
    return position % (2 * this.size) < this.size;
  }

  offer(buffers: readonly DriverBuffer[], table?: number): number {
    while (this.slots.has(this.#lastId)) this.#lastId = (this.#lastId + 1) % this.size;
    const id = this.#lastId;
    const entries = table === undefined ? buffers : [{ address: table, byteCount: buffers.length * DESCRIPTOR_BYTES, isWritable: false }];
    if (table !== undefined)
      buffers.forEach((b, i) => this.putDescriptor(table + i * DESCRIPTOR_BYTES, b.address, b.byteCount, 0, b.isWritable ? FLAG.write : 0));
    const writes = entries.map(({ address, byteCount, isWritable }, i) => {
      const position = this.#next + i;
      const flags =
        (i === entries.length - 1 ? 0 : FLAG.next) |
        (isWritable ? FLAG.write : 0) |
        (table === undefined ? 0 : FLAG.indirect) |
        (this.#isFirstHalf(position) ? FLAG.available : FLAG.used);
      return () => this.putDescriptor(this.#at(position), address, byteCount, id, flags);
    });
    for (const write of writes.reverse()) write(); // the first one last (2.8.21)
    this.#next += entries.length;
    this.slots.set(id, entries.length);
    return id;
  }

  collect(): UsedChain[] {
    const used: UsedChain[] = [];
    for (;;) {
      const at = this.#at(this.#seen);
      const flags = this.get16(at + 14);
      const wrap = this.#isFirstHalf(this.#seen);
      if (((flags & FLAG.available) !== 0) !== wrap || ((flags & FLAG.used) !== 0) !== wrap) return used;
      const id = this.get16(at + 12);
      const count = this.slots.get(id);
      if (count === undefined) throw new Error(`the device used chain ${id}, which it does not have`);
      used.push({ id, writtenBytes: this.memory.read32(gpa(at + 8)) });
      this.slots.delete(id);
      this.#seen += count;
    }
  }

  mustNotify(): boolean {
    const before = this.#notified;
    this.#notified = this.#next;
    const flags = this.get16(this.device + 2);
    if (flags !== 2) return flags === 0;
    const round = 2 * this.size;
    const word = this.get16(this.device);
    const event = (word & 0x7fff) + ((word & 0x8000) !== 0 ? 0 : this.size);
    const distance = (((this.#next - event - 1) % round) + round) % round;
    return distance < this.#next - before;
  }

  askForInterrupt(isWanted: boolean): void {
    if (this.hasEventIndex && isWanted) this.put16(this.driver, (this.#seen % this.size) | (this.#isFirstHalf(this.#seen) ? 0x8000 : 0));
    this.put16(this.driver + 2, isWanted ? (this.hasEventIndex ? 2 : 0) : 1);
  }
}
