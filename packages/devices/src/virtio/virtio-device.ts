// A virtio device without its transport (Virtio 1.2, chapters 2 and 3): status, negotiation, queues, configuration. What it does with chains is its kind's.
//
//   reset --ACKNOWLEDGE, DRIVER--> features --FEATURES_OK--> queues --DRIVER_OK--> running --malformed ring--> NEEDS_RESET (stands still)
//     ^                                                                               |                              |
//     +---- 0 written: queues forgotten at once; the status reads as before until the host's work under way has ended
//
// All that a guest writes here is hostile: what does not fit is dropped, or breaks the device until reset, and nothing else.

import { struct } from '@anillo/base/struct';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import type { AccessBytes, Clock, Timer } from '../device.ts';
import { DeviceState } from '../device-state.ts';
import { StateList, type StatePart } from '../state-list.ts';
import type { Chain } from './chain.ts';
import { HostWork } from './host-work.ts';
import { type AddressMap, RingMemory } from './ring-memory.ts';
import type { RingFeatures } from './split-ring.ts';
import { FEATURE, FEATURE_WORDS, featureWords, hasFeature } from './virtio-features.ts';
import { NO_VECTOR, type QueueOwner, Virtqueue } from './virtqueue.ts';

export const STATUS = { acknowledge: 1, driver: 2, driverOk: 4, featuresOk: 8, needsReset: 64, failed: 128 } as const;
const WRITABLE_STATUS = STATUS.acknowledge | STATUS.driver | STATUS.driverOk | STATUS.featuresOk | STATUS.failed;

const STATE = struct({ status: 'u32', generation: 'u32', configVector: 'u32', accepted: ['u32', FEATURE_WORDS] });

/** What a kind of device is, and does. */
export interface VirtioKind {
  readonly name: string;
  /** 5: device types. */
  readonly deviceId: number;
  /** Bits of its own. */
  readonly features: readonly number[];
  /** Largest size of each queue; as they are with these features accepted. */
  readonly queueSizes: readonly number[];
  /** Device-specific configuration as the guest reads it now. */
  readonly config: Uint8Array;
  /** The guest writes there; absent: it is read-only. */
  writeConfig?(offset: number, byteCount: AccessBytes, value: number): void;
  /** The device is part of a machine; once. */
  attach(link: KindLink): void;
  /** The driver is ready. */
  start?(): void;
  /** The driver has made chains available, or may have. */
  notified(queue: Virtqueue): void;
  /** Chains that it holds are nothing any more; the driver is gone. */
  reset(): void;
  /** What it remembers beyond its queues. */
  readonly state?: StatePart;
  dispose?(): void;
}

/** What a kind has of its device. */
export interface KindLink {
  readonly queues: readonly Virtqueue[];
  /** To be told of whatever touches guest memory later. */
  readonly work: HostWork;
  accepts(feature: number): boolean;
  readonly isRunning: boolean;
  /** Has `handle` take all chains of a queue, as many as are good at a time, until it says false: then it wants no more for now. */
  serve(queue: Virtqueue, handle: (chain: Chain) => unknown): void;
  /** Has the kind notified of the queue again, when the machine has done other things. */
  later(queue: Virtqueue): void;
  /** Appends views of memory at an address that the driver gave, translated as those in rings; false: some of it is not there, or there would be more than `most`. */
  addViews(address: number, byteCount: number, isWrite: boolean, into: Uint8Array[], most: number): boolean;
  /** The guest did what it must not: the device needs a reset. */
  fail(reason: string): void;
  /** `config` has changed. */
  configChanged(): void;
}

export interface VirtioTransport {
  /** Where device addresses are in the machine's memory. `isPlatform`: as a device behind the platform's IOMMU sees them. */
  offsetOf(address: number, byteCount: number, isWrite: boolean, isPlatform: boolean): number;
  /** There is an IOMMU. */
  readonly isRemapped: boolean;
  /** A queue's or (undefined) the configuration's interrupt. */
  interrupt(queue: Virtqueue | undefined): void;
}

export interface VirtioOptions {
  readonly packed: boolean;
  readonly indirect_desc: boolean;
  readonly event_idx: boolean;
  readonly iommu_platform: string;
}

