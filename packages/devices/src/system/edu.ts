// QEMU's educational PCI device (its docs/specs/edu): identification, liveness check, factorials, interrupts by pin or MSI, and DMA between memory and
// a buffer of 4 KiB. Computations and transfers take some guest time, so that software meets a device that is busy.
// Registers from 0x80 on are 64 bits wide: writing the low half clears the high one, by which 32-bit writes mean what they do in QEMU.
// Departure: a transfer that leaves the buffer does nothing (QEMU ends).

import { struct } from '@anillo/base/struct';
import type { AccessBytes, Clock, Device, Timer } from '../device.ts';
import { declareDevice, PCI_ADDRESS } from '../device-declaration.ts';
import { DeviceState } from '../device-state.ts';
import type { PciPlace } from '../pci/pci-bus.ts';
import { PciFunction } from '../pci/pci-function.ts';
import { StateList } from '../state-list.ts';

const IDENTITY = {
  vendor: 0x1234,
  device: 0x11e8,
  revision: 0x10,
  classCode: 0x00ff00,
  subsystemVendor: 0x1af4,
  subsystem: 0x1100,
} as const;
const WINDOW_BYTES = 0x100000;
const SIGNATURE = 0x010000ed;
const AT = {
  identification: 0x00,
  liveness: 0x04,
  factorial: 0x08,
  status: 0x20,
  interruptStatus: 0x24,
  interruptRaise: 0x60,
  interruptAcknowledge: 0x64,
  dma: 0x80,
  dmaEnd: 0xa0,
} as const;
/** Words of the DMA registers. */
const DMA = { source: 0, destination: 2, count: 4, command: 6 } as const;
const STATUS = { computing: 0x01, interruptWhenDone: 0x80 } as const;
const COMMAND = { run: 1, toMemory: 2, interruptWhenDone: 4 } as const;
const COMMAND_WRITABLE = COMMAND.run | COMMAND.toMemory | COMMAND.interruptWhenDone;
const INTERRUPT = { factorial: 0x001, dma: 0x100 } as const;
const BUFFER = { start: 0x40000, byteCount: 4096 } as const;
const DEFAULT_DMA_MASK = 2 ** 28 - 1;
const FACTORIAL_NS = 10_000;
const DMA_NS = 100_000;
/** From here on a factorial is a multiple of 2 ** 32. */
const FACTORIAL_IS_ZERO = 34;

const STATE = struct({
  liveness: 'u32',
  factorial: 'u32',
  status: 'u32',
  interrupts: 'u32',
  dma: ['u32', 8],
  buffer: ['u8', BUFFER.byteCount],
});

export interface EduOptions {
  readonly clock: Clock;
  readonly bus: PciPlace;
  /** Its place on the bus; undefined: the first free one. */
  readonly address?: number;
  /** Address bits that its DMA has. */
  readonly dmaMask?: number;
}

export class Edu implements Device {
  readonly name = 'edu';
  readonly #fn: PciFunction;
  readonly #maskLow: number;
  readonly #maskHigh: number;
  readonly #state = new DeviceState(STATE);
  readonly #parts: StateList;
  readonly #factorialTimer: Timer;
  readonly #dmaTimer: Timer;
  readonly #clock: Clock;

