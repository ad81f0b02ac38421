// Virtio over PCI (Virtio 1.2, 4.1), without the legacy interface: four structures in one window, told by capabilities; a fifth reaches them through
// configuration space, for firmware that cannot map windows. Interrupts are MSI-X vectors, or the pin with the ISR status.

import type { AccessBytes, Device, DeviceContext } from '../device.ts';
import type { BusFunction, PciBus } from '../pci/pci-bus.ts';
import { PciFunction } from '../pci/pci-function.ts';
import { StateList } from '../state-list.ts';
import { CommonRegisters, ISR } from './common-registers.ts';
import { VirtioDevice, type VirtioKind, type VirtioOptions } from './virtio-device.ts';
import { NO_VECTOR, type Virtqueue } from './virtqueue.ts';

const VENDOR = 0x1af4;
const FIRST_DEVICE = 0x1040;
const SUBSYSTEM = 0x1100;
const WINDOW = { bar: 4, byteCount: 0x4000, msixBar: 1 } as const;
const CAPABILITY = { id: 0x09, common: 1, notify: 2, isr: 3, device: 4, access: 5 } as const;
/** Structures within the window; each is a page, so that a guest may give it away. */
const AREA = { common: 0x0000, isr: 0x1000, device: 0x2000, notify: 0x3000, byteCount: 0x1000 } as const;
const NOTIFY_MULTIPLIER = 4;
const MOST_VECTORS = 128;

/** 4.1.4.3. */
const AT = {
  offeredSelect: 0,
  offered: 4,
  acceptedSelect: 8,
  accepted: 12,
  configVector: 16,
  queueCount: 18,
  status: 20,
  generation: 21,
  queueSelect: 22,
  queueSize: 24,
  queueVector: 26,
  queueEnable: 28,
  notifyOffset: 30,
  descriptors: 32,
  driver: 40,
  device: 48,
  notifyData: 56,
  end: 64,
} as const;

/** Fields of the capability that reaches the window (4.1.4.9). */
const ACCESS = { bar: 4, offset: 8, byteCount: 12, data: 16, end: 20 } as const;

export interface VirtioPciOptions extends VirtioOptions {
  readonly addr: number | undefined;
}

export class VirtioPci implements Device, BusFunction {
  readonly name: string;
  readonly device: VirtioDevice;
  readonly #fn: PciFunction;
  readonly #registers: CommonRegisters;
  readonly #parts: StateList;
  readonly #vectorCount: number;
  readonly #accessAt: number;

