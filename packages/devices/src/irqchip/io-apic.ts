// I/O APIC: Intel 82093AA data sheet, with version 0x20's EOI register (offset 0x40). 24 pins. Polarity is stored but internal lines are active high.
// A masked edge is lost; a level waits. Remote IRR is set when a local APIC accepted a level interrupt and cleared by the EOI, which sends again
// while the line is still high. An entry's interrupt is a message like an MSI: its bits 48..63 are the address's 4..19, so an IOMMU may remap it.

import { struct } from '@anillo/base/struct';
import type { AccessBytes, Device, IoRange } from '../device.ts';
import { DeviceState } from '../device-state.ts';
import { MESSAGE_WINDOW, type MessageReceiver } from './apic-message.ts';

export const IO_APIC_PINS = 24;
const DEFAULT_BASE = 0xfec00000;
const VERSION = ((IO_APIC_PINS - 1) << 16) | 0x20;
const MASKED = 1 << 16;
const LEVEL = 1 << 15;
const REMOTE_IRR = 1 << 14;
const WRITABLE = 0x1afff;
/** Vector, delivery mode and trigger mode have their places in a message's data. */
const DATA = 0x87ff;
const DESTINATION_MODE = 1 << 11;
const REG = { id: 0, version: 1, arbitration: 2, redirection: 0x10 } as const;
const OFFSET = { select: 0, window: 0x10, eoi: 0x40 } as const;

const STATE = struct({ id: 'u32', select: 'u32', lines: 'u32', low: ['u32', IO_APIC_PINS], high: ['u32', IO_APIC_PINS] });

export interface IoApicOptions {
  readonly bus: MessageReceiver;
  /** APIC ID after reset (default 0). */
  readonly id?: number;
  readonly base?: number;
  readonly stateBuffer?: ArrayBufferLike;
}

export class IoApic implements Device {
  readonly name = 'ioapic';
  readonly mmio: readonly IoRange[];
  readonly #bus: MessageReceiver;
  readonly #id: number;
  readonly #state: DeviceState<(typeof STATE)['spec']>;

  constructor(options: IoApicOptions) {
    this.#bus = options.bus;
    this.#id = options.id ?? 0;
    this.#state = new DeviceState(STATE, options.stateBuffer);
    this.mmio = [
      {
        start: options.base ?? DEFAULT_BASE,
        byteCount: 0x1000,
        read: (offset, byteCount) => this.#read(offset, byteCount),
        write: (offset, byteCount, value) => this.#write(offset, byteCount, value),
      },
    ];
    this.reset();
  }

  reset(): void {
    const s = this.#state.view;
    const { lines } = s;
    this.#state.clear();
    s.lines = lines;
    s.id = (this.#id & 15) << 24;
    s.low.fill(MASKED);
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
  }

  setPin(pin: number, level: boolean): void {
    const s = this.#state.view;
    const bit = 1 << pin;
    const rose = level && (s.lines & bit) === 0;
    s.lines = level ? s.lines | bit : s.lines & ~bit;
    if (level && (rose || (s.low[pin] & LEVEL) !== 0)) this.#service(pin);
  }

  /** Sends the pin's interrupt, which is asserted. */
  #service(pin: number): void {
    const s = this.#state.view;
    const entry = s.low[pin];
    const level = (entry & LEVEL) !== 0;
    if ((entry & MASKED) !== 0 || (level && (entry & REMOTE_IRR) !== 0)) return;
    const address = MESSAGE_WINDOW.start + ((s.high[pin] >>> 16) << 4) + ((entry & DESTINATION_MODE) !== 0 ? 4 : 0);
    // Set first: the local APIC may call back within `send`.
    if (level) s.low[pin] |= REMOTE_IRR;
    const accepted = this.#bus.sendMessage(address, entry & DATA, undefined);
    if (level && !accepted) s.low[pin] &= ~REMOTE_IRR;
  }

  #serviceLevel(pin: number): void {
    const s = this.#state.view;
    if ((s.low[pin] & LEVEL) !== 0 && (s.lines & (1 << pin)) !== 0) this.#service(pin);
  }

  endOfInterrupt(vector: number): void {
    const { low } = this.#state.view;
    for (let pin = 0; pin < IO_APIC_PINS; pin++) {
      if ((low[pin] & 0xff) !== vector || (low[pin] & REMOTE_IRR) === 0) continue;
      low[pin] &= ~REMOTE_IRR;
      this.#serviceLevel(pin);
    }
  }

  #read(offset: number, byteCount: AccessBytes): number {
    const { select } = this.#state.view;
    const value = (offset & ~3) === OFFSET.select ? select : (offset & ~3) === OFFSET.window ? this.#readReg(select) : 0;
    return (value >>> ((offset & 3) * 8)) & (byteCount === 4 ? -1 : (1 << (byteCount * 8)) - 1);
  }

  #readReg(reg: number): number {
    const s = this.#state.view;
    if (reg === REG.id || reg === REG.arbitration) return s.id;
    if (reg === REG.version) return VERSION;
    const pin = (reg - REG.redirection) >> 1;
    if (pin < 0 || pin >= IO_APIC_PINS) return 0;
    return (reg & 1) === 0 ? s.low[pin] : s.high[pin];
  }

  #write(offset: number, byteCount: AccessBytes, value: number): void {
    const s = this.#state.view;
    if (offset === OFFSET.select) s.select = value & 0xff;
    else if (offset === OFFSET.eoi) this.endOfInterrupt(value & 0xff);
    else if (offset === OFFSET.window && byteCount === 4) this.#writeReg(s.select, value);
  }

  #writeReg(reg: number, value: number): void {
    const s = this.#state.view;
    if (reg === REG.id) s.id = value & 0x0f000000;
    const pin = (reg - REG.redirection) >> 1;
    if (pin < 0 || pin >= IO_APIC_PINS) return;
    if ((reg & 1) === 1) {
      s.high[pin] = value & 0xffff0000;
      return;
    }
    // A switch to edge clears remote IRR: how software ends an interrupt on chips without EOI register.
    const remoteIrr = (value & LEVEL) === 0 ? 0 : s.low[pin] & REMOTE_IRR;
    s.low[pin] = (value & WRITABLE) | remoteIrr;
    this.#serviceLevel(pin);
  }
}
