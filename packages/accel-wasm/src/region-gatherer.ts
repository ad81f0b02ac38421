// Finds the piece of the guest's control flow graph around a hot block: blocks that jumps, branches and returns of calls lead to, across pages, as far as
// they have been executed often enough, and small functions that are called there, a copy for each call. Offsets are linear distances from the
// start of the hot block's page, until the region is finished.

import { BLOCK_FLAGS } from '@anillo/codegen/block-record';
import type { InlinedCall } from '@anillo/codegen/region-compiler';
import type { Block } from '@anillo/ir/block';
import type { TranslationCache } from './translation-cache.ts';

/** Largest number of blocks, and of guest instructions, in one function. */
const MAX_BLOCKS = 160;
const MAX_INSNS = 1600;
const PAGE_BYTES = 4096;
/** Pages to either side of the hot block's page. */
const REACH_PAGES = 100;
/** A block is compiled with a hot neighbour once it has been executed this often. */
const WARM = 16;
/**
 * Handlers of a threaded interpreter become hot one after the other, and each leads to all others; large functions have blocks to which all else leads. So what
 * a switch leads to, if it is compiled already, and anything that has been compiled FREE_COPIES times, is compiled again only once this many other compilations have been
 * made, and twice as many each further time.
 */
const COMPILATIONS_BETWEEN = 8;
const FREE_COPIES = 3;
/** A call is worth a copy of its callee if it has been executed at least this part of the hot block's times. */
const INLINED_SHARE = 1 / 8;
/** Largest callee that is copied, itself and what it calls; how deep copies nest; a region that has this many instructions gets no more copies. */
const INLINED_BLOCKS = 12;
const INLINED_INSNS = 50;
const INLINED_DEPTH = 3;
const INSNS_WITH_COPIES = 800;

export type KnownBlocks = Pick<TranslationCache, 'find' | 'word'>;

export interface CodeReader {
  /**
   * Lifts the block at a machine-memory address for a mode; `nextPage` is the page that follows in linear memory, or -1. It ends before an instruction at
   * `end` bytes from its start. Undefined where it cannot be lifted.
   */
  lift(hostAddress: number, mode: number, nextPage: number, end?: number): Block | undefined;
  /** Machine-memory address of the RAM page that lies `pages` pages from that of the present pc; -1 where there is none. */
  pageAt(pages: number): number;
  /** Distances that the indirect jumps at blocks' ends have gone, by record. */
  jumpTargets(): ReadonlyMap<number, readonly number[]>;
}

export interface FoundBlock {
  readonly offset: number;
  readonly record: number;
  readonly block: Block;
  readonly within: InlinedCall | undefined;
  readonly targets: readonly number[] | undefined;
}

export interface FoundRegion {
  /** Blocks that no inlined call has brought come first, in order of their offsets from the lowest one. */
  readonly blocks: readonly FoundBlock[];
  /** Machine-memory addresses of pages with code of the region, by their linear distance, in bytes, from the lowest block's. */
  readonly pages: ReadonlyMap<number, number>;
}

interface Lifted {
  readonly record: number;
  readonly block: Block;
  /** Machine-memory address of the page that follows the block's first. */
  readonly second: number;
}

/** A call being inlined. */
interface Copy {
  readonly call: InlinedCall;
  readonly depth: number;
}

/** The region around the block at the present pc; `compilation` is the number of this compilation. */
export function gatherRegion(hot: number, cache: KnownBlocks, reader: CodeReader, compilation: number): FoundRegion {
  return new RegionGatherer(hot, cache, reader, compilation).gather();
}

class RegionGatherer {
  readonly #hot: number;
  readonly #compilation: number;
  readonly #mode: number;
  readonly #cache: KnownBlocks;
  readonly #reader: CodeReader;
  readonly #pages = new Map<number, number>();
  readonly #used = new Map<number, number>();
  /** By offset and length. */
  readonly #lifted = new Map<number, Lifted | undefined>();
  readonly #found: FoundBlock[] = [];
  #targets: ReadonlyMap<number, readonly number[]> | undefined;
  #insns = 0;

  constructor(hot: number, cache: KnownBlocks, reader: CodeReader, compilation: number) {
    this.#hot = hot;
    this.#compilation = compilation;
    this.#cache = cache;
    this.#reader = reader;
    this.#mode = cache.word(hot, 'mode');
  }

