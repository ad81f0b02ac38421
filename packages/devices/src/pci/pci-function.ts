// A PCI function: configuration, windows (BARs), interrupts and access to memory. A device has one and says in its declaration what it consists of.
// Windows are decoded while the command register allows it, wherever the guest has put them: they yield to the board's own ranges (underlays).
// An interrupt is a message if the guest has enabled MSI-X or MSI, else the level of a pin.

import type { AccessBytes, IoRange } from '../device.ts';
import { StateList } from '../state-list.ts';
import { COMMAND, CONFIG, ConfigSpace, type PciIdentity, STATUS } from './config-space.ts';
import { addExpressCapability } from './express-capability.ts';
import { MsiCapability } from './msi-capability.ts';
import { MsixCapability, MSIX_WINDOW_BYTES } from './msix-capability.ts';
import type { BusFunction, PciBus } from './pci-bus.ts';

const BAR_COUNT = 6;
const BAR = { io: 1, memory64: 4, prefetchable: 8 } as const;
const PORT_END = 0x10000;

export interface PciWindow {
  /** Index of its base address register; a memory64 window takes the next one too. */
  readonly bar: number;
  readonly kind: 'io' | 'memory32' | 'memory64';
  readonly prefetchable?: boolean;
  /** A power of two, at least 16 (ports: 4). */
  readonly byteCount: number;
  read(offset: number, byteCount: AccessBytes): number;
  write(offset: number, byteCount: AccessBytes, value: number): void;
}

export interface PciFunctionOptions {
  readonly identity: PciIdentity;
  /** It has INTA. */
  readonly hasPin?: boolean;
  readonly windows?: readonly PciWindow[];
  /** Number of vectors, a power of two up to 32. */
  readonly msiVectors?: number;
  /** Vectors up to 128, in a window of 4 KiB at that base address register. */
  readonly msix?: { readonly vectors: number; readonly bar: number };
  /** An endpoint of PCI Express. */
  readonly isExpress?: boolean;
}

export class PciFunction implements BusFunction {
  readonly config: ConfigSpace;
  readonly isExpress: boolean;
  /** The guest wrote that part of configuration: for functions with registers of their own. */
  onConfigWrite: (() => void) | undefined = undefined;
  readonly #windows: readonly PciWindow[];
  readonly #placed: (IoRange | undefined)[];
  readonly #msi: MsiCapability | undefined;
  readonly #msix: MsixCapability | undefined;
  readonly #state: StateList;
  #bus: PciBus | undefined;
  #number = 0;

  constructor(options: PciFunctionOptions) {
    const { identity, hasPin, windows = [], msiVectors, msix, isExpress = false } = options;
    this.config = new ConfigSpace(identity);
    this.isExpress = isExpress;
    if (isExpress) addExpressCapability(this.config);
    this.#msi = msiVectors === undefined ? undefined : new MsiCapability(this.config, msiVectors);
    this.#msix = msix === undefined ? undefined : new MsixCapability(this.config, msix.vectors, msix.bar);
    this.#windows = [...windows, ...(msix === undefined ? [] : [this.#msixWindow(msix.bar)])];
    this.#placed = this.#windows.map(() => undefined);
    this.#state = new StateList(this.config, ...(this.#msix === undefined ? [] : [this.#msix]));
    if (this.#msix !== undefined) this.#msix.onUnmasked = (vector) => this.sendMessage(vector);
    this.#declareHeader(hasPin === true);
  }

  #msixWindow(bar: number): PciWindow {
    const table = this.#msix as MsixCapability;
    return {
      bar,
      kind: 'memory32',
      byteCount: MSIX_WINDOW_BYTES,
      read: (offset, byteCount) => table.read(offset, byteCount),
      write: (offset, byteCount, value) => table.write(offset, byteCount, value),
    };
  }

