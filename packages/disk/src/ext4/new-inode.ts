// An inode of a new file system, and its bytes.

import { AnilloError } from '@anillo/base/anillo-error';
import type { BlockRun } from './block-allocator.ts';
import type { Ext4Checksums } from './ext4-checksums.ts';
import { INODE_BYTES } from './ext4-geometry.ts';
import {
  ATTRIBUTE,
  ATTRIBUTE_MAGIC,
  ATTRIBUTE_PREFIXES,
  EXTENT,
  EXTENT_HEADER,
  EXTENT_INDEX,
  EXTENT_MAGIC,
  EXTRA_INODE_BYTES,
  INODE,
  INODE_FLAG,
  OLD_INODE_BYTES,
} from './ext4-layout.ts';

export interface Ownership {
  /** Permissions, with set-user-id and its kin. */
  readonly mode: number;
  readonly user: number;
  readonly group: number;
  /** Seconds since 1970. */
  readonly modifyTime: number;
  /** By their full names ("security.capability"). */
  readonly attributes?: ReadonlyMap<string, Uint8Array>;
}

const align4 = (value: number): number => (value + 3) & ~3;
const INLINE_EXTENTS = 4;
const ATTRIBUTES_AT = OLD_INODE_BYTES + EXTRA_INODE_BYTES;
/** A time beyond 2038 has two more bits in its second word (Linux, "Inode Timestamps"). */
const timeExtra = (seconds: number): number => Math.floor((seconds + 2 ** 31) / 2 ** 32) & 3;

export class NewInode {
  readonly number: number;
  /** With the type. */
  mode: number;
  links = 1;
  byteCount = 0;
  /** Blocks that it takes, those of its extents' tree included. */
  blockCount = 0;
  readonly block = new Uint8Array(60);
  #ownership: Ownership;
  #flags = 0;

  constructor(number: number, type: number, ownership: Ownership) {
    this.number = number;
    this.mode = type | ownership.mode;
    this.#ownership = ownership;
  }

  /** A directory that was there before it was described. */
  takeOwnership(from: NewInode): void {
    this.mode = from.mode;
    this.#ownership = from.#ownership;
  }

  /** Its content, in order. `addBlock` takes a block of the tree and gives its place. */
  async setExtents(
    runs: readonly BlockRun[],
    blockBytes: number,
    sums: Ext4Checksums,
    addBlock: (block: Uint8Array) => Promise<number>,
  ): Promise<void> {
    this.#flags |= INODE_FLAG.extents;
    this.blockCount = runs.reduce((sum, { count }) => sum + count, 0);
    if (runs.length <= INLINE_EXTENTS) {
      writeNode(this.block, runs, 0, INLINE_EXTENTS);
      return;
    }
    const perLeaf = Math.floor((blockBytes - EXTENT_HEADER.byteCount) / EXTENT.byteCount);
    const leaves: { readonly fileBlock: number; readonly place: number }[] = [];
    let fileBlock = 0;
    for (let first = 0; first < runs.length; first += perLeaf) {
      const part = runs.slice(first, first + perLeaf);
      const leaf = new Uint8Array(blockBytes);
      const next = writeNode(leaf, part, fileBlock, perLeaf);
      sums.signExtents(this.number, leaf);
      leaves.push({ fileBlock, place: await addBlock(leaf) });
      this.blockCount++;
      fileBlock = next;
    }
    if (leaves.length > INLINE_EXTENTS)
      throw new AnilloError('BAD_OPTION', 'A file is in too many pieces for a new file system; leave it out.');
    EXTENT_HEADER.encodeInto(this.block, 0, { magic: EXTENT_MAGIC, entries: leaves.length, most: INLINE_EXTENTS, depth: 1 });
    for (const [i, leaf] of leaves.entries())
      EXTENT_INDEX.encodeInto(this.block, EXTENT_HEADER.byteCount + i * EXTENT_INDEX.byteCount, {
        fileBlock: leaf.fileBlock,
        leafLow: leaf.place % 2 ** 32,
        leafHigh: Math.floor(leaf.place / 2 ** 32),
      });
  }

  encode(sums: Ext4Checksums, sectorsPerBlock: number): Uint8Array {
    const { user, group, modifyTime } = this.#ownership;
    const seconds = Math.min(Math.max(Math.floor(modifyTime), 0), 2 ** 34 - 1);
    const [time, extra] = [seconds >>> 0, timeExtra(seconds)];
    const sectors = this.blockCount * sectorsPerBlock;
    const bytes = new Uint8Array(INODE_BYTES);
    INODE.encodeInto(bytes, 0, {
      mode: this.mode,
      user: user & 0xffff,
      userHigh: user >>> 16,
      group: group & 0xffff,
      groupHigh: group >>> 16,
      sizeLow: this.byteCount % 2 ** 32,
      sizeHigh: Math.floor(this.byteCount / 2 ** 32),
      ...{ accessTime: time, changeTime: time, modifyTime: time, createTime: time },
      ...{ accessTimeExtra: extra, changeTimeExtra: extra, modifyTimeExtra: extra, createTimeExtra: extra },
      links: this.links,
      sectorsLow: sectors % 2 ** 32,
      sectorsHigh: Math.floor(sectors / 2 ** 32),
      flags: this.#flags,
      block: this.block,
      extraSize: EXTRA_INODE_BYTES,
    });
    this.#encodeAttributes(bytes);
    sums.signInode(this.number, bytes);
    return bytes;
  }

  /** Names from the front, values from the back of what an inode has room for. */
  #encodeAttributes(bytes: Uint8Array): void {
    const { attributes } = this.#ownership;
    if (attributes === undefined || attributes.size === 0) return;
    const area = bytes.subarray(ATTRIBUTES_AT);
    new DataView(area.buffer, area.byteOffset).setUint32(0, ATTRIBUTE_MAGIC, true);
    const entries = area.subarray(4);
    let at = 0;
    let end = entries.length;
    for (const [name, value] of attributes) {
      const prefix = ATTRIBUTE_PREFIXES.find(([text]) => name.startsWith(text));
      if (prefix === undefined) throw new AnilloError('BAD_OPTION', `The attribute ${name} of a file is not known; leave it out.`);
      const [text, nameIndex] = prefix;
      const rest = Uint8Array.from(name.slice(text.length), (letter) => letter.charCodeAt(0));
      const next = align4(at + ATTRIBUTE.byteCount + rest.length);
      end -= align4(value.length);
      // Four bytes of zeros end the names.
      if (next + 4 > end) throw new AnilloError('BAD_OPTION', `The attribute ${name} of a file is too long; leave it out.`);
      ATTRIBUTE.encodeInto(entries, at, { nameBytes: rest.length, nameIndex, valueOffset: end, valueBytes: value.length });
      entries.set(rest, at + ATTRIBUTE.byteCount);
      entries.set(value, end);
      at = next;
    }
  }
}

/** Gives the file's block behind the last run. */
function writeNode(into: Uint8Array, runs: readonly BlockRun[], firstFileBlock: number, most: number): number {
  EXTENT_HEADER.encodeInto(into, 0, { magic: EXTENT_MAGIC, entries: runs.length, most });
  let fileBlock = firstFileBlock;
  for (const [i, { start, count }] of runs.entries()) {
    EXTENT.encodeInto(into, EXTENT_HEADER.byteCount + i * EXTENT.byteCount, {
      fileBlock,
      length: count,
      startHigh: Math.floor(start / 2 ** 32),
      startLow: start % 2 ** 32,
    });
    fileBlock += count;
  }
  return fileBlock;
}
