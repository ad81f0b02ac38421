// A function that is a bridge to another PCI bus (PCI-to-PCI Bridge Architecture 1.2, chapter 3; header type 1): bus numbers, windows, bridge control.
// What is behind it is reached while its windows and its command register say so. Departures: it forwards nothing for ISA or VGA (bits 2 and 3 of bridge
// control are 0), and reports no errors of the bus behind it.

import type { AccessBytes } from '../device.ts';
import { COMMAND, CONFIG, type PciIdentity } from './config-space.ts';
import type { BusFunction, PciBus } from './pci-bus.ts';
import { PciFunction } from './pci-function.ts';
import { type BridgeUpstream, SecondaryBus } from './secondary-bus.ts';

/** Registers of header type 1. */
export const BRIDGE = {
  headerType: 1,
  primary: 0x18,
  secondary: 0x19,
  subordinate: 0x1a,
  latency: 0x1b,
  ioBase: 0x1c,
  ioLimit: 0x1d,
  memoryBase: 0x20,
  memoryLimit: 0x22,
  prefetchBase: 0x24,
  prefetchLimit: 0x26,
  prefetchBaseHigh: 0x28,
  prefetchLimitHigh: 0x2c,
  control: 0x3e,
  /** Units of windows. */
  ioBytes: 0x1000,
  memoryBytes: 0x100000,
} as const;
const CONTROL = { writable: 0x63, reset: 1 << 6 } as const;
const PREFETCH_64 = 1;

export interface PciBridgeOptions {
  readonly identity: PciIdentity;
  /** Of the bus behind it. */
  readonly busName: string;
  readonly firstFreeDevice: number;
  readonly deviceCount: number;
  /** A port of PCI Express. */
  readonly isExpress: boolean;
  /** It interrupts on its own behalf: by INTA, or by a message. */
  readonly interrupts: boolean;
  /** What is behind it can be reached; default: always. */
  readonly isLinked?: () => boolean;
}

export class PciBridge implements BusFunction, BridgeUpstream {
  readonly fn: PciFunction;
  readonly secondary: SecondaryBus;
  readonly isExpress: boolean;
  /** The guest wrote that part of configuration: for bridges with registers of their own. */
  onConfigWrite: (() => void) | undefined = undefined;
  readonly #isLinked: () => boolean;
  #isInReset = false;

  constructor(options: PciBridgeOptions) {
    const { identity, busName: name, firstFreeDevice, deviceCount, isExpress, interrupts, isLinked = () => true } = options;
    this.isExpress = isExpress;
    this.#isLinked = isLinked;
    this.fn = new PciFunction({ identity, ...(interrupts ? { hasPin: true, msiVectors: 1 } : {}) });
    this.secondary = new SecondaryBus({ name, firstFreeDevice, deviceCount, kind: isExpress ? 'link' : 'conventional' }, this);
    this.#declare();
    this.fn.onConfigWrite = () => {
      this.#update();
      this.onConfigWrite?.();
    };
  }

  #declare(): void {
    const { config } = this.fn;
    config.define(CONFIG.headerType, BRIDGE.headerType, 1);
    config.allow(CONFIG.command, COMMAND.io | COMMAND.memory | COMMAND.master, 2);
    for (const at of [BRIDGE.primary, BRIDGE.secondary, BRIDGE.subordinate, BRIDGE.latency]) config.allow(at, 0xff, 1);
    for (const at of [BRIDGE.ioBase, BRIDGE.ioLimit]) config.allow(at, 0xf0, 1);
    for (const at of [BRIDGE.memoryBase, BRIDGE.memoryLimit, BRIDGE.prefetchBase, BRIDGE.prefetchLimit]) config.allow(at, 0xfff0, 2);
    for (const at of [BRIDGE.prefetchBase, BRIDGE.prefetchLimit]) config.define(at, PREFETCH_64, 2);
    for (const at of [BRIDGE.prefetchBaseHigh, BRIDGE.prefetchLimitHigh]) config.allow(at, -1, 4);
    config.allow(BRIDGE.control, CONTROL.writable, 2);
  }

  reset(): void {
    this.fn.reset();
    this.#isInReset = false;
    this.secondary.resetFunctions();
    this.#update();
  }

  save(): Uint8Array {
    return this.fn.save();
  }

  restore(state: Uint8Array): void {
    this.fn.restore(state);
    this.#isInReset = this.#resets;
    this.#update();
  }

  // --- The side before it ---

  plugged(bus: PciBus, number: number): void {
    this.fn.plugged(bus, number);
    this.#update();
  }

  unplugged(): void {
    this.fn.unplugged();
    this.#update();
  }

  readConfig(offset: number, byteCount: AccessBytes): number {
    return this.fn.readConfig(offset, byteCount);
  }

  writeConfig(offset: number, byteCount: AccessBytes, value: number): void {
    this.fn.writeConfig(offset, byteCount, value);
  }

  get assertedPins(): number {
    return this.fn.assertedPins | this.secondary.assertedPins;
  }

  /** Type 1 configuration transactions (3.1.2.1.1). */
  busNumbered(busNumber: number): PciBus | undefined {
    const first = this.busNumber;
    if (first === 0 || busNumber < first || busNumber > this.fn.readConfig(BRIDGE.subordinate, 1) || !this.#isLinked()) return undefined;
    return busNumber === first ? this.secondary : this.secondary.busNumbered(busNumber);
  }

  // --- The side behind it ---

  get bus(): PciBus | undefined {
    return this.fn.bus;
  }

  get number(): number {
    return this.fn.number;
  }

  get busNumber(): number {
    return this.fn.readConfig(BRIDGE.secondary, 1);
  }

  get canMaster(): boolean {
    return this.fn.canMaster;
  }

  get #resets(): boolean {
    return (this.fn.readConfig(BRIDGE.control, 2) & CONTROL.reset) !== 0;
  }

  /** After any change of the registers: windows are forwarded as they say, and a reset of the bus behind begins. */
  #update(): void {
    const get = (at: number, byteCount: AccessBytes): number => this.fn.readConfig(at, byteCount);
    const command = get(CONFIG.command, 2);
    const high = (at: number): number => get(at, 4) * 2 ** 32;
    const io = { start: (get(BRIDGE.ioBase, 1) & 0xf0) << 8, end: ((get(BRIDGE.ioLimit, 1) & 0xf0) << 8) + BRIDGE.ioBytes };
    const at = (register: number): number => (get(register, 2) & 0xfff0) * 0x10000;
    const memory = { start: at(BRIDGE.memoryBase), end: at(BRIDGE.memoryLimit) + BRIDGE.memoryBytes };
    const prefetch = {
      start: at(BRIDGE.prefetchBase) + high(BRIDGE.prefetchBaseHigh),
      end: at(BRIDGE.prefetchLimit) + high(BRIDGE.prefetchLimitHigh) + BRIDGE.memoryBytes,
    };
    const open = ({ start, end }: { start: number; end: number }): boolean => start < end;
    this.secondary.ports.forward((command & COMMAND.io) === 0 ? [] : [io].filter(open));
    this.secondary.mmio.forward((command & COMMAND.memory) === 0 ? [] : [memory, prefetch].filter(open));
    const resets = this.#resets;
    if (resets && !this.#isInReset) this.secondary.resetFunctions();
    this.#isInReset = resets;
  }
}
