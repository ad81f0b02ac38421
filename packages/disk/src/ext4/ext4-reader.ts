// Reads files out of an ext2, ext3 or ext4 file system, which may be damaged or hostile: every number is checked before it is used. What its journal still has to bring in place is read from there.

import { AnilloError } from '@anillo/base/anillo-error';
import type { Volume } from '../volume.ts';
import { hasSuperblock } from './ext4-geometry.ts';
import {
  DIRECTORY_ENTRY,
  GROUP_DESCRIPTOR,
  INCOMPAT,
  INODE,
  INODE_FLAG,
  JOURNAL_HEADER,
  JOURNAL_MAGIC,
  MAGIC,
  MODE,
  OLD_INODE_BYTES,
  ROOT_INODE,
  SUPERBLOCK,
  SUPERBLOCK_OFFSET,
} from './ext4-layout.ts';
import { type BlockReader, extentRuns, type FileRun, pointerRuns } from './file-blocks.ts';
import { type JournalPlace, readJournal } from './journal-reader.ts';

/** An inode, as far as a reader needs it. */
export interface Ext4File {
  readonly number: number;
  readonly kind: 'file' | 'directory' | 'symlink' | 'other';
  readonly byteCount: number;
  readonly flags: number;
  readonly block: Uint8Array;
}

const KINDS = new Map<number, Ext4File['kind']>([
  [MODE.file, 'file'],
  [MODE.directory, 'directory'],
  [MODE.symlink, 'symlink'],
]);
/** "journal_dev" and "compression" are what cannot be read, and whatever has no name yet. */
const KNOWN =
  INCOMPAT.fileType |
  INCOMPAT.recover |
  INCOMPAT.metaGroups |
  INCOMPAT.extents |
  INCOMPAT.bits64 |
  INCOMPAT.mountProtection |
  INCOMPAT.flexGroups |
  INCOMPAT.attributeInodes |
  INCOMPAT.checksumSeed |
  INCOMPAT.largeDirectories |
  INCOMPAT.inlineData |
  INCOMPAT.encryption |
  INCOMPAT.caseFolding;

const MOST_LINKS = 40;
const MOST_LINK_BYTES = 4096;
const MOST_NAMES = 100;
const MOST_DIRECTORY_BYTES = 1 << 20;
const MOST_JOURNAL_BYTES = 2 ** 30;

const damaged = (what: string): AnilloError =>
  new AnilloError('BAD_IMAGE', `An ext4 file system is damaged (${what}); check it with fsck.`);
const isPowerOfTwo = (value: number): boolean => value > 0 && (value & (value - 1)) === 0;

type Superblock = ReturnType<typeof SUPERBLOCK.decode>;

export class Ext4Reader implements BlockReader {
  readonly blockBytes: number;
  readonly uuid: string;
  readonly #volume: Volume;
  readonly #superblock: Superblock;
  readonly #blockCount: number;
  readonly #inodeBytes: number;
  readonly #descriptorBytes: number;
  /** Blocks whose latest bytes are still in the journal, and where there. */
  #inJournal: ReadonlyMap<number, JournalPlace> = new Map();

