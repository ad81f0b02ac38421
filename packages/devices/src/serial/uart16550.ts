// Serial port 16550A (National Semiconductor PC16550D data sheet). Bytes go out at once; the line rate is stored only. OUT2 gates the interrupt, as on the PC.
// Input is never lost: a byte leaves the back end only when the receive FIFO has room and the guest listens, which is when the receive interrupt is
// enabled or the line status is polled (read twice with no write and no data between). A FIFO reset by the guest, which drivers do at every open,
// keeps bytes of the back end.

import { struct } from '@anillo/base/struct';
import type { CharBackend, Device, IoRange, IrqLine } from '../device.ts';
import { declareDevice } from '../device-declaration.ts';
import { DeviceState } from '../device-state.ts';

/** Bases and interrupts of COM1..COM4. */
export const COM_PORTS = [
  { base: 0x3f8, irq: 4 },
  { base: 0x2f8, irq: 3 },
  { base: 0x3e8, irq: 4 },
  { base: 0x2e8, irq: 3 },
] as const;

const FIFO_BYTES = 16;
const IER = { received: 1, transmitEmpty: 2, lineStatus: 4, modemStatus: 8 } as const;
const IIR = { none: 1, modemStatus: 0, transmitEmpty: 2, received: 4, lineStatus: 6, timeout: 12, fifoEnabled: 0xc0 } as const;
const FCR = { enable: 1, resetReceive: 2 } as const;
const LCR_DIVISOR_LATCH = 0x80;
const MCR = { dtr: 1, rts: 2, out1: 4, out2: 8, loopback: 16 } as const;
const LSR = { dataReady: 1, overrun: 2, errors: 0x1e, transmitEmpty: 0x20, idle: 0x40 } as const;
const MSR = { deltas: 0x0f, trailingRing: 4, cts: 0x10, dsr: 0x20, ring: 0x40, carrier: 0x80 } as const;
const CONNECTED = MSR.cts | MSR.dsr | MSR.carrier;
const TRIGGER_BYTES = [1, 4, 8, 14] as const;
/** Line status reads after which the guest counts as polling: a guest that only sends writes a byte after each. */
const POLLING_READS = 2;

const STATE = struct({
  received: ['u8', FIFO_BYTES],
  receivedHead: 'u8',
  receivedCount: 'u8',
  transmit: ['u8', FIFO_BYTES],
  transmitHead: 'u8',
  transmitCount: 'u8',
  ier: 'u8',
  fcr: 'u8',
  lcr: 'u8',
  mcr: 'u8',
  lsr: 'u8',
  msr: 'u8',
  scratch: 'u8',
  divisor: 'u16',
  transmitPending: 'u8',
  statusReads: 'u8',
  lastReceived: 'u8',
  looped: 'u8',
});

export interface Uart16550Options {
  readonly base: number;
  readonly irq: IrqLine;
  /** Without one, output is dropped. */
  readonly backend?: CharBackend;
  readonly stateBuffer?: ArrayBufferLike;
}

export class Uart16550 implements Device {
  readonly name: string;
  readonly ports: readonly IoRange[];
  readonly #irq: IrqLine;
  readonly #backend: CharBackend | undefined;
  readonly #state: DeviceState<(typeof STATE)['spec']>;

  constructor(options: Uart16550Options) {
    this.name = `uart-${options.base.toString(16)}`;
    this.#irq = options.irq;
    this.#backend = options.backend;
    this.#state = new DeviceState(STATE, options.stateBuffer);
    this.ports = [
      {
        start: options.base,
        byteCount: 8,
        widestBytes: 1,
        read: (offset) => this.#read(offset),
        write: (offset, _, value) => this.#write(offset, value),
      },
    ];
    if (this.#backend !== undefined) {
      this.#backend.onInput = () => this.#update();
      this.#backend.onDrain = () => this.#drain();
    }
    this.reset();
  }

  reset(): void {
    this.#state.clear();
    const s = this.#state.view;
    s.lsr = 0;
    s.msr = CONNECTED;
    s.divisor = 12;
    this.#irq.lower();
  }

  save(): Uint8Array {
    return this.#state.save();
  }

  restore(state: Uint8Array): void {
    this.#state.restore(state);
    const s = this.#state.view;
    s.receivedCount = Math.min(s.receivedCount, FIFO_BYTES);
    s.transmitCount = Math.min(s.transmitCount, FIFO_BYTES);
    this.#drain();
  }