  #declareHeader(hasPin: boolean): void {
    const { config } = this;
    const hasPorts = this.#windows.some((w) => w.kind === 'io');
    const hasMemory = this.#windows.some((w) => w.kind !== 'io');
    config.allow(CONFIG.command, (hasPorts ? COMMAND.io : 0) | (hasMemory ? COMMAND.memory : 0) | COMMAND.master, 2);
    config.allowClear(CONFIG.status, STATUS.masterAbort, 2);
    config.allow(CONFIG.cacheLine, 0xff, 1);
    config.allow(CONFIG.interruptLine, 0xff, 1);
    if (hasPin) {
      config.allow(CONFIG.command, COMMAND.interruptDisable, 2);
      config.define(CONFIG.interruptPin, 1, 1);
    }
    for (const w of this.#windows) {
      const at = CONFIG.bar + w.bar * 4;
      const kind = w.kind === 'io' ? BAR.io : w.kind === 'memory64' ? BAR.memory64 : 0;
      config.define(at, kind | (w.prefetchable === true ? BAR.prefetchable : 0), 4);
      config.allow(at, -w.byteCount, 4);
      if (w.kind === 'memory64' && w.bar + 1 < BAR_COUNT) config.allow(at + 4, -1, 4);
    }
  }

  /** Device << 3 | function. */
  get number(): number {
    return this.#number;
  }

  /** What it is plugged into. */
  get bus(): PciBus | undefined {
    return this.#bus;
  }

  plugged(bus: PciBus, number: number): void {
    this.#bus = bus;
    this.#number = number;
    this.#place();
  }

  unplugged(): void {
    this.config.reset();
    this.#msix?.reset();
    this.#place();
    this.#bus = undefined;
  }

  reset(): void {
    this.config.reset();
    this.#msix?.reset();
    this.#place();
    this.#bus?.updateInterrupts();
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
    this.#place();
    this.#bus?.updateInterrupts();
  }

  readConfig(offset: number, byteCount: AccessBytes): number {
    return this.config.readConfig(offset, byteCount);
  }

  writeConfig(offset: number, byteCount: AccessBytes, value: number): void {
    this.config.writeConfig(offset, byteCount, value);
    if (offset < CONFIG.cardbus) this.#place();
    this.#bus?.updateInterrupts();
    if (offset >= CONFIG.specific) this.#msix?.service();
    this.onConfigWrite?.();
  }

  // --- Windows ---

  /** Where a window begins; undefined while it is not decoded. */
  #startOf(w: PciWindow): number | undefined {
    const { command, bar } = this.config.header;
    const low = (bar[w.bar] & -w.byteCount) >>> 0;
    const enabled = (command & (w.kind === 'io' ? COMMAND.io : COMMAND.memory)) !== 0;
    const start = w.kind === 'memory64' ? bar[w.bar + 1] * 2 ** 32 + low : low;
    return enabled && start !== 0 && (w.kind !== 'io' || start + w.byteCount <= PORT_END) ? start : undefined;
  }

  /** Has the windows decoded where configuration says. */
  #place(): void {
    const bus = this.#bus;
    if (bus === undefined) return;
    this.#windows.forEach((w, i) => {
      const start = this.#startOf(w);
      const before = this.#placed[i];
      if (before?.start === start) return;
      const space = w.kind === 'io' ? bus.ports : bus.mmio;
      if (before !== undefined) space.remove(before);
      this.#placed[i] =
        start === undefined
          ? undefined
          : {
              start,
              byteCount: w.byteCount,
              underlay: true,
              read: (offset, byteCount) => w.read(offset, byteCount),
              write: (offset, byteCount, value) => w.write(offset, byteCount, value),
            };
      if (this.#placed[i] !== undefined) space.add(this.#placed[i] as IoRange);
    });
  }

  // --- Interrupts ---

  /** Sends a vector's message; false: the guest uses the pin. */
  sendMessage(vector: number): boolean {
    if (this.#msix?.isEnabled === true) {
      const message = this.#msix.message(vector);
      if (message !== undefined) this.#writeMessage(message.address, message.data);
      return true;
    }
    if (this.#msi?.isEnabled !== true) return false;
    const { address, data } = this.#msi.message(vector);
    this.#writeMessage(address, data);
    return true;
  }

  #writeMessage(address: number, data: number): void {
    this.writeMemory(address, Uint8Array.of(data, data >>> 8, data >>> 16, data >>> 24));
  }

  /** Level of the pin. */
  setPin(level: boolean): void {
    const { header } = this.config;
    const before = header.status;
    header.status = level ? before | STATUS.interrupt : before & ~STATUS.interrupt;
    if (header.status !== before) this.#bus?.updateInterrupts();
  }

  /** A function whose messages are enabled does not use its pin (6.8.2). */
  get assertedPins(): number {
    const { status, command, interruptPin } = this.config.header;
    const isMessaging = this.#msi?.isEnabled === true || this.#msix?.isEnabled === true;
    return (status & STATUS.interrupt) !== 0 && (command & COMMAND.interruptDisable) === 0 && !isMessaging ? (1 << interruptPin) >> 1 : 0;
  }

  // --- Bus mastering ---

  get canMaster(): boolean {
    return (this.config.header.command & COMMAND.master) !== 0;
  }

  /** Fills `bytes` from memory; false: not allowed, or not there (ones). */
  readMemory(address: number, bytes: Uint8Array): boolean {
    if (this.#bus === undefined || !this.canMaster) {
      bytes.fill(0xff);
      return false;
    }
    return this.#mastered(this.#bus.readMemory(this.#number, address, bytes));
  }

  /** Writes `bytes` to memory; false: not allowed, or some of it not there. */
  writeMemory(address: number, bytes: Uint8Array): boolean {
    return this.#bus !== undefined && this.canMaster && this.#mastered(this.#bus.writeMemory(this.#number, address, bytes));
  }

  /** As the bus's `offsetOf`. */
  offsetOf(address: number, byteCount: number, isWrite: boolean, isRemapped: boolean): number {
    if (this.#bus === undefined || !this.canMaster) return -1;
    const offset = this.#bus.offsetOf(this.#number, address, byteCount, isWrite, isRemapped);
    this.#mastered(offset >= 0);
    return offset;
  }

  #mastered(isWhole: boolean): boolean {
    if (!isWhole) this.config.header.status |= STATUS.masterAbort;
    return isWhole;
  }
}
