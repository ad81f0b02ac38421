// What tests of virtio devices stand on: a driver that finds a device by its PCI capabilities, as Linux does, or over MMIO; negotiates, and sets up queues.

import { gpa } from '@anillo/base/gpa';
import type { AccessBytes } from '../device.ts';
import { CONFIG } from '../pci/config-space.ts';
import { STATUS } from '../virtio/virtio-device.ts';
import { FEATURE, featureWords } from '../virtio/virtio-features.ts';
import { PciRig } from './pci-rig.ts';
import { PackedDriver, type RingDriver, SplitDriver } from './ring-driver.ts';

const WINDOW = 0x10000000;
const MSIX = 0x10010000;
const MESSAGE = 0xfee00000;

export interface RigQueue {
  readonly ring: RingDriver;
  readonly index: number;
}

export class VirtioRig extends PciRig {
  /** Device << 3 | function. */
  number = 0;
  #common = 0;
  #notify = 0;
  #isr = 0;
  #device = 0;
  #buffers = 0x20000;

  /** Finds the structures of the function that was plugged in last, and gives it windows. */
  find(): this {
    this.number = this.bus.numbers.at(-1) as number;
    const config = (at: number, byteCount: AccessBytes = 4): number => this.config(this.number, at, byteCount);
    this.configure(this.number, CONFIG.bar + 16, WINDOW);
    this.configure(this.number, CONFIG.bar + 4, MSIX);
    this.configure(this.number, CONFIG.command, 6, 2);
    for (let at = config(CONFIG.capabilities, 1); at !== 0; at = config(at + 1, 1)) {
      const place = WINDOW + config(at + 8);
      if (config(at, 1) === 0x11) this.configure(this.number, at + 2, 0x8000, 2);
      if (config(at, 1) !== 9) continue;
      const type = config(at + 3, 1);
      if (type === 1) this.#common = place;
      else if (type === 2) this.#notify = place;
      else if (type === 3) this.#isr = place;
      else if (type === 4) this.#device = place;
    }
    return this;
  }

  /** Without MSI-X. */
  usePin(): void {
    for (let at = this.config(this.number, CONFIG.capabilities, 1); at !== 0; at = this.config(this.number, at + 1, 1))
      if (this.config(this.number, at, 1) === 0x11) this.configure(this.number, at + 2, 0, 2);
  }

  common(offset: number, byteCount: AccessBytes): number {
    return this.memory.read(this.#common + offset, byteCount);
  }

  setCommon(offset: number, byteCount: AccessBytes, value: number): void {
    this.memory.write(this.#common + offset, byteCount, value);
  }

  get status(): number {
    return this.common(20, 1);
  }

  set status(value: number) {
    this.setCommon(20, 1, value);
  }

  get needsReset(): boolean {
    return (this.status & STATUS.needsReset) !== 0;
  }

  readIsr(): number {
    return this.memory.read(this.#isr, 1);
  }

  deviceConfig(offset: number, byteCount: AccessBytes): number {
    return this.memory.read(this.#device + offset, byteCount);
  }

  setDeviceConfig(offset: number, byteCount: AccessBytes, value: number): void {
    this.memory.write(this.#device + offset, byteCount, value);
  }

  offered(word: number): number {
    this.setCommon(0, 4, word);
    return this.common(4, 4);
  }

  offers(feature: number): boolean {
    return (this.offered(feature >> 5) & (1 << (feature & 31))) !== 0;
  }

  /** Up to FEATURES_OK; is it accepted? */
  negotiate(features: readonly number[]): boolean {
    this.status = 0;
    this.status = STATUS.acknowledge;
    this.status = STATUS.acknowledge | STATUS.driver;
    featureWords([FEATURE.version1, ...features]).forEach((value, word) => {
      this.setCommon(8, 4, word);
      this.setCommon(12, 4, value);
    });
    this.status = STATUS.acknowledge | STATUS.driver | STATUS.featuresOk;
    return (this.status & STATUS.featuresOk) !== 0;
  }

  /** Sets a queue up, with a vector of its number plus one; the configuration's is 0. */
  queue(index: number, features: readonly number[], size: number): RigQueue {
    const Ring = features.includes(FEATURE.packedRing) ? PackedDriver : SplitDriver;
    const base = 0x80000 + index * 0x10000;
    this.ram.write(gpa(base), new Uint8Array(0x10000));
    const ring = new Ring({ memory: this.ram, size, hasEventIndex: features.includes(FEATURE.eventIndex), base });
    this.setVector(0, 0);
    this.setCommon(16, 2, 0);
    this.setCommon(22, 2, index);
    this.setCommon(24, 2, size);
    this.setVector(index + 1, index + 1);
    this.setCommon(26, 2, index + 1);
    [ring.descriptors, ring.driver, ring.device].forEach((address, i) => {
      this.setCommon(32 + i * 8, 4, address);
      this.setCommon(36 + i * 8, 4, 0);
    });
    this.setCommon(28, 2, 1);
    return { ring, index };
  }

  setVector(vector: number, data: number): void {
    [MESSAGE, 0, data, 0].forEach((word, i) => {
      this.memory.write(MSIX + vector * 16 + i * 4, 4, word);
    });
  }

  ready(): void {
    this.status = STATUS.acknowledge | STATUS.driver | STATUS.featuresOk | STATUS.driverOk;
  }

  /** Negotiates, sets all queues of that size up and starts the device. */
  start(features: readonly number[], size: number, queueCount = 1): RigQueue[] {
    if (!this.negotiate(features)) throw new Error('the device refuses the features');
    const queues = Array.from({ length: queueCount }, (_, i) => this.queue(i, features, size));
    this.ready();
    return queues;
  }

  notify({ index }: RigQueue): void {
    this.memory.write(this.#notify + index * 4, 2, index);
  }

  /** Times that the queue's vector was sent since this was asked last. */
  interrupts({ index }: RigQueue): number {
    return this.takeMessages(index + 1);
  }

  takeMessages(data: number): number {
    const count = this.messages.filter((message) => message.data === data).length;
    this.messages.splice(0, this.messages.length, ...this.messages.filter((message) => message.data !== data));
    return count;
  }

  /** Room in memory for buffers; goes round within 256 KiB. */
  allocate(byteCount: number): number {
    if (this.#buffers + byteCount > 0x60000) this.#buffers = 0x20000;
    const at = this.#buffers;
    this.#buffers += (byteCount + 15) & ~15;
    return at;
  }

  bytes(address: number, byteCount: number): Uint8Array {
    return this.ram.read(gpa(address), byteCount);
  }
}
