// PCI bus 0 of a board: configuration of all buses, memory behind the IOMMU if there is one, messages to the APICs, and the board's interrupt inputs.

import { gpa } from '@anillo/base/gpa';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import type { AccessBytes } from '../device.ts';
import { MESSAGE_WINDOW, type MessageReceiver } from '../irqchip/apic-message.ts';
import { PciBus, type PciBusKind, type RangeSpace } from './pci-bus.ts';

const PAGE_BYTES = 4096;
const DEVICE_COUNT = 32;
const ONES = 0xffffffff;

/** An IOMMU. Addresses hold until the end of their 4 KiB page. */
export interface DmaRemapper {
  /** `source` is a requester id: bus << 8 | device << 3 | function. Undefined: blocked. */
  translateDma(source: number, address: number, isWrite: boolean): number | undefined;
}

export interface RootBusOptions {
  readonly ports: RangeSpace;
  readonly mmio: RangeSpace;
  readonly messages: MessageReceiver;
  readonly firstFreeDevice: number;
  /** Default: a conventional bus. */
  readonly kind?: PciBusKind;
}

export class RootBus extends PciBus {
  readonly ports: RangeSpace;
  readonly mmio: RangeSpace;
  /** What functions reach by bus mastering; undefined: not there yet. */
  memory: GuestMemory | undefined = undefined;
  remapper: DmaRemapper | undefined = undefined;
  /** Levels of the board's interrupt inputs PIRQA.. as a bit map; the south bridge takes them from here. */
  onInterrupts: ((levels: number) => void) | undefined = undefined;
  /** Input that a device's pin is wired to. */
  inputOf: (device: number, pin: number) => number = () => 0;
  readonly #messages: MessageReceiver;

  constructor({ ports, mmio, messages, firstFreeDevice, kind = 'conventional' }: RootBusOptions) {
    super({ name: kind === 'conventional' ? 'pci.0' : 'pcie.0', firstFreeDevice, deviceCount: DEVICE_COUNT, kind });
    this.ports = ports;
    this.mmio = mmio;
    this.#messages = messages;
  }

  get isRemapped(): boolean {
    return this.remapper !== undefined;
  }

  updateInterrupts(): void {
    let levels = 0;
    this.eachPin((device, pin) => {
      levels |= 1 << this.inputOf(device, pin);
    });
    this.onInterrupts?.(levels);
  }

  // --- Configuration of all buses: by bus << 8 | device << 3 | function ---

  #busOf(address: number): PciBus | undefined {
    return address < 256 ? this : this.busNumbered(address >>> 8);
  }

  readConfigAt(address: number, offset: number, byteCount: AccessBytes): number {
    return this.#busOf(address)?.readConfig(address & 0xff, offset, byteCount) ?? ONES;
  }

  writeConfigAt(address: number, offset: number, byteCount: AccessBytes, value: number): void {
    this.#busOf(address)?.writeConfig(address & 0xff, offset, byteCount, value);
  }

  // --- Bus mastering ---

  readMemory(source: number, address: number, bytes: Uint8Array): boolean {
    return this.#eachPage(source, address, bytes.length, false, (physical, from, byteCount) => {
      const isThere = this.memory !== undefined && physical >= 0 && this.memory.offsetOf(physical, byteCount, false) >= 0;
      if (isThere) bytes.set((this.memory as GuestMemory).read(gpa(physical), byteCount), from);
      else bytes.fill(0xff, from, from + byteCount);
      return isThere;
    });
  }

  writeMemory(source: number, address: number, bytes: Uint8Array): boolean {
    if (address >= MESSAGE_WINDOW.start && address < MESSAGE_WINDOW.end) {
      if (bytes.length !== 4 || (address & 3) !== 0) return false;
      const data = bytes[0] | (bytes[1] << 8) | (bytes[2] << 16) | (bytes[3] << 24);
      return this.#messages.sendMessage(address, data >>> 0, source);
    }
    return this.#eachPage(source, address, bytes.length, true, (physical, from, byteCount) => {
      const isThere = this.memory !== undefined && physical >= 0 && this.memory.offsetOf(physical, byteCount, true) >= 0;
      if (isThere) (this.memory as GuestMemory).write(gpa(physical), bytes.subarray(from, from + byteCount));
      return isThere;
    });
  }

  offsetOf(source: number, address: number, byteCount: number, isWrite: boolean, isRemapped: boolean): number {
    if (this.memory === undefined) return -1;
    const physical = isRemapped && this.remapper !== undefined ? (this.remapper.translateDma(source, address, isWrite) ?? -1) : address;
    return physical < 0 ? -1 : this.memory.offsetOf(physical, byteCount, isWrite);
  }

  /** Visits the parts of a transfer that lie in one page each; the address is -1 where the IOMMU blocks it. */
  #eachPage(
    source: number,
    address: number,
    byteCount: number,
    isWrite: boolean,
    visit: (physical: number, from: number, byteCount: number) => boolean,
  ): boolean {
    let isWhole = true;
    for (let from = 0; from < byteCount; ) {
      const at = address + from;
      const count = Math.min(byteCount - from, PAGE_BYTES - (at % PAGE_BYTES));
      const physical = this.remapper === undefined ? at : (this.remapper.translateDma(source, at, isWrite) ?? -1);
      isWhole = visit(physical, from, count) && isWhole;
      from += count;
    }
    return isWhole;
  }
}
