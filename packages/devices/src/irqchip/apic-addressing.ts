// What a local APIC's registers say to those who send to it: is it on, is a message for it, would it take an interrupt (SDM 3A 12.6.2, 12.8.3).
// Anybody may ask, from any thread that shares the registers.

import { BROADCAST } from './apic-message.ts';
import { BASE_ENABLED, BASE_EXTD, highestVector, type LocalApicCells } from './local-apic-registers.ts';

const SOFTWARE_ENABLED = 1 << 8;

/** Guest-physical address of the register page. */
export function apicBase({ baseHigh, baseLow }: LocalApicCells): number {
  return baseHigh * 4294967296 + ((baseLow & 0xfffff000) >>> 0);
}
/** MSR 0x1b bit 11. */
export const isApicEnabled = (s: LocalApicCells): boolean => (s.baseLow & BASE_ENABLED) !== 0;
export const isX2apic = (s: LocalApicCells): boolean => (s.baseLow & BASE_EXTD) !== 0;
export const isSoftwareEnabled = (s: LocalApicCells): boolean => (s.svr & SOFTWARE_ENABLED) !== 0;
/** Takes part in lowest-priority arbitration. */
export const acceptsFixed = (s: LocalApicCells): boolean => isApicEnabled(s) && isSoftwareEnabled(s);

export function processorPriority({ tpr, isr }: LocalApicCells): number {
  const inService = highestVector(isr);
  return inService >>> 4 > tpr >>> 4 && inService >= 0 ? inService & 0xf0 : tpr;
}

export const x2apicLogicalId = (id: number): number => (((id >>> 4) << 16) | (1 << (id & 15))) >>> 0;

/** Is a message for `destination` for the APIC with that ID? */
export function matchesDestination(s: LocalApicCells, id: number, destination: number, logical: boolean): boolean {
  if (!isApicEnabled(s)) return false;
  if (destination >>> 0 === BROADCAST) return true;
  if (isX2apic(s)) {
    if (!logical) return destination === id;
    const ldr = x2apicLogicalId(id);
    return destination >>> 16 === ldr >>> 16 && (destination & ldr & 0xffff) !== 0;
  }
  if (!logical) return destination === s.xapicId;
  const own = s.ldr >>> 24;
  if (s.dfr >>> 28 === 0xf) return (destination & own & 0xff) !== 0;
  return (destination & 0xf0) === (own & 0xf0) && (destination & own & 0xf) !== 0;
}
