// Promotion of hot code: gathers the blocks of a hot block's page that control flow connects, lifts them anew, and compiles them as one function.
// A page that grows new hot blocks is compiled again as a whole; the function table slot of the old function is freed.

import { BLOCK_FLAGS } from '@anillo/codegen/block-record';
import { compileRegions, type RegionBlock } from '@anillo/codegen/region-compiler';
import type { Block } from '@anillo/ir/block';
import { optimize } from '@anillo/ir/optimize';
import type { TranslationCache } from './translation-cache.ts';

/** Largest number of blocks in one function. */
const MAX_BLOCKS = 128;
/** A block is compiled with a hot neighbour once it has been executed this often. */
const WARM = 16;

export interface CompileHost {
  /** Lifts the block at a machine-memory address for a mode; undefined where it straddles pages or cannot be lifted. */
  lift(hostAddress: number, mode: number): Block | undefined;
  /** Namespace objects for compiled modules. */
  readonly imports: WebAssembly.Imports;
  readonly table: WebAssembly.Table;
  readonly sharedMaximumPages?: number;
  /** Milliseconds of a steady clock. */
  nowMs(): number;
}

export class RegionCompilerQueue {
  compilations = 0;
  compiledBlocks = 0;
  compileMs = 0;
  readonly #cache: TranslationCache;
  readonly #host: CompileHost;
  readonly #slotsByPage = new Map<number, number[]>();
  readonly #freeSlots: number[] = [];
  #nextSlot = 1;

  constructor(cache: TranslationCache, host: CompileHost) {
    this.#cache = cache;
    this.#host = host;
    cache.onDrop = (hostPage) => this.#drop(hostPage);
  }

  /** Live functions. */
  get functions(): number {
    return this.#nextSlot - 1 - this.#freeSlots.length;
  }

  /** Compiles the neighbourhood of a block that has become hot. */
  promote(record: number): void {
    const start = this.#host.nowMs();
    const region = this.#gather(record);
    if (region.blocks.length > 0) this.#compile(region.blocks, region.records, record);
    this.compileMs += this.#host.nowMs() - start;
  }

  #gather(record: number): { blocks: RegionBlock[]; records: number[] } {
    const cache = this.#cache;
    const mode = cache.word(record, 'mode');
    const hot = cache.word(record, 'hostAddress');
    const hostPage = (hot & ~0xfff) >>> 0;
    const known = new Map<number, number>();
    for (const r of cache.inPage(hostPage)) {
      if (cache.word(r, 'mode') !== mode || cache.word(r, 'flags') & BLOCK_FLAGS.GUARD) continue;
      if (r === record || cache.word(r, 'count') >= WARM || cache.word(r, 'flags') & BLOCK_FLAGS.COMPILED)
        known.set(cache.word(r, 'hostAddress'), r);
    }
    const found = new Map<number, Block>();
    const work = [hot];
    while (work.length > 0 && found.size < MAX_BLOCKS) {
      const address = work.shift() as number;
      if (found.has(address) || !known.has(address)) continue;
      const block = this.#host.lift(address, mode);
      if (block === undefined) continue;
      found.set(address, block);
      for (const delta of successors(block)) {
        const target = address + delta;
        if (target >>> 12 === hostPage >>> 12) work.push(target);
      }
    }
    const addresses = [...found.keys()].sort((a, b) => a - b);
    const base = addresses[0] ?? 0;
    return {
      blocks: addresses.map((a) => ({ block: found.get(a) as Block, offset: a - base, entry: true })),
      records: addresses.map((a) => known.get(a) as number),
    };
  }

  #compile(blocks: readonly RegionBlock[], records: readonly number[], hot: number): void {
    const compiled = compileRegions([blocks.map((b) => ({ ...b, block: optimize(b.block) }))], {
      sharedMaximumPages: this.#host.sharedMaximumPages,
    });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(compiled.bytes), this.#host.imports);
    const slot = this.#takeSlot();
    this.#host.table.set(slot, instance.exports.f0);
    this.compilations++;
    this.compiledBlocks += blocks.length;
    const hostPage = (this.#cache.word(hot, 'hostAddress') & ~0xfff) >>> 0;
    const slots = this.#slotsByPage.get(hostPage);
    if (slots) slots.push(slot);
    else this.#slotsByPage.set(hostPage, [slot]);
    for (const [i, record] of records.entries()) {
      const entry = (compiled.entries[0] as Int32Array)[i] as number;
      if (entry < 0) continue;
      this.#cache.setWord(record, 'functionIndex', slot);
      this.#cache.setWord(record, 'functionEntry', entry);
      this.#cache.setWord(record, 'flags', this.#cache.word(record, 'flags') | BLOCK_FLAGS.COMPILED);
    }
  }

  #takeSlot(): number {
    const free = this.#freeSlots.pop();
    if (free !== undefined) return free;
    const slot = this.#nextSlot++;
    if (slot >= this.#host.table.length) this.#host.table.grow(1024);
    return slot;
  }

  #drop(hostPage: number): void {
    const pages = hostPage === 0 ? [...this.#slotsByPage.keys()] : [hostPage];
    for (const page of pages) {
      for (const slot of this.#slotsByPage.get(page) ?? []) {
        this.#host.table.set(slot, null);
        this.#freeSlots.push(slot);
      }
      this.#slotsByPage.delete(page);
    }
  }
}

/** Distances from the block's start to the blocks that control may go to next, as far as they are known. */
export function successors(block: Block): readonly number[] {
  const t = block.terminal;
  switch (t.kind) {
    case 'jump':
      return [t.delta];
    case 'branch':
      return [t.fall, t.taken];
    case 'call':
      return [t.delta, t.returnDelta];
    case 'callIndirect':
      return [t.returnDelta];
    default:
      return [];
  }
}