export class VirtioDevice implements QueueOwner {
  readonly kind: VirtioKind;
  readonly queues: readonly Virtqueue[];
  readonly memory: RingMemory;
  readonly work = new HostWork();
  /** Why it needs a reset, for people. */
  failure: string | undefined = undefined;
  readonly #transport: VirtioTransport;
  readonly #options: VirtioOptions;
  readonly #state = new DeviceState(STATE);
  readonly #parts: StateList;
  readonly #again: Timer;
  readonly #clock: Clock;
  readonly #unfinished = new Set<Virtqueue>();
  /** The status that the guest reads while work of its last life is under way. */
  #endingStatus = 0;
  /** The driver is ready, and nothing of an earlier life is under way. */
  #isStarted = false;

  constructor(
    kind: VirtioKind,
    options: VirtioOptions,
    context: { readonly clock: Clock; readonly memory: GuestMemory },
    transport: VirtioTransport,
  ) {
    this.kind = kind;
    this.#options = options;
    this.#transport = transport;
    const map: AddressMap = (address, byteCount, isWrite) => transport.offsetOf(address, byteCount, isWrite, this.#isPlatform);
    this.memory = new RingMemory(context.memory, map, () => this.#isPlatform && transport.isRemapped);
    this.queues = kind.queueSizes.map((size, index) => new Virtqueue(this, index, size));
    this.#parts = new StateList(this.#state, ...this.queues, ...(kind.state === undefined ? [] : [kind.state]));
    this.#clock = context.clock;
    this.#again = context.clock.createTimer(() => this.#serveAgain());
    const device = this;
    kind.attach({
      queues: this.queues,
      work: this.work,
      accepts: (feature) => this.accepts(feature),
      get isRunning() {
        return device.isRunning;
      },
      serve: (queue, handle) => this.#serve(queue, handle),
      later: (queue) => this.#later(queue),
      addViews: (address, byteCount, isWrite, into, most) => this.memory.addViews(address, byteCount, isWrite, into, most),
      fail: (reason) => this.fail(reason),
      configChanged: () => this.configChanged(),
    });
    this.reset();
  }

  // --- Features ---

  get #isPlatform(): boolean {
    return this.accepts(FEATURE.accessPlatform);
  }

  #offersPlatform(): boolean {
    const { iommu_platform: choice } = this.#options;
    return choice === 'on' || (choice === 'auto' && this.#transport.isRemapped);
  }

  /** What the device can, as words. */
  get offered(): Uint32Array {
    const { packed, indirect_desc: indirect, event_idx: eventIndex } = this.#options;
    const { indirectDescriptors, eventIndex: eventBit, version1, accessPlatform, packedRing } = FEATURE;
    const transportBits: readonly (readonly [number, boolean])[] = [
      [version1, true],
      [indirectDescriptors, indirect],
      [eventBit, eventIndex],
      [packedRing, packed],
      [accessPlatform, this.#offersPlatform()],
    ];
    return featureWords([...this.kind.features, ...transportBits.flatMap(([bit, isOffered]) => (isOffered ? [bit] : []))]);
  }

  accepts(feature: number): boolean {
    return hasFeature(this.#state.view.accepted, feature);
  }

  get isPacked(): boolean {
    return this.accepts(FEATURE.packedRing);
  }

  get ringFeatures(): RingFeatures {
    return { hasIndirect: this.accepts(FEATURE.indirectDescriptors), hasEventIndex: this.accepts(FEATURE.eventIndex) };
  }

  /** The driver's choice, a word; only before FEATURES_OK. */
  acceptWord(word: number, value: number): void {
    if (word < FEATURE_WORDS && (this.#status & STATUS.featuresOk) === 0) this.#state.view.accepted[word] = value;
  }

  acceptedWord(word: number): number {
    return word < FEATURE_WORDS ? this.#state.view.accepted[word] : 0;
  }

  /** 3.1.1 step 5, 6.1: nothing that was not offered, nothing of before version 1, and who has been put behind an IOMMU stays there. */
  #agrees(): boolean {
    const { accepted } = this.#state.view;
    const isOffered = this.offered.every((word, i) => (accepted[i] & ~word) === 0);
    return isOffered && this.accepts(FEATURE.version1) && (!this.#offersPlatform() || this.accepts(FEATURE.accessPlatform));
  }

  // --- Status ---

  get #status(): number {
    return this.#state.view.status;
  }

  get status(): number {
    return this.#endingStatus !== 0 ? this.#endingStatus : this.#status;
  }

  get #isReady(): boolean {
    return (this.#status & (STATUS.driverOk | STATUS.needsReset)) === STATUS.driverOk;
  }

  get isRunning(): boolean {
    return this.#isStarted && this.#isReady;
  }

  writeStatus(value: number): void {
    if (value === 0) {
      this.#end();
      return;
    }
    this.#endingStatus = 0;
    const before = this.#status;
    let added = value & WRITABLE_STATUS & ~before;
    if ((added & STATUS.featuresOk) !== 0 && !this.#agrees()) added &= ~STATUS.featuresOk;
    if (((before | added) & STATUS.featuresOk) === 0) added &= ~STATUS.driverOk;
    this.#state.view.status = before | added;
    if ((added & STATUS.driverOk) !== 0) this.work.whenIdle(() => this.#start());
  }

  #start(): void {
    if (this.#isStarted || !this.#isReady) return;
    this.#isStarted = true;
    this.kind.start?.();
    for (const queue of this.queues) if (queue.isEnabled) this.kind.notified(queue);
  }

  /** The driver resets the device: it is gone when what the host has under way has ended. */
  #end(): void {
    const before = this.status;
    this.reset();
    if (this.work.isIdle) return;
    this.#endingStatus = before;
    this.work.whenIdle(() => {
      this.#endingStatus = 0;
    });
  }

  reset(): void {
    this.#endingStatus = 0;
    this.#isStarted = false;
    this.#unfinished.clear();
    this.#again.disarm();
    this.failure = undefined;
    this.#state.clear();
    this.#state.view.configVector = NO_VECTOR;
    for (const queue of this.queues) queue.reset();
    this.kind.reset();
  }

  fail(reason: string): void {
    if ((this.#status & STATUS.needsReset) !== 0) return;
    this.failure = reason;
    const wasRunning = this.isRunning;
    this.#state.view.status |= STATUS.needsReset;
    if (wasRunning) this.#transport.interrupt(undefined);
  }

  save(): Uint8Array {
    return this.#parts.save();
  }

  /** What was under way when it was saved is not there; chains of then are taken from the ring again by nobody. */
  restore(state: Uint8Array): void {
    this.reset();
    this.#parts.restore(state);
    this.#start();
  }

  // --- Queues ---

  notify(index: number): void {
    const queue = this.queues[index];
    if (queue !== undefined && this.isRunning) this.kind.notified(queue);
  }

  interrupt(queue: Virtqueue): void {
    this.#transport.interrupt(queue);
  }

  /** A queue's worth at a time: other CPUs may go on filling it, and the machine has other things to do. */
  #serve(queue: Virtqueue, handle: (chain: Chain) => unknown): void {
    for (let left = queue.registers.size; left > 0; left--) {
      const chain = queue.next();
      if (chain === undefined || handle(chain) === false) return;
    }
    this.#later(queue);
  }

  #later(queue: Virtqueue): void {
    this.#unfinished.add(queue);
    this.#again.arm(this.#clock.nowNs());
  }

  #serveAgain(): void {
    const queues = [...this.#unfinished];
    this.#unfinished.clear();
    for (const queue of queues) if (this.isRunning) this.kind.notified(queue);
  }

  // --- Configuration ---

  get configVector(): number {
    return this.#state.view.configVector;
  }

  set configVector(vector: number) {
    this.#state.view.configVector = vector;
  }

  get generation(): number {
    return this.#state.view.generation & 0xff;
  }

  configChanged(): void {
    this.#state.view.generation = (this.#state.view.generation + 1) & 0xff;
    if (this.isRunning) this.#transport.interrupt(undefined);
  }

  readConfig(offset: number, byteCount: AccessBytes): number {
    const { config } = this.kind;
    let value = 0;
    for (let i = byteCount - 1; i >= 0; i--) value = (value << 8) | (config[offset + i] ?? 0);
    return value >>> 0;
  }

  writeConfig(offset: number, byteCount: AccessBytes, value: number): void {
    this.kind.writeConfig?.(offset, byteCount, value);
  }
}
