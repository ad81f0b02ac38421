// Paging: linear to physical. SDM Vol. 3A chapter 4 (4.3 32-bit, 4.4 PAE, 4.5 4-level, 4.6 access rights, 4.7 page faults, 4.8 A and D).
// Linear addresses are signed numbers (see state-words.ts). No allocation: each walk fills a record that the caller owns.
// Departure: accessed flags are set only by walks that succeed, which 4.8 allows (processors differ).

import { ACCESS, type Access, type Translation } from '@anillo/ir/frontend';
import { raise, type X86Context } from './helper-map.ts';
import { CR0, CR4, EFER, TLB_CLASS, tlbClassOf } from './mode.ts';
import { noteAccess, pageHasBreakpoint } from './breakpoint.ts';
import { NON_CANONICAL, VECTOR } from './state.ts';
import { isCanonical, setWords, signedField, word, WORD, highWord } from './state-words.ts';

const PRESENT = 1;
const WRITABLE = 2;
const USER = 4;
const ACCESSED = 0x20;
const DIRTY = 0x40;
const LARGE = 0x80;
const GLOBAL = 0x100;
/** In the high word. */
const NO_EXECUTE = 0x8000_0000;
/** Physical-address bits 51..40 of an entry, which must be 0 (MAXPHYADDR is 40), in the high word. */
const RESERVED_HIGH = 0x000f_ff00;
const PHYSICAL_HIGH = 0xff;
export const PHYSICAL_ADDRESS_BITS = 40;

export const PAGE_FAULT = { PRESENT: 1, WRITE: 2, USER: 4, RESERVED: 8, FETCH: 16, KEY: 32 } as const;

/** Outcome of a walk whose last entry another CPU changed before it was marked. */
const CHANGED = -2;

const GRANT_ALL = (1 << ACCESS.READ) | (1 << ACCESS.WRITE) | (1 << ACCESS.EXECUTE);

/** TLB class of who only looks: every present page can be read, and no entry is marked. */
const LOOK = -1;

/** A word of guest-physical memory for the page walk. */
function readPhysicalWord(cpu: X86Context, address: number): number {
  const at = cpu.ports.ramAt(address, 4, false);
  return at >= 0 ? cpu.words[at >>> 2] : cpu.ports.readPhysical(address, 4) >>> 0;
}

/** False: another CPU has changed the entry meanwhile. */
function setEntryBits(cpu: X86Context, address: number, entry: number, bits: number): boolean {
  if ((entry & bits) === bits) return true;
  const at = cpu.ports.ramAt(address, 4, true);
  if (at >= 0) return Atomics.compareExchange(cpu.words, at >>> 2, entry, entry | bits) === entry;
  cpu.ports.writePhysical(address, 4, (entry | bits) >>> 0);
  return true;
}

/** Physical address of the table or page that a 64-bit entry names. */
const frameOf = (low: number, high: number): number => (high & PHYSICAL_HIGH) * 0x1_0000_0000 + ((low & 0xffff_f000) >>> 0);

/**
 * Walks the page tables for an access of `privilege` (a TLB class) to `linear`. Returns -1 and fills `into`, or returns the error code of
 * the page fault. The caller has checked that `linear` is canonical.
 */
export function walk(cpu: X86Context, linear: number, access: Access, privilege: number, into: Translation): number {
  for (;;) {
    const outcome = walkOnce(cpu, linear, access, privilege, into);
    if (outcome !== CHANGED) return outcome;
  }
}

function walkOnce(cpu: X86Context, linear: number, access: Access, privilege: number, into: Translation): number {
  const cr0 = word(cpu, WORD.cr0);
  if ((cr0 & CR0.PG) === 0) {
    into.gpa = linear >>> 0;
    into.grants = GRANT_ALL;
    into.pageBytes = 4096;
    return -1;
  }
  if ((word(cpu, WORD.efer) & EFER.LMA) !== 0) return walk4Level(cpu, linear, access, privilege, into);
  return (word(cpu, WORD.cr4) & CR4.PAE) !== 0 ? walkPae(cpu, linear >>> 0, access, privilege, into) : walk32Bit(cpu, linear >>> 0, access, privilege, into);
}

const notPresent = (cpu: X86Context, access: Access, privilege: number): number => faultCode(cpu, access, privilege, 0);

function faultCode(cpu: X86Context, access: Access, privilege: number, code: number): number {
  let result = code;
  if (access === ACCESS.WRITE) result |= PAGE_FAULT.WRITE;
  if (privilege === TLB_CLASS.USER) result |= PAGE_FAULT.USER;
  if (access === ACCESS.EXECUTE) {
    const cr4 = word(cpu, WORD.cr4);
    if ((cr4 & CR4.SMEP) !== 0 || ((cr4 & CR4.PAE) !== 0 && (word(cpu, WORD.efer) & EFER.NXE) !== 0)) result |= PAGE_FAULT.FETCH;
  }
  return result;
}

