// All translations of a vCPU: block records in the arena, chained in the bucket table for the dispatcher, and listed by page so that they die
// with what they were made from: a store into a granule of code ends the blocks that have bytes in it. When the arena is full everything is forgotten. Bytecode of dead blocks stays until then: code that is running may finish.

import { BLOCK_BUCKET_TABLE_BYTES, BlockRecord, blockBucket, BLOCK_FLAGS } from '@anillo/codegen/block-record';
import type { BlockEncoder } from '@anillo/codegen/bytecode';
import type { Block } from '@anillo/ir/block';
import type { CodePages } from './code-pages.ts';
import type { MemoryPlan } from './memory-plan.ts';
import type { RememberedBlocks } from './remembered-blocks.ts';

const field = BlockRecord.offset;
const GRANULE = 64;
/** Executions after which a block is compiled that an earlier run has compiled: its neighbours must have shown that they are warm. */
const KNOWN_HOT_AT = 200;
/** As often, if what was compiled may have been kept. */
const KEPT_HOT_AT = 50;
/** A page into which so many stores have gone, one after the other, is no longer one of code. */
const STORES_THAT_END_PAGE = 3;
const NONE: ReadonlySet<number> = new Set();

export interface BlockGuard {
  /** Bytes from the block's start to the second page. */
  readonly delta: number;
  /** Machine-memory address of that page. */
  readonly hostPage: number;
}

export class TranslationCache {
  readonly codePages: CodePages;
  /** Told when translations of a page die (some of it: `records`), and (0) when all do. */
  onDrop: (hostPage: number, records: ReadonlySet<number>) => void = () => {};
  /** Told when a page gets its first translation. */
  onFirstCode: (hostPage: number) => void = () => {};
  blocks = 0;
  flushes = 0;
  readonly #bucketsAt: number;
  readonly #arenaStart: number;
  readonly #arenaEnd: number;
  readonly #words: Uint32Array;
  readonly #encoder: BlockEncoder;
  readonly #bytes: Uint8Array;
  readonly #remembered: RememberedBlocks;
  /** Lists that have become empty stay: where a key goes and comes back, V8 walks over all its former places. */
  readonly #byPage = new Map<number, number[]>();
  #arenaAt: number;

  constructor(
    buffer: ArrayBufferLike,
    plan: MemoryPlan,
    vcpuId: number,
    encoder: BlockEncoder,
    codePages: CodePages,
    remembered: RememberedBlocks,
  ) {
    this.#bytes = new Uint8Array(buffer);
    this.#remembered = remembered;
    this.#bucketsAt = plan.bucketsAt(vcpuId);
    this.#arenaStart = plan.arenaAt(vcpuId);
    this.#arenaEnd = this.#arenaStart + plan.arenaBytes;
    this.#words = new Uint32Array(buffer);
    this.#encoder = encoder;
    this.#arenaAt = this.#arenaStart;
    this.codePages = codePages;
  }

  word(record: number, name: keyof typeof field): number {
    return this.#words[(record + field[name]) >>> 2] as number;
  }
  setWord(record: number, name: keyof typeof field, value: number): void {
    this.#words[(record + field[name]) >>> 2] = value;
  }

