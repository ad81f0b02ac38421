// Compiled regions by the guest bytes that they were made from, kept between runs: WebAssembly as the region compiler wrote it, which depends on nothing but
// its blocks' bytes, their distances and the mode. As with remembered blocks, a region serves only where all bytes that translation has looked at are the same.
//
//   Header, then regions: Region, a RegionPart for each block, guest bytes of the blocks one after the other, WebAssembly; each at a multiple of 8

import { struct } from '@anillo/base/struct';
import { seenBytes } from './remembered-blocks.ts';
import type { Block } from '@anillo/ir/block';

const Header = struct({
  magic: 'u32',
  /** What else the code depends on (see the constructor). */
  flavour: 'u32',
});
const Region = struct({
  /** All that belongs to the region, this included. */
  bytes: 'u32',
  mode: 'u32',
  /** Which of its blocks was hot. */
  hot: 'u16',
  blockCount: 'u16',
  wasmBytes: 'u32',
});
const RegionPart = struct({
  /** From the lowest block. */
  offset: 'i32',
  /** `functionEntry`, or -1. */
  entry: 'i32',
  /** Guest bytes that translation has looked at. */
  seen: 'u16',
  /** ENDS_PAGE, COPY. */
  flags: 'u16',
  spare: 'u32',
});
/** The page ends after the bytes; the block is a copy of one of another function. */
const ENDS_PAGE = 1;
const COPY = 2;

/** Changes whenever this layout does. */
const MAGIC = 0x416e_5201;
const PAGE = 4096;
/** In memory, and in a file. */
const MAX_BYTES = 16 << 20;
/** What was kept stays as it is while it lacks less than one part in so many, and so many bytes. */
const WORTH_KEEPING = 16;
const WORTH_KEEPING_BYTES = 65536;
/** Hot blocks are listed by so many of their bytes, those that have fewer by the first one. */
const KEY_BYTES = 8;

interface Remembered {
  readonly mode: number;
  readonly hot: number;
  readonly parts: readonly { readonly offset: number; readonly entry: number; readonly seen: number; readonly flags: number }[];
  readonly guest: Uint8Array;
  readonly wasm: Uint8Array<ArrayBuffer>;
  isNeeded: boolean;
}

export interface RegionPlace {
  /** From the lowest block. */
  readonly offset: number;
  readonly entry: number;
  readonly isCopy: boolean;
  /** In the machine's memory. */
  readonly hostAddress: number;
}
export interface NewRegion {
  readonly mode: number;
  /** Index of the hot block. */
  readonly hot: number;
  /** None of them straddles pages. */
  readonly blocks: readonly (RegionPlace & { readonly block: Block })[];
  readonly wasm: Uint8Array<ArrayBuffer>;
}
export interface RecalledRegion {
  readonly blocks: readonly RegionPlace[];
  readonly wasm: Uint8Array<ArrayBuffer>;
}

const align8 = (n: number): number => (n + 7) & ~7;
const byteCountOf = (r: Remembered): number =>
  Region.bytes + r.parts.length * RegionPart.bytes + align8(r.guest.length) + align8(r.wasm.length);

export class RememberedRegions {
  readonly #flavour: number;
  readonly #byKey = new Map<string, Remembered[]>();
  #bytes = Header.bytes;
  #newBytes = 0;

  /** `flavour`: code for another one is of no use. `kept`: what `image` gave in an earlier run. */
  constructor(flavour: number, kept?: Uint8Array) {
    this.#flavour = flavour;
    if (kept !== undefined && kept.length <= MAX_BYTES) this.#read(Uint8Array.from(kept));
  }

  #read(kept: Uint8Array<ArrayBuffer>): void {
    if (kept.length < Header.bytes) return;
    const { magic, flavour } = Header.view(kept.buffer, 0);
    if (magic !== MAGIC || flavour !== this.#flavour) return;
    for (let at = Header.bytes; at + Region.bytes <= kept.length; ) {
      const head = Region.view(kept.buffer, at);
      const guestAt = at + Region.bytes + head.blockCount * RegionPart.bytes;
      const wasmAt = at + head.bytes - align8(head.wasmBytes);
      if (head.bytes < Region.bytes || at + head.bytes > kept.length || guestAt > wasmAt || head.hot >= head.blockCount) return;
      const parts = Array.from({ length: head.blockCount }, (_, i) => {
        const { offset, entry, seen, flags } = RegionPart.view(kept.buffer, at + Region.bytes + i * RegionPart.bytes);
        return { offset, entry, seen, flags };
      });
      const guestBytes = parts.reduce((sum, { seen }) => sum + seen, 0);
      if (guestAt + guestBytes > wasmAt) return;
      const wasm = kept.subarray(wasmAt, wasmAt + head.wasmBytes);
      const guest = kept.subarray(guestAt, guestAt + guestBytes);
      this.#list({ mode: head.mode, hot: head.hot, parts, guest, wasm, isNeeded: false });
      at += head.bytes;
    }
    this.#newBytes = 0;
  }