/** What a page with the given combined rights grants to `privilege`: bits 1 << ACCESS. */
function rightsOf(cpu: X86Context, rights: number, noExecute: boolean, privilege: number): number {
  const user = (rights & USER) !== 0;
  const cr4 = word(cpu, WORD.cr4);
  let grants: number = GRANT_ALL;
  if (privilege === LOOK) return grants;
  if (noExecute) grants &= ~(1 << ACCESS.EXECUTE);
  if (privilege === TLB_CLASS.USER) {
    if (!user) return 0;
    if ((rights & WRITABLE) === 0) grants &= ~(1 << ACCESS.WRITE);
    return grants;
  }
  if ((rights & WRITABLE) === 0 && (word(cpu, WORD.cr0) & CR0.WP) !== 0) grants &= ~(1 << ACCESS.WRITE);
  if (user) {
    if ((cr4 & CR4.SMEP) !== 0) grants &= ~(1 << ACCESS.EXECUTE);
    if ((cr4 & CR4.SMAP) !== 0 && privilege === TLB_CLASS.SUPERVISOR) grants &= 1 << ACCESS.EXECUTE;
  }
  return grants;
}

/** What a page's protection key denies to `privilege`: bits 1 << ACCESS. */
function deniedByKey(cpu: X86Context, rights: number, leafHigh: number, privilege: number): number {
  const user = (rights & USER) !== 0;
  if ((word(cpu, WORD.cr4) & (user ? CR4.PKE : CR4.PKS)) === 0 || (word(cpu, WORD.efer) & EFER.LMA) === 0 || privilege === LOOK) return 0;
  const bits = word(cpu, user ? WORD.pkru : WORD.pkrs) >>> (2 * ((leafHigh >>> 27) & 15));
  if ((bits & 1) !== 0) return (1 << ACCESS.READ) | (1 << ACCESS.WRITE);
  const writeDenied = (bits & 2) !== 0 && (privilege === TLB_CLASS.USER || (word(cpu, WORD.cr0) & CR0.WP) !== 0);
  return writeDenied ? 1 << ACCESS.WRITE : 0;
}

/** Checks the rights of the page found, marks its entry accessed and dirty, and fills `into`. */
function finish(cpu: X86Context, access: Access, privilege: number, rights: number, noExecute: boolean, leafAt: number, leaf: number, leafHigh: number, gpa: number, pageBytes: number, into: Translation): number {
  const denied = deniedByKey(cpu, rights, leafHigh, privilege);
  const grants = rightsOf(cpu, rights, noExecute, privilege) & ~denied;
  if ((grants & (1 << access)) === 0) return faultCode(cpu, access, privilege, PAGE_FAULT.PRESENT | (((denied >> access) & 1) !== 0 ? PAGE_FAULT.KEY : 0));
  const bits = access === ACCESS.WRITE ? ACCESSED | DIRTY : ACCESSED;
  if (privilege !== LOOK && !setEntryBits(cpu, leafAt, leaf, bits)) return CHANGED;
  into.gpa = gpa;
  into.pageBytes = pageBytes;
  into.isGlobal = (leaf & GLOBAL) !== 0 && (word(cpu, WORD.cr4) & CR4.PGE) !== 0;
  into.grants = ((leaf | bits) & DIRTY) !== 0 ? grants : grants & ~(1 << ACCESS.WRITE);
  return -1;
}