  [Symbol.dispose](): void {
    if (this.#backend === undefined) return;
    this.#backend.onInput = undefined;
    this.#backend.onDrain = undefined;
  }

  get #isFifo(): boolean {
    return (this.#state.view.fcr & FCR.enable) !== 0;
  }

  get #isLoopback(): boolean {
    return (this.#state.view.mcr & MCR.loopback) !== 0;
  }

  get #capacity(): number {
    return this.#isFifo ? FIFO_BYTES : 1;
  }

  /** The guest takes bytes: they may be moved out of the back end and shown. */
  get #isListening(): boolean {
    const s = this.#state.view;
    return this.#isLoopback || (s.ier & IER.received) !== 0 || s.statusReads >= POLLING_READS;
  }

  get #visibleCount(): number {
    return this.#isListening ? this.#state.view.receivedCount : 0;
  }

  // --- Receiving ---

  #push(byte: number): void {
    const s = this.#state.view;
    if (s.receivedCount >= this.#capacity) {
      s.lsr |= LSR.overrun;
      // Without FIFO the new byte takes the old one's place.
      if (!this.#isFifo) s.received[s.receivedHead % FIFO_BYTES] = byte;
      return;
    }
    s.received[(s.receivedHead + s.receivedCount) % FIFO_BYTES] = byte;
    s.receivedCount++;
  }

  #pull(): void {
    const s = this.#state.view;
    const backend = this.#backend;
    if (backend === undefined || this.#isLoopback || !this.#isListening) return;
    while (s.receivedCount < this.#capacity && backend.available > 0) this.#push(backend.read());
  }

  #readReceived(): number {
    const s = this.#state.view;
    if (this.#visibleCount === 0) return s.lastReceived;
    s.lastReceived = s.received[s.receivedHead % FIFO_BYTES];
    s.receivedHead = (s.receivedHead + 1) % FIFO_BYTES;
    s.receivedCount--;
    return s.lastReceived;
  }

  // --- Transmitting ---

  #writeTransmit(byte: number): void {
    const s = this.#state.view;
    s.transmitPending = 0;
    if (this.#isLoopback) {
      this.#push(byte);
      s.looped = 1;
      s.transmitPending = 1;
      return;
    }
    if (s.transmitCount >= this.#capacity) return;
    s.transmit[(s.transmitHead + s.transmitCount) % FIFO_BYTES] = byte;
    s.transmitCount++;
    this.#flush();
  }

  /** Hands the transmit FIFO to the back end as far as it takes it. */
  #flush(): void {
    const s = this.#state.view;
    while (s.transmitCount > 0) {
      if (this.#backend?.write(s.transmit[s.transmitHead % FIFO_BYTES]) === false) return;
      s.transmitHead = (s.transmitHead + 1) % FIFO_BYTES;
      s.transmitCount--;
    }
    s.transmitPending = 1;
  }

  #drain(): void {
    if (this.#state.view.transmitCount > 0) this.#flush();
    this.#update();
  }

  // --- Interrupts ---

  /** Identification of the most urgent interrupt. */
  #interruptId(): number {
    const s = this.#state.view;
    const count = this.#visibleCount;
    if ((s.ier & IER.lineStatus) !== 0 && (s.lsr & LSR.errors) !== 0) return IIR.lineStatus;
    if ((s.ier & IER.received) !== 0 && count > 0) {
      const trigger = this.#isFifo ? TRIGGER_BYTES[s.fcr >> 6] : 1;
      // No more bytes wait: the character time-out is over at once.
      return count >= trigger ? IIR.received : IIR.timeout;
    }
    if ((s.ier & IER.transmitEmpty) !== 0 && s.transmitPending !== 0) return IIR.transmitEmpty;
    if ((s.ier & IER.modemStatus) !== 0 && (s.msr & MSR.deltas) !== 0) return IIR.modemStatus;
    return IIR.none;
  }

  #update(): void {
    this.#pull();
    const isGated = (this.#state.view.mcr & MCR.out2) === 0 || this.#isLoopback;
    if (!isGated && this.#interruptId() !== IIR.none) this.#irq.raise();
    else this.#irq.lower();
  }

  // --- Registers ---

  #lineStatus(): number {
    const s = this.#state.view;
    return s.lsr | (this.#visibleCount > 0 ? LSR.dataReady : 0) | (s.transmitCount === 0 ? LSR.transmitEmpty | LSR.idle : 0);
  }

  #updateModemStatus(): void {
    const s = this.#state.view;
    const { mcr } = s;
    let lines: number = CONNECTED;
    if (this.#isLoopback) {
      lines =
        ((mcr & MCR.rts) !== 0 ? MSR.cts : 0) |
        ((mcr & MCR.dtr) !== 0 ? MSR.dsr : 0) |
        ((mcr & MCR.out1) !== 0 ? MSR.ring : 0) |
        ((mcr & MCR.out2) !== 0 ? MSR.carrier : 0);
    }
    const changed = (lines ^ s.msr) & 0xf0;
    // Ring's delta is its trailing edge only.
    const deltas = ((changed >> 4) & ~MSR.trailingRing) | ((changed & MSR.ring) !== 0 && (lines & MSR.ring) === 0 ? MSR.trailingRing : 0);
    s.msr = lines | (s.msr & MSR.deltas) | deltas;
  }

  #read(offset: number): number {
    const s = this.#state.view;
    const isLatch = (s.lcr & LCR_DIVISOR_LATCH) !== 0;
    let value = 0;
    if (offset === 5) s.statusReads = Math.min(s.statusReads + 1, POLLING_READS);
    switch (offset) {
      case 0:
        value = isLatch ? s.divisor & 0xff : this.#readReceived();
        s.statusReads = 0;
        break;
      case 1:
        value = isLatch ? s.divisor >> 8 : s.ier;
        break;
      case 2:
        value = this.#interruptId();
        if (value === IIR.transmitEmpty) s.transmitPending = 0;
        value |= this.#isFifo ? IIR.fifoEnabled : 0;
        break;
      case 3:
        value = s.lcr;
        break;
      case 4:
        value = s.mcr;
        break;
      case 5:
        this.#pull();
        value = this.#lineStatus();
        s.lsr &= ~LSR.errors;
        break;
      case 6:
        value = s.msr;
        s.msr &= ~MSR.deltas;
        break;
      case 7:
        value = s.scratch;
        break;
    }
    this.#update();
    return value;
  }

  #write(offset: number, value: number): void {
    const s = this.#state.view;
    const isLatch = (s.lcr & LCR_DIVISOR_LATCH) !== 0;
    s.statusReads = 0;
    switch (offset) {
      case 0:
        if (isLatch) s.divisor = (s.divisor & 0xff00) | value;
        else this.#writeTransmit(value);
        break;
      case 1:
        if (isLatch) s.divisor = (s.divisor & 0xff) | (value << 8);
        else {
          // Enabling the interrupt while the transmitter is empty asks at once.
          if ((value & ~s.ier & IER.transmitEmpty) !== 0 && s.transmitCount === 0) s.transmitPending = 1;
          s.ier = value & 0x0f;
        }
        break;
      case 2:
        this.#writeFifoControl(value);
        break;
      case 3:
        s.lcr = value;
        break;
      case 4:
        this.#writeModemControl(value & 0x1f);
        break;
      case 7:
        s.scratch = value;
        break;
    }
    this.#update();
  }

  #writeModemControl(value: number): void {
    const s = this.#state.view;
    const leavesLoopback = this.#isLoopback && (value & MCR.loopback) === 0;
    // What went round belongs to the test, not to the line.
    if (leavesLoopback && s.looped !== 0) s.receivedCount = 0;
    if (leavesLoopback) s.looped = 0;
    s.mcr = value;
    this.#updateModemStatus();
  }

  #writeFifoControl(value: number): void {
    const s = this.#state.view;
    const isReset = ((value ^ s.fcr) & FCR.enable) !== 0 || (value & (FCR.enable | FCR.resetReceive)) === (FCR.enable | FCR.resetReceive);
    // In loopback the bytes are the guest's own; otherwise the host's input is kept for when the guest listens again. Bytes written are on the line already.
    if (isReset && this.#isLoopback) s.receivedCount = 0;
    s.fcr = (value & FCR.enable) !== 0 ? value & 0xc9 : 0;
  }
}

export const uart16550 = declareDevice({
  name: 'isa-serial',
  bus: 'ISA',
  summary: 'Serial port 16550A with nothing attached',
  properties: {
    iobase: { kind: 'number', summary: 'First I/O port', default: 0x3f8, minimum: 0, maximum: 0xfff8 },
    irq: { kind: 'number', summary: 'ISA interrupt', default: 4, minimum: 3, maximum: 15 },
  },
  create: (context, { iobase, irq }) => new Uart16550({ base: iobase, irq: context.irq(irq) }),
});