  constructor(options: EduOptions) {
    const mask = options.dmaMask ?? DEFAULT_DMA_MASK;
    this.#clock = options.clock;
    this.#maskLow = mask % 2 ** 32;
    this.#maskHigh = Math.floor(mask / 2 ** 32);
    this.#factorialTimer = options.clock.createTimer(() => this.#finishFactorial());
    this.#dmaTimer = options.clock.createTimer(() => this.#finishDma());
    this.#fn = new PciFunction({
      identity: IDENTITY,
      hasPin: true,
      msiVectors: 1,
      windows: [
        {
          bar: 0,
          kind: 'memory32',
          byteCount: WINDOW_BYTES,
          read: (offset, byteCount) => this.#read(offset, byteCount),
          write: (offset, byteCount, value) => this.#write(offset, byteCount, value),
        },
      ],
    });
    this.#parts = new StateList(this.#fn, this.#state);
    options.bus.attach(this.#fn, options.address);
  }

  reset(): void {
    this.#factorialTimer.disarm();
    this.#dmaTimer.disarm();
    this.#state.clear();
    this.#fn.reset();
  }

  save(): Uint8Array {
    return this.#parts.save();
  }

  /** Work under way starts over. */
  restore(state: Uint8Array): void {
    this.#parts.restore(state);
    const s = this.#state.view;
    if ((s.status & STATUS.computing) !== 0) this.#factorialTimer.arm(this.#clock.nowNs() + FACTORIAL_NS);
    else this.#factorialTimer.disarm();
    if (this.#isTransferring) this.#dmaTimer.arm(this.#clock.nowNs() + DMA_NS);
    else this.#dmaTimer.disarm();
  }

  get #isTransferring(): boolean {
    return (this.#state.view.dma[DMA.command] & COMMAND.run) !== 0;
  }

  #read(offset: number, byteCount: AccessBytes): number {
    const s = this.#state.view;
    if (byteCount !== 4 || (offset & 3) !== 0) return 0xffffffff;
    if (offset >= AT.dma && offset < AT.dmaEnd) return s.dma[(offset - AT.dma) >> 2];
    switch (offset) {
      case AT.identification:
        return SIGNATURE;
      case AT.liveness:
        return s.liveness;
      case AT.factorial:
        return s.factorial;
      case AT.status:
        return s.status;
      case AT.interruptStatus:
        return s.interrupts;
      default:
        return 0xffffffff;
    }
  }

  #write(offset: number, byteCount: AccessBytes, value: number): void {
    const s = this.#state.view;
    if (byteCount !== 4 || (offset & 3) !== 0) return;
    if (offset >= AT.dma && offset < AT.dmaEnd) this.#writeDma((offset - AT.dma) >> 2, value);
    switch (offset) {
      case AT.liveness:
        s.liveness = ~value;
        break;
      case AT.factorial:
        this.#startFactorial(value);
        break;
      case AT.status:
        s.status = (s.status & ~STATUS.interruptWhenDone) | (value & STATUS.interruptWhenDone);
        break;
      case AT.interruptRaise:
        this.#raise(value);
        break;
      case AT.interruptAcknowledge:
        s.interrupts &= ~value;
        if (s.interrupts === 0) this.#fn.setPin(false);
        break;
    }
  }

  #raise(bits: number): void {
    const s = this.#state.view;
    s.interrupts |= bits;
    if (s.interrupts !== 0 && !this.#fn.sendMessage(0)) this.#fn.setPin(true);
  }

  #startFactorial(value: number): void {
    const s = this.#state.view;
    if ((s.status & STATUS.computing) !== 0) return;
    s.factorial = value;
    s.status |= STATUS.computing;
    this.#factorialTimer.arm(this.#clock.nowNs() + FACTORIAL_NS);
  }

  #finishFactorial(): void {
    const s = this.#state.view;
    let product = 1;
    for (let i = Math.min(s.factorial, FACTORIAL_IS_ZERO); i > 1; i--) product = Math.imul(product, i);
    s.factorial = product;
    s.status &= ~STATUS.computing;
    if ((s.status & STATUS.interruptWhenDone) !== 0) this.#raise(INTERRUPT.factorial);
  }

  #writeDma(word: number, value: number): void {
    const { dma } = this.#state.view;
    if (this.#isTransferring) return;
    dma[word] = word === DMA.command ? value & COMMAND_WRITABLE : value;
    if ((word & 1) === 0) dma[word + 1] = 0;
    if (this.#isTransferring) this.#dmaTimer.arm(this.#clock.nowNs() + DMA_NS);
  }

  /** A register as an address of memory. */
  #memoryAddress(word: number): number {
    const { dma } = this.#state.view;
    return ((dma[word + 1] & this.#maskHigh) >>> 0) * 2 ** 32 + ((dma[word] & this.#maskLow) >>> 0);
  }

  #finishDma(): void {
    const { dma, buffer } = this.#state.view;
    const command = dma[DMA.command];
    const toMemory = (command & COMMAND.toMemory) !== 0;
    const word = toMemory ? DMA.source : DMA.destination;
    const start = dma[word + 1] * 2 ** 32 + dma[word] - BUFFER.start;
    const byteCount = dma[DMA.count + 1] * 2 ** 32 + dma[DMA.count];
    if (start >= 0 && start + byteCount <= BUFFER.byteCount) {
      const part = buffer.subarray(start, start + byteCount);
      if (toMemory) this.#fn.writeMemory(this.#memoryAddress(DMA.destination), part);
      else this.#fn.readMemory(this.#memoryAddress(DMA.source), part);
    }
    dma[DMA.command] = command & ~COMMAND.run;
    if ((command & COMMAND.interruptWhenDone) !== 0) this.#raise(INTERRUPT.dma);
  }
}

export const edu = declareDevice({
  name: 'edu',
  bus: 'PCI',
  summary: 'Educational device: factorials, interrupts, DMA',
  properties: {
    addr: PCI_ADDRESS,
    dma_mask: { kind: 'number', summary: 'Address bits of its DMA', default: DEFAULT_DMA_MASK, minimum: 0, maximum: 2 ** 52 - 1 },
  },
  create: ({ clock, pci }, { addr, dma_mask }) => new Edu({ clock, bus: pci, address: addr, dmaMask: dma_mask }),
});
