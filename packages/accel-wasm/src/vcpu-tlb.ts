// One vCPU's software TLBs, as words in the machine's memory: filling, forgetting, and taking back write access to pages that hold code.
// There is a set of TLBs (one a privilege class) for each of a few address spaces, so that a guest that names its address spaces (PCID) finds its
// entries again after a switch. Entries of global mappings outlive the flush of one address space.

import {
  CODE_MASK,
  SEVERAL_WRITERS,
  TLB_CLASSES,
  TLB_ENTRIES,
  TLB_STACK_ENTRY,
  TlbEntry,
  TlbSpace,
  tlbEntryOffset,
  WRITER_MASK,
  WRITER_SHIFT,
} from '@anillo/codegen/tlb-layout';
import { VcpuHeader } from '@anillo/ir/vcpu-header';
import { ADDRESS_SPACES, ONES_PAGE, type MemoryPlan } from './memory-plan.ts';

const at = TlbEntry.offset;
const READ = at.tagRead >> 2;
const WRITE = at.tagWrite >> 2;
const EXECUTE = at.tagExec >> 2;
const ADDEND = at.addend >> 2;
const BESIDE_CODE = at.besideCode >> 2;
const ENTRY_WORDS = TlbEntry.bytes >> 2;
const FOUR_GIB = 0x1_0000_0000;

/** Entries filled since they were last cleared (TlbSpace in the machine's memory); beyond the list's length, all count as filled. */
class FilledList {
  readonly #words: Uint32Array;
  readonly #countAt: number;
  readonly #listAt: number;

  constructor(words: Uint32Array, countAt: number, listAt: number) {
    this.#words = words;
    this.#countAt = countAt >>> 2;
    this.#listAt = listAt >>> 2;
  }
  get count(): number {
    return this.#words[this.#countAt] as number;
  }
  set count(value: number) {
    this.#words[this.#countAt] = value;
  }
  /** Index of the first word of the i-th entry. */
  entry(i: number): number {
    return (this.#words[this.#listAt + i] as number) >>> 2;
  }
  add(entry: number): void {
    const { count } = this;
    if (count < TLB_ENTRIES) this.#words[this.#listAt + count] = entry << 2;
    this.count = count + 1;
  }
  get isComplete(): boolean {
    return this.count <= TLB_ENTRIES;
  }
}

/** Index of the upper half's words in TlbSpace.large. */
const UPPER_WORDS = 64;
const GRANULE_BITS = 21;
/** Index of TlbSpace.globalCode, in words from TlbSpace.code. */
const GLOBAL_CODE = (TlbSpace.offset.globalCode - TlbSpace.offset.code) >>> 2;

/** Sets the bits of all granules that the mapping around a linear address (words) covers. */
function markLarge(large: Uint32Array, low: number, high: number, pageBytes: number): void {
  const count = pageBytes / 2 ** GRANULE_BITS;
  const first = (low >>> GRANULE_BITS) & -count;
  for (let granule = first; granule < first + count; granule++)
    large[(high >>> 31 ? UPPER_WORDS : 0) + (granule >>> 5)] |= 1 << (granule & 31);
}

const writerSlot = (hostPage: number): number => ((hostPage >>> WRITER_SHIFT) & WRITER_MASK) >>> 2;

function noteWriter(writers: Uint32Array, hostPage: number, entry: number): void {
  const slot = writerSlot(hostPage);
  if (writers[slot] !== entry) writers[slot] = writers[slot] === 0 ? entry : SEVERAL_WRITERS;
}

/** May code have been looked up in the page (TlbSpace.code)? */
function hasCode(code: Uint32Array, low: number): boolean {
  const page = (low >>> 12) & CODE_MASK;
  return code[GLOBAL_CODE] !== 0 || ((code[page >>> 5] as number) & (1 << (page & 31))) !== 0;
}

class AddressSpace {
  readonly record: number;
  readonly bases: readonly number[];
  readonly own: FilledList;
  readonly global: FilledList;
  /** TlbSpace.large. */
  readonly large: Uint32Array;
  /** TlbSpace.code, and after it TlbSpace.globalCode. */
  readonly code: Uint32Array;
  /** TlbSpace.writers. */
  readonly writers: Uint32Array;
  key = -1;
  lastUse = 0;
  /** Number of its mapping of code in the lower half (VcpuHeader.codeEpoch). */
  epoch = 0;

