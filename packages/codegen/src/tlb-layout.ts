// Layout of a software TLB in the machine's memory: what generated code reads inline and the accelerator fills.
// One TLB per privilege class; direct-mapped by bits 12..21 of the linear address.

import { struct } from '@anillo/base/struct';

/**
 * One entry. A tag is the linear address of the page (low 12 bits 0) if that kind of access may go straight to memory, else one whose low 12 bits are not
 * 0, of a page with another index or of one that no guest addresses: then `address xor tag` is below 4096 just for the bytes of a page that is there.
 * Host address of a byte = (low 32 bits of the linear address + addend) mod 2^32.
 */
export const TlbEntry = struct({
  tagRead: 'u64',
  tagWrite: 'u64',
  tagExec: 'u64',
  addend: 'u32',
  /** 1: write access is withheld only because the page holds translated code; stores beside it may be done in place (slow-functions.ts). */
  besideCode: 'u32',
});

export const TLB_ENTRIES = 1024;
export const TLB_ENTRY_BYTES = TlbEntry.bytes;
/** After the entries that addresses index: the page of the last access through the stack pointer, in a TLB of its own with the tag for writing alone. */
export const TLB_STACK_ENTRY = TLB_ENTRIES * TLB_ENTRY_BYTES;
export const TLB_BYTES = TLB_STACK_ENTRY + 2 * TLB_ENTRY_BYTES;
export const TLB_CLASSES = 4;
/** Byte offset, in its TLB, of the entry for a linear address given by its low 32 bits. */
export const tlbEntryOffset = (linearLow: number): number => (linearLow >>> TLB_INDEX_SHIFT) & TLB_INDEX_MASK;

export const TLB_INDEX_SHIFT = 7;
export const TLB_INDEX_MASK = (TLB_ENTRIES - 1) * TLB_ENTRY_BYTES;

const CODE_BITS = 8192;
export const CODE_MASK = CODE_BITS - 1;

/** What is known of the entries of one address space: which have been filled since they were last cleared, so that clearing is short. */
export const TlbSpace = struct({
  /** Number of entries in each list; beyond TLB_ENTRIES the list is incomplete. */
  ownCount: 'u32',
  globalCount: 'u32',
  /**
   * Bit maps over linear address bits 31..21, of the lower and (64 words on) the upper half of the address space: entries there came from mappings larger
   * than 4 KiB. All bits of such a mapping are set, so that forgetting any address in it finds one.
   */
  large: ['u32', 128],
  /**
   * Bit map over linear address bits 24..12: pages of the lower half that have been entered with the right to execute since the number of its mapping of code
   * was given, or earlier (VcpuHeader.codeEpoch). Forgetting another page leaves that number.
   */
  code: ['u32', CODE_BITS / 32],
  /** 1: global mappings were among them. */
  globalCode: 'u32',
  /**
   * By host page (`writerSlot`): through which entries pages of that number may be written. 0: none; SEVERAL_WRITERS; else the address of the only one. It
   * may name entries that are of another page by now.
   */
  writers: ['u32', 1024],
  /** Addresses of entries of mappings that are not global, and of global ones. */
  own: ['u32', TLB_ENTRIES],
  global: ['u32', TLB_ENTRIES],
});

export const SEVERAL_WRITERS = 1;
const WRITER_SLOTS = 1024;
export const WRITER_MASK = (WRITER_SLOTS - 1) * 4;
/** Host page address -> byte offset in TlbSpace.writers, after masking. */
export const WRITER_SHIFT = 10;