  #list(region: Remembered): void {
    const { parts, hot, guest } = region;
    const from = parts.slice(0, hot).reduce((sum, { seen }) => sum + seen, 0);
    const seen = (parts[hot] as (typeof parts)[0]).seen;
    const key = keyOf(guest, from, seen < KEY_BYTES ? 1 : KEY_BYTES);
    const known = this.#byKey.get(key);
    if (known) known.unshift(region);
    else this.#byKey.set(key, [region]);
    this.#bytes += byteCountOf(region);
    this.#newBytes += byteCountOf(region);
  }

  /** Remembers a region that has just been compiled. `memory` is the machine's. */
  add(memory: Uint8Array, { mode, hot, blocks, wasm }: NewRegion): void {
    const pieces: Uint8Array[] = [];
    const parts = blocks.map(({ offset, entry, isCopy, hostAddress, block }) => {
      const { count, endsPage } = seenBytes(block, PAGE - (hostAddress & (PAGE - 1)));
      pieces.push(memory.subarray(hostAddress, hostAddress + count));
      return { offset, entry, seen: count, flags: (endsPage ? ENDS_PAGE : 0) | (isCopy ? COPY : 0) };
    });
    const guest = concat(pieces);
    const region = { mode, hot, parts, guest, wasm: wasm.slice(), isNeeded: true };
    if (this.#bytes + byteCountOf(region) <= MAX_BYTES) this.#list(region);
  }

  /**
   * A region whose hot block is the one at `hostAddress`; `pageAt` gives the machine-memory address of the page that lies so many pages from that one in
   * linear memory, or -1.
   */
  find(memory: Uint8Array, hostAddress: number, mode: number, pageAt: (pages: number) => number): RecalledRegion | undefined {
    const rest = PAGE - (hostAddress & (PAGE - 1));
    for (const length of [KEY_BYTES, 1]) {
      if (length > rest) continue;
      for (const region of this.#byKey.get(keyOf(memory, hostAddress, length)) ?? []) {
        const blocks = region.mode === mode ? placesOf(region, memory, hostAddress, pageAt) : undefined;
        if (blocks === undefined) continue;
        region.isNeeded = true;
        return { blocks, wasm: region.wasm };
      }
    }
    return undefined;
  }

  /** What is worth keeping for the next run; undefined: what was kept before still is. Beyond half of the room, what this run has not needed goes. */
  image(): Uint8Array | undefined {
    const keptBytes = this.#bytes - this.#newBytes;
    if (this.#newBytes < Math.max(WORTH_KEEPING_BYTES, keptBytes / WORTH_KEEPING)) return undefined;
    const isCrowded = this.#bytes > MAX_BYTES / 2;
    const regions = [...this.#byKey.values()].flatMap((list) => list.toReversed()).filter(({ isNeeded }) => isNeeded || !isCrowded);
    const image = new Uint8Array(regions.reduce((sum, region) => sum + byteCountOf(region), Header.bytes));
    Object.assign(Header.view(image.buffer, 0), { magic: MAGIC, flavour: this.#flavour });
    let at = Header.bytes;
    for (const region of regions) {
      const { mode, hot, parts, guest, wasm } = region;
      const bytes = byteCountOf(region);
      Object.assign(Region.view(image.buffer, at), { bytes, mode, hot, blockCount: parts.length, wasmBytes: wasm.length });
      parts.forEach((part, i) => void Object.assign(RegionPart.view(image.buffer, at + Region.bytes + i * RegionPart.bytes), part));
      image.set(guest, at + Region.bytes + parts.length * RegionPart.bytes);
      image.set(wasm, at + bytes - align8(wasm.length));
      at += bytes;
    }
    return image;
  }
}

const keyOf = (bytes: Uint8Array, at: number, length: number): string => String.fromCharCode(...bytes.subarray(at, at + length));

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** Where a region's blocks lie if its hot one is at `hostAddress`; undefined: not all bytes are the same. */
function placesOf(
  region: Remembered,
  memory: Uint8Array,
  hostAddress: number,
  pageAt: (pages: number) => number,
): RegionPlace[] | undefined {
  const { parts, hot, guest } = region;
  const move = (hostAddress & (PAGE - 1)) - (parts[hot]?.offset ?? 0);
  const pages = new Map<number, number>([[0, (hostAddress & -PAGE) >>> 0]]);
  const places: RegionPlace[] = [];
  let from = 0;
  for (const { offset, entry, seen, flags } of parts) {
    const distance = offset + move;
    const page = distance >> 12;
    let hostPage = pages.get(page);
    if (hostPage === undefined) {
      hostPage = pageAt(page);
      pages.set(page, hostPage);
    }
    if (hostPage < 0) return undefined;
    const at = hostPage + (distance & (PAGE - 1));
    const rest = PAGE - (distance & (PAGE - 1));
    if (seen > rest || ((flags & ENDS_PAGE) !== 0 && seen < rest)) return undefined;
    for (let i = 0; i < seen; i++) if (guest[from + i] !== memory[at + i]) return undefined;
    from += seen;
    places.push({ offset, entry, isCopy: (flags & COPY) !== 0, hostAddress: at });
  }
  return places;
}
