// One vCPU's software TLBs, as words in the machine's memory: filling, forgetting, and taking back write access to pages that hold code.

import { TLB_BYTES, TLB_CLASSES, TLB_ENTRIES, TlbEntry, tlbEntryOffset } from '@anillo/codegen/tlb-layout';
import type { MemoryPlan } from './memory-plan.ts';

const at = TlbEntry.offset;
const READ = at.tagRead >> 2;
const WRITE = at.tagWrite >> 2;
const EXECUTE = at.tagExec >> 2;
const ADDEND = at.addend >> 2;
const ENTRY_WORDS = TlbEntry.bytes >> 2;
/** Fills remembered since the last flush; beyond, a flush clears everything. */
const REMEMBERED = 512;

/** What may be granted: bits 1 << ACCESS (read, write, execute). */
export class VcpuTlb {
  /** Number of fills since creation. */
  fills = 0;
  readonly #words: Uint32Array;
  readonly #bases: readonly number[];
  readonly #filled = new Uint32Array(REMEMBERED);
  #filledCount = 0;
  /** Linear address bits 31..21 around which entries since the last flush came from mappings larger than 4 KiB. */
  readonly #large = new Set<number>();
  #current: number;

  constructor(buffer: ArrayBufferLike, plan: MemoryPlan, vcpuId: number) {
    this.#words = new Uint32Array(buffer);
    this.#bases = Array.from({ length: TLB_CLASSES }, (_, i) => plan.tlbAt(vcpuId, i));
    this.#current = this.#bases[0] as number;
    this.#filledCount = REMEMBERED;
    this.flush();
  }

  /** Address of the TLB of a class; fills go there from now on. */
  select(tlbClass: number): number {
    this.#current = this.#bases[tlbClass] as number;
    return this.#current;
  }

  /** Enters the page of the linear address (words) at machine-memory page `hostPage`. */
  fill(low: number, high: number, hostPage: number, grants: number, isLarge: boolean): void {
    this.fills++;
    const entry = (this.#current + tlbEntryOffset(low)) >>> 2;
    const words = this.#words;
    const page = low & ~0xfff;
    const put = (field: number, granted: number): void => {
      words[entry + field] = granted ? page : -1;
      words[entry + field + 1] = granted ? high : -1;
    };
    put(READ, grants & 1);
    put(WRITE, grants & 2);
    put(EXECUTE, grants & 4);
    words[entry + ADDEND] = hostPage - page;
    if (this.#filledCount < REMEMBERED) this.#filled[this.#filledCount] = entry;
    this.#filledCount++;
    if (isLarge) this.#large.add(low >>> 21);
  }

  #clear(entry: number): void {
    this.#words.fill(0xffff_ffff, entry, entry + EXECUTE + 2);
  }

  flush(): void {
    if (this.#filledCount < REMEMBERED) {
      for (let i = 0; i < this.#filledCount; i++) this.#clear(this.#filled[i] as number);
    } else {
      for (const base of this.#bases) this.#words.fill(0xffff_ffff, base >>> 2, (base + TLB_BYTES) >>> 2);
    }
    this.#filledCount = 0;
    this.#large.clear();
  }

  /** Forgets one linear page in all classes; where a large mapping has been used near it, that whole mapping (and with it everything) goes. */
  flushPage(low: number): void {
    if (this.#large.has(low >>> 21)) return this.flush();
    for (const base of this.#bases) this.#clear((base + tlbEntryOffset(low)) >>> 2);
  }

  /** Takes write access to a machine-memory page out of every entry (code has been translated from it). */
  revokeWrite(hostPage: number): void {
    const words = this.#words;
    for (const base of this.#bases) {
      for (let entry = base >>> 2, end = entry + TLB_ENTRIES * ENTRY_WORDS; entry < end; entry += ENTRY_WORDS) {
        const page = words[entry + WRITE] as number;
        if ((page & 0xfff) === 0 && ((page + (words[entry + ADDEND] as number)) >>> 0) === hostPage) {
          words[entry + WRITE] = -1;
          words[entry + WRITE + 1] = -1;
        }
      }
    }
  }
}
