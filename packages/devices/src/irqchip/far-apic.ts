// A local APIC whose vCPU runs on another thread, as senders see it: its registers are read where they are, and what is sent to it waits in its inbox
// until its own thread takes it (`takeInbox`).

import { struct, type View } from '@anillo/base/struct';
import { acceptsFixed, matchesDestination, processorPriority } from './apic-addressing.ts';
import { type ApicEndpoint, DELIVERY } from './apic-bus.ts';
import type { LocalApicCells } from './local-apic-registers.ts';

/** All in atomic words. `events`: what waits, bits of EVENT; `vector`: of the start-up IPI; `level`: which of the interrupts in `irr` are levels. */
export const APIC_INBOX = struct({ events: ['i32', 1], vector: ['i32', 1], irr: ['i32', 8], level: ['i32', 8] });
export type ApicInbox = View<(typeof APIC_INBOX)['spec']>;

const EVENT = { INTERRUPT: 1, NMI: 2, INIT: 4, STARTUP: 8, EXT_INT: 16, UNHALT: 32 } as const;

export interface FarApicOptions {
  readonly id: number;
  readonly cells: LocalApicCells;
  readonly inbox: ApicInbox;
  /** Has the APIC's thread look into the inbox. */
  readonly kick: () => void;
}

export class FarApic implements ApicEndpoint {
  readonly #o: FarApicOptions;

  constructor(options: FarApicOptions) {
    this.#o = options;
  }

  matches(destination: number, logical: boolean): boolean {
    return matchesDestination(this.#o.cells, this.#o.id, destination, logical);
  }
  get acceptsFixed(): boolean {
    return acceptsFixed(this.#o.cells);
  }
  get arbitrationPriority(): number {
    return processorPriority(this.#o.cells);
  }

  deliver(mode: number, vector: number, level: boolean): boolean {
    const { inbox } = this.#o;
    switch (mode) {
      case DELIVERY.fixed:
      case DELIVERY.lowest: {
        if (!this.acceptsFixed) return false;
        const bit = 1 << (vector & 31);
        if (level) Atomics.or(inbox.level, vector >> 5, bit);
        else Atomics.and(inbox.level, vector >> 5, ~bit);
        Atomics.or(inbox.irr, vector >> 5, bit);
        return this.#post(EVENT.INTERRUPT);
      }
      case DELIVERY.nmi:
        return this.#post(EVENT.NMI);
      case DELIVERY.init:
        // A start-up IPI from before is lost.
        Atomics.and(inbox.events, 0, ~EVENT.STARTUP);
        return this.#post(EVENT.INIT);
      case DELIVERY.startup:
        Atomics.store(inbox.vector, 0, vector);
        return this.#post(EVENT.STARTUP);
      case DELIVERY.extInt:
        return this.#post(EVENT.EXT_INT);
      case DELIVERY.unhalt:
        return this.#post(EVENT.UNHALT);
      default:
        return false;
    }
  }

  #post(event: number): true {
    Atomics.or(this.#o.inbox.events, 0, event);
    this.#o.kick();
    return true;
  }
}

/** On the APIC's own thread: delivers what has come. */
export function takeInbox(inbox: ApicInbox, apic: ApicEndpoint & { readonly nmiPending: boolean }): void {
  if (Atomics.load(inbox.events, 0) === 0) return;
  const events = Atomics.exchange(inbox.events, 0, 0);
  if (events & EVENT.INIT) apic.deliver(DELIVERY.init, 0, false);
  if (events & EVENT.INTERRUPT) {
    for (let word = 0; word < 8; word++) {
      const bits = Atomics.exchange(inbox.irr, word, 0);
      for (let bit = 0; bit < 32; bit++) {
        if ((bits >>> bit) & 1) apic.deliver(DELIVERY.fixed, word * 32 + bit, ((Atomics.load(inbox.level, word) >>> bit) & 1) !== 0);
      }
    }
  }
  if (events & EVENT.NMI) {
    // Two senders' NMIs are two, as long as the first has not been taken.
    if (apic.nmiPending) Atomics.or(inbox.events, 0, EVENT.NMI);
    else apic.deliver(DELIVERY.nmi, 0, false);
  }
  if (events & EVENT.UNHALT) apic.deliver(DELIVERY.unhalt, 0, false);
  if (events & EVENT.EXT_INT) apic.deliver(DELIVERY.extInt, 0, false);
  if (events & EVENT.STARTUP) apic.deliver(DELIVERY.startup, Atomics.load(inbox.vector, 0), false);
}

/** Power-on: nothing waits. The APIC's thread must stand still. */
export function clearInbox(inbox: ApicInbox): void {
  for (const words of [inbox.events, inbox.irr, inbox.level]) words.fill(0);
}
