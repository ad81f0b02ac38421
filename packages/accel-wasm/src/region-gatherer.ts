// Finds the piece of the guest's control flow graph around a hot block: blocks that jumps, branches and returns of calls lead to, across pages, as far as
// they have been executed often enough. Offsets are linear distances from the start of the hot block's page.

import { BLOCK_FLAGS } from '@anillo/codegen/block-record';
import { targetDeltas } from '@anillo/codegen/region-writer';
import type { Block } from '@anillo/ir/block';
import type { TranslationCache } from './translation-cache.ts';

/** Largest number of blocks, and of guest instructions, in one function. */
const MAX_BLOCKS = 160;
const MAX_INSNS = 1600;
/** Pages to either side of the hot block's page. */
const REACH_PAGES = 8;
/** A block is compiled with a hot neighbour once it has been executed this often. */
const WARM = 16;

export interface CodeReader {
  /** Lifts the block at a machine-memory address for a mode; `nextPage` is the page that follows in linear memory, or -1. Undefined where it cannot be lifted. */
  lift(hostAddress: number, mode: number, nextPage: number): Block | undefined;
  /** Machine-memory address of the RAM page that lies `pages` pages from that of the present pc; -1 where there is none. */
  pageAt(pages: number): number;
}

export interface FoundBlock {
  readonly offset: number;
  readonly record: number;
  readonly block: Block;
}

export interface FoundRegion {
  /** In order of their offsets. */
  readonly blocks: readonly FoundBlock[];
  /** Pages with code of the region, by their distance from the hot block's page. */
  readonly pages: ReadonlyMap<number, number>;
}

/** The region around the block at the present pc. */
export function gatherRegion(hot: number, cache: TranslationCache, reader: CodeReader): FoundRegion {
  const mode = cache.word(hot, 'mode');
  const pages = new Map<number, number>();
  const used = new Map<number, number>();
  const hostPage = (page: number): number => {
    let at = pages.get(page);
    if (at === undefined) {
      at = Math.abs(page) > REACH_PAGES ? -1 : reader.pageAt(page);
      pages.set(page, at);
    }
    return at;
  };
  const found = new Map<number, FoundBlock>();
  const start = cache.word(hot, 'hostAddress') & 0xfff;
  const work = [start];
  let insns = 0;
  for (let next = 0; next < work.length && found.size < MAX_BLOCKS && insns < MAX_INSNS; next++) {
    const offset = work[next] as number;
    if (found.has(offset)) continue;
    const page = offset >> 12;
    const at = hostPage(page);
    if (at < 0) continue;
    const record = cache.find(at + (offset & 0xfff), mode);
    if (record === 0 || (record !== hot && !isWarm(cache, record))) continue;
    const second = cache.word(record, 'flags') & BLOCK_FLAGS.GUARD ? hostPage(page + 1) : -1;
    const block = reader.lift(at + (offset & 0xfff), mode, second);
    if (block === undefined) continue;
    found.set(offset, { offset, record, block });
    insns += block.insnCount;
    used.set(page, at);
    if ((offset & 0xfff) + block.byteCount > 4096) used.set(page + 1, second);
    for (const delta of targetDeltas(block.terminal)) work.push(offset + delta);
  }
  return { blocks: [...found.values()].sort((a, b) => a.offset - b.offset), pages: used };
}

function isWarm(cache: TranslationCache, record: number): boolean {
  return cache.word(record, 'count') >= WARM || (cache.word(record, 'flags') & BLOCK_FLAGS.COMPILED) !== 0;
}