  constructor(words: Uint32Array, record: number, bases: readonly number[]) {
    const { ownCount, globalCount, own, global, large, code, writers } = TlbSpace.offset;
    this.record = record;
    this.bases = bases;
    this.own = new FilledList(words, record + ownCount, record + own);
    this.global = new FilledList(words, record + globalCount, record + global);
    this.large = new Uint32Array(words.buffer, record + large, 128);
    this.code = new Uint32Array(words.buffer, record + code, GLOBAL_CODE + 1);
    this.writers = new Uint32Array(words.buffer, record + writers, (WRITER_MASK >>> 2) + 1);
  }
}

export class VcpuTlb {
  /** Number of fills since creation. */
  fills = 0;
  flushes = 0;
  readonly #words: Uint32Array;
  readonly #spaces: readonly AddressSpace[];
  readonly #header: number;
  /**
   * What stands for no tag: low 12 bits not 0, and a page that no guest addresses, for it is not canonical with 48 or 57 bits, and drawn at random. Should it
   * be hit all the same, that is in the page of ones.
   */
  readonly #noTagLow = (Math.random() * FOUR_GIB) | 0xfff;
  readonly #noTagHigh = 0x4000_0000 | (Math.random() * 0x4000_0000);
  #space: AddressSpace;
  #uses = 0;
  #lastEpoch = 0;
  /** Number of the mapping of the upper half: of all address spaces as long as code there is mapped globally. */
  #upperEpoch = 0;

  constructor(buffer: ArrayBufferLike, plan: MemoryPlan, vcpuId: number) {
    this.#words = new Uint32Array(buffer);
    this.#header = plan.vcpuAt(vcpuId);
    this.#spaces = Array.from(
      { length: ADDRESS_SPACES },
      (_, s) =>
        new AddressSpace(
          this.#words,
          plan.tlbSpaceAt(vcpuId, s),
          Array.from({ length: TLB_CLASSES }, (_unused, c) => plan.tlbAt(vcpuId, s, c)),
        ),
    );
    this.#space = this.#spaces[0] as AddressSpace;
    // The others are cleared when they are first selected.
    this.selectSpace(0, true);
  }

  #headerWord(name: 'codeEpoch' | 'codeEpochUpper' | 'upperIsOwn' | 'upperQuarter' | 'tlb' | 'tlbs' | 'tlbSpace'): number {
    return (this.#header + VcpuHeader.offset[name]) >>> 2;
  }
  /** Times that code has been, or may have been, mapped anew: compiled code then looks its targets up again. */
  get codeEpochs(): number {
    return this.#lastEpoch;
  }