  /** Room in the arena, zeroed, that lives as long as the records do; -1 if there is none. */
  allocate(byteCount: number): number {
    const at = this.#arenaAt;
    const end = (at + byteCount + 63) & ~63;
    if (end > this.#arenaEnd) return -1;
    this.#words.fill(0, at >>> 2, end >>> 2);
    this.#arenaAt = end;
    return at;
  }
  writeWord(at: number, value: number): void {
    this.#words[at >>> 2] = value;
  }

  find(hostAddress: number, mode: number): number {
    let record = this.#words[(this.#bucketsAt >>> 2) + blockBucket(hostAddress, mode)] as number;
    while (record !== 0 && (this.word(record, 'hostAddress') !== hostAddress || this.word(record, 'mode') !== mode))
      record = this.word(record, 'next');
    return record;
  }

  /** Live records whose first byte is in the page. */
  inPage(hostPage: number): readonly number[] {
    return (this.#byPage.get(hostPage) ?? []).filter((record) => ((this.word(record, 'hostAddress') ^ hostPage) & ~0xfff) === 0);
  }

  /**
   * Makes the block that starts at an address from what is remembered of another with the same bytes; 0: nothing is. `mark` is called with the length of what is
   * found, and sees to it that the bytes then stay as they are.
   */
  recall(hostAddress: number, mode: number, hotAt: number, mark?: (byteCount: number) => void): number {
    const entry = this.#remembered.find(this.#bytes, hostAddress, mode);
    if (entry === 0) return 0;
    const { byteCount, insnCount, codeBytes, terminalAt, pcBits } = this.#remembered.shape(entry);
    if (mark !== undefined) {
      mark(byteCount);
      if (this.#remembered.find(this.#bytes, hostAddress, mode) !== entry) return 0;
    }
    const used = (BlockRecord.bytes + codeBytes + 63) & ~63;
    if (this.#arenaAt + used > this.#arenaEnd) this.dropAll();
    const record = this.#arenaAt;
    this.#remembered.copyCode(entry, this.#words, record + BlockRecord.bytes);
    const place = { hostAddress, mode, hotAt: this.#remembered.takeHot(entry) ? Math.min(hotAt, KEPT_HOT_AT) : hotAt };
    this.#encoder.adopt({ byteCount, insnCount, pcBits }, record, terminalAt, place);
    this.#enter(record, used, byteCount, undefined);
    return record;
  }

  /** Nothing compiled has been kept for a block that has become hot early: is it to become hot once more, later? */
  waitsLonger(record: number): boolean {
    if (this.word(record, 'hotAt') !== KEPT_HOT_AT) return false;
    this.setWord(record, 'hotAt', KNOWN_HOT_AT);
    return true;
  }

  /** A block is worth compiling: the next run need not wait so long. */
  noteHot(record: number): void {
    const entry = this.#remembered.find(this.#bytes, this.word(record, 'hostAddress'), this.word(record, 'mode'));
    if (entry !== 0) this.#remembered.noteHot(entry);
  }

  /** `remember`: the block is what any translation of these bytes gives. */
  insert(block: Block, hostAddress: number, mode: number, hotAt: number, guard: BlockGuard | undefined, remember = false): number {
    const place = { hostAddress, mode, hotAt };
    let used = this.#encoder.encode(block, this.#arenaAt, this.#arenaEnd, place);
    if (used < 0) {
      this.dropAll();
      used = this.#encoder.encode(block, this.#arenaAt, this.#arenaEnd, place);
      if (used < 0) throw new RangeError('a block does not fit the empty arena');
    }
    const record = this.#arenaAt;
    if (remember && guard === undefined) {
      const code = this.#encoder.lastCode;
      this.#remembered.add(this.#bytes, this.#words, hostAddress, mode, block, code.codeAt, code);
    }
    this.#enter(record, used, block.byteCount, guard);
    return record;
  }

  /** Makes a record known that has been written at the arena's end. */
  #enter(record: number, used: number, byteCount: number, guard: BlockGuard | undefined): void {
    const hostAddress = this.word(record, 'hostAddress');
    const mode = this.word(record, 'mode');
    this.#arenaAt += used;
    this.blocks++;
    const inPage = guard ? guard.delta : byteCount;
    if (guard) {
      this.setWord(record, 'flags', BLOCK_FLAGS.GUARD);
      this.setWord(record, 'guardDelta', guard.delta);
      this.setWord(record, 'guardHost', guard.hostPage);
      this.#register(record, guard.hostPage, Math.max(1, byteCount - guard.delta));
    }
    this.#register(record, hostAddress, Math.min(inPage, 4096 - (hostAddress & 0xfff)));
    const bucket = (this.#bucketsAt >>> 2) + blockBucket(hostAddress, mode);
    this.setWord(record, 'next', this.#words[bucket] as number);
    this.#words[bucket] = record;
  }

  #register(record: number, at: number, byteCount: number): void {
    const hostPage = (at & ~0xfff) >>> 0;
    const list = this.#byPage.get(hostPage);
    if (list) list.push(record);
    else this.#byPage.set(hostPage, [record]);
    if (this.codePages.add(at, Math.max(1, byteCount))) this.onFirstCode(hostPage);
  }

  /** Takes one record out of its chain, so that another can stand for its block. */
  hide(record: number): void {
    const bucket = (this.#bucketsAt >>> 2) + blockBucket(this.word(record, 'hostAddress'), this.word(record, 'mode'));
    const next = this.word(record, 'next');
    if (this.#words[bucket] === record) {
      this.#words[bucket] = next;
      return;
    }
    for (let r = this.#words[bucket] as number; r !== 0; r = this.word(r, 'next')) {
      if (this.word(r, 'next') === record) {
        this.setWord(r, 'next', next);
        return;
      }
    }
  }

  /** Puts a hidden record back, unless it has died meanwhile. */
  show(record: number): void {
    if (this.word(record, 'flags') & BLOCK_FLAGS.DEAD) return;
    const bucket = (this.#bucketsAt >>> 2) + blockBucket(this.word(record, 'hostAddress'), this.word(record, 'mode'));
    this.setWord(record, 'next', this.#words[bucket] as number);
    this.#words[bucket] = record;
  }

  /** Ends one translation. */
  drop(record: number): void {
    this.#kill(record);
    const isGuarded = (this.word(record, 'flags') & BLOCK_FLAGS.GUARD) !== 0;
    const pages = [this.word(record, 'hostAddress'), ...(isGuarded ? [this.word(record, 'guardHost')] : [])];
    for (const at of pages) {
      const page = (at & ~0xfff) >>> 0;
      const records = this.#byPage.get(page);
      const index = records?.indexOf(record) ?? -1;
      if (index >= 0) records?.splice(index, 1);
      this.onDrop(page, new Set([record]));
    }
  }

  /** Links to it may remain, and code that is running follow them: the dispatcher turns away from what is dead. */
  #kill(record: number): void {
    this.hide(record);
    this.setWord(record, 'flags', (this.word(record, 'flags') & ~BLOCK_FLAGS.COMPILED) | BLOCK_FLAGS.DEAD);
  }

  /** Forgets every translation that has bytes in the page. */
  dropPage(hostPage: number): void {
    this.dropGranules(hostPage, 4096);
  }

  /** Forgets what has been overwritten, or is about to be. */
  dropRange(at: number, byteCount: number): void {
    for (let page = (at & ~0xfff) >>> 0; page < at + byteCount; page += 4096) {
      const from = Math.max(at, page);
      const count = Math.min(at + byteCount, page + 4096) - from;
      if (!this.codePages.hasCode(page) || !this.codePages.touches(from, count)) continue;
      const isGivenUp = this.#isGivenUp(page);
      this.dropGranules(isGivenUp ? page : from, isGivenUp ? 4096 : count);
      this.#stored.records = this.#recordsIn(page);
    }
  }

  #recordsIn(page: number): number {
    return this.#byPage.get(page)?.length ?? 0;
  }
  /** Has code of the page been overwritten again and again while nothing of it was translated? Then memory is used anew, and what is left of the code would only be in the way. */
  #isGivenUp(page: number): boolean {
    const stored = this.#stored;
    const isSame = page === stored.page && this.#recordsIn(page) === stored.records;
    stored.page = page;
    stored.count = isSame ? stored.count + 1 : 1;
    return stored.count >= STORES_THAT_END_PAGE;
  }
  readonly #stored = { page: 0, records: 0, count: 0 };

  /** Whatever the marks say; [at, at + byteCount) lies in one page. */
  dropGranules(at: number, byteCount: number): void {
    const page = (at & ~0xfff) >>> 0;
    this.codePages.clear(at, byteCount);
    const from = at & ~(GRANULE - 1) & 0xfff;
    const end = (((at & 0xfff) + byteCount - 1) | (GRANULE - 1)) + 1;
    const records = this.#byPage.get(page) ?? [];
    const dying = new Set(records.filter((record) => this.#overlaps(record, page, from, end)));
    if (dying.size === 0) return;
    for (const record of dying) this.#kill(record);
    this.#byPage.set(
      page,
      records.filter((record) => !dying.has(record)),
    );
    this.onDrop(page, dying);
  }

  /** Has the block bytes at [from, end) of the page? */
  #overlaps(record: number, page: number, from: number, end: number): boolean {
    const hostAddress = this.word(record, 'hostAddress');
    const byteCount = Math.max(1, this.word(record, 'byteCount'));
    const isGuarded = (this.word(record, 'flags') & BLOCK_FLAGS.GUARD) !== 0;
    const isFirstPage = ((hostAddress ^ page) & ~0xfff) === 0;
    const start = hostAddress & 0xfff;
    if (isFirstPage && start < end && start + Math.min(byteCount, 4096 - start) > from) return true;
    return isGuarded && this.word(record, 'guardHost') === page && byteCount - this.word(record, 'guardDelta') > from;
  }

  dropAll(): void {
    this.#words.fill(0, this.#bucketsAt >>> 2, (this.#bucketsAt + BLOCK_BUCKET_TABLE_BYTES) >>> 2);
    this.#byPage.clear();
    this.codePages.clearAll();
    this.#arenaAt = this.#arenaStart;
    this.flushes++;
    this.onDrop(0, NONE);
  }
}
