// The compiled functions of a vCPU: their slots in the function table, the records that enter them, and the pages whose change ends them.
//
// When there are too many, the oldest are put to sleep: their records are interpreted again. Whoever is still in use is awake again after a few executions,
// without being compiled, and counts as new; those who have slept longest are dropped.

import { BLOCK_FLAGS } from '@anillo/codegen/block-record';
import type { TranslationCache } from './translation-cache.ts';

interface CompiledFunction {
  readonly slot: number;
  readonly code: unknown;
  readonly wasmBytes: number;
  readonly pages: readonly number[];
  /** Records that enter it. */
  readonly records: Set<number>;
  /** Records of all of its blocks, and of those that are copied into it. */
  readonly blocks: ReadonlySet<number>;
  readonly copied: ReadonlySet<number>;
}

export interface NewFunction {
  readonly code: unknown;
  readonly wasmBytes: number;
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
/** Beyond so many functions, or bytes of WebAssembly that they were compiled from, */
const MOST_FUNCTIONS = 1280;
const MOST_WASM_BYTES = 16 << 20;
/** functions go to sleep, as often as so many have been added, */
const ADDED_BETWEEN_SLEEPS = 64;
/** so that at least so many are asleep. */
const SLEEPERS = 256;
/** Executions of an entry that wake its function. */
const WAKES_AFTER = 32;

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
  /** Oldest first. */
  readonly #awake = new Set<CompiledFunction>();
  readonly #asleep = new Set<CompiledFunction>();
  #wasmBytes = 0;
  #addedSinceSleep = 0;

  constructor(parts: FunctionTableParts) {
    this.#p = parts;
    parts.cache.onDrop = (hostPage, records) => this.#drop(hostPage, records);
  }

  add({ code, wasmBytes, pages, pageList, blocks, copied }: NewFunction): void {
    const slot = this.#takeSlot();
    const { table, cache } = this.#p;
    table.set(slot, code);
    const made: CompiledFunction = {
      slot,
      code,
      wasmBytes,
      pages,
      records: new Set(),
      blocks: new Set(blocks.map(({ record }) => record)),
      copied: new Set(copied),
    };
    this.#bySlot.set(slot, made);
    this.#awake.add(made);
    this.#wasmBytes += wasmBytes;
    for (const page of pages) {
      const list = this.#byPage.get(page);
      if (list) list.add(made);
      else this.#byPage.set(page, new Set([made]));
    }
    for (const { record, entry } of blocks) {
      if (entry < 0 && this.#isCompiled(record)) continue;
      this.#leave(record);
      cache.setWord(record, 'functionIndex', slot);
      if (entry < 0) continue;
      made.records.add(record);
      cache.setWord(record, 'functionEntry', entry);
      cache.setWord(record, 'pages', pageList);
      cache.setWord(record, 'flags', cache.word(record, 'flags') | BLOCK_FLAGS.COMPILED);
    }
    if (++this.#addedSinceSleep >= ADDED_BETWEEN_SLEEPS) this.#sleepIfMany();
  }

  /** Drops as many sleepers as are too many, who have slept longest first; then others, the oldest, go to sleep in their place. */
  #sleepIfMany(): void {
    if (this.#tooMany() === 0 && this.#wasmBytes <= MOST_WASM_BYTES) return;
    this.#addedSinceSleep = 0;
    for (const cold of this.#asleep) {
      if (this.#tooMany() === 0 && this.#wasmBytes <= MOST_WASM_BYTES) break;
      this.#end(cold);
    }
    const sleepers = SLEEPERS + this.#tooMany();
    for (const oldest of this.#awake) {
      if (this.#asleep.size >= sleepers) break;
      this.#sleep(oldest);
    }
  }
  #tooMany(): number {
    return Math.max(0, this.#bySlot.size - MOST_FUNCTIONS);
  }

  #sleep(sleeper: CompiledFunction): void {
    const { table, absent, cache } = this.#p;
    this.#awake.delete(sleeper);
    this.#asleep.add(sleeper);
    table.set(sleeper.slot, absent);
    for (const record of sleeper.records) {
      cache.setWord(record, 'flags', cache.word(record, 'flags') & ~BLOCK_FLAGS.COMPILED);
      cache.setWord(record, 'count', Math.max(0, cache.word(record, 'hotAt') - WAKES_AFTER));
    }
  }

  /** Wakes the function of a block that has become hot, if it has one that sleeps. */
  wake(record: number): boolean {
    const { table, cache } = this.#p;
    const sleeper = this.#bySlot.get(cache.word(record, 'functionIndex'));
    if (sleeper === undefined || !sleeper.blocks.has(record) || !this.#asleep.delete(sleeper)) return false;
    this.#awake.add(sleeper);
    table.set(sleeper.slot, sleeper.code);
    for (const each of sleeper.records) cache.setWord(each, 'flags', cache.word(each, 'flags') | BLOCK_FLAGS.COMPILED);
    return true;
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

  /** A record gets another function; its old one, awake or not, dies with its last record. */
  #leave(record: number): void {
    const old = this.#bySlot.get(this.#p.cache.word(record, 'functionIndex'));
    if (!old?.records.delete(record) || old.records.size > 0) return;
    this.#kill(old);
  }

  #kill(dead: CompiledFunction): void {
    this.#p.table.set(dead.slot, this.#p.absent);
    this.#dead.push(dead.slot);
    this.#bySlot.delete(dead.slot);
    this.#awake.delete(dead);
    this.#asleep.delete(dead);
    this.#wasmBytes -= dead.wasmBytes;
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

  /** A function dies whose blocks live. */
  #end(dead: CompiledFunction): void {
    const { cache } = this.#p;
    this.#kill(dead);
    for (const record of dead.records) cache.setWord(record, 'flags', cache.word(record, 'flags') & ~BLOCK_FLAGS.COMPILED);
    for (const record of dead.blocks) if (!this.#isCompiled(record)) cache.setWord(record, 'count', 0);
  }

  /** Ends the functions with code in a page that have one of the blocks; page 0: all functions, with all records. */
  #drop(hostPage: number, blocks: ReadonlySet<number>): void {
    const hasDied = (f: CompiledFunction): boolean => [...blocks].some((record) => f.blocks.has(record) || f.copied.has(record));
    if (hostPage === 0) for (const dead of [...this.#bySlot.values()]) this.#kill(dead);
    else for (const dead of [...(this.#byPage.get(hostPage) ?? [])].filter(hasDied)) this.#end(dead);
  }
}
