// The compiled functions of a machine: their slots in the function table, the records that enter them, and the pages whose change ends them.

import { BLOCK_FLAGS } from '@anillo/codegen/block-record';
import type { TranslationCache } from './translation-cache.ts';

interface CompiledFunction {
  readonly slot: number;
  readonly pages: readonly number[];
  /** Records that enter it. */
  readonly records: Set<number>;
  /** Records of all of its blocks, and of those that are copied into it. */
  readonly blocks: ReadonlySet<number>;
  readonly copied: ReadonlySet<number>;
}

export interface NewFunction {
  /** Machine-memory addresses of the pages that it has code of. */
  readonly pages: readonly number[];
  /** As in BlockRecord.pages. */
  readonly pageList: number;
  /** Its blocks, which enter it from now on at their `functionEntry`, if that is not -1. */
  readonly blocks: readonly { readonly record: number; readonly entry: number }[];
  /** Records of blocks of other functions that it has copies of. */
  readonly copied: readonly number[];
}

/** Slots of dead functions that are kept until the jump caches, which may still name them, are cleared at once. */
const QUARANTINE = 256;
const GROWTH = 1024;

export interface FunctionTableParts {
  readonly table: WebAssembly.Table;
  /** What stands in the slot of a dead function. */
  readonly absent: unknown;
  readonly cache: TranslationCache;
  clearJumpCaches(): void;
}

export class FunctionTable {
  readonly #p: FunctionTableParts;
  readonly #byPage = new Map<number, Set<CompiledFunction>>();
  readonly #bySlot = new Map<number, CompiledFunction>();
  readonly #free: number[] = [];
  #dead: number[] = [];
  #nextSlot = 1;

  constructor(parts: FunctionTableParts) {
    this.#p = parts;
    parts.cache.onDrop = (hostPage, records) => this.#drop(hostPage, records);
  }

  add(code: unknown, { pages, pageList, blocks, copied }: NewFunction): void {
    const slot = this.#takeSlot();
    const { table, cache } = this.#p;
    table.set(slot, code);
    const made: CompiledFunction = {
      slot,
      pages,
      records: new Set(),
      blocks: new Set(blocks.map(({ record }) => record)),
      copied: new Set(copied),
    };
    this.#bySlot.set(slot, made);
    for (const page of pages) {
      const list = this.#byPage.get(page);
      if (list) list.add(made);
      else this.#byPage.set(page, new Set([made]));
    }
    for (const { record, entry } of blocks) {
      const isCompiled = this.#isCompiled(record);
      if (entry < 0) {
        if (!isCompiled) cache.setWord(record, 'functionIndex', slot);
        continue;
      }
      if (isCompiled) this.#leave(record);
      made.records.add(record);
      cache.setWord(record, 'functionIndex', slot);
      cache.setWord(record, 'functionEntry', entry);
      cache.setWord(record, 'pages', pageList);
      cache.setWord(record, 'flags', cache.word(record, 'flags') | BLOCK_FLAGS.COMPILED);
    }
  }

  #isCompiled(record: number): boolean {
    return (this.#p.cache.word(record, 'flags') & BLOCK_FLAGS.COMPILED) !== 0;
  }

  /**
   * Is the block compiled within a function that is not entered there? Then it runs there as a rule, and alone only until control gets to an entry. Only for
   * functions of one page: the others may have become unusable because their pages lie elsewhere now.
   */
  isInside(record: number): boolean {
    const around = this.#isCompiled(record) ? undefined : this.#bySlot.get(this.#p.cache.word(record, 'functionIndex'));
    return around !== undefined && around.pages.length === 1 && around.blocks.has(record);
  }

  /** A record gets another function; its old one dies with its last record. */
  #leave(record: number): void {
    const old = this.#bySlot.get(this.#p.cache.word(record, 'functionIndex'));
    if (!old?.records.delete(record) || old.records.size > 0) return;
    this.#kill(old);
  }

  #kill(dead: CompiledFunction): void {
    this.#p.table.set(dead.slot, this.#p.absent);
    this.#dead.push(dead.slot);
    this.#bySlot.delete(dead.slot);
    for (const page of dead.pages) {
      const list = this.#byPage.get(page);
      list?.delete(dead);
      if (list?.size === 0) this.#byPage.delete(page);
    }
  }

  #takeSlot(): number {
    if (this.#free.length === 0 && this.#dead.length >= QUARANTINE) {
      this.#p.clearJumpCaches();
      this.#free.push(...this.#dead);
      this.#dead = [];
    }
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const slot = this.#nextSlot++;
    if (slot >= this.#p.table.length) this.#p.table.grow(GROWTH);
    return slot;
  }

  /** Ends the functions with code in a page that have one of the blocks; page 0: all functions, with all records. */
  #drop(hostPage: number, blocks: ReadonlySet<number>): void {
    const { cache } = this.#p;
    const hasDied = (f: CompiledFunction): boolean => [...blocks].some((record) => f.blocks.has(record) || f.copied.has(record));
    const dying = hostPage === 0 ? [...this.#bySlot.values()] : [...(this.#byPage.get(hostPage) ?? [])].filter(hasDied);
    for (const dead of dying) {
      this.#kill(dead);
      if (hostPage === 0) continue;
      for (const record of dead.records) cache.setWord(record, 'flags', cache.word(record, 'flags') & ~BLOCK_FLAGS.COMPILED);
      for (const record of dead.blocks) if (!this.#isCompiled(record)) cache.setWord(record, 'count', 0);
    }
  }
}
