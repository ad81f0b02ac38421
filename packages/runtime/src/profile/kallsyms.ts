// The symbols that a Linux kernel carries (CONFIG_KALLSYMS), read from guest memory once it has run: there it is decompressed and where KASLR has put it.
// The tables have no header, so they are found by what must be in them. As Linux 4.6 and later have them:
//
//   token table    256 strings, one for each byte of a compressed name; the digits stand for themselves, so "0\01\02\0...9\0" is in it
//   token index    behind it: 256 16-bit offsets into it
//   markers        before it: 32-bit offsets of every 256th compressed name
//   names          before them: a length (one byte, or two of which the first has bit 7) and so many bytes of tokens; the first character is the type
//   number         before them: 32 bits
//   offsets, base  before all that, or (since 6.4) behind the token index: a 32-bit offset for each, then the address that they are relative to. Negative
//                  offsets are from base - 1 down, and the others absolute, if the kernel numbers its per-CPU variables from 0.

import { gpa } from '@anillo/base/gpa';
import type { GuestMemory, MemoryRegion } from '@anillo/memory/guest-memory';
import type { CodeSymbol } from './symbol-table.ts';

const DIGITS = new Uint8Array(Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? 0x30 + i / 2 : 0)));
const ZERO = 0x30;
const TOKENS = 256;
const NAMES_PER_MARKER = 256;
/** Small enough for the host's caches. */
const CHUNK_BYTES = 1 << 18;
/** All tables lie within this distance of the token table. */
const REACH_BYTES = 1 << 24;
const LONGEST_TOKEN_TABLE = 1 << 14;
/** Compressed names are between these on the average of any 256. */
const SHORTEST_NAME = 2;
const LONGEST_NAME = 100;
const LEAST_MARKERS = 4;
const TYPES_OF_CODE = 'tTwW';

const align = (value: number, to: number): number => Math.ceil(value / to) * to;

/** Positions of a byte sequence. */
function* findAll(bytes: Uint8Array, wanted: Uint8Array): Generator<number> {
  const [first] = wanted;
  for (let at = bytes.indexOf(first); at >= 0; at = bytes.indexOf(first, at + 1))
    if (wanted.every((byte, i) => bytes[at + i] === byte)) yield at;
}

/** Reads the tables around one candidate; every read is checked by the view. */
class KallsymsReader {
  readonly #bytes: Uint8Array;
  readonly #data: DataView;
  /** Bytes of a pointer of the kernel, to which the tables are aligned. */
  readonly #wordBytes: 4 | 8;

  constructor(bytes: Uint8Array, wordBytes: 4 | 8) {
    this.#bytes = bytes;
    this.#data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#wordBytes = wordBytes;
  }

  /** Symbols of code; undefined: these are not the tables. `digitsAt`: of the digits in the token table. */
  read(digitsAt: number): CodeSymbol[] | undefined {
    const indexAt = this.#findIndex(digitsAt);
    if (indexAt < 0) return undefined;
    const tokensAt = digitsAt - this.#data.getUint16(indexAt + 2 * ZERO, true);
    const markers = this.#findMarkers(tokensAt);
    if (markers === undefined) return undefined;
    const names = this.#findNames(markers);
    if (names === undefined) return undefined;
    const addresses = this.#findAddresses(names.numberAt, names.count, indexAt);
    return addresses && this.#readSymbols(names, addresses, this.#readTokens(tokensAt, indexAt));
  }