  /** `classCode`: what kind of device PCI takes it for. */
  constructor(kind: VirtioKind, classCode: number, options: VirtioPciOptions, { clock, memory, pci }: DeviceContext) {
    this.name = `${kind.name}-pci`;
    this.#vectorCount = Math.min(MOST_VECTORS, kind.queueSizes.length + 1);
    this.#fn = new PciFunction({
      identity: {
        vendor: VENDOR,
        device: FIRST_DEVICE + kind.deviceId,
        revision: 1,
        classCode,
        subsystemVendor: VENDOR,
        subsystem: SUBSYSTEM,
      },
      hasPin: true,
      isExpress: pci.kind === 'link',
      msix: { vectors: this.#vectorCount, bar: WINDOW.msixBar },
      windows: [
        {
          bar: WINDOW.bar,
          kind: 'memory64',
          prefetchable: true,
          byteCount: WINDOW.byteCount,
          read: (offset, byteCount) => this.#read(offset, byteCount),
          write: (offset, byteCount, value) => this.#write(offset, byteCount, value),
        },
      ],
    });
    const fn = this.#fn;
    this.device = new VirtioDevice(
      kind,
      options,
      { clock, memory },
      {
        offsetOf: (address, byteCount, isWrite, isPlatform) => fn.offsetOf(address, byteCount, isWrite, isPlatform),
        get isRemapped() {
          return pci.isRemapped;
        },
        interrupt: (queue) => this.#interrupt(queue),
      },
    );
    this.#registers = new CommonRegisters(this.device);
    this.#parts = new StateList(fn, this.#registers, this.device);
    this.#addCapability(CAPABILITY.common, AREA.common, AT.end, 16);
    const notify = this.#addCapability(CAPABILITY.notify, AREA.notify, kind.queueSizes.length * NOTIFY_MULTIPLIER, 20);
    fn.config.define(notify + 16, NOTIFY_MULTIPLIER, 4);
    this.#addCapability(CAPABILITY.isr, AREA.isr, 1, 16);
    if (kind.config.length > 0) this.#addCapability(CAPABILITY.device, AREA.device, kind.config.length, 16);
    this.#accessAt = this.#addCapability(CAPABILITY.access, 0, 0, ACCESS.end);
    fn.config.allow(this.#accessAt + ACCESS.bar, 0xff, 1);
    for (const at of [ACCESS.offset, ACCESS.byteCount, ACCESS.data]) fn.config.allow(this.#accessAt + at, -1, 4);
    pci.attach(this, options.addr);
  }

  #addCapability(type: number, offset: number, length: number, byteCount: number): number {
    const { config } = this.#fn;
    const at = config.addCapability(CAPABILITY.id, byteCount);
    config.define(at + 2, byteCount | (type << 8), 2);
    config.define(at + 4, type === CAPABILITY.access ? 0 : WINDOW.bar, 1);
    config.define(at + 8, offset, 4);
    config.define(at + 12, length, 4);
    return at;
  }

  reset(): void {
    this.#fn.reset();
    this.#registers.clear();
    this.device.reset();
  }

  save(): Uint8Array {
    return this.#parts.save();
  }

  restore(state: Uint8Array): void {
    this.#parts.restore(state);
  }

  settled(): Promise<void> {
    return new Promise((resolve) => this.device.work.whenIdle(resolve));
  }

  [Symbol.dispose](): void {
    this.device.kind.dispose?.();
  }

  // --- The bus's side ---

  plugged(bus: PciBus, number: number): void {
    this.#fn.plugged(bus, number);
  }

  unplugged(): void {
    this.#fn.unplugged();
  }

  get isExpress(): boolean {
    return this.#fn.isExpress;
  }

  get assertedPins(): number {
    return this.#fn.assertedPins;
  }

  readConfig(offset: number, byteCount: AccessBytes): number {
    if (offset === this.#accessAt + ACCESS.data) this.#access((at, count) => this.#setData(this.#read(at, count)));
    return this.#fn.readConfig(offset, byteCount);
  }

  writeConfig(offset: number, byteCount: AccessBytes, value: number): void {
    this.#fn.writeConfig(offset, byteCount, value);
    if (offset === this.#accessAt + ACCESS.data) this.#access((at, count) => this.#write(at, count, this.#fn.readConfig(offset, count)));
  }

  #setData(value: number): void {
    this.#fn.writeConfig(this.#accessAt + ACCESS.data, 4, value);
  }

  /** The access that the capability describes, if it is one (4.1.4.9.1). */
  #access(then: (offset: number, byteCount: AccessBytes) => void): void {
    const field = (at: number, byteCount: AccessBytes): number => this.#fn.readConfig(this.#accessAt + at, byteCount);
    const offset = field(ACCESS.offset, 4);
    const byteCount = field(ACCESS.byteCount, 4);
    if (byteCount !== 1 && byteCount !== 2 && byteCount !== 4) return;
    if (field(ACCESS.bar, 1) === WINDOW.bar && offset % byteCount === 0 && offset + byteCount <= WINDOW.byteCount) then(offset, byteCount);
  }

  // --- Interrupts ---

  #interrupt(queue: Virtqueue | undefined): void {
    const vector = queue === undefined ? this.device.configVector : queue.registers.vector;
    if (this.#fn.sendMessage(vector)) return;
    this.#registers.select.isr |= queue === undefined ? ISR.configuration : ISR.queue;
    this.#fn.setPin(true);
  }

