// An interrupt of the remapping hardware itself (VT-d specification, 7.3, 11.4.8): control with mask and pending bit, then data and address.

import type { ApicMessage } from '../irqchip/apic-message.ts';
import { decodeMessage } from '../irqchip/apic-message.ts';
import type { VtdRegisters } from './vtd-registers.ts';

const MASKED = 0x80000000;
const PENDING = 0x40000000;
const AT = { data: 4, address: 8, upperAddress: 12 } as const;

export class VtdEvent {
  readonly #registers: VtdRegisters;
  readonly #at: number;
  readonly #send: (message: ApicMessage) => void;

  /** `at`: offset of the control register, which the others follow. */
  constructor(registers: VtdRegisters, at: number, send: (message: ApicMessage) => void) {
    this.#registers = registers;
    this.#at = at;
    this.#send = send;
  }

  reset(): void {
    this.#registers.setWord(this.#at, MASKED);
  }

  fire(): void {
    const r = this.#registers;
    if ((r.word(this.#at) & MASKED) !== 0) {
      r.setBits(this.#at, PENDING);
      return;
    }
    const { command, destination } = decodeMessage(r.word(this.#at + AT.address), r.word(this.#at + AT.data));
    // The upper address holds the destination's bits from 8 on, where destinations have 32 bits.
    const upper = r.interruptTable.isExtended ? r.word(this.#at + AT.upperAddress) & ~0xff : 0;
    this.#send({ command, destination: (upper === 0 ? destination : (destination & 0xff) | upper) >>> 0 });
  }

  /** What it reports was dealt with before the interrupt could be sent. */
  withdraw(): void {
    this.#registers.clearBits(this.#at, PENDING);
  }

  /** A write to one of its registers. */
  write(at: number, value: number): void {
    const r = this.#registers;
    if (at !== this.#at) {
      r.setWord(at, value);
      return;
    }
    const isPending = (r.word(at) & PENDING) !== 0;
    r.setWord(at, (value & MASKED) | (isPending ? PENDING : 0));
    if ((value & MASKED) !== 0 || !isPending) return;
    this.withdraw();
    this.fire();
  }
}
