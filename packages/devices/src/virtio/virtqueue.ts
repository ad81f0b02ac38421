// A virtqueue of a device (Virtio 1.2, 2.6): what the driver has set up, and chains to take and to give back. A ring that makes no sense breaks the device
// (DEVICE_NEEDS_RESET), and its queues stand still until reset. A chain taken before a reset is nothing any more afterwards: giving it back does nothing.

import { struct } from '@anillo/base/struct';
import { DeviceState } from '../device-state.ts';
import type { Chain } from './chain.ts';
import { PackedRing } from './packed-ring.ts';
import type { Ring } from './ring.ts';
import type { RingMemory } from './ring-memory.ts';
import { type RingFeatures, SplitRing } from './split-ring.ts';

const STATE = struct({
  size: 'u32',
  taken: 'u32',
  used: 'u32',
  told: 'u32',
  hasTold: 'u32',
  outstanding: 'u32',
  isEnabled: 'u32',
  vector: 'u32',
  descriptors: ['u32', 2],
  driver: ['u32', 2],
  device: ['u32', 2],
});

/** No MSI-X vector (4.1.5.1.2). */
export const NO_VECTOR = 0xffff;

/** What a queue needs of its device. */
export interface QueueOwner {
  readonly memory: RingMemory;
  readonly isPacked: boolean;
  readonly ringFeatures: RingFeatures;
  /** The driver has said that all is set up, and nothing is broken. */
  readonly isRunning: boolean;
  /** The guest did what it must not: the device needs a reset. */
  fail(reason: string): void;
  interrupt(queue: Virtqueue): void;
}

const addressOf = ([low, high]: Uint32Array): number => high * 2 ** 32 + low;

export class Virtqueue {
  readonly index: number;
  readonly largestSize: number;
  readonly #owner: QueueOwner;
  readonly #state = new DeviceState(STATE);
  #ring: Ring | undefined;
  #epoch = 0;

  constructor(owner: QueueOwner, index: number, largestSize: number) {
    this.#owner = owner;
    this.index = index;
    this.largestSize = largestSize;
    this.reset();
  }

  /** What the driver sets: size, vector, addresses as words. */
  get registers(): DeviceState<(typeof STATE)['spec']>['view'] {
    return this.#state.view;
  }

  reset(): void {
    this.#state.clear();
    this.#state.view.size = this.largestSize;
    this.#state.view.vector = NO_VECTOR;
    this.#ring = undefined;
    this.#epoch++;
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
    this.#epoch++;
    this.#ring = this.#state.view.isEnabled === 0 ? undefined : this.#makeRing();
  }

  get isEnabled(): boolean {
    return this.#ring !== undefined;
  }

  /** The driver is done with the queue's registers. */
  enable(): void {
    const place = this.#state.view;
    if (this.#ring !== undefined) return;
    place.isEnabled = 1;
    const ring = this.#makeRing();
    const wrong = ring.check();
    if (wrong !== undefined) this.#owner.fail(wrong);
    else this.#ring = ring;
  }

  #makeRing(): Ring {
    const { memory, isPacked, ringFeatures } = this.#owner;
    const place = this.#state.view;
    const areas = {
      descriptors: addressOf(place.descriptors),
      driver: addressOf(place.driver),
      device: addressOf(place.device),
    };
    return isPacked ? new PackedRing(memory, place, areas, ringFeatures) : new SplitRing(memory, place, areas, ringFeatures);
  }

  /** The next chain that the driver has made available; when there is none the driver is asked to notify of the next. */
  next(): Chain | undefined {
    const first = this.#take();
    if (first !== undefined || this.#ring === undefined || !this.#owner.isRunning) return first;
    this.#ring.askForNotification();
    return this.#take(); // which may have come before the driver saw that
  }

  #take(): Chain | undefined {
    if (this.#ring === undefined || !this.#owner.isRunning) return undefined;
    const taken = this.#ring.take(this.#epoch);
    if (typeof taken !== 'string') return taken;
    this.#owner.fail(`${taken} (queue ${this.index})`);
    return undefined;
  }

  /** Can a chain still be given back, and do its views belong to the device? */
  owns(chain: Chain): boolean {
    return chain.epoch === this.#epoch && this.#ring !== undefined && this.#owner.isRunning;
  }

  /** Gives a chain back with its first `writtenBytes` writable bytes filled, without telling the driver yet: `tell` does. */
  give(chain: Chain, writtenBytes: number): void {
    if (!this.owns(chain)) return;
    if (chain.writable.length > 0) this.#owner.memory.wrote(chain.writable);
    const wrong = this.#ring?.give(chain, writtenBytes);
    if (wrong !== undefined) this.#owner.fail(`${wrong} (queue ${this.index})`);
  }

  /** As `give` for each; the driver sees all of them or none. */
  giveTogether(chains: readonly Chain[], writtenBytes: readonly number[]): void {
    if (!chains.every((chain) => this.owns(chain))) return;
    for (const { writable } of chains) this.#owner.memory.wrote(writable);
    const wrong = this.#ring?.giveTogether(chains, writtenBytes);
    if (wrong !== undefined) this.#owner.fail(`${wrong} (queue ${this.index})`);
  }

  /** Tells the driver of what was given back, if it wants to know. */
  tell(): void {
    if (this.#ring !== undefined && this.#owner.isRunning && this.#ring.wantsInterrupt()) this.#owner.interrupt(this);
  }

  complete(chain: Chain, writtenBytes: number): void {
    if (!this.owns(chain)) return;
    this.give(chain, writtenBytes);
    this.tell();
  }
}
