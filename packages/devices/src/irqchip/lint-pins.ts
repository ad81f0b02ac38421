// The local interrupt pins LINT0 and LINT1 of a local APIC (SDM 3A 12.5.1): what their LVT entries make of a level. With the APIC disabled
// (MSR 0x1b) they are the processor's INTR and NMI.

import { DELIVERY } from './apic-bus.ts';
import { APIC_REG, type LocalApicCells } from './local-apic-registers.ts';

export const REMOTE_IRR = 1 << 14;
const LEVEL = 1 << 15;
const MASKED = 1 << 16;
const PINS = [0, 1] as const;
const FIRST_ENTRY = APIC_REG.lint0 - APIC_REG.lvt;

/** What the pins need of their local APIC. */
export interface LintTarget {
  readonly enabled: boolean;
  deliver(mode: number, vector: number, level: boolean): boolean;
  raiseNmi(): void;
}

export class LintPins {
  readonly #cells: LocalApicCells;
  readonly #target: LintTarget;
  /** Looks whether the vCPU has something to do. */
  readonly #notify: () => void;

  constructor(cells: LocalApicCells, target: LintTarget, notify: () => void) {
    this.#cells = cells;
    this.#target = target;
    this.#notify = notify;
  }

  set(pin: 0 | 1, level: boolean): void {
    const { lint } = this.#cells;
    const rose = level && lint[pin] === 0;
    lint[pin] = level ? 1 : 0;
    if (this.#target.enabled) this.sense(pin, rose);
    else if (rose && pin === 1) this.#target.raiseNmi();
    else this.#notify();
  }

  /** The pin or its LVT entry changed. */
  sense(pin: 0 | 1, rose: boolean): void {
    const { lint, lvt } = this.#cells;
    const entry = lvt[FIRST_ENTRY + pin];
    if ((entry & MASKED) !== 0) return;
    const mode = (entry >>> 8) & 7;
    if (mode === DELIVERY.extInt) {
      if (pin === 0) this.#notify();
      else if (rose) this.#target.deliver(mode, 0, false);
    } else if (mode === DELIVERY.fixed && (entry & LEVEL) !== 0) {
      if (lint[pin] === 0 || (entry & REMOTE_IRR) !== 0) return;
      lvt[FIRST_ENTRY + pin] |= REMOTE_IRR;
      this.#target.deliver(mode, entry & 0xff, true);
    } else if (rose) {
      this.#target.deliver(mode, entry & 0xff, false);
    }
  }

  endOfInterrupt(vector: number): void {
    const { lvt } = this.#cells;
    for (const pin of PINS) {
      const entry = lvt[FIRST_ENTRY + pin];
      if ((entry & 0xff) !== vector || (entry & REMOTE_IRR) === 0) continue;
      lvt[FIRST_ENTRY + pin] &= ~REMOTE_IRR;
      this.sense(pin, false);
    }
  }
}
