// The messages between local APICs, I/O APICs and MSIs (SDM 3A 12.6 "Issuing Interprocessor Interrupts", 12.11 "Message Signalled Interrupts").
// A command has the layout of the interrupt command register's bits 0..31, which a redirection entry shares: vector 0..7, delivery mode 8..10,
// logical destination 11, assert 14, level trigger 15, shorthand 18..19. A destination is 32 bits; BROADCAST reaches everyone.
// Delivery mode 3, once a remote read, is what KVM makes of it: the vCPU leaves HLT, or does not enter it the next time.

import { decodeMessage, type InterruptRemapper, LOGICAL, type MessageReceiver } from './apic-message.ts';

export const DELIVERY = { fixed: 0, lowest: 1, smi: 2, unhalt: 3, nmi: 4, init: 5, startup: 6, extInt: 7 } as const;
const LEVEL_TRIGGERED = 1 << 15;
const SHORTHAND_SELF = 1;
const SHORTHAND_ALL = 2;

/** A local APIC as the bus sees it. */
export interface ApicEndpoint {
  /** Whether a message for `destination` is for this APIC. */
  matches(destination: number, logical: boolean): boolean;
  readonly acceptsFixed: boolean;
  readonly arbitrationPriority: number;
  /** Whether it was accepted. */
  deliver(mode: number, vector: number, level: boolean): boolean;
}

/** What local and I/O APICs send through; the sender is undefined for devices. */
export interface ApicBus extends MessageReceiver {
  /** Whether some APIC accepted it. */
  send(command: number, destination: number, sender: ApicEndpoint | undefined): boolean;
  /** EOI broadcast of a level-triggered vector. */
  endOfInterrupt(vector: number): void;
}

/** An EOI's receiver. */
export interface EoiListener {
  endOfInterrupt(vector: number): void;
}

/** All APICs of a board, as one thread sees them. */
export class LocalApicBus implements ApicBus {
  /** Stands between devices (the I/O APICs among them) and the APICs. */
  remapper: InterruptRemapper | undefined = undefined;
  readonly #apics: ApicEndpoint[] = [];
  readonly #ioApics: EoiListener[] = [];

  attach(apic: ApicEndpoint): void {
    this.#apics.push(apic);
  }

  attachIoApic(ioApic: EoiListener): void {
    this.#ioApics.push(ioApic);
  }

  send(command: number, destination: number, sender: ApicEndpoint | undefined): boolean {
    const shorthand = (command >>> 18) & 3;
    const mode = (command >>> 8) & 7;
    const vector = command & 0xff;
    const level = (command & LEVEL_TRIGGERED) !== 0;
    if (shorthand === SHORTHAND_SELF) return sender?.deliver(mode, vector, level) ?? false;
    const everyone = shorthand !== 0;
    const logical = (command & LOGICAL) !== 0;
    let accepted = false;
    let lowest: ApicEndpoint | undefined;
    for (const apic of this.#apics) {
      if (everyone ? shorthand !== SHORTHAND_ALL && apic === sender : !apic.matches(destination, logical)) continue;
      if (mode !== DELIVERY.lowest) accepted = apic.deliver(mode, vector, level) || accepted;
      else if (apic.acceptsFixed && (lowest === undefined || apic.arbitrationPriority < lowest.arbitrationPriority)) lowest = apic;
    }
    return lowest?.deliver(DELIVERY.fixed, vector, level) ?? accepted;
  }

  endOfInterrupt(vector: number): void {
    for (const ioApic of this.#ioApics) ioApic.endOfInterrupt(vector);
  }

  sendMessage(address: number, data: number, source: number | undefined): boolean {
    const message = this.remapper === undefined ? decodeMessage(address, data) : this.remapper.remapInterrupt(address, data, source);
    return message !== undefined && this.send(message.command, message.destination, undefined);
  }
}
