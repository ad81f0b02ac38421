// Interrupts as memory writes: what MSIs and I/O APIC entries look like on their way to the local APICs (SDM 3A, 12.11; VT-d specification, 5.1).
// Address: 0xfee in bits 20..31, destination 12..19, logical destination 2. Data: vector, delivery mode 8..10, assert 14, level trigger 15.

export const MESSAGE_WINDOW = { start: 0xfee00000, end: 0xfef00000 } as const;
export const BROADCAST = 0xffffffff;
/** Destination mode in an APIC command. */
export const LOGICAL = 1 << 11;
const ADDRESS_LOGICAL = 1 << 2;
const DATA = 0xc7ff;

/** What goes over the APIC bus: a command (apic-bus.ts) and 32 bits of destination. */
export interface ApicMessage {
  readonly command: number;
  readonly destination: number;
}

/** Who accepts such writes; `source` is the requester's bus, device and function, undefined for the chipset's own. */
export interface MessageReceiver {
  /** Whether some APIC accepted it. */
  sendMessage(address: number, data: number, source: number | undefined): boolean;
}

/** An IOMMU between devices and APICs. Undefined: the message is blocked. */
export interface InterruptRemapper {
  remapInterrupt(address: number, data: number, source: number | undefined): ApicMessage | undefined;
}

/** The meaning of a message that nobody remaps. */
export function decodeMessage(address: number, data: number): ApicMessage {
  const destination = (address >>> 12) & 0xff;
  return {
    command: (data & DATA) | ((address & ADDRESS_LOGICAL) !== 0 ? LOGICAL : 0),
    destination: destination === 0xff ? BROADCAST : destination,
  };
}
