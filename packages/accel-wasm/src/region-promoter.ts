// Promotion of hot code: gathers the region around a hot block, optimises it, and compiles it as one function.

import { PAGE_LIST_HEAD_BYTES, PageOfFunction } from '@anillo/codegen/block-record';
import { compileRegions } from '@anillo/codegen/region-compiler';
import type { Block } from '@anillo/ir/block';
import { optimize } from '@anillo/ir/optimize';
import type { FunctionTable } from './function-table.ts';
import { gatherRegion, type CodeReader, type FoundRegion } from './region-gatherer.ts';
import { ModuleCensus } from './module-census.ts';
import type { TranslationCache } from './translation-cache.ts';

export interface CompileHost extends CodeReader {
  /** Namespace objects for compiled modules. */
  readonly imports: WebAssembly.Imports;
  readonly sharedMaximumPages?: number;
  /** Milliseconds of a steady clock. */
  nowMs(): number;
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
    const region = gatherRegion(record, this.#cache, this.#host, this.compilations);
    if (region.blocks.length > 0) this.#compile(region);
    this.compileMs += this.#host.nowMs() - start;
  }

  #compile(region: FoundRegion): void {
    const pageList = this.#writePageList(region.pages);
    if (pageList < 0) return;
    const optimized = new Map<Block, Block>();
    for (const { block } of region.blocks) if (!optimized.has(block)) optimized.set(block, optimize(block));
    const blocks = region.blocks.map((found) => ({
      ...found,
      block: optimized.get(found.block) as Block,
      entry: found.within === undefined,
    }));
    const compiled = compileRegions([blocks], { sharedMaximumPages: this.#host.sharedMaximumPages });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(compiled.bytes), this.#host.imports);
    this.modules.add(instance, compiled.bytes.length);
    this.compilations++;
    const entries = compiled.entries[0] as Int32Array;
    const own = region.blocks.filter(({ within }) => within === undefined);
    for (const { record } of own) {
      this.#cache.setWord(record, 'compiledTimes', this.#cache.word(record, 'compiledTimes') + 1);
      this.#cache.setWord(record, 'compiledAt', this.compilations);
    }
    this.#functions.add({
      code: instance.exports.f0,
      wasmBytes: compiled.bytes.length,
      pages: [...region.pages.values()],
      pageList,
      blocks: own.map(({ record }, i) => ({ record, entry: entries[i] as number })),
      copied: region.blocks.slice(own.length).map(({ record }) => record),
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