  /** Reading acknowledges (4.1.4.5). */
  #readIsr(): number {
    const { select } = this.#registers;
    const { isr } = select;
    select.isr = 0;
    this.#fn.setPin(false);
    return isr;
  }

  // --- Registers ---

  #read(offset: number, byteCount: AccessBytes): number {
    if (offset >= AREA.notify) return 0;
    if (offset >= AREA.device) return this.device.readConfig(offset - AREA.device, byteCount);
    if (offset >= AREA.isr) return offset === AREA.isr ? this.#readIsr() : 0;
    return this.#readCommon(offset, byteCount);
  }

  /** A register, or the low or high word of an address. */
  #readCommon(offset: number, byteCount: AccessBytes): number {
    const r = this.#registers;
    if (offset >= AT.descriptors && offset < AT.notifyData)
      return byteCount === 4 ? this.#area(offset, (area, word) => r.area(area, word)) : 0;
    const { queue } = r;
    switch (offset) {
      case AT.offeredSelect:
        return r.select.offeredWord;
      case AT.offered:
        return r.offered;
      case AT.acceptedSelect:
        return r.select.acceptedWord;
      case AT.accepted:
        return r.accepted;
      case AT.configVector:
        return this.device.configVector;
      case AT.queueCount:
        return this.device.queues.length;
      case AT.status:
        return this.device.status;
      case AT.generation:
        return this.device.generation;
      case AT.queueSelect:
        return r.select.queue;
      case AT.queueSize:
        return queue?.registers.size ?? 0;
      case AT.queueVector:
        return queue?.registers.vector ?? NO_VECTOR;
      case AT.queueEnable:
        return queue?.registers.isEnabled ?? 0;
      case AT.notifyOffset:
      case AT.notifyData:
        return queue === undefined ? 0 : queue.index;
      default:
        return 0;
    }
  }

  #area<T>(offset: number, then: (area: 'descriptors' | 'driver' | 'device', word: number) => T): T {
    const area = offset < AT.driver ? 'descriptors' : offset < AT.device ? 'driver' : 'device';
    return then(area, (offset >> 2) & 1);
  }

  #write(offset: number, byteCount: AccessBytes, value: number): void {
    if (offset >= AREA.notify) {
      if (offset % NOTIFY_MULTIPLIER === 0) this.device.notify((offset - AREA.notify) / NOTIFY_MULTIPLIER);
    } else if (offset >= AREA.device) this.device.writeConfig(offset - AREA.device, byteCount, value);
    else if (offset < AREA.isr) this.#writeCommon(offset, byteCount, value);
  }

  #writeCommon(offset: number, byteCount: AccessBytes, value: number): void {
    const r = this.#registers;
    if (offset >= AT.descriptors && offset < AT.notifyData) {
      if (byteCount === 4) this.#area(offset, (area, word) => r.setArea(area, word, value));
      return;
    }
    switch (offset) {
      case AT.offeredSelect:
        r.select.offeredWord = value;
        break;
      case AT.acceptedSelect:
        r.select.acceptedWord = value;
        break;
      case AT.accepted:
        r.accept(value);
        break;
      case AT.configVector:
        this.device.configVector = this.#vector(value);
        break;
      case AT.status:
        r.writeStatus(value & 0xff);
        if (value === 0) this.#fn.setPin(false);
        break;
      case AT.queueSelect:
        r.select.queue = value & 0xffff;
        break;
      case AT.queueSize:
        r.setSize(value);
        break;
      case AT.queueVector:
        if (r.queue !== undefined) r.queue.registers.vector = this.#vector(value);
        break;
      case AT.queueEnable:
        if (value === 1) r.enable();
        break;
    }
  }

  /** A vector that there is not is none (4.1.5.1.2.1). */
  #vector(value: number): number {
    return value < this.#vectorCount ? value : NO_VECTOR;
  }
}