  private constructor(volume: Volume, superblock: Superblock) {
    this.#volume = volume;
    this.#superblock = superblock;
    const { logBlockSize, incompat, blockCountLow, blockCountHigh, revision, inodeSize, descriptorSize, inodesPerGroup, blocksPerGroup } =
      superblock;
    if (logBlockSize > 6) throw damaged('its blocks are too large');
    this.blockBytes = 1024 << logBlockSize;
    const unknown = incompat & ~KNOWN;
    if (unknown !== 0)
      throw new AnilloError(
        'UNSUPPORTED',
        `An ext4 file system has features that are not known (0x${(unknown >>> 0).toString(16)}); give --kernel.`,
      );
    const isWide = (incompat & INCOMPAT.bits64) !== 0;
    this.#blockCount = blockCountLow + (isWide ? blockCountHigh * 2 ** 32 : 0);
    this.#inodeBytes = revision === 0 ? OLD_INODE_BYTES : inodeSize;
    this.#descriptorBytes = isWide ? descriptorSize : 32;
    if (!isPowerOfTwo(this.#inodeBytes) || this.#inodeBytes < OLD_INODE_BYTES || this.#inodeBytes > this.blockBytes)
      throw damaged('its inodes have no size');
    if (!isPowerOfTwo(this.#descriptorBytes) || this.#descriptorBytes < (isWide ? 64 : 32) || this.#descriptorBytes > 1024)
      throw damaged('its groups have no descriptors');
    const most = 8 * this.blockBytes;
    if (inodesPerGroup === 0 || inodesPerGroup > most || blocksPerGroup === 0 || blocksPerGroup > 8 * 65536)
      throw damaged('its groups have no size');
    this.uuid = uuidText(superblock.uuid);
  }

  /** Undefined: there is none. AnilloError BAD_IMAGE, UNSUPPORTED. */
  static async open(volume: Volume): Promise<Ext4Reader | undefined> {
    if (volume.byteCount < SUPERBLOCK_OFFSET + SUPERBLOCK.byteCount) return undefined;
    const bytes = new Uint8Array(SUPERBLOCK.byteCount);
    await volume.read(SUPERBLOCK_OFFSET, bytes);
    const superblock = SUPERBLOCK.decode(bytes);
    if (superblock.magic !== MAGIC || (superblock.incompat & INCOMPAT.journalDevice) !== 0) return undefined;
    const reader = new Ext4Reader(volume, superblock);
    if ((superblock.incompat & INCOMPAT.recover) !== 0) await reader.#replay();
    return reader;
  }

  /** A file system that was not unmounted. */
  async #replay(): Promise<void> {
    const { journalInode } = this.#superblock;
    if (journalInode === 0) return; // on another device
    const file = await this.inode(journalInode);
    if (file.byteCount > MOST_JOURNAL_BYTES) throw damaged('its journal is too large');
    this.#inJournal = await readJournal(await this.#runs(file), this);
  }

  async readBlock(block: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(this.blockBytes);
    await this.#readRun(block, bytes);
    return bytes;
  }

  async #readRun(start: number, into: Uint8Array): Promise<void> {
    const count = Math.ceil(into.length / this.blockBytes);
    if (start + count > this.#blockCount) throw damaged(`it refers to block ${start + count - 1} of ${this.#blockCount}`);
    await this.#volume.read(start * this.blockBytes, into);
    if (this.#inJournal.size === 0) return;
    for (let i = 0; i < count; i++) {
      const kept = this.#inJournal.get(start + i);
      if (kept === undefined) continue;
      const block = into.subarray(i * this.blockBytes, (i + 1) * this.blockBytes);
      await this.#volume.read(kept.place * this.blockBytes, block);
      if (kept.isEscaped) JOURNAL_HEADER.encodeInto(block, 0, { magic: JOURNAL_MAGIC });
    }
  }

  /** The block with a group's descriptor, and where in it. */
  #descriptorPlace(group: number): readonly [block: number, at: number] {
    const { firstDataBlock, firstMetaGroup, incompat, blocksPerGroup } = this.#superblock;
    const perBlock = this.blockBytes / this.#descriptorBytes;
    const index = Math.floor(group / perBlock);
    const at = (group % perBlock) * this.#descriptorBytes;
    if ((incompat & INCOMPAT.metaGroups) === 0 || index < firstMetaGroup) return [firstDataBlock + 1 + index, at];
    const first = index * perBlock;
    return [firstDataBlock + first * blocksPerGroup + (hasSuperblock(first) ? 1 : 0), at];
  }

  /** AnilloError BAD_IMAGE. */
  async inode(number: number): Promise<Ext4File> {
    const { inodeCount, inodesPerGroup } = this.#superblock;
    if (number < 1 || number > inodeCount) throw damaged(`it refers to inode ${number} of ${inodeCount}`);
    const group = Math.floor((number - 1) / inodesPerGroup);
    const [block, at] = this.#descriptorPlace(group);
    // Without "64bit" its upper half is the next one's.
    const bytes = new Uint8Array(GROUP_DESCRIPTOR.byteCount);
    bytes.set((await this.readBlock(block)).subarray(at, at + Math.min(this.#descriptorBytes, bytes.length)));
    const { inodeTableLow, inodeTableHigh } = GROUP_DESCRIPTOR.decode(bytes);
    const byteInTable = ((number - 1) % inodesPerGroup) * this.#inodeBytes;
    const tableBlock = inodeTableHigh * 2 ** 32 + inodeTableLow + Math.floor(byteInTable / this.blockBytes);
    const content = new Uint8Array(INODE.byteCount);
    const from = byteInTable % this.blockBytes;
    content.set((await this.readBlock(tableBlock)).subarray(from, from + OLD_INODE_BYTES));
    const { mode, sizeLow, sizeHigh, flags, block: pointers } = INODE.decode(content);
    const kind = KINDS.get(mode & MODE.type) ?? 'other';
    return { number, kind, byteCount: sizeLow + sizeHigh * 2 ** 32, flags, block: pointers };
  }

  #runs(file: Ext4File): Promise<readonly FileRun[]> {
    if ((file.flags & INODE_FLAG.extents) !== 0) return extentRuns(file.block, this);
    return pointerRuns(file.block, Math.ceil(file.byteCount / this.blockBytes), this);
  }

  /** AnilloError BAD_IMAGE, also for what is larger than `mostBytes`; UNSUPPORTED. */
  async read(file: Ext4File, mostBytes: number): Promise<Uint8Array> {
    if (file.byteCount > mostBytes || file.byteCount > this.#blockCount * this.blockBytes)
      throw damaged(`a file has ${file.byteCount} bytes`);
    if ((file.flags & (INODE_FLAG.inlineData | INODE_FLAG.encrypted)) !== 0)
      throw new AnilloError(
        'UNSUPPORTED',
        'A file of the ext4 file system is encrypted or kept within its inode, which is not read here; give --kernel.',
      );
    const bytes = new Uint8Array(file.byteCount);
    for (const { fileBlock, count, start } of await this.#runs(file)) {
      const from = fileBlock * this.blockBytes;
      if (from >= bytes.length) break;
      await this.#readRun(start, bytes.subarray(from, from + count * this.blockBytes));
    }
    return bytes;
  }

  /** Names, one character a byte, and their inodes; "." and ".." are left out. */
  async list(directory: Ext4File): Promise<ReadonlyMap<string, number>> {
    const found = new Map<string, number>();
    const bytes = await this.read(directory, MOST_DIRECTORY_BYTES);
    for (let blockAt = 0; blockAt + this.blockBytes <= bytes.length; blockAt += this.blockBytes)
      listBlock(bytes.subarray(blockAt, blockAt + this.blockBytes), found);
    return found;
  }

  /** Where a symbolic link leads. */
  async target(link: Ext4File): Promise<string> {
    const isInside = link.byteCount < link.block.length && (link.flags & INODE_FLAG.extents) === 0;
    const bytes = isInside ? link.block.subarray(0, link.byteCount) : await this.read(link, MOST_LINK_BYTES);
    return binaryText(bytes);
  }

  /** Through symbolic links; `path` of the answer has none. Undefined: there is nothing of this name. */
  async find(path: string): Promise<{ readonly path: string; readonly file: Ext4File } | undefined> {
    const names = path.split('/').reverse();
    const trail: { readonly name: string; readonly file: Ext4File }[] = [];
    const root = await this.inode(ROOT_INODE);
    for (let links = 0, seen = 0; names.length > 0; ) {
      const name = names.pop() as string;
      if (name === '' || name === '.') continue;
      if (name === '..') {
        trail.pop();
        continue;
      }
      if (++seen > MOST_NAMES) return undefined;
      const folder = trail.at(-1)?.file ?? root;
      const number = folder.kind === 'directory' ? (await this.list(folder)).get(name) : undefined;
      if (number === undefined) return undefined;
      const file = await this.inode(number);
      if (file.kind !== 'symlink') {
        trail.push({ name, file });
        continue;
      }
      if (++links > MOST_LINKS) return undefined;
      const target = await this.target(file);
      if (target.startsWith('/')) trail.length = 0;
      names.push(...target.split('/').reverse());
    }
    return { path: trail.map(({ name }) => name).join('/'), file: trail.at(-1)?.file ?? root };
  }
}

function listBlock(block: Uint8Array, found: Map<string, number>): void {
  for (let at = 0; at + DIRECTORY_ENTRY.byteCount <= block.length; ) {
    const { inode, recordBytes, nameBytes } = DIRECTORY_ENTRY.decode(block, at);
    // Blocks of 64 KiB have entries that are too long for their field.
    const bytes = block.length === 65536 && (recordBytes === 0 || recordBytes === 65535) ? 65536 : recordBytes;
    if (bytes < DIRECTORY_ENTRY.byteCount + nameBytes || bytes % 4 !== 0 || at + bytes > block.length)
      throw damaged('a directory is no list of names');
    const name = binaryText(block.subarray(at + DIRECTORY_ENTRY.byteCount, at + DIRECTORY_ENTRY.byteCount + nameBytes));
    if (inode !== 0 && name !== '' && name !== '.' && name !== '..') found.set(name, inode);
    at += bytes;
  }
}

const binaryText = (bytes: Uint8Array): string => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');

export function uuidText(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