function walk4Level(cpu: X86Context, linear: number, access: Access, privilege: number, into: Translation): number {
  const low = linear >>> 0;
  const high = highWord(linear);
  const reservedHigh = (word(cpu, WORD.efer) & EFER.NXE) !== 0 ? RESERVED_HIGH : RESERVED_HIGH | NO_EXECUTE;
  const reserved = PAGE_FAULT.PRESENT | PAGE_FAULT.RESERVED;

  const at4 = frameOf(word(cpu, WORD.cr3), word(cpu, WORD.cr3 + 1)) + ((high >>> 7) & 0x1ff) * 8;
  const low4 = readPhysicalWord(cpu, at4);
  if ((low4 & PRESENT) === 0) return notPresent(cpu, access, privilege);
  const high4 = readPhysicalWord(cpu, at4 + 4);
  if ((high4 & reservedHigh) !== 0 || (low4 & LARGE) !== 0) return faultCode(cpu, access, privilege, reserved);

  const at3 = frameOf(low4, high4) + (((high & 0x7f) << 2) | (low >>> 30)) * 8;
  const low3 = readPhysicalWord(cpu, at3);
  if ((low3 & PRESENT) === 0) return notPresent(cpu, access, privilege);
  const high3 = readPhysicalWord(cpu, at3 + 4);
  if ((high3 & reservedHigh) !== 0) return faultCode(cpu, access, privilege, reserved);
  if ((low3 & LARGE) !== 0) {
    if (!cpu.model.features.has('pdpe1gb') || (low3 & 0x3fff_e000) !== 0) return faultCode(cpu, access, privilege, reserved);
    const gpa = (high3 & PHYSICAL_HIGH) * 0x1_0000_0000 + ((low3 & 0xc000_0000) >>> 0) + (low & 0x3fff_ffff);
    const outcome = finish(cpu, access, privilege, low4 & low3, ((high4 | high3) & NO_EXECUTE) !== 0, at3, low3, high3, gpa, 0x4000_0000, into);
    if (outcome < 0 && privilege !== LOOK) setEntryBits(cpu, at4, low4, ACCESSED);
    return outcome;
  }

  const at2 = frameOf(low3, high3) + ((low >>> 21) & 0x1ff) * 8;
  const outcome = walkDirectory(cpu, low, access, privilege, at2, reservedHigh, low4 & low3, high4 | high3, into);
  if (outcome < 0 && privilege !== LOOK) {
    setEntryBits(cpu, at4, low4, ACCESSED);
    setEntryBits(cpu, at3, low3, ACCESSED);
  }
  return outcome;
}

/** The two lowest levels with 64-bit entries: page directory entry at `at2`. */
function walkDirectory(cpu: X86Context, low: number, access: Access, privilege: number, at2: number, reservedHigh: number, rights: number, upperHigh: number, into: Translation): number {
  const reserved = PAGE_FAULT.PRESENT | PAGE_FAULT.RESERVED;
  const low2 = readPhysicalWord(cpu, at2);
  if ((low2 & PRESENT) === 0) return notPresent(cpu, access, privilege);
  const high2 = readPhysicalWord(cpu, at2 + 4);
  if ((high2 & reservedHigh) !== 0) return faultCode(cpu, access, privilege, reserved);
  if ((low2 & LARGE) !== 0) {
    if ((low2 & 0x001f_e000) !== 0) return faultCode(cpu, access, privilege, reserved);
    const gpa = (high2 & PHYSICAL_HIGH) * 0x1_0000_0000 + ((low2 & 0xffe0_0000) >>> 0) + (low & 0x001f_ffff);
    return finish(cpu, access, privilege, rights & low2, ((upperHigh | high2) & NO_EXECUTE) !== 0, at2, low2, high2, gpa, 0x20_0000, into);
  }
  const at1 = frameOf(low2, high2) + ((low >>> 12) & 0x1ff) * 8;
  const low1 = readPhysicalWord(cpu, at1);
  if ((low1 & PRESENT) === 0) return notPresent(cpu, access, privilege);
  const high1 = readPhysicalWord(cpu, at1 + 4);
  if ((high1 & reservedHigh) !== 0) return faultCode(cpu, access, privilege, reserved);
  const gpa = frameOf(low1, high1) + (low & 0xfff);
  const outcome = finish(cpu, access, privilege, rights & low2 & low1, ((upperHigh | high2 | high1) & NO_EXECUTE) !== 0, at1, low1, high1, gpa, 4096, into);
  if (outcome < 0 && privilege !== LOOK) setEntryBits(cpu, at2, low2, ACCESSED);
  return outcome;
}

function walkPae(cpu: X86Context, low: number, access: Access, privilege: number, into: Translation): number {
  const at = WORD.pdpte + (low >>> 30) * 2;
  const low3 = word(cpu, at);
  if ((low3 & PRESENT) === 0) return notPresent(cpu, access, privilege);
  // Bits 62..52 are reserved here, unlike with 4-level paging.
  const reservedHigh = (word(cpu, WORD.efer) & EFER.NXE) !== 0 ? 0x7fff_ff00 : 0xffff_ff00;
  const at2 = frameOf(low3, word(cpu, at + 1)) + ((low >>> 21) & 0x1ff) * 8;
  return walkDirectory(cpu, low, access, privilege, at2, reservedHigh, WRITABLE | USER, 0, into);
}