  /** The token index begins behind the 256th string. */
  #findIndex(digitsAt: number): number {
    let at = digitsAt;
    for (let token = ZERO; token < TOKENS; token++) {
      at = this.#bytes.indexOf(0, at) + 1;
      if (at === 0 || at - digitsAt > LONGEST_TOKEN_TABLE) return -1;
    }
    at = align(at, this.#wordBytes);
    if (this.#data.getUint16(at, true) !== 0) return -1;
    for (let token = 1; token < TOKENS; token++)
      if (this.#data.getUint16(at + 2 * token, true) <= this.#data.getUint16(at + 2 * token - 2, true)) return -1;
    return at;
  }

  #readTokens(tokensAt: number, indexAt: number): string[] {
    const decoder = new TextDecoder('latin1');
    return Array.from({ length: TOKENS }, (_, token) => {
      const at = tokensAt + this.#data.getUint16(indexAt + 2 * token, true);
      return decoder.decode(this.#bytes.subarray(at, this.#bytes.indexOf(0, at)));
    });
  }

  /** The nearest table before the tokens that begins with 0 and grows as markers do. */
  #findMarkers(tokensAt: number): { at: number; count: number; last: number } | undefined {
    const grows = (at: number): boolean => {
      const step = this.#data.getUint32(at, true) - this.#data.getUint32(at - 4, true);
      return step >= NAMES_PER_MARKER * SHORTEST_NAME && step <= NAMES_PER_MARKER * LONGEST_NAME;
    };
    for (
      let at = align(tokensAt, this.#wordBytes) - 2 * this.#wordBytes;
      at > tokensAt - REACH_BYTES / 2 && at > 0;
      at -= this.#wordBytes
    ) {
      if (this.#data.getUint32(at, true) !== 0) continue;
      let count = 1;
      while (at + 4 * count < tokensAt && grows(at + 4 * count)) count++;
      if (count >= LEAST_MARKERS) return { at, count, last: this.#data.getUint32(at + 4 * count - 4, true) };
    }
    return undefined;
  }

  /** The number of names is that before which as many names fit as it says, each 256th where its marker is. */
  #findNames(markers: { at: number; count: number; last: number }): { numberAt: number; at: number; count: number } | undefined {
    const from = align(markers.at - markers.last - this.#wordBytes, this.#wordBytes);
    for (let numberAt = from; numberAt > from - NAMES_PER_MARKER * LONGEST_NAME && numberAt >= 0; numberAt -= this.#wordBytes) {
      const count = this.#data.getUint32(numberAt, true);
      const at = numberAt + this.#wordBytes;
      if (
        Math.ceil(count / NAMES_PER_MARKER) === markers.count &&
        this.#namesEnd(at, NAMES_PER_MARKER) === at + this.#data.getUint32(markers.at + 4, true)
      )
        return { numberAt, at, count };
    }
    return undefined;
  }

  #nameAt(at: number): { from: number; to: number } {
    const first = this.#bytes[at];
    if (first < 0x80) return { from: at + 1, to: at + 1 + first };
    return { from: at + 2, to: at + 2 + ((first & 0x7f) | (this.#bytes[at + 1] << 7)) };
  }

  #namesEnd(at: number, count: number): number {
    for (let i = 0; i < count; i++) at = this.#nameAt(at).to;
    return at;
  }

  #findAddresses(numberAt: number, count: number, indexAt: number): ((symbol: number) => bigint) | undefined {
    const word = this.#wordBytes;
    const offsetBytes = align(4 * count, word);
    const before = numberAt - word - offsetBytes;
    return this.#addressesAt(before, count) ?? this.#addressesAt(align(indexAt + 2 * TOKENS, word), count);
  }

  /** Undefined: what stands behind the offsets is no address of a kernel. */
  #addressesAt(at: number, count: number): ((symbol: number) => bigint) | undefined {
    const baseAt = at + align(4 * count, this.#wordBytes);
    if (at < 0 || baseAt + 8 > this.#bytes.length) return undefined;
    const base = this.#wordBytes === 8 ? this.#data.getBigUint64(baseAt, true) : BigInt(this.#data.getUint32(baseAt, true));
    if (base < (this.#wordBytes === 8 ? 0xffff_8000_0000_0000n : 0x4000_0000n) || (base & 0xfffn) !== 0n) return undefined;
    const offset = (symbol: number): number => this.#data.getInt32(at + 4 * symbol, true);
    let negative = 0;
    for (let i = 0; i < count; i++) if (offset(i) < 0) negative++;
    if (negative * 2 < count) return (symbol) => base + BigInt(offset(symbol) >>> 0);
    return (symbol) => (offset(symbol) < 0 ? base - 1n - BigInt(offset(symbol)) : BigInt(offset(symbol)));
  }

  #readSymbols(names: { at: number; count: number }, addressOf: (symbol: number) => bigint, tokens: readonly string[]): CodeSymbol[] {
    const symbols: CodeSymbol[] = [];
    let at = names.at;
    for (let i = 0; i < names.count; i++) {
      const { from, to } = this.#nameAt(at);
      at = to;
      let text = '';
      for (let token = from; token < to; token++) text += tokens[this.#bytes[token]];
      if (TYPES_OF_CODE.includes(text[0])) symbols.push({ address: addressOf(i), name: text.slice(1) });
    }
    return symbols;
  }
}

function readAround(memory: GuestMemory, { start, byteCount }: MemoryRegion, address: number): readonly CodeSymbol[] | undefined {
  // Tables are aligned.
  const from = Math.max(start, align(address - REACH_BYTES, 4096));
  const bytes = memory.read(gpa(from), Math.min(start + byteCount, address + REACH_BYTES) - from);
  for (const wordBytes of [8, 4] as const) {
    try {
      const symbols = new KallsymsReader(bytes, wordBytes).read(address - from);
      if (symbols !== undefined && symbols.length > 0) return symbols;
    } catch (error) {
      // Chance has led out of what was read.
      if (!(error instanceof RangeError)) throw error;
    }
  }
  return undefined;
}

/** Symbols of the kernel's code; none where memory holds no Linux kernel that has them. */
export function readKallsyms(memory: GuestMemory): readonly CodeSymbol[] {
  for (const region of memory.regions.filter(({ kind }) => kind === 'ram')) {
    const { start, byteCount } = region;
    for (let at = 0; at < byteCount; at += CHUNK_BYTES) {
      const chunk = memory.read(gpa(start + at), Math.min(CHUNK_BYTES + DIGITS.length - 1, byteCount - at));
      for (const position of findAll(chunk, DIGITS)) {
        const symbols = readAround(memory, region, start + at + position);
        if (symbols !== undefined) return symbols;
      }
    }
  }
  return [];
}