  #newEpoch(): number {
    this.#lastEpoch = (this.#lastEpoch + 1) >>> 0;
    return this.#lastEpoch;
  }
  /** Has code at the address (words) the upper half's number? */
  #hasUpperEpoch(low: number, high: number): boolean {
    return high >>> 31 !== 0 || (low >>> 30 === 3 && this.#words[this.#headerWord('upperQuarter')] !== 0);
  }
  /** The upper half's code may lie elsewhere, where it is not the same in all address spaces. */
  #changeOwnUpper(): void {
    if (this.#words[this.#headerWord('upperIsOwn')] !== 0) this.#upperEpoch = this.#newEpoch();
  }
  /** The lower half's code may lie elsewhere, and what is not global (or nothing) is in the TLBs any more. */
  #renewCode(space: AddressSpace, isEmpty: boolean): void {
    space.epoch = this.#newEpoch();
    if (isEmpty || space.code[GLOBAL_CODE] === 0) space.code.fill(0);
  }
  #publishEpochs(): void {
    this.#words[this.#headerWord('codeEpoch')] = this.#space.epoch;
    this.#words[this.#headerWord('codeEpochUpper')] = this.#upperEpoch;
  }

  /** Puts the TLBs of an address space in force (`keep` false: without its entries that are not global); the privilege class stays. */
  selectSpace(key: number, keep: boolean): void {
    let space = this.#spaces.find((s) => s.key === key);
    if (space === undefined) {
      space = this.#spaces.reduce((oldest, s) => (s.lastUse < oldest.lastUse ? s : oldest));
      this.#clearAll(space);
      space.key = key;
      this.#renewCode(space, true);
    } else if (!keep) {
      this.#clearOwn(space);
      this.#renewCode(space, false);
    }
    space.lastUse = ++this.#uses;
    if (space !== this.#space || !keep) this.#changeOwnUpper();
    const tlbClass = Math.max(this.#space.bases.indexOf(this.#words[this.#headerWord('tlb')] as number), 0);
    this.#space = space;
    this.#words[this.#headerWord('tlb')] = space.bases[tlbClass] as number;
    this.#words.set(space.bases, this.#headerWord('tlbs'));
    this.#words[this.#headerWord('tlbSpace')] = space.record;
    this.#publishEpochs();
  }

  /** Enters the page of the linear address (words) at machine-memory page `hostPage`; `grants`: bits 1 << ACCESS. */
  fill(low: number, high: number, hostPage: number, grants: number, pageBytes: number, isGlobal: boolean, besideCode = false): void {
    this.fills++;
    const words = this.#words;
    const entry = ((words[this.#headerWord('tlb')] as number) + tlbEntryOffset(low)) >>> 2;
    const page = low & ~0xfff;
    words[entry + READ] = grants & 1 ? page : ~page;
    words[entry + READ + 1] = grants & 1 ? high : ~high;
    words[entry + WRITE] = grants & 2 ? page : ~page;
    words[entry + WRITE + 1] = grants & 2 ? high : ~high;
    words[entry + EXECUTE] = grants & 4 ? page : ~page;
    words[entry + EXECUTE + 1] = grants & 4 ? high : ~high;
    words[entry + ADDEND] = hostPage - page;
    words[entry + BESIDE_CODE] = besideCode ? 1 : 0;
    if (grants & 2) noteWriter(this.#space.writers, hostPage, entry << 2);
    (isGlobal ? this.#space.global : this.#space.own).add(entry);
    if (pageBytes > 4096) markLarge(this.#space.large, low, high, pageBytes);
    if ((grants & 4) !== 0) this.#noteCode(low, high, isGlobal);
  }

  #noteCode(low: number, high: number, isGlobal: boolean): void {
    const { code } = this.#space;
    if (!this.#hasUpperEpoch(low, high)) {
      const page = (low >>> 12) & CODE_MASK;
      code[page >>> 5] |= 1 << (page & 31);
      if (isGlobal) code[GLOBAL_CODE] = 1;
    } else if (!isGlobal) this.#words[this.#headerWord('upperIsOwn')] = 1;
  }

  /** Machine-memory page of the code at a linear address (words), if the TLB in force has it; else -1. */
  codePageAt(low: number, high: number): number {
    const words = this.#words;
    const entry = ((words[this.#headerWord('tlb')] as number) + tlbEntryOffset(low)) >>> 2;
    const page = (low & ~0xfff) >>> 0;
    return words[entry + EXECUTE] === page && words[entry + EXECUTE + 1] === high ? (page + (words[entry + ADDEND] as number)) >>> 0 : -1;
  }

  #clear(entry: number): void {
    for (let tag = entry; tag <= entry + EXECUTE; tag += 2) this.#clearTag(tag);
    this.#words[entry + ADDEND] = ONES_PAGE - (this.#noTagLow & ~0xfff);
  }
  #clearTag(tag: number): void {
    this.#words[tag] = this.#noTagLow;
    this.#words[tag + 1] = this.#noTagHigh;
  }
  #clearStackEntries(space: AddressSpace): void {
    for (const base of space.bases) this.#clear((base + TLB_STACK_ENTRY) >>> 2);
  }
  /** Most entries are of other pages, and reading is cheaper than writing. */
  #clearIfOf(entry: number, page: number): void {
    const words = this.#words;
    if (
      ((words[entry + READ] as number) | 0) === page ||
      ((words[entry + WRITE] as number) | 0) === page ||
      ((words[entry + EXECUTE] as number) | 0) === page
    )
      this.#clear(entry);
  }
  #clearList(list: FilledList): void {
    for (let i = 0; i < list.count; i++) this.#clear(list.entry(i));
    list.count = 0;
  }
  /** All entries that addresses index, as copies of one, which is native code's work: at the start ours is slow. */
  #clearWhole(first: number): void {
    const end = first + (TLB_STACK_ENTRY >>> 2);
    this.#clear(first);
    for (let filled = ENTRY_WORDS; first + filled < end; filled *= 2) this.#words.copyWithin(first + filled, first, first + filled);
  }
  #clearAll(space: AddressSpace): void {
    if (space.key >= 0 && space.own.isComplete && space.global.isComplete) {
      this.#clearList(space.own);
      this.#clearList(space.global);
    } else {
      for (const base of space.bases) this.#clearWhole(base >>> 2);
      space.own.count = 0;
      space.global.count = 0;
    }
    this.#clearStackEntries(space);
    space.large.fill(0);
    space.writers.fill(0);
    space.key = -1;
  }
  #clearOwn(space: AddressSpace): void {
    if (space.own.isComplete) {
      this.#clearList(space.own);
      this.#clearStackEntries(space);
    } else {
      const { key } = space;
      this.#clearAll(space);
      space.key = key;
    }
  }

  /** Forgets everything. */
  flush(): void {
    this.flushes++;
    const { key } = this.#space;
    for (const space of this.#spaces) {
      if (space.key >= 0) this.#clearAll(space);
      this.#renewCode(space, true);
    }
    this.#space.key = key;
    this.#upperEpoch = this.#newEpoch();
    this.#publishEpochs();
  }
  /** Forgets what is not global, in one address space or (no key) in all. */
  flushOwn(key?: number): void {
    this.flushes++;
    for (const space of this.#spaces) {
      if (space.key < 0 || (key !== undefined && space.key !== key)) continue;
      this.#clearOwn(space);
      this.#renewCode(space, false);
    }
    this.#changeOwnUpper();
    this.#publishEpochs();
  }

  /** Forgets one linear page in all address spaces; where a large mapping has been used near it, that whole mapping (with it everything) goes. */
  flushPage(low: number, high: number): void {
    const isUpper = this.#hasUpperEpoch(low, high);
    if (isUpper) this.#upperEpoch = this.#newEpoch();
    for (const space of this.#spaces) {
      if (space.key < 0) continue;
      const isLarge = ((space.large[(high >>> 31) * UPPER_WORDS + (low >>> 26)] as number) & (1 << ((low >>> 21) & 31))) !== 0;
      if (!isUpper && (isLarge || hasCode(space.code, low))) space.epoch = this.#newEpoch();
      if (isLarge) {
        const { key } = space;
        this.#clearAll(space);
        space.key = key;
        continue;
      }
      for (const base of space.bases) this.#clearIfOf((base + tlbEntryOffset(low)) >>> 2, low & ~0xfff);
      this.#clearStackEntries(space);
    }
    this.#publishEpochs();
  }

  /** Takes write access to a machine-memory page out of every entry (code has been translated from it). */
  revokeWrite(hostPage: number): void {
    const slot = writerSlot(hostPage);
    for (const space of this.#spaces) {
      const writer = space.writers[slot] as number;
      if (writer === 0) continue;
      space.writers[slot] = 0;
      this.#clearStackEntries(space);
      if (writer !== SEVERAL_WRITERS) this.#revoke(space, slot, writer >>> 2, hostPage);
      else if (space.own.isComplete && space.global.isComplete) {
        for (const list of [space.own, space.global])
          for (let i = 0; i < list.count; i++) this.#revoke(space, slot, list.entry(i), hostPage);
      } else {
        for (const base of space.bases)
          for (let i = 0; i < TLB_ENTRIES; i++) this.#revoke(space, slot, (base >>> 2) + i * ENTRY_WORDS, hostPage);
      }
    }
  }
  /** One entry; writes down anew what goes on being written through it, if that has the same slot. */
  #revoke(space: AddressSpace, slot: number, entry: number, hostPage: number): void {
    const words = this.#words;
    const tag = words[entry + WRITE] as number;
    if ((tag & 0xfff) !== 0) return;
    const page = (tag + (words[entry + ADDEND] as number)) >>> 0;
    if (page === hostPage) this.#clearTag(entry + WRITE);
    else if (writerSlot(page) === slot) noteWriter(space.writers, page, entry << 2);
  }
}
