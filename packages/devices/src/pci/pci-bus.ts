// A PCI bus: which function is where, how its configuration is reached, and which pins it asserts. A function is numbered device << 3 | function. How a function
// reaches memory, and where its windows are decoded, is told by what the bus hangs on: the board (root-bus.ts) or a bridge (secondary-bus.ts).

import { AnilloError } from '@anillo/base/anillo-error';
import type { AccessBytes, IoRange } from '../device.ts';
import { CONFIG, CONFIG_BYTES, type ConfigTarget, MULTIPLE_FUNCTIONS } from './config-space.ts';

const FUNCTION_COUNT = 256;
const ONES = 0xffffffff;

/** A function as its bus sees it. */
export interface BusFunction extends ConfigTarget {
  /** INTA..INTD as bits 0..3, while it asserts them. */
  readonly assertedPins: number;
  /** It is one of PCI Express: its configuration goes on behind the 256 bytes, with nothing there. */
  readonly isExpress?: boolean;
  /** Of a bridge: the bus behind it. */
  readonly secondary?: PciBus;
  /** Of a bridge: the bus that the guest has given that number, if it is behind it. */
  busNumbered?(busNumber: number): PciBus | undefined;
  /** Told its number when it is attached. */
  plugged(bus: PciBus, number: number): void;
  /** It is gone from the bus: nothing that happens to it later touches the machine. */
  unplugged(): void;
  /** Power-on state. */
  reset(): void;
}

/** Where ranges are decoded. */
export interface RangeSpace {
  add(range: IoRange): void;
  remove(range: IoRange): void;
}

/** Tells the guest that devices come to a bus and are to leave it while it runs. */
export interface HotPlugController {
  /** A device has been put there. */
  plugged(device: number): void;
  /** The guest is asked to let go of it; `PciBus.onEject` is called when it has. */
  unplug(device: number): void;
  /** It has been taken away; `isEjected`: after the guest had let go of it, else it was not asked. */
  removed(device: number, isEjected: boolean): void;
}

/** What a device that is being made sees of the bus that it goes to. */
export interface PciPlace {
  /** Puts a function at that number, or at the first free device. AnilloError BAD_OPTION where there is no room. */
  attach(fn: BusFunction, number?: number): unknown;
  /** There is an IOMMU. */
  readonly isRemapped: boolean;
  readonly kind: PciBusKind;
}

/** A conventional bus; that of a root complex of PCI Express; the link behind one of its ports. */
export type PciBusKind = 'conventional' | 'root-complex' | 'link';

export interface PciBusOptions {
  /** By which devices ask for it. */
  readonly name: string;
  /** The first device number that functions get which ask for none. */
  readonly firstFreeDevice: number;
  readonly deviceCount: number;
  readonly kind: PciBusKind;
}

export abstract class PciBus implements PciPlace {
  readonly name: string;
  readonly kind: PciBusKind;
  readonly firstFreeDevice: number;
  readonly deviceCount: number;
  abstract readonly ports: RangeSpace;
  abstract readonly mmio: RangeSpace;
  abstract readonly isRemapped: boolean;
  /** Undefined: its devices stay where they are while the guest runs. */
  hotPlug: HotPlugController | undefined = undefined;
  /** The guest has let go of a device, for whoever takes it away. */
  onEject: ((device: number) => void) | undefined = undefined;
  /** The guest wrote a function's command register. */
  onCommand: ((number: number) => void) | undefined = undefined;
  readonly #functions: (BusFunction | undefined)[] = new Array(FUNCTION_COUNT).fill(undefined);
  #numbers: readonly number[] = [];

  constructor({ name, firstFreeDevice, deviceCount, kind }: PciBusOptions) {
    this.name = name;
    this.firstFreeDevice = firstFreeDevice;
    this.deviceCount = deviceCount;
    this.kind = kind;
  }

  // --- What is on it ---

