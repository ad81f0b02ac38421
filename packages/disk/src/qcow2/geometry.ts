// Sizes of an image's tables, and the words in them (QEMU, docs/interop/qcow2.txt, "Cluster mapping" and "Host cluster management").

import { type Header, INCOMPATIBLE } from './header.ts';

/** Upper halves of L1 and L2 entries. */
export const COPIED_HI = 0x8000_0000;
export const COMPRESSED_HI = 0x4000_0000;
const OFFSET_HI = 0x00ff_ffff;
const OFFSET_LO = 0xffff_fe00;
export const ZERO_LO = 1;
const TWO_32 = 0x1_0000_0000;
/** What is cached and written of a table at once. */
const BLOCK = 4096;

export interface Geometry {
  readonly clusterBytes: number;
  readonly clusterBits: number;
  readonly isExtended: boolean;
  /** Of an L2 table. */
  readonly l2EntryBytes: number;
  readonly l2Entries: number;
  /** Guest bytes that an L2 table maps. */
  readonly l2Span: number;
  readonly subclusterBytes: number;
  readonly refcountOrder: number;
  /** Clusters that a refcount block counts. */
  readonly refcountsPerBlock: number;
  readonly maxRefcount: number;
  readonly blockBytes: number;
}

export function geometryOf(header: Pick<Header, 'clusterBits' | 'incompatible' | 'refcountOrder'>): Geometry {
  const clusterBytes = 2 ** header.clusterBits;
  const isExtended = (header.incompatible & INCOMPATIBLE.extendedL2) !== 0n;
  const l2EntryBytes = isExtended ? 16 : 8;
  const l2Entries = clusterBytes / l2EntryBytes;
  return {
    clusterBytes,
    clusterBits: header.clusterBits,
    isExtended,
    l2EntryBytes,
    l2Entries,
    l2Span: l2Entries * clusterBytes,
    subclusterBytes: isExtended ? clusterBytes / 32 : clusterBytes,
    refcountOrder: header.refcountOrder,
    refcountsPerBlock: (clusterBytes * 8) / 2 ** header.refcountOrder,
    maxRefcount: header.refcountOrder >= 5 ? 2 ** 32 - 1 : 2 ** (2 ** header.refcountOrder) - 1,
    blockBytes: Math.min(clusterBytes, BLOCK),
  };
}

/** The host offset in an L1 or L2 entry, or in the refcount table. */
export const entryOffset = (hi: number, lo: number): number => (hi & OFFSET_HI) * TWO_32 + ((lo & OFFSET_LO) >>> 0);

export const hiOf = (offset: number): number => Math.floor(offset / TWO_32);

export const loOf = (offset: number): number => offset >>> 0;

/** Where a compressed cluster lies: in whole sectors from the one that `offset` is in. */
export function compressedPlace(hi: number, lo: number, clusterBits: number): { offset: number; byteCount: number } {
  const shift = 38 - clusterBits;
  const sectors = ((hi >>> shift) & ((1 << (clusterBits - 8)) - 1)) + 1;
  const offset = (hi & ((1 << shift) - 1)) * TWO_32 + lo;
  return { offset, byteCount: sectors * 512 - (offset % 512) };
}

export function compressedHi(offset: number, byteCount: number, clusterBits: number): number {
  const sectors = Math.floor((offset + byteCount - 1) / 512) - Math.floor(offset / 512);
  return (COMPRESSED_HI | (sectors << (38 - clusterBits)) | hiOf(offset)) >>> 0;
}

/** The `index`th count of `2^order` bits. Widths below a byte fill it from the least significant bit. */
export function refcountIn(view: DataView, index: number, order: number): number {
  switch (order) {
    case 6:
      return view.getUint32(index * 8) === 0 ? view.getUint32(index * 8 + 4) : 2 ** 32 - 1;
    case 5:
      return view.getUint32(index * 4);
    case 4:
      return view.getUint16(index * 2);
    case 3:
      return view.getUint8(index);
    default: {
      const bits = 1 << order;
      return (view.getUint8((index * bits) >> 3) >> ((index * bits) & 7)) & ((1 << bits) - 1);
    }
  }
}

export function setRefcountIn(view: DataView, index: number, order: number, count: number): void {
  switch (order) {
    case 6:
      view.setUint32(index * 8, 0);
      view.setUint32(index * 8 + 4, count);
      return;
    case 5:
      view.setUint32(index * 4, count);
      return;
    case 4:
      view.setUint16(index * 2, count);
      return;
    case 3:
      view.setUint8(index, count);
      return;
    default: {
      const bits = 1 << order;
      const at = (index * bits) >> 3;
      const shift = (index * bits) & 7;
      const mask = ((1 << bits) - 1) << shift;
      view.setUint8(at, (view.getUint8(at) & ~mask) | (count << shift));
    }
  }
}
