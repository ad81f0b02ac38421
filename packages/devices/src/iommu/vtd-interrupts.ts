// Remapping of interrupt messages (VT-d specification, chapter 5, 9.10): a message names an entry of the guest's table instead of a vector.
// The I/O APIC is part of the chipset and its messages carry no requester id here, as in QEMU: its entries' source checks are passed over.

import { gpa } from '@anillo/base/gpa';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import { type ApicMessage, BROADCAST, decodeMessage, LOGICAL } from '../irqchip/apic-message.ts';
import { DELIVERY } from '../irqchip/apic-bus.ts';
import { FAULT } from './vtd-fault-log.ts';
import { GLOBAL, type VtdRegisters } from './vtd-registers.ts';

const ENTRY_BYTES = 16;
const MESSAGE = { remappable: 1 << 4, subhandleValid: 1 << 3, handle15: 1 << 2 } as const;
const ENTRY = { present: 1, faultsOff: 2, logical: 4, hint: 8, level: 0x10, reserved: 0xff00f000 } as const;
const CHECK = { none: 0, requester: 1, bus: 2 } as const;
/** Requester bits that a qualifier leaves out of comparison. */
const QUALIFIERS = [0, 4, 6, 7] as const;
const ASSERT = 1 << 14;
const LEVEL = 1 << 15;

export interface InterruptFault {
  readonly reason: number;
  readonly index: number;
  readonly isSilent: boolean;
}

export const isInterruptFault = (result: ApicMessage | InterruptFault): result is InterruptFault => 'reason' in result;

/** The interrupt of a message, or why there is none. */
export function remapMessage(
  registers: VtdRegisters,
  memory: GuestMemory,
  message: { readonly address: number; readonly data: number; readonly source: number | undefined },
): ApicMessage | InterruptFault {
  const { address, data, source } = message;
  if (!registers.hasStatus(GLOBAL.interruptRemapping)) return decodeMessage(address, data);
  const table = registers.interruptTable;
  const handle = ((address >>> 5) & 0x7fff) | ((address & MESSAGE.handle15) !== 0 ? 0x8000 : 0);
  if ((address & MESSAGE.remappable) === 0) {
    const isAllowed = registers.hasStatus(GLOBAL.compatibilityInterrupts) && !table.isExtended;
    return isAllowed ? decodeMessage(address, data) : { reason: FAULT.compatibilityBlocked, index: 0, isSilent: false };
  }
  const index = handle + ((address & MESSAGE.subhandleValid) !== 0 ? data & 0xffff : 0);
  const fault = (reason: number, isSilent = false): InterruptFault => ({ reason, index: index & 0xffff, isSilent });
  if (data >>> 16 !== 0) return fault(FAULT.requestReserved);
  if (index >= table.entryCount) return fault(FAULT.indexBeyondTable);
  const at = table.address + index * ENTRY_BYTES;
  if (memory.offsetOf(at, ENTRY_BYTES, false) < 0) return fault(FAULT.interruptTableUnreachable);
  const words = [0, 4, 8, 12].map((offset) => memory.read32(gpa(at + offset)));
  const isSilent = (words[0] & ENTRY.faultsOff) !== 0;
  if ((words[0] & ENTRY.present) === 0) return fault(FAULT.entryNotPresent, isSilent);
  if ((words[0] & ENTRY.reserved) !== 0 || words[2] >>> 20 !== 0 || words[3] !== 0) return fault(FAULT.entryReserved, isSilent);
  const check = checkSource(words[2], source);
  return check === undefined ? decodeEntry(words[0], words[1], table.isExtended) : fault(check, isSilent);
}

/** The reason to block a requester (5.1.3), if there is one. */
function checkSource(word: number, source: number | undefined): number | undefined {
  const expected = word & 0xffff;
  const kind = (word >>> 18) & 3;
  if (kind === CHECK.none) return undefined;
  if (kind > CHECK.bus) return FAULT.entryReserved;
  if (source === undefined) return undefined;
  const bus = source >>> 8;
  const isExpected =
    kind === CHECK.bus
      ? bus >= expected >>> 8 && bus <= (expected & 0xff)
      : ((source ^ expected) & ~QUALIFIERS[(word >>> 16) & 3] & 0xffff) === 0;
  return isExpected ? undefined : FAULT.sourceRejected;
}

function decodeEntry(low: number, destination: number, isExtended: boolean): ApicMessage {
  const isLogical = (low & ENTRY.logical) !== 0;
  const mode = (low >>> 5) & 7;
  // The hint makes a logical destination choose one of its APICs.
  const delivery = mode === DELIVERY.fixed && isLogical && (low & ENTRY.hint) !== 0 ? DELIVERY.lowest : mode;
  const short = (destination >>> 8) & 0xff;
  return {
    command: ((low >>> 16) & 0xff) | (delivery << 8) | (isLogical ? LOGICAL : 0) | ASSERT | ((low & ENTRY.level) !== 0 ? LEVEL : 0),
    destination: isExtended ? destination : short === 0xff ? BROADCAST : short,
  };
}