  gather(): FoundRegion {
    this.#follow(this.#cache.word(this.#hot, 'hostAddress') & 0xfff);
    return this.#finished();
  }

  #follow(start: number): void {
    const work = [start];
    const blocks = new Map<number, Lifted>();
    let insns = 0;
    for (let next = 0; next < work.length && blocks.size < MAX_BLOCKS && insns < MAX_INSNS; next++) {
      const offset = work[next] as number;
      const lifted = blocks.has(offset) ? undefined : this.#lift(offset);
      if (lifted === undefined || !this.#isDue(lifted, FREE_COPIES)) continue;
      blocks.set(offset, lifted);
      insns += lifted.block.insnCount;
      work.push(...this.#waysOn(offset, lifted));
    }
    this.#endAtLoops(blocks);
    for (const [offset, lifted] of blocks) this.#add(offset, lifted, undefined);
    for (const [offset, lifted] of blocks) this.#inline(offset, lifted, undefined);
  }

  #hostPage(page: number): number {
    let at = this.#pages.get(page);
    if (at === undefined) {
      at = Math.abs(page) > REACH_PAGES ? -1 : this.#reader.pageAt(page);
      this.#pages.set(page, at);
    }
    return at;
  }

  /** The block at an offset, if it is warm; only its first `end` bytes. */
  #lift(offset: number, end?: number): Lifted | undefined {
    const key = offset * PAGE_BYTES * 2 + (end ?? 0);
    if (this.#lifted.has(key)) return this.#lifted.get(key);
    const lifted = this.#liftWarm(offset, end);
    this.#lifted.set(key, lifted);
    return lifted;
  }
  #liftWarm(offset: number, end: number | undefined): Lifted | undefined {
    const cache = this.#cache;
    const page = offset >> 12;
    const at = this.#hostPage(page);
    if (at < 0) return undefined;
    const record = cache.find(at + (offset & 0xfff), this.#mode);
    if (record === 0 || (record !== this.#hot && !this.#isWarm(record, WARM))) return undefined;
    const second = cache.word(record, 'flags') & BLOCK_FLAGS.GUARD ? this.#hostPage(page + 1) : -1;
    const block = this.#reader.lift(at + (offset & 0xfff), this.#mode, second, end);
    return block && { record, block, second };
  }
  #isWarm(record: number, executions: number): boolean {
    return this.#cache.word(record, 'count') >= executions || (this.#cache.word(record, 'flags') & BLOCK_FLAGS.COMPILED) !== 0;
  }

  #add(offset: number, { record, block, second }: Lifted, within: InlinedCall | undefined): void {
    const page = offset >> 12;
    this.#insns += block.insnCount;
    this.#used.set(page, this.#hostPage(page));
    if ((offset & 0xfff) + block.byteCount > PAGE_BYTES) this.#used.set(page + 1, second);
    this.#found.push({ offset, record, block, within, targets: this.#jumpTargets(offset, record, block) });
  }

