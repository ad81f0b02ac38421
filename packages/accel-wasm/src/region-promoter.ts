// Promotion of hot code: gathers the region around a hot block, optimises it, and compiles it as one function.

import { BLOCK_FLAGS, PAGE_LIST_HEAD_BYTES, PageOfFunction } from '@anillo/codegen/block-record';
import { compileRegions } from '@anillo/codegen/region-compiler';
import type { Block } from '@anillo/ir/block';
import { optimize } from '@anillo/ir/optimize';
import type { FunctionTable } from './function-table.ts';
import { gatherRegion, type CodeReader, type FoundRegion } from './region-gatherer.ts';
import { ModuleCensus } from './module-census.ts';
import type { RememberedRegions } from './remembered-regions.ts';
import type { TranslationCache } from './translation-cache.ts';

export interface CompileHost extends CodeReader {
  /** Namespace objects for compiled modules. */
  readonly imports: WebAssembly.Imports;
  readonly sharedMaximumPages?: number;
  /** The machine's memory. */
  readonly memory: Uint8Array;
  /** What earlier runs have compiled. */
  regions(): RememberedRegions | undefined;
  /** Executions after which a block is compiled. */
  readonly hotAt: number;
  /** Milliseconds of a steady clock. */
  nowMs(): number;
}

interface InstalledBlock {
  readonly record: number;
  /** `functionEntry`, or -1. */
  readonly entry: number;
  /** Is it a copy of another function's block? */
  readonly isCopy: boolean;
}

export class RegionPromoter {
  compilations = 0;
  compileMs = 0;
  readonly modules = new ModuleCensus();
  readonly #cache: TranslationCache;
  readonly #functions: FunctionTable;
  readonly #host: CompileHost;

  constructor(cache: TranslationCache, functions: FunctionTable, host: CompileHost) {
    this.#cache = cache;
    this.#functions = functions;
    this.#host = host;
  }

  /** Compiles the neighbourhood of a block that has become hot; it is the one at the present pc. */
  promote(record: number): void {
    if (this.#functions.wake(record) || this.#functions.isInside(record)) return;
    const start = this.#host.nowMs();
    if (!this.#recall(record) && !this.#cache.waitsLonger(record)) {
      const region = gatherRegion(record, this.#cache, this.#host, this.compilations);
      if (region.blocks.length > 0) this.#compile(region, record);
    }
    this.compileMs += this.#host.nowMs() - start;
  }

  /** Makes the region of a hot block from one that has been kept. */
  #recall(hot: number): boolean {
    const { memory } = this.#host;
    const mode = this.#cache.word(hot, 'mode');
    const found = this.#host.regions()?.find(memory, this.#cache.word(hot, 'hostAddress'), mode, (pages) => this.#host.pageAt(pages));
    if (found === undefined) return false;
    const { flushes } = this.#cache;
    const blocks: InstalledBlock[] = [];
    const pages = new Map<number, number>();
    for (const { offset, entry, isCopy, hostAddress } of found.blocks) {
      const record = this.#cache.find(hostAddress, mode) || this.#cache.recall(hostAddress, mode, this.#host.hotAt);
      if (record === 0 || (this.#cache.word(record, 'flags') & BLOCK_FLAGS.GUARD) !== 0 || this.#cache.flushes !== flushes) return false;
      blocks.push({ record, entry, isCopy });
      pages.set(offset - (hostAddress & 0xfff), (hostAddress & ~0xfff) >>> 0);
    }
    this.#install({ wasm: found.wasm, blocks, pages });
    return true;
  }

  #compile(region: FoundRegion, hot: number): void {
    const optimized = new Map<Block, Block>();
    for (const { block } of region.blocks) if (!optimized.has(block)) optimized.set(block, optimize(block));
    const blocks = region.blocks.map((found) => ({
      ...found,
      block: optimized.get(found.block) as Block,
      entry: found.within === undefined,
    }));
    const compiled = compileRegions([blocks], { sharedMaximumPages: this.#host.sharedMaximumPages });
    const entries = compiled.entries[0] as Int32Array;
    const installed = region.blocks.map(({ record, within }, i) => ({ record, entry: entries[i] as number, isCopy: within !== undefined }));
    this.#install({ wasm: compiled.bytes, blocks: installed, pages: region.pages });
    const straddles = ({ record }: { record: number }): boolean => (this.#cache.word(record, 'flags') & BLOCK_FLAGS.GUARD) !== 0;
    if (region.blocks.some(straddles)) return;
    this.#host.regions()?.add(this.#host.memory, {
      mode: this.#cache.word(hot, 'mode'),
      hot: region.blocks.findIndex(({ record, within }) => record === hot && within === undefined),
      wasm: compiled.bytes,
      blocks: region.blocks.map(({ offset, block, record, within }, i) => ({
        ...{ offset, block, entry: entries[i] as number, isCopy: within !== undefined },
        hostAddress: this.#cache.word(record, 'hostAddress'),
      })),
    });
  }

  #install({
    wasm,
    blocks,
    pages,
  }: {
    wasm: Uint8Array<ArrayBuffer>;
    blocks: readonly InstalledBlock[];
    pages: ReadonlyMap<number, number>;
  }): void {
    const pageList = this.#writePageList(pages);
    if (pageList < 0) return;
    const instance = new WebAssembly.Instance(new WebAssembly.Module(wasm), this.#host.imports);
    this.modules.add(instance, wasm.length);
    this.compilations++;
    const own = blocks.filter(({ isCopy }) => !isCopy);
    for (const { record } of own) {
      this.#cache.setWord(record, 'compiledTimes', this.#cache.word(record, 'compiledTimes') + 1);
      this.#cache.setWord(record, 'compiledAt', this.compilations);
    }
    this.#functions.add({
      code: instance.exports.f0,
      wasmBytes: wasm.length,
      pages: [...new Set(pages.values())],
      pageList,
      blocks: own,
      copied: blocks.filter(({ isCopy }) => isCopy).map(({ record }) => record),
    });
  }

  /** Address of the list of pages that must be where they are (see BlockRecord.pages); 0 if a look-up of the entered block proves it; -1: no room. */
  #writePageList(pages: ReadonlyMap<number, number>): number {
    if (pages.size < 2) return 0;
    const list = this.#cache.allocate(PAGE_LIST_HEAD_BYTES + pages.size * PageOfFunction.bytes);
    if (list < 0) return -1;
    this.#cache.writeWord(list, pages.size);
    let at = list + PAGE_LIST_HEAD_BYTES;
    for (const [delta, hostPage] of pages) {
      this.#cache.writeWord(at + PageOfFunction.offset.delta, delta);
      this.#cache.writeWord(at + PageOfFunction.offset.hostPage, hostPage);
      at += PageOfFunction.bytes;
    }
    return list;
  }
}
