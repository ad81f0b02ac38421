// What both transports have for registers (Virtio 1.2, 4.1.4.3 and 4.2.2): selectors, and the registers of the queue that is selected.

import { struct } from '@anillo/base/struct';
import { DeviceState } from '../device-state.ts';
import type { VirtioDevice } from './virtio-device.ts';
import type { Virtqueue } from './virtqueue.ts';

const STATE = struct({ offeredWord: 'u32', acceptedWord: 'u32', queue: 'u32', isr: 'u32' });

export const ISR = { queue: 1, configuration: 2 } as const;

/** Areas of a queue. */
export type QueueArea = 'descriptors' | 'driver' | 'device';

export class CommonRegisters {
  readonly device: VirtioDevice;
  readonly #state = new DeviceState(STATE);

  constructor(device: VirtioDevice) {
    this.device = device;
  }

  get select(): DeviceState<(typeof STATE)['spec']>['view'] {
    return this.#state.view;
  }

  clear(): void {
    this.#state.clear();
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
  }

  /** The driver's status; writing 0 ends what the transport remembers too. */
  writeStatus(value: number): void {
    this.device.writeStatus(value);
    if (value === 0) this.clear();
  }

  get offered(): number {
    return this.device.offered[this.select.offeredWord] ?? 0;
  }

  get accepted(): number {
    return this.device.acceptedWord(this.select.acceptedWord);
  }

  accept(value: number): void {
    this.device.acceptWord(this.select.acceptedWord, value);
  }

  get queue(): Virtqueue | undefined {
    return this.device.queues[this.select.queue];
  }

  /** A queue that is enabled keeps its registers. */
  get #openQueue(): Virtqueue | undefined {
    return this.queue?.registers.isEnabled === 0 ? this.queue : undefined;
  }

  setSize(value: number): void {
    const queue = this.#openQueue;
    if (queue !== undefined && value > 0 && value <= queue.largestSize) queue.registers.size = value;
  }

  area(area: QueueArea, word: number): number {
    return this.queue?.registers[area][word] ?? 0;
  }

  setArea(area: QueueArea, word: number, value: number): void {
    const queue = this.#openQueue;
    if (queue !== undefined) queue.registers[area][word] = value;
  }

  enable(): void {
    this.#openQueue?.enable();
  }
}
