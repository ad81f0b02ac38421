// Packed virtqueues (Virtio 1.2, 2.8): one ring of descriptors that both sides write. A position counts through the ring twice, so that its upper half is the wrap
// counter: 0 <= position < 2 * size, and the counter is 1 in the first half.

import { Chain } from './chain.ts';
import { ChainBuilder, DESCRIPTOR, MOST_DESCRIPTORS } from './chain-builder.ts';
import type { Ring, RingAreas, RingPlace } from './ring.ts';
import type { Descriptor, RingMemory } from './ring-memory.ts';
import type { RingFeatures } from './split-ring.ts';

const DESCRIPTOR_BYTES = 16;
const AT = { byteCount: 8, id: 12, flags: 14 } as const;
const FLAG = { available: 1 << 7, used: 1 << 15 } as const;
/** Event suppression areas (2.8.14): off_wrap, then flags. */
const EVENT = { enable: 0, disable: 1, at: 2 } as const;
const LARGEST_SIZE = 32768;

export class PackedRing implements Ring {
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
    if (size === 0 || size > LARGEST_SIZE) return 'a queue of a wrong size';
    return descriptors % 16 !== 0 || driver % 4 !== 0 || device % 4 !== 0 ? 'a ring that is not aligned' : undefined;
  }

  #addressOf(position: number): number {
    return this.#areas.descriptors + (position % this.#place.size) * DESCRIPTOR_BYTES;
  }

  #after(position: number, count: number): number {
    return (position + count) % (this.#place.size * 2);
  }

  /** 2.8.1: the driver has made it available, and the device has not used it. */
  #isAvailable(flags: number, position: number): boolean {
    const wrap = position < this.#place.size;
    return ((flags & FLAG.available) !== 0) === wrap && ((flags & FLAG.used) !== 0) !== wrap;
  }

  take(epoch: number): Chain | undefined | string {
    const place = this.#place;
    const flags = this.#memory.load16(this.#addressOf(place.taken) + AT.flags);
    if (flags < 0) return 'a ring outside memory';
    if (!this.#isAvailable(flags, place.taken)) return undefined;
    this.#builder.start();
    const d = this.#descriptor;
    let slotCount = 0;
    let id = 0;
    for (let isLast = false; !isLast; slotCount++) {
      if (slotCount + place.outstanding >= place.size) return 'more descriptors than the queue has';
      if (!this.#memory.readDescriptor(this.#addressOf(place.taken + slotCount), d)) return 'a ring outside memory';
      isLast = (d.high & DESCRIPTOR.next) === 0;
      id = d.low;
      const wrong =
        (d.high & DESCRIPTOR.indirect) === 0
          ? this.#builder.add(d.address, d.byteCount, (d.high & DESCRIPTOR.write) !== 0)
          : this.#addTable(d.address, d.byteCount, slotCount === 0 && isLast);
      if (wrong !== undefined) return wrong;
    }
    place.taken = this.#after(place.taken, slotCount);
    place.outstanding += slotCount;
    return new Chain(id, slotCount, epoch, this.#builder.readable, this.#builder.writable);
  }

  /** 2.8.7: all of it belongs to the chain, in order; only the flag WRITE counts. */
  #addTable(address: number, byteCount: number, isAlone: boolean): string | undefined {
    const d = this.#descriptor;
    if (!this.#features.hasIndirect) return 'an indirect descriptor that was not negotiated';
    if (!isAlone) return 'a table within a chain';
    if (byteCount === 0 || byteCount % DESCRIPTOR_BYTES !== 0 || byteCount / DESCRIPTOR_BYTES > MOST_DESCRIPTORS)
      return 'a table of a wrong size';
    for (let at = 0; at < byteCount; at += DESCRIPTOR_BYTES) {
      if (!this.#memory.readDescriptor(address + at, d)) return 'a table outside memory';
      if ((d.high & DESCRIPTOR.indirect) !== 0) return 'a table within a table';
      const wrong = this.#builder.add(d.address, d.byteCount, (d.high & DESCRIPTOR.write) !== 0);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  }

  give(chain: Chain, writtenBytes: number): string | undefined {
    const position = this.#place.used;
    return this.#enter(chain, writtenBytes) && this.#publish(position, writtenBytes) ? undefined : 'a ring outside memory';
  }

  giveTogether(chains: readonly Chain[], writtenBytes: readonly number[]): string | undefined {
    const positions: number[] = [];
    const isThere = chains.every((chain, i) => {
      positions.push(this.#place.used);
      return this.#enter(chain, writtenBytes[i]);
    });
    // The driver looks at the first for what comes after it.
    for (let i = positions.length - 1; isThere && i >= 0; i--)
      if (!this.#publish(positions[i], writtenBytes[i])) return 'a ring outside memory';
    return isThere ? undefined : 'a ring outside memory';
  }

  /** What the driver does not believe yet. False: the ring is not there. */
  #enter(chain: Chain, writtenBytes: number): boolean {
    const place = this.#place;
    const at = this.#addressOf(place.used);
    place.outstanding -= chain.slotCount;
    place.used = this.#after(place.used, chain.slotCount);
    return this.#memory.write32(at + AT.byteCount, writtenBytes) && this.#memory.store16(at + AT.id, chain.id);
  }

  #publish(position: number, writtenBytes: number): boolean {
    const flags = (position < this.#place.size ? FLAG.available | FLAG.used : 0) | (writtenBytes > 0 ? DESCRIPTOR.write : 0);
    return this.#memory.store16(this.#addressOf(position) + AT.flags, flags);
  }

  wantsInterrupt(): boolean {
    const place = this.#place;
    const { driver } = this.#areas;
    const before = place.told;
    const hadTold = place.hasTold !== 0;
    place.told = place.used;
    place.hasTold = 1;
    const flags = this.#memory.load16(driver + 2) & 3;
    if (flags !== EVENT.at || !this.#features.hasEventIndex) return flags !== EVENT.disable;
    const round = place.size * 2;
    const at = this.#memory.load16(driver);
    const event = (at & 0x7fff) + ((at & 0x8000) !== 0 ? 0 : place.size);
    const since = (from: number): number => (((place.used - from) % round) + round) % round;
    return !hadTold || since(event + 1) < since(before);
  }

  askForNotification(): void {
    const { device } = this.#areas;
    const { size, taken } = this.#place;
    if (!this.#features.hasEventIndex) return;
    this.#memory.store16(device, (taken % size) | (taken < size ? 0x8000 : 0));
    this.#memory.store16(device + 2, EVENT.at);
  }
}
