// PCI bus 0: which function is where, how a CPU reaches its configuration and its windows, and how it reaches memory and raises interrupts.
// A function is numbered device << 3 | function; as bus 0 has no others, that is its requester id too.

import { AnilloError } from '@anillo/base/anillo-error';
import { gpa } from '@anillo/base/gpa';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import type { IoBus } from '../bus/io-bus.ts';
import type { MmioBus } from '../bus/mmio-bus.ts';
import type { AccessBytes } from '../device.ts';
import { MESSAGE_WINDOW, type MessageReceiver } from '../irqchip/apic-message.ts';
import { CONFIG, CONFIG_BYTES, type ConfigTarget, MULTIPLE_FUNCTIONS } from './config-space.ts';

export const PAGE_BYTES = 4096;
const FUNCTION_COUNT = 256;
const DEVICE_COUNT = 32;
const ONES = 0xffffffff;

/** A function as its bus sees it. */
export interface BusFunction extends ConfigTarget {
  /** INTA..INTD as 0..3 while it asserts that pin, else -1. */
  readonly assertedPin: number;
  /** Told its number when it is attached. */
  plugged(bus: PciBus, number: number): void;
}

/** An IOMMU. Addresses hold until the end of their 4 KiB page. */
export interface DmaRemapper {
  /** Undefined: blocked. */
  translateDma(source: number, address: number, isWrite: boolean): number | undefined;
}

export interface PciBusOptions {
  readonly ports: IoBus;
  readonly mmio: MmioBus;
  readonly messages: MessageReceiver;
  /** The first device number that functions get which ask for none. */
  readonly firstFreeDevice: number;
}

export class PciBus {
  readonly ports: IoBus;
  readonly mmio: MmioBus;
  /** What functions reach by bus mastering; undefined: not there yet. */
  memory: GuestMemory | undefined = undefined;
  remapper: DmaRemapper | undefined = undefined;
  /** Levels of the board's interrupt inputs PIRQA.. as a bit map; the south bridge takes them from here. */
  onInterrupts: ((levels: number) => void) | undefined = undefined;
  /** Input that a device's pin is wired to. */
  inputOf: (device: number, pin: number) => number = () => 0;
  readonly #messages: MessageReceiver;
  readonly #firstFreeDevice: number;
  readonly #functions: (BusFunction | undefined)[] = new Array(FUNCTION_COUNT).fill(undefined);
  #numbers: readonly number[] = [];

  constructor(options: PciBusOptions) {
    this.ports = options.ports;
    this.mmio = options.mmio;
    this.#messages = options.messages;
    this.#firstFreeDevice = options.firstFreeDevice;
  }

  /** Puts a function at that number, or at the first free device. */
  attach(fn: BusFunction, number: number | undefined = this.#freeNumber()): void {
    if (this.#functions[number] !== undefined) {
      throw new AnilloError('BAD_OPTION', `PCI address ${addressText(number)} is taken; give the device another one with addr=.`);
    }
    this.#functions[number] = fn;
    this.#numbers = [...this.#numbers, number].sort((a, b) => a - b);
    fn.plugged(this, number);
  }

  #freeNumber(): number {
    for (let device = this.#firstFreeDevice; device < DEVICE_COUNT; device++) {
      if (this.#functions.slice(device * 8, device * 8 + 8).every((fn) => fn === undefined)) return device * 8;
    }
    throw new AnilloError('BAD_OPTION', 'The PCI bus is full; leave some devices out, or put several into one with addr=DEVICE.FUNCTION.');
  }

  /** Numbers of all functions, ascending. */
  get numbers(): readonly number[] {
    return this.#numbers;
  }

  readConfig(number: number, offset: number, byteCount: AccessBytes): number {
    if (offset >= CONFIG_BYTES) return ONES;
    const value = this.#functions[number]?.readConfig(offset, byteCount) ?? ONES;
    // Function 0 says whether there are others (6.2.1), whatever its own declaration.
    const shift = (CONFIG.headerType - offset) * 8;
    const hasOthers = shift >= 0 && shift < byteCount * 8 && (number & 7) === 0 && value !== ONES && this.#hasOthers(number);
    return (hasOthers ? value | (MULTIPLE_FUNCTIONS << shift) : value) >>> 0;
  }

  #hasOthers(number: number): boolean {
    return this.#functions.slice(number + 1, number + 8).some((fn) => fn !== undefined);
  }

  writeConfig(number: number, offset: number, byteCount: AccessBytes, value: number): void {
    if (offset < CONFIG_BYTES) this.#functions[number]?.writeConfig(offset, byteCount, value);
  }

  /** Some function's pin changed. */
  updateInterrupts(): void {
    let levels = 0;
    for (const number of this.#numbers) {
      const pin = this.#functions[number]?.assertedPin ?? -1;
      if (pin >= 0) levels |= 1 << this.inputOf(number >> 3, pin);
    }
    this.onInterrupts?.(levels);
  }

  /** DMA by function `source` out of memory; false: some of it was not there (and reads as ones). */
  readMemory(source: number, address: number, bytes: Uint8Array): boolean {
    return this.#eachPage(source, address, bytes.length, false, (physical, from, byteCount) => {
      const isThere = this.memory !== undefined && physical >= 0 && this.memory.offsetOf(physical, byteCount, false) >= 0;
      if (isThere) bytes.set((this.memory as GuestMemory).read(gpa(physical), byteCount), from);
      else bytes.fill(0xff, from, from + byteCount);
      return isThere;
    });
  }

  /** DMA by function `source` into memory, or a message to the APICs; false: some of it was dropped. */
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

  /**
   * Offset, in the machine's memory, of what function `source` reaches at an address: for who reads and writes it there. The range lies in one page where the
   * IOMMU has a say. -1: blocked, or no memory. `isRemapped`: false for a function that goes past the IOMMU.
   */
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

const addressText = (number: number): string => `0x${(number >> 3).toString(16)}.${number & 7}`;