  #jumpTargets(offset: number, record: number, { terminal }: Block): number[] | undefined {
    if (terminal.kind !== 'indirect' || terminal.hint !== 'jump') return undefined;
    this.#targets ??= this.#reader.jumpTargets();
    return this.#targets.get(record)?.map((delta) => offset + delta);
  }

  /** Offsets at which the function goes on after a block. */
  #waysOn(offset: number, { record, block }: Lifted): readonly number[] {
    const { terminal } = block;
    switch (terminal.kind) {
      case 'jump':
        return [offset + terminal.delta];
      case 'branch':
        return [offset + terminal.taken, offset + terminal.fall];
      case 'call':
      case 'callIndirect':
        return [offset + terminal.returnDelta];
      default:
        return (this.#jumpTargets(offset, record, block) ?? []).filter((target) => this.#isDue(this.#lift(target), 1));
    }
  }

  /** Is a block to be part of the region, whose first `free` copies are? */
  #isDue(lifted: Lifted | undefined, free: number): boolean {
    if (lifted === undefined) return true;
    const { record } = lifted;
    const times = this.#cache.word(record, 'compiledTimes');
    if (record === this.#hot || times < free || (this.#cache.word(record, 'flags') & BLOCK_FLAGS.COMPILED) === 0) return true;
    return this.#compilation - this.#cache.word(record, 'compiledAt') >= COMPILATIONS_BETWEEN * 2 ** times;
  }

  /** Copies the callee of a block's call if it is small and the call is made often; then what it calls. */
  #inline(offset: number, { record, block: { terminal } }: Lifted, copy: Copy | undefined): void {
    if (terminal.kind !== 'call') return;
    const depth = (copy?.depth ?? 0) + 1;
    if (depth > INLINED_DEPTH || this.#insns > INSNS_WITH_COPIES) return;
    if (!this.#isWarm(record, this.#cache.word(this.#hot, 'count') * INLINED_SHARE)) return;
    const callee = this.#smallFunction(offset + terminal.delta);
    if (callee === undefined) return;
    const call: InlinedCall = { within: copy?.call, at: offset, returnOffset: offset + terminal.returnDelta };
    for (const [at, lifted] of callee) this.#add(at, lifted, call);
    for (const [at, lifted] of callee) this.#inline(at, lifted, { call, depth });
  }

  /** The warm blocks of a function that returns; undefined if they are too many. */
  #smallFunction(start: number): ReadonlyMap<number, Lifted> | undefined {
    const blocks = new Map<number, Lifted>();
    const work = [start];
    let insns = 0;
    let returns = false;
    for (let next = 0; next < work.length; next++) {
      const offset = work[next] as number;
      if (blocks.has(offset)) continue;
      const lifted = this.#lift(offset);
      if (lifted === undefined) continue;
      blocks.set(offset, lifted);
      const { terminal, insnCount } = lifted.block;
      insns += insnCount;
      if (blocks.size > INLINED_BLOCKS || insns > INLINED_INSNS) return undefined;
      returns ||= terminal.kind === 'indirect';
      work.push(...this.#waysOn(offset, lifted));
    }
    if (!returns || !blocks.has(start)) return undefined;
    this.#endAtLoops(blocks);
    return blocks;
  }

  /**
   * What runs into a loop from above is a block with the first part of the loop in it, and where that ends with a branch it would enter the loop in its
   * middle. So a function's blocks end where another one begins to which one jumps back.
   */
  #endAtLoops(blocks: Map<number, Lifted>): void {
    const heads = new Set<number>();
    for (const [offset, { block }] of blocks) for (const to of waysBack(offset, block)) if (blocks.has(to)) heads.add(to);
    for (const [offset, { block }] of blocks) {
      const inside = [...heads].filter((head) => head > offset && head < offset + block.byteCount);
      const shorter = inside.length > 0 ? this.#lift(offset, Math.min(...inside) - offset) : undefined;
      if (shorter) blocks.set(offset, shorter);
    }
  }

  /** Offsets are counted from the lowest block. */
  #finished(): FoundRegion {
    const base = this.#found.reduce((least, { offset }) => Math.min(least, offset), Number.POSITIVE_INFINITY);
    const moved = new Map<InlinedCall, InlinedCall>();
    const move = (call: InlinedCall | undefined): InlinedCall | undefined => {
      if (call === undefined) return undefined;
      const known = moved.get(call);
      if (known) return known;
      const made = { within: move(call.within), at: call.at - base, returnOffset: call.returnOffset - base };
      moved.set(call, made);
      return made;
    };
    const blocks = this.#found.map((found) => ({
      ...found,
      offset: found.offset - base,
      within: move(found.within),
      targets: found.targets?.map((offset) => offset - base),
    }));
    const depthOf = ({ within }: FoundBlock): number => (within === undefined ? 0 : 1);
    blocks.sort((a, b) => depthOf(a) - depthOf(b) || (a.within === undefined ? a.offset - b.offset : 0));
    return { blocks, pages: new Map([...this.#used].map(([page, at]) => [page * PAGE_BYTES - base, at])) };
  }
}

/** Offsets at or before that of a block to which it jumps. */
function waysBack(offset: number, { terminal }: Block): number[] {
  const deltas = terminal.kind === 'jump' ? [terminal.delta] : terminal.kind === 'branch' ? [terminal.taken, terminal.fall] : [];
  return deltas.filter((delta) => delta <= 0).map((delta) => offset + delta);
}
