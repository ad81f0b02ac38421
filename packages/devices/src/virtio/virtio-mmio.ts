// Virtio over MMIO, version 2 (Virtio 1.2, 4.2): a page of registers and an interrupt input, told to the guest by an ACPI node (LNRO0005) or by its command line
// (virtio_mmio.device=4K@ADDRESS:INTERRUPT).

import type { AccessBytes, AcpiPart, Device, DeviceContext, IoRange, IrqLine } from '../device.ts';
import { StateList } from '../state-list.ts';
import { CommonRegisters, ISR, type QueueArea } from './common-registers.ts';
import { VirtioDevice, type VirtioKind, type VirtioOptions } from './virtio-device.ts';

const MAGIC = 0x74726976;
const VERSION = 2;
const VENDOR = 0x1af4;
const PAGE_BYTES = 4096;
const AT = {
  magic: 0x00,
  version: 0x04,
  deviceId: 0x08,
  vendor: 0x0c,
  offered: 0x10,
  offeredSelect: 0x14,
  accepted: 0x20,
  acceptedSelect: 0x24,
  queueSelect: 0x30,
  largestSize: 0x34,
  queueSize: 0x38,
  queueReady: 0x44,
  notify: 0x50,
  interruptStatus: 0x60,
  interruptAcknowledge: 0x64,
  status: 0x70,
  descriptors: 0x80,
  sharedMemory: 0xb0,
  sharedMemoryEnd: 0xc0,
  generation: 0xfc,
  config: 0x100,
} as const;
/** Each area of a queue has its two words 16 bytes behind the one before. */
const AREAS: readonly QueueArea[] = ['descriptors', 'driver', 'device'];
const AREA_STRIDE = 0x10;
const NO_SHARED_MEMORY = 0xffffffff;

export class VirtioMmio implements Device {
  readonly name: string;
  readonly device: VirtioDevice;
  readonly mmio: readonly IoRange[];
  readonly acpi: AcpiPart;
  readonly #line: IrqLine;
  readonly #registers: CommonRegisters;
  readonly #parts: StateList;

  constructor(kind: VirtioKind, options: VirtioOptions, { clock, memory, irq, placeMmio }: DeviceContext) {
    const { start, gsi, index } = placeMmio();
    this.name = `${kind.name}-mmio`;
    this.#line = irq(gsi);
    this.device = new VirtioDevice(
      kind,
      options,
      { clock, memory },
      {
        offsetOf: (address, byteCount, isWrite) => memory.offsetOf(address, byteCount, isWrite),
        isRemapped: false,
        interrupt: (queue) => this.#setIsr(this.#registers.select.isr | (queue === undefined ? ISR.configuration : ISR.queue)),
      },
    );
    this.#registers = new CommonRegisters(this.device);
    this.#parts = new StateList(this.#registers, this.device);
    this.mmio = [
      {
        start,
        byteCount: PAGE_BYTES,
        read: (offset, byteCount) => this.#read(offset, byteCount),
        write: (offset, byteCount, value) => this.#write(offset, byteCount, value),
      },
    ];
    this.acpi = {
      node: {
        path: `VR${index.toString(16).toUpperCase().padStart(2, '0')}`,
        hardwareId: 'LNRO0005',
        numbers: { _UID: index, _CCA: 1 },
        ports: [],
        memory: [{ start, byteCount: PAGE_BYTES }],
        interrupts: [gsi],
      },
    };
  }

  reset(): void {
    this.device.reset();
    this.#registers.clear();
    this.#line.lower();
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

  #setIsr(value: number): void {
    this.#registers.select.isr = value;
    if (value === 0) this.#line.lower();
    else this.#line.raise();
  }

  /** Registers are words (4.2.2.2). */
  #read(offset: number, byteCount: AccessBytes): number {
    if (offset >= AT.config) return this.device.readConfig(offset - AT.config, byteCount);
    return byteCount === 4 && (offset & 3) === 0 ? this.#readRegister(offset) : 0;
  }

  #readRegister(offset: number): number {
    const r = this.#registers;
    const [area, word] = this.#areaAt(offset);
    if (area !== undefined) return r.area(area, word);
    if (offset >= AT.sharedMemory && offset < AT.sharedMemoryEnd) return NO_SHARED_MEMORY;
    switch (offset) {
      case AT.magic:
        return MAGIC;
      case AT.version:
        return VERSION;
      case AT.deviceId:
        return this.device.kind.deviceId;
      case AT.vendor:
        return VENDOR;
      case AT.offered:
        return r.offered;
      case AT.largestSize:
        return r.queue?.largestSize ?? 0;
      case AT.queueReady:
        return r.queue?.registers.isEnabled ?? 0;
      case AT.interruptStatus:
        return r.select.isr;
      case AT.status:
        return this.device.status;
      case AT.generation:
        return this.device.generation;
      default:
        return 0;
    }
  }

  #areaAt(offset: number): readonly [QueueArea | undefined, number] {
    const into = offset - AT.descriptors;
    const isWord = into >= 0 && into % AREA_STRIDE < 8;
    return isWord ? [AREAS[Math.floor(into / AREA_STRIDE)], (into >> 2) & 1] : [undefined, 0];
  }

  #write(offset: number, byteCount: AccessBytes, value: number): void {
    if (offset >= AT.config) this.device.writeConfig(offset - AT.config, byteCount, value);
    else if (byteCount === 4 && (offset & 3) === 0) this.#writeRegister(offset, value);
  }

  #writeRegister(offset: number, value: number): void {
    const r = this.#registers;
    const [area, word] = this.#areaAt(offset);
    if (area !== undefined) {
      r.setArea(area, word, value);
      return;
    }
    switch (offset) {
      case AT.offeredSelect:
        r.select.offeredWord = value;
        break;
      case AT.accepted:
        r.accept(value);
        break;
      case AT.acceptedSelect:
        r.select.acceptedWord = value;
        break;
      case AT.queueSelect:
        r.select.queue = value;
        break;
      case AT.queueSize:
        r.setSize(value);
        break;
      case AT.queueReady:
        if (value === 1) r.enable();
        else if (value === 0) r.queue?.reset();
        break;
      case AT.notify:
        this.device.notify(value & 0xffff);
        break;
      case AT.interruptAcknowledge:
        this.#setIsr(r.select.isr & ~value);
        break;
      case AT.status:
        r.writeStatus(value & 0xff);
        if (value === 0) this.#setIsr(0);
        break;
    }
  }
}