function walk32Bit(cpu: X86Context, low: number, access: Access, privilege: number, into: Translation): number {
  const at2 = ((word(cpu, WORD.cr3) & 0xffff_f000) >>> 0) + (low >>> 22) * 4;
  const entry2 = readPhysicalWord(cpu, at2);
  if ((entry2 & PRESENT) === 0) return notPresent(cpu, access, privilege);
  if ((entry2 & LARGE) !== 0 && (word(cpu, WORD.cr4) & CR4.PSE) !== 0) {
    // PSE-36: bits 20..13 are address bits 39..32, bit 21 is reserved.
    const pse36 = cpu.model.features.has('pse36');
    if ((entry2 & (pse36 ? 0x0020_0000 : 0x003f_e000)) !== 0) return faultCode(cpu, access, privilege, PAGE_FAULT.PRESENT | PAGE_FAULT.RESERVED);
    const gpa = ((entry2 >>> 13) & 0xff) * 0x1_0000_0000 + ((entry2 & 0xffc0_0000) >>> 0) + (low & 0x003f_ffff);
    return finish(cpu, access, privilege, entry2, false, at2, entry2, 0, gpa, 0x40_0000, into);
  }
  const at1 = ((entry2 & 0xffff_f000) >>> 0) + ((low >>> 12) & 0x3ff) * 4;
  const entry1 = readPhysicalWord(cpu, at1);
  if ((entry1 & PRESENT) === 0) return notPresent(cpu, access, privilege);
  const outcome = finish(cpu, access, privilege, entry2 & entry1, false, at1, entry1, 0, ((entry1 & 0xffff_f000) >>> 0) + (low & 0xfff), 4096, into);
  if (outcome < 0 && privilege !== LOOK) setEntryBits(cpu, at2, entry2, ACCESSED);
  return outcome;
}

/** Records a page fault at `linear`. Returns 1. */
export function raisePageFault(cpu: X86Context, linear: number, errorCode: number): 1 {
  setWords(cpu, WORD.cr2, linear, highWord(linear));
  return raise(cpu, VECTOR.PF, errorCode);
}

/** Translation of the linear address in the header, for the present privilege. False: the fault has been recorded. */
export function translate(cpu: X86Context, access: Access, into: Translation, byteCount = 1): boolean {
  let linear = signedField(cpu, WORD.accessAddress);
  if ((word(cpu, WORD.efer) & EFER.LMA) === 0) linear = word(cpu, WORD.accessAddress);
  else if (!isCanonical(linear)) {
    raise(cpu, NON_CANONICAL, 0);
    return false;
  }
  const fault = walk(cpu, linear, access, tlbClassOf(cpu), into);
  if (fault < 0) {
    if (access !== ACCESS.EXECUTE && (word(cpu, WORD.dr + 14) & 0xff) !== 0 && pageHasBreakpoint(cpu, linear)) {
      noteAccess(cpu, linear, byteCount, access === ACCESS.WRITE);
      into.grants &= 1 << ACCESS.EXECUTE;
    }
    return true;
  }
  raisePageFault(cpu, linear, fault);
  return false;
}

/** As translate, for who only looks: any privilege, nothing recorded, no entry marked. */
export function probeTranslation(cpu: X86Context, access: Access, into: Translation): boolean {
  const long = (word(cpu, WORD.efer) & EFER.LMA) !== 0;
  const linear = long ? signedField(cpu, WORD.accessAddress) : word(cpu, WORD.accessAddress);
  return (!long || isCanonical(linear)) && walk(cpu, linear, access, LOOK, into) < 0;
}

/** Forgets all translations. */
export function flushTranslations(cpu: X86Context): void {
  cpu.walkCache.clear();
  cpu.ports.flushTlb();
}

/** The guest has loaded CR3: translations of that PCID that are not global go unless it asks to keep them. */
export function selectAddressSpace(cpu: X86Context, pcid: number, keep: boolean): void {
  cpu.walkCache.clear();
  cpu.ports.selectAddressSpace(pcid, keep);
}

/** Forgets translations that are not global: of one PCID, or of all. */
export function flushAddressSpace(cpu: X86Context, pcid?: number): void {
  cpu.walkCache.clear();
  cpu.ports.flushAddressSpace(pcid);
}

/** Forgets the translations of the page of a linear address, given as two words. */
export function flushTranslation(cpu: X86Context, low: number, high: number): void {
  cpu.walkCache.clear();
  cpu.ports.flushTlbPage(low, high);
}

/**
 * Loads the four PDPTEs of PAE paging from the table that `cr3` names. False: one has reserved bits set, nothing is loaded, and the
 * caller raises #GP(0). SDM Vol. 3A 4.4.1.
 */
export function loadPdptes(cpu: X86Context, cr3: number): boolean {
  const table = (cr3 & 0xffff_ffe0) >>> 0;
  for (let i = 0; i < 4; i++) {
    const low = readPhysicalWord(cpu, table + 8 * i);
    const high = readPhysicalWord(cpu, table + 8 * i + 4);
    if ((low & PRESENT) !== 0 && ((low & 0x1e6) !== 0 || (high & 0xffff_ff00) !== 0)) return false;
  }
  for (let i = 0; i < 4; i++) setWords(cpu, WORD.pdpte + 2 * i, readPhysicalWord(cpu, table + 8 * i), readPhysicalWord(cpu, table + 8 * i + 4));
  return true;
}