  /** Returns the function's number. */
  attach(fn: BusFunction, number: number = this.#freeNumber()): number {
    const device = number >> 3;
    if (device >= this.deviceCount) {
      const room =
        this.deviceCount === 1 ? 'room for one device, at addr=0' : `device numbers up to 0x${(this.deviceCount - 1).toString(16)}`;
      throw new AnilloError('BAD_OPTION', `The PCI bus ${this.name} has ${room}; ${addressText(number)} is not there.`);
    }
    if (this.#functions[number] !== undefined)
      throw new AnilloError('BAD_OPTION', `PCI address ${addressText(number)} is taken; give the device another one with addr=.`);
    this.#functions[number] = fn;
    this.#numbers = [...this.#numbers, number].sort((a, b) => a - b);
    fn.plugged(this, number);
    return number;
  }

  #freeNumber(): number {
    for (let device = this.firstFreeDevice; device < this.deviceCount; device++) if (this.isFree(device)) return device * 8;
    throw new AnilloError(
      'BAD_OPTION',
      `The PCI bus ${this.name} is full; leave some devices out, or put several into one with addr=DEVICE.FUNCTION.`,
    );
  }

  isFree(device: number): boolean {
    return this.#numbers.every((number) => number >> 3 !== device);
  }

  /** Takes a function away; the guest has let go of it, or must do without. */
  detach(fn: BusFunction): void {
    const at = this.#functions.indexOf(fn);
    if (at < 0) return;
    fn.unplugged();
    this.#functions[at] = undefined;
    this.#numbers = this.#numbers.filter((number) => number !== at);
    this.updateInterrupts();
  }

  /** Numbers of all functions, ascending. */
  get numbers(): readonly number[] {
    return this.#numbers;
  }

  functionAt(number: number): BusFunction | undefined {
    return this.#functions[number];
  }

  /** Power-on state of everything on it. */
  resetFunctions(): void {
    for (const number of this.#numbers) this.#functions[number]?.reset();
  }

  // --- Configuration ---

  /** The bus that the guest has given that number, behind one of the bridges here. */
  busNumbered(busNumber: number): PciBus | undefined {
    for (const number of this.#numbers) {
      const found = this.#functions[number]?.busNumbered?.(busNumber);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  readConfig(number: number, offset: number, byteCount: AccessBytes): number {
    const fn = this.#functions[number];
    if (fn === undefined) return ONES;
    if (offset >= CONFIG_BYTES) return fn.isExpress === true ? 0 : ONES;
    const value = fn.readConfig(offset, byteCount);
    // Function 0 says whether there are others (6.2.1), whatever its own declaration.
    const shift = (CONFIG.headerType - offset) * 8;
    const hasOthers = shift >= 0 && shift < byteCount * 8 && (number & 7) === 0 && this.#hasOthers(number);
    return (hasOthers ? value | (MULTIPLE_FUNCTIONS << shift) : value) >>> 0;
  }

  #hasOthers(number: number): boolean {
    return this.#functions.slice(number + 1, number + 8).some((fn) => fn !== undefined);
  }

  writeConfig(number: number, offset: number, byteCount: AccessBytes, value: number): void {
    if (offset >= CONFIG_BYTES) return;
    this.#functions[number]?.writeConfig(offset, byteCount, value);
    if (offset === CONFIG.command) this.onCommand?.(number);
  }

  // --- Interrupts ---

  /** Visits each pin that a device here asserts. */
  protected eachPin(visit: (device: number, pin: number) => void): void {
    for (const number of this.#numbers) {
      const pins = this.#functions[number]?.assertedPins ?? 0;
      for (let pin = 0; pin < 4; pin++) if ((pins & (1 << pin)) !== 0) visit(number >> 3, pin);
    }
  }

  /** Some function's pin changed. */
  abstract updateInterrupts(): void;

  // --- Bus mastering: `source` is the function's number, on the board's bus with the number of its bus above it ---

  /** Out of memory; false: some of it was not there (and reads as ones). */
  abstract readMemory(source: number, address: number, bytes: Uint8Array): boolean;
  /** Into memory, or a message to the APICs; false: some of it was dropped. */
  abstract writeMemory(source: number, address: number, bytes: Uint8Array): boolean;
  /**
   * Offset, in the machine's memory, of what a function reaches at an address: for who reads and writes it there. The range lies in one page where the IOMMU has
   * a say. -1: blocked, or no memory. `isRemapped`: false for a function that goes past the IOMMU.
   */
  abstract offsetOf(source: number, address: number, byteCount: number, isWrite: boolean, isRemapped: boolean): number;
}

const addressText = (number: number): string => `0x${(number >> 3).toString(16)}.${number & 7}`;
