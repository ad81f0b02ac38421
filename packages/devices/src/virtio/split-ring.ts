// Split virtqueues (Virtio 1.2, 2.7): a table of descriptors, a ring of the driver's that names heads of chains, a ring of the device's that gives them back.
// Indices count modulo 2^16.

import { Chain } from './chain.ts';
import { ChainBuilder, DESCRIPTOR, MOST_DESCRIPTORS } from './chain-builder.ts';
import type { Ring, RingAreas, RingPlace } from './ring.ts';
import type { Descriptor, RingMemory } from './ring-memory.ts';

const DESCRIPTOR_BYTES = 16;
const RING_HEAD_BYTES = 4;
const USED_ENTRY_BYTES = 8;
const NO_INTERRUPT = 1;

export interface RingFeatures {
  readonly hasIndirect: boolean;
  readonly hasEventIndex: boolean;
}

export class SplitRing implements Ring {
  readonly #memory: RingMemory;
  readonly #place: RingPlace;
  readonly #areas: RingAreas;
  readonly #features: RingFeatures;
  readonly #builder: ChainBuilder;
  readonly #descriptor: Descriptor = { address: 0, byteCount: 0, low: 0, high: 0 };

  constructor(memory: RingMemory, place: RingPlace, areas: RingAreas, features: RingFeatures) {
    this.#memory = memory;
    this.#place = place;
    this.#areas = areas;
    this.#features = features;
    this.#builder = new ChainBuilder(memory);
  }

  check(): string | undefined {
    const { descriptors, driver, device } = this.#areas;
    const { size } = this.#place;
    if (size === 0 || (size & (size - 1)) !== 0) return 'a queue whose size is no power of two';
    return descriptors % 16 !== 0 || driver % 2 !== 0 || device % 4 !== 0 ? 'a ring that is not aligned' : undefined;
  }

  take(epoch: number): Chain | undefined | string {
    const place = this.#place;
    const available = this.#memory.load16(this.#areas.driver + 2);
    if (available < 0) return 'a ring outside memory';
    const count = (available - place.taken) & 0xffff;
    if (count === 0) return undefined;
    if (count + place.outstanding > place.size) return 'more chains than the queue has entries';
    const head = this.#memory.load16(this.#areas.driver + RING_HEAD_BYTES + (place.taken % place.size) * 2);
    if (head < 0) return 'a ring outside memory';
    this.#builder.start();
    const wrong = this.#walk(head);
    if (wrong !== undefined) return wrong;
    place.taken = (place.taken + 1) & 0xffff;
    place.outstanding++;
    return new Chain(head, 1, epoch, this.#builder.readable, this.#builder.writable);
  }

  /** Follows the chain in the queue's own table, and in the one that its last descriptor may point to. */
  #walk(head: number): string | undefined {
    const d = this.#descriptor;
    let table = this.#areas.descriptors;
    let entryCount = this.#place.size;
    let isIndirect = false;
    let index = head;
    for (let seen = 0; ; seen++) {
      if (index >= entryCount) return 'a descriptor that is not in its table';
      if (seen === entryCount) return 'a chain that is a loop';
      if (!this.#memory.readDescriptor(table + index * DESCRIPTOR_BYTES, d)) return 'a table outside memory';
      const flags = d.low;
      if ((flags & DESCRIPTOR.indirect) !== 0) {
        const wrong = this.#checkTable(isIndirect, flags, d.byteCount);
        if (wrong !== undefined) return wrong;
        table = d.address;
        entryCount = d.byteCount / DESCRIPTOR_BYTES;
        isIndirect = true;
        index = 0;
        seen = -1;
        continue;
      }
      const wrong = this.#builder.add(d.address, d.byteCount, (flags & DESCRIPTOR.write) !== 0);
      if (wrong !== undefined) return wrong;
      if ((flags & DESCRIPTOR.next) === 0) return undefined;
      index = d.high;
    }
  }

  #checkTable(isIndirect: boolean, flags: number, byteCount: number): string | undefined {
    if (!this.#features.hasIndirect) return 'an indirect descriptor that was not negotiated';
    if (isIndirect) return 'a table within a table';
    if ((flags & DESCRIPTOR.next) !== 0) return 'a table with a descriptor behind it';
    if (byteCount === 0 || byteCount % DESCRIPTOR_BYTES !== 0 || byteCount / DESCRIPTOR_BYTES > MOST_DESCRIPTORS)
      return 'a table of a wrong size';
    return undefined;
  }

  give(chain: Chain, writtenBytes: number): string | undefined {
    return this.#enter(chain, writtenBytes) && this.#publish() ? undefined : 'a ring outside memory';
  }

  giveTogether(chains: readonly Chain[], writtenBytes: readonly number[]): string | undefined {
    return chains.every((chain, i) => this.#enter(chain, writtenBytes[i])) && this.#publish() ? undefined : 'a ring outside memory';
  }

  /** What the driver does not see yet. False: the ring is not there. */
  #enter(chain: Chain, writtenBytes: number): boolean {
    const place = this.#place;
    const entry = this.#areas.device + RING_HEAD_BYTES + (place.used % place.size) * USED_ENTRY_BYTES;
    place.outstanding--;
    place.used = (place.used + 1) & 0xffff;
    return this.#memory.write32(entry, chain.id) && this.#memory.write32(entry + 4, writtenBytes);
  }

  #publish(): boolean {
    return this.#memory.store16(this.#areas.device + 2, this.#place.used);
  }

  wantsInterrupt(): boolean {
    const place = this.#place;
    const { driver } = this.#areas;
    if (!this.#features.hasEventIndex) return (this.#memory.load16(driver) & NO_INTERRUPT) === 0;
    const event = this.#memory.load16(driver + RING_HEAD_BYTES + place.size * 2);
    const isNew = place.hasTold === 0 || ((place.used - event - 1) & 0xffff) < ((place.used - place.told) & 0xffff);
    place.told = place.used;
    place.hasTold = 1;
    return isNew;
  }

  askForNotification(): void {
    const { device } = this.#areas;
    const { size, taken } = this.#place;
    if (this.#features.hasEventIndex) this.#memory.store16(device + RING_HEAD_BYTES + size * USED_ENTRY_BYTES, taken);
  }
}
