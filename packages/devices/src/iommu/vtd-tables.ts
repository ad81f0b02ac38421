// The tables that a guest gives the remapping hardware for DMA, in legacy mode (VT-d specification, 3.4.2, 3.7, chapter 9): root table by bus, context
// table by device and function, second-level page tables of three or four levels with pages of 4 KiB, 2 MiB and 1 GiB. All of it is the guest's and may be
// wrong or lie anywhere: each step reads one entry and ends in an address or in a fault.

import { gpa } from '@anillo/base/gpa';
import type { GuestMemory } from '@anillo/memory/guest-memory';
import { FAULT } from './vtd-fault-log.ts';

const PRESENT = 1;
const FAULTS_OFF = 2;
const TYPE = { untranslated: 0, passThrough: 2 } as const;
const READ = 1;
const WRITE = 2;
const LARGE = 0x80;
const TRANSIENT = 0x40000000;
const CONTEXT_RESERVED = { low: 0xff0, highWord0: 0xff000080, highWord1: 0xffffffff } as const;
const ROOT_RESERVED_LOW = 0xffe;
const INDEX_BITS = 9;
const PAGE_BITS = 12;
/** Levels whose entries may be pages: 4 KiB, 2 MiB, 1 GiB. */
const LARGEST_LEAF = 3;

/** What a device's requests are translated by. */
export interface Context {
  readonly domain: number;
  /** 0: addresses pass as they are. */
  readonly levels: number;
  readonly pageTable: number;
  /** Address bits of its space. */
  readonly widthBits: number;
  readonly areFaultsOff: boolean;
}

export interface Page {
  /** Of 4 KiB. */
  readonly physical: number;
  readonly canRead: boolean;
  readonly canWrite: boolean;
}

export interface TableFault {
  readonly reason: number;
  /** The guest wants to hear nothing of it. */
  readonly isSilent: boolean;
}

export class VtdTables {
  readonly #memory: GuestMemory;
  readonly #addressBits: number;
  /** Reserved bits of an address's upper word. */
  readonly #reservedHigh: number;

  /** `addressBits`: widest address space, and width of physical addresses. */
  constructor(memory: GuestMemory, addressBits: number) {
    this.#memory = memory;
    this.#addressBits = addressBits;
    this.#reservedHigh = 0xfffff & ~(2 ** (addressBits - 32) - 1);
  }

  /** `wordCount` words at an address; undefined: there is no memory. */
  #read(address: number, wordCount: number): number[] | undefined {
    if (this.#memory.offsetOf(address, wordCount * 4, false) < 0) return undefined;
    return Array.from({ length: wordCount }, (_, i) => this.#memory.read32(gpa(address + i * 4)));
  }

  #pageAddress(low: number, high: number): number {
    return (high & 0xfffff) * 2 ** 32 + ((low & ~0xfff) >>> 0);
  }

  findContext(rootTable: number, source: number): Context | TableFault {
    const unqualified = (reason: number): TableFault => ({ reason, isSilent: false });
    const root = this.#read(rootTable + (source >>> 8) * 16, 4);
    if (root === undefined) return unqualified(FAULT.rootTableUnreachable);
    if ((root[0] & PRESENT) === 0) return unqualified(FAULT.rootNotPresent);
    if ((root[0] & ROOT_RESERVED_LOW) !== 0 || (root[1] & this.#reservedHigh) !== 0 || root[2] !== 0 || root[3] !== 0)
      return unqualified(FAULT.rootReserved);
    const entry = this.#read(this.#pageAddress(root[0], root[1]) + (source & 0xff) * 16, 4);
    if (entry === undefined) return unqualified(FAULT.contextTableUnreachable);
    return this.#decodeContext(entry);
  }

  #decodeContext([low, high, word2, word3]: readonly number[]): Context | TableFault {
    const areFaultsOff = (low & FAULTS_OFF) !== 0;
    const fault = (reason: number): TableFault => ({ reason, isSilent: areFaultsOff });
    if ((low & PRESENT) === 0) return fault(FAULT.contextNotPresent);
    const isReserved =
      (low & CONTEXT_RESERVED.low) !== 0 ||
      (high & this.#reservedHigh) !== 0 ||
      (word2 & CONTEXT_RESERVED.highWord0) !== 0 ||
      (word3 & CONTEXT_RESERVED.highWord1) !== 0;
    if (isReserved) return fault(FAULT.contextReserved);
    const type = (low >> 2) & 3;
    const domain = (word2 >>> 8) & 0xffff;
    const levels = (word2 & 7) + 2;
    const widthBits = PAGE_BITS + INDEX_BITS * levels;
    const isSupported = (levels === 3 || levels === 4) && widthBits <= this.#addressBits;
    if ((type !== TYPE.untranslated && type !== TYPE.passThrough) || !isSupported) return fault(FAULT.contextInvalid);
    return { domain, levels: type === TYPE.passThrough ? 0 : levels, pageTable: this.#pageAddress(low, high), widthBits, areFaultsOff };
  }

  /** The page of an address below 2 ** widthBits. Denied where it cannot be read or written as asked. */
  walk(context: Context, address: number, isWrite: boolean): Page | TableFault {
    const fault = (reason: number): TableFault => ({ reason, isSilent: context.areFaultsOff });
    let table = context.pageTable;
    let rights = READ | WRITE;
    for (let level = context.levels; level > 0; level--) {
      const spanBits = PAGE_BITS + INDEX_BITS * (level - 1);
      const entry = this.#read(table + (Math.floor(address / 2 ** spanBits) % 2 ** INDEX_BITS) * 8, 2);
      if (entry === undefined) return fault(FAULT.tableUnreachable);
      const [low, high] = entry;
      rights &= low;
      if ((rights & (isWrite ? WRITE : READ)) === 0) return fault(isWrite ? FAULT.writeDenied : FAULT.readDenied);
      if ((high & (this.#reservedHigh | TRANSIENT)) !== 0) return fault(FAULT.pageReserved);
      table = this.#pageAddress(low, high);
      if (level !== 1 && (low & LARGE) === 0) continue;
      if (level > LARGEST_LEAF || table % 2 ** spanBits !== 0) return fault(FAULT.pageReserved);
      const offset = (address % 2 ** spanBits) - (address % 2 ** PAGE_BITS);
      return { physical: table + offset, canRead: (rights & READ) !== 0, canWrite: (rights & WRITE) !== 0 };
    }
    return fault(FAULT.tableUnreachable);
  }
}
