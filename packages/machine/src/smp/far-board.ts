// The board as a vCPU on another thread sees it: its local APIC is here, everything else is asked for by mail, which the machine's thread answers.

import type { BoardPorts, InterruptController } from '@anillo/accel/accelerator';
import type { GuestClock } from '@anillo/devices/clock/guest-clock';
import type { LocalApic } from '@anillo/devices/irqchip/local-apic';
import { MAIL, type Processor, QUESTION } from './processor-cells.ts';

type Bytes = 1 | 2 | 4;

/** Looks at the mailbox before the thread sleeps: some microseconds, in which most questions are answered. */
const SPINS = 4000;

export interface FarBoardOptions {
  readonly processor: Processor;
  readonly clock: GuestClock;
  /** Has the machine's thread look at the mailboxes. */
  readonly kickMachine: () => void;
  readonly polled: () => void;
  readonly nowNs: () => number;
  /** The thread had nothing to do since then, by `nowNs`. */
  readonly waited: (sinceNs: number) => void;
}

export class FarBoard implements BoardPorts {
  /** Set before the vCPU runs. */
  localApic!: LocalApic;
  readonly #o: FarBoardOptions;

  constructor(options: FarBoardOptions) {
    this.#o = options;
  }

  ask(kind: number, address: number, byteCount: number, value: number): number {
    const { processor: p, kickMachine } = this.#o;
    p.kind = kind;
    p.address = address;
    p.byteCount = byteCount;
    p.value = value;
    Atomics.store(p.mail, 0, MAIL.ASKED);
    kickMachine();
    for (let spin = 0; spin < SPINS && Atomics.load(p.mail, 0) === MAIL.ASKED; spin++);
    if (Atomics.load(p.mail, 0) === MAIL.ASKED) this.#wait();
    Atomics.store(p.mail, 0, MAIL.NONE);
    return p.value;
  }

  #wait(): void {
    const { processor: p, nowNs, waited } = this.#o;
    const sinceNs = nowNs();
    while (Atomics.load(p.mail, 0) === MAIL.ASKED) Atomics.wait(p.mail, 0, MAIL.ASKED);
    waited(sinceNs);
  }

  /** Offset into the local APIC's window, or -1. */
  #intoWindow(address: number, byteCount: number): number {
    const into = address - (this.localApic.windowBase ?? Infinity);
    return into >= 0 && into + byteCount <= 0x1000 ? into : -1;
  }

  readPort(port: number, byteCount: Bytes): number {
    return this.ask(QUESTION.READ_PORT, port, byteCount, 0);
  }
  writePort(port: number, byteCount: Bytes, value: number): void {
    this.ask(QUESTION.WRITE_PORT, port, byteCount, value);
  }
  readMmio(address: number, byteCount: Bytes): number {
    const into = this.#intoWindow(address, byteCount);
    return into >= 0 ? this.localApic.window.read(into, byteCount) : this.ask(QUESTION.READ_MMIO, address, byteCount, 0);
  }
  writeMmio(address: number, byteCount: Bytes, value: number): void {
    const into = this.#intoWindow(address, byteCount);
    if (into >= 0) this.localApic.window.write(into, byteCount, value);
    else this.ask(QUESTION.WRITE_MMIO, address, byteCount, value);
  }
  interrupts(_id: number): InterruptController {
    return this.localApic;
  }
  nowNs(): number {
    return this.#o.clock.nowNs();
  }
  poll(): void {
    this.#o.clock.runDue();
    this.#o.polled();
  }
}
