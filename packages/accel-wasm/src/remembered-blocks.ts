// Bytecode of blocks by the guest bytes that it was made from: what has been translated once, in this run or an earlier one, is copied instead of made again.
// Everything is in one buffer, in a form that is kept between runs as it stands:
//
//   Header, then BUCKETS words (see FILTER), then entries: Entry, bytecode, guest bytes; each at a multiple of 8
//
// An entry serves only where all bytes are the same that translation has looked at, in the same mode, and where the end of the page, if that mattered, is
// as far; so it stands for exactly what translation would make, whoever has left it there. Bytecode has no addresses in it but links, which `BlockEncoder.adopt` makes anew.

import { struct } from '@anillo/base/struct';
import type { Block } from '@anillo/ir/block';

const Header = struct({
  magic: 'u32',
  /** For which interpreter the bytecode is. */
  opcodes: 'u32',
  /** Bytes in use, this header included. */
  used: 'u32',
  /** Number of the run: entries that it has needed carry it. */
  run: 'u32',
});
const Entry = struct({
  /** Next entry of the bucket, 0 at the end. */
  next: 'u32',
  key: 'u32',
  mode: 'u32',
  run: 'u32',
  /** Guest bytes and instructions. */
  byteCount: 'u16',
  insnCount: 'u16',
  codeBytes: 'u32',
  /** Where the last instruction of the bytecode is, from its start. */
  terminalAt: 'u32',
  /** Guest bytes that translation has looked at: what the entry keeps. */
  seenBytes: 'u16',
  /** ENDS_PAGE, HOT, HOT_NOW. */
  flags: 'u8',
  pcBits: 'u8',
});

/** Changes whenever this layout or the bytecode's format does. */
const MAGIC = 0x416e_4202;
const BUCKETS = 1 << 16;
const FIRST = Header.bytes + BUCKETS * 4;
const FIRST_BYTES = 4 << 20;
export const MAX_BYTES = 32 << 20;
/** What is kept for the next run is at most so much. */
const KEPT_BYTES = 24 << 20;
/** What was kept stays as it is while it lacks less than one part in so many, */
const WORTH_KEEPING = 16;
/** or less than so many bytes. */
const WORTH_KEEPING_BYTES = 4096;
const PAGE = 4096;
/** Bytes after a block at which translation may have looked: those of an instruction. */
const LOOKAHEAD = 15;

/** In the word of `seenBytes`: the page ends after these; the block was worth compiling in an earlier run; it has been in this one. */
const ENDS_PAGE = 1 << 16;
const HOT = 1 << 17;
const HOT_NOW = 1 << 18;

/**
 * A bucket's word: an eighth of the offset of its first entry (0: none), and above that a bit for each class of keys that it lists, so that most look-ups for what
 * is not there read nothing else.
 */
const FILTER = { shift: 24, links: (1 << 24) - 1 } as const;
const firstOf = (bucket: number): number => (bucket & FILTER.links) * 8;
const filterBit = (key: number): number => 1 << (FILTER.shift + (key & 7));

const H = Header.offset;
const E = Entry.offset;
const align8 = (n: number): number => (n + 7) & ~7;

/**
 * Do a block's own bytes say where it ends? Not where it falls through: at the end of a page, for what comes next, or because it is long; and a trap may come
 * from bytes that are not part of it.
 */
function isWhole({ terminal, byteCount }: Block): boolean {
  switch (terminal.kind) {
    case 'trap':
    case 'exit':
      return false;
    case 'jump':
      return terminal.delta !== byteCount;
    default:
      return true;
  }
}

/** Of a block with so many bytes to the end of its page: how many bytes translation has looked at, and whether it would have gone on but for the page's end. */
export function seenBytes(block: Block, rest: number): { count: number; endsPage: boolean } {
  const wanted = block.byteCount + (isWhole(block) ? 0 : LOOKAHEAD);
  return { count: Math.min(wanted, rest), endsPage: wanted > rest };
}

export type BlockShape = Pick<Block, 'byteCount' | 'insnCount' | 'pcBits'>;
/** Bytecode of a block: its length, a multiple of 8, and where in it the last instruction is. */
export interface CodeShape {
  readonly codeBytes: number;
  readonly terminalAt: number;
}

const mix = (key: number, word: number): number => {
  const h = Math.imul(key ^ word, 0x85eb_ca6b);
  return h ^ (h >>> 15);
};
const wordAt = (bytes: Uint8Array, at: number): number => bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);

export class RememberedBlocks {
  #bytes: Uint8Array<ArrayBuffer>;
  #words: Uint32Array;
  readonly #opcodes: number;
  readonly #keptBytes: number;
  /** Keys of the prefixes that a block at the address asked for may be listed by, longest first (see #findKeys). */
  readonly #keys = new Int32Array(6);

  /** `kept`: what `image` gave in an earlier run; not used if it is for another interpreter, or not such a thing. */
  constructor(opcodes: ReadonlyMap<string, number>, kept?: Uint8Array) {
    this.#opcodes = [...opcodes.keys()].reduce((key, name) => [...name].reduce((k, c) => mix(k, c.charCodeAt(0)), key), 0) >>> 0;
    const used = kept === undefined ? 0 : this.#usedOf(kept);
    this.#bytes = new Uint8Array(Math.max(FIRST_BYTES, used + (1 << 20)) & ~7);
    this.#words = new Uint32Array(this.#bytes.buffer);
    if (kept !== undefined && used > 0) {
      this.#bytes.set(kept.subarray(0, used));
      this.#words[H.run >>> 2]++;
    } else {
      this.#words[H.magic >>> 2] = MAGIC;
      this.#words[H.opcodes >>> 2] = this.#opcodes;
      this.#words[H.used >>> 2] = FIRST;
    }
    this.#keptBytes = this.used;
  }

  /** 0 if these are not our bytes. */
  #usedOf(kept: Uint8Array): number {
    if (kept.length < FIRST) return 0;
    const { magic, opcodes, used } = Header.view(Uint8Array.from(kept.subarray(0, Header.bytes)).buffer, 0);
    return magic === MAGIC && opcodes === this.#opcodes && used === kept.length && used <= MAX_BYTES ? used : 0;
  }

  get used(): number {
    return this.#words[H.used >>> 2];
  }
  #field(entry: number, field: number): number {
    return this.#words[(entry + field) >>> 2];
  }

  /** Entries are listed by 16, 8, 4, 3, 2 or 1 bytes of their start: as many as they have. */
  #findKeys(memory: Uint8Array, at: number, mode: number): void {
    const keys = this.#keys;
    const first = mix(mode, wordAt(memory, at));
    const second = mix(first, wordAt(memory, at + 4));
    keys[0] = mix(mix(second, wordAt(memory, at + 8)), wordAt(memory, at + 12));
    keys[1] = second;
    keys[2] = first;
    keys[5] = mix(~mode, memory[at]);
    keys[4] = mix(keys[5], memory[at + 1]);
    keys[3] = mix(keys[4], memory[at + 2]);
  }

  /** The entry for the block at `at`, an address in the machine's memory; 0: none. */
  find(memory: Uint8Array, at: number, mode: number): number {
    const rest = PAGE - (at & (PAGE - 1));
    this.#findKeys(memory, at, mode);
    for (let k = 0; k < 6; k++) {
      if (PREFIXES[k] > rest) continue;
      const key = this.#keys[k] >>> 0;
      const bucket = this.#words[bucketOf(key)];
      if ((bucket & filterBit(key)) === 0) continue;
      for (let entry = firstOf(bucket); entry !== 0; entry = this.#field(entry, E.next)) {
        if (this.#field(entry, E.key) === key && this.#field(entry, E.mode) === mode && this.#isAt(entry, memory, at, rest)) {
          this.#words[(entry + E.run) >>> 2] = this.#words[H.run >>> 2];
          return entry;
        }
      }
    }
    return 0;
  }
  #isAt(entry: number, memory: Uint8Array, at: number, rest: number): boolean {
    const bytes = this.#bytes;
    const seen = this.#field(entry, E.seenBytes);
    const count = seen & 0xffff;
    if (count > rest || ((seen & ENDS_PAGE) !== 0 && count < rest)) return false;
    const from = entry + Entry.bytes + this.#field(entry, E.codeBytes);
    for (let i = 0; i < count; i++) if (bytes[from + i] !== memory[at + i]) return false;
    return true;
  }

  shape(entry: number): BlockShape & CodeShape {
    const counts = this.#field(entry, E.byteCount);
    return {
      byteCount: counts & 0xffff,
      insnCount: counts >>> 16,
      codeBytes: this.#field(entry, E.codeBytes),
      terminalAt: this.#field(entry, E.terminalAt),
      pcBits: (this.#field(entry, E.seenBytes) >>> 24) as Block['pcBits'],
    };
  }
  /** Was the block worth compiling in an earlier run? Said once: code that is rewritten again and again would be compiled as often. */
  takeHot(entry: number): boolean {
    const at = (entry + E.seenBytes) >>> 2;
    const isHot = (this.#words[at] & HOT) !== 0;
    this.#words[at] &= ~HOT;
    return isHot;
  }
  noteHot(entry: number): void {
    this.#words[(entry + E.seenBytes) >>> 2] |= HOT_NOW;
  }
  /** Copies an entry's bytecode to an address. */
  copyCode(entry: number, words: Uint32Array, to: number): void {
    const from = (entry + Entry.bytes) >>> 2;
    const own = this.#words;
    for (let i = 0, count = this.#field(entry, E.codeBytes) >>> 2; i < count; i++) words[(to >>> 2) + i] = own[from + i];
  }

  /** Remembers the block at `at`, all of it in one page, whose bytecode is at `codeAt`. `memory` and `words` are the machine's memory. */
  add(
    memory: Uint8Array,
    words: Uint32Array,
    at: number,
    mode: number,
    block: Block,
    codeAt: number,
    { codeBytes, terminalAt }: CodeShape,
  ): void {
    const { byteCount, insnCount, pcBits } = block;
    const rest = PAGE - (at & (PAGE - 1));
    const { count: seen, endsPage } = seenBytes(block, rest);
    const entry = this.used;
    const end = entry + Entry.bytes + codeBytes + align8(seen);
    if (byteCount > rest || !this.#reserve(end)) return;
    this.#findKeys(memory, at, mode);
    let k = 0;
    while (PREFIXES[k] > seen) k++;
    const key = this.#keys[k] >>> 0;
    const own = this.#words;
    const bucket = bucketOf(key);
    const first = entry >>> 2;
    own[first + (E.next >>> 2)] = firstOf(own[bucket]);
    own[first + (E.key >>> 2)] = key;
    own[first + (E.mode >>> 2)] = mode;
    own[first + (E.run >>> 2)] = own[H.run >>> 2];
    own[first + (E.byteCount >>> 2)] = byteCount | (insnCount << 16);
    own[first + (E.codeBytes >>> 2)] = codeBytes;
    own[first + (E.terminalAt >>> 2)] = terminalAt;
    own[first + (E.seenBytes >>> 2)] = seen | (endsPage ? ENDS_PAGE : 0) | (pcBits << 24);
    const code = (entry + Entry.bytes) >>> 2;
    for (let i = 0; i < codeBytes >>> 2; i++) own[code + i] = words[(codeAt >>> 2) + i];
    const from = entry + Entry.bytes + codeBytes;
    for (let i = 0; i < seen; i++) this.#bytes[from + i] = memory[at + i];
    own[bucket] = list(own[bucket], entry, key);
    own[H.used >>> 2] = end;
  }

  #reserve(end: number): boolean {
    if (end <= this.#bytes.length) return true;
    if (end > MAX_BYTES) return false;
    const larger = new Uint8Array(Math.min(this.#bytes.length * 2, MAX_BYTES));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#words = new Uint32Array(larger.buffer);
    return true;
  }

  /** What is worth keeping for the next run; undefined: what was kept before still is. */
  image(): Uint8Array | undefined {
    if (this.used - this.#keptBytes < Math.max(WORTH_KEEPING_BYTES, (this.#keptBytes - FIRST) / WORTH_KEEPING)) return undefined;
    if (this.used > KEPT_BYTES) this.#forgetUnused();
    this.#endRun();
    return this.#bytes.subarray(0, this.used);
  }

  #next(entry: number): number {
    return entry + Entry.bytes + this.#field(entry, E.codeBytes) + align8(this.#field(entry, E.seenBytes) & 0xffff);
  }
  #endRun(): void {
    for (let entry = FIRST; entry < this.used; entry = this.#next(entry)) {
      const flags = this.#field(entry, E.seenBytes);
      if (flags & HOT_NOW) this.#words[(entry + E.seenBytes) >>> 2] = (flags | HOT) & ~HOT_NOW;
    }
  }

  /** Leaves out what this run has not needed, and then what does not fit. */
  #forgetUnused(): void {
    const old = this.#words;
    const end = this.used;
    const run = old[H.run >>> 2];
    const kept = new Uint8Array(KEPT_BYTES);
    const words = new Uint32Array(kept.buffer);
    words.set(old.subarray(0, Header.bytes >>> 2));
    let to = FIRST;
    for (let entry = FIRST, next = 0; entry < end; entry = next) {
      next = this.#next(entry);
      if (this.#field(entry, E.run) !== run || to + next - entry > KEPT_BYTES) continue;
      const key = this.#field(entry, E.key);
      const bucket = bucketOf(key);
      words.set(old.subarray(entry >>> 2, next >>> 2), to >>> 2);
      words[(to + E.next) >>> 2] = firstOf(words[bucket]);
      words[bucket] = list(words[bucket], to, key);
      to += next - entry;
    }
    words[H.used >>> 2] = to;
    this.#bytes = kept;
    this.#words = words;
  }
}

const PREFIXES = [16, 8, 4, 3, 2, 1];
/** Index of the bucket's word. */
const bucketOf = (key: number): number => (Header.bytes >>> 2) + (Math.imul(key, 0x9e37_79b1) >>> 16);
/** The word of a bucket that lists one more entry, before the others. */
const list = (bucket: number, entry: number, key: number): number => (bucket & ~FILTER.links) | filterBit(key) | (entry / 8);
