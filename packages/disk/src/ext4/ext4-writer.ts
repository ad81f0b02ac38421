// Makes an ext4 file system on an empty disk: files are added one after the other, then it is finished. Journal, extents, 64 bits, sums of all metadata, as mke2fs makes it by default but
// for groups that are not flexed and no blocks kept for more descriptors: Linux grows it by metagroups.

import { AnilloError } from '@anillo/base/anillo-error';
import type { Disk } from '../disk.ts';
import { BlockAllocator, type BlockRun } from './block-allocator.ts';
import { Ext4Checksums } from './ext4-checksums.ts';
import { BLOCK_BYTES, type Ext4Geometry, ext4Geometry } from './ext4-geometry.ts';
import {
  FILE_TYPE,
  FIRST_INODE,
  JOURNAL_BLOCK,
  JOURNAL_INODE,
  JOURNAL_MAGIC,
  JOURNAL_SUPERBLOCK,
  MODE,
  ROOT_INODE,
} from './ext4-layout.ts';
import { writeGroups } from './group-writer.ts';
import { NewDirectory } from './new-directory.ts';
import { NewInode, type Ownership } from './new-inode.ts';

export interface Ext4WriterOptions {
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** 16 bytes that nobody can guess: names are spread over large directories by them. */
  readonly hashSeed: Uint8Array;
  /** At most 16 characters. */
  readonly label?: string;
  /** Seconds since 1970, of what the file system itself makes. */
  readonly makeTime: number;
}

export interface NewFile extends Ownership {
  /** From the root, without "/" before it. Bytes, one character each. Folders come before what they hold. */
  readonly path: string;
}

/** Bytes of a file, in pieces of any length. */
export type FileContent = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

const PIECE_BYTES = 1 << 20;
const LINK_BYTES = 60;
const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

export class Ext4Writer {
  readonly geometry: Ext4Geometry;
  readonly #disk: Disk;
  readonly #options: Ext4WriterOptions;
  readonly #sums: Ext4Checksums;
  readonly #blocks: BlockAllocator;
  /** By number; those before the first are the file system's own. */
  readonly #inodes: (NewInode | undefined)[] = [];
  readonly #root: NewDirectory;

  /** The disk reads as zeros. AnilloError BAD_OPTION for a size that is not possible. */
  constructor(disk: Disk, options: Ext4WriterOptions) {
    this.geometry = ext4Geometry(disk.byteCount);
    this.#disk = disk;
    this.#options = options;
    this.#sums = new Ext4Checksums(options.uuid);
    this.#blocks = new BlockAllocator(this.geometry);
    const own = { mode: 0o755, user: 0, group: 0, modifyTime: options.makeTime };
    this.#inodes.length = FIRST_INODE;
    this.#root = new NewDirectory(new NewInode(ROOT_INODE, MODE.directory, own), undefined);
    this.#inodes[ROOT_INODE] = this.#root.inode;
    this.addDirectory({ ...own, path: 'lost+found', mode: 0o700 });
  }

  addDirectory(file: NewFile): void {
    if (file.path === '') {
      const root = new NewInode(ROOT_INODE, MODE.directory, file);
      // Its directory is there already: only what it says of itself changes.
      this.#root.inode.takeOwnership(root);
      return;
    }
    const [parent, name] = this.#place(file.path);
    const known = parent.get(name);
    if (known?.directory !== undefined) return known.directory.inode.takeOwnership(new NewInode(known.inode, MODE.directory, file));
    const inode = this.#newInode(MODE.directory, file);
    parent.add(name, { inode: inode.number, fileType: FILE_TYPE.directory, directory: new NewDirectory(inode, parent) });
  }

  /** `content` has exactly so many bytes. AnilloError BAD_OPTION where they do not fit, BAD_IMAGE where there are not as many. */
  async addFile(file: NewFile, byteCount: number, content: FileContent): Promise<void> {
    const [parent, name] = this.#place(file.path);
    const inode = this.#newInode(MODE.file, file);
    parent.add(name, { inode: inode.number, fileType: FILE_TYPE.file });
    await this.#fill(inode, byteCount, content);
  }

  async addSymlink(file: NewFile, target: string): Promise<void> {
    const [parent, name] = this.#place(file.path);
    const bytes = Uint8Array.from(target, (letter) => letter.charCodeAt(0));
    if (bytes.length === 0 || bytes.length >= BLOCK_BYTES)
      throw new AnilloError('BAD_IMAGE', `The symbolic link ${file.path} has a target of ${bytes.length} bytes; give another archive.`);
    const inode = this.#newInode(MODE.symlink, { ...file, mode: 0o777 });
    parent.add(name, { inode: inode.number, fileType: FILE_TYPE.symlink });
    if (bytes.length >= LINK_BYTES) return this.#fill(inode, bytes.length, [bytes]);
    inode.block.set(bytes);
    inode.byteCount = bytes.length;
  }

  /** Another name of a file that was added. */
  addHardLink(path: string, target: string): void {
    const [parent, name] = this.#place(path);
    const [folder, last] = this.#place(target);
    const entry = folder.get(last);
    const inode = entry === undefined ? undefined : this.#inodes[entry.inode];
    if (entry === undefined || inode === undefined || entry.directory !== undefined)
      throw new AnilloError('BAD_IMAGE', `${path} is another name of ${target}, which is no file; give another archive.`);
    parent.add(name, entry);
    inode.links++;
  }

  addDevice(file: NewFile, kind: 'character' | 'block', major: number, minor: number): void {
    const [parent, name] = this.#place(file.path);
    const inode = this.#newInode(kind === 'block' ? MODE.blockDevice : MODE.characterDevice, file);
    parent.add(name, { inode: inode.number, fileType: kind === 'block' ? FILE_TYPE.blockDevice : FILE_TYPE.characterDevice });
    const words = new DataView(inode.block.buffer);
    // Two forms: the old one where it is enough.
    if (major < 256 && minor < 256) words.setUint32(0, (major << 8) | minor, true);
    else words.setUint32(4, ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0, true);
  }

  addFifo(file: NewFile): void {
    const [parent, name] = this.#place(file.path);
    parent.add(name, { inode: this.#newInode(MODE.fifo, file).number, fileType: FILE_TYPE.fifo });
  }

  /** Writes what is left. The disk is not flushed. */
  async finish(): Promise<void> {
    const journal = await this.#writeJournal();
    let directories = 0;
    const waiting = [this.#root];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      directories++;
      const blocks = next.encode(BLOCK_BYTES, this.#sums);
      await this.#fill(next.inode, blocks.length * BLOCK_BYTES, blocks);
      waiting.push(...next.directories());
    }
    await writeGroups(this.#disk, {
      ...this.#options,
      geometry: this.geometry,
      sums: this.#sums,
      blocks: this.#blocks,
      inodes: this.#inodes,
      directories: this.#directoriesByGroup(directories),
      journal,
    });
  }

  #directoriesByGroup(count: number): Uint32Array {
    const found = new Uint32Array(this.geometry.groupCount);
    let seen = 0;
    for (const inode of this.#inodes) {
      if (inode === undefined || (inode.mode & MODE.type) !== MODE.directory) continue;
      found[Math.floor((inode.number - 1) / this.geometry.inodesPerGroup)]++;
      seen++;
    }
    if (seen !== count) throw new AnilloError('STATE', 'A directory of the file system is not reached; this is a defect of Anillo.');
    return found;
  }

  async #writeJournal(): Promise<NewInode | undefined> {
    const { journalBlocks } = this.geometry;
    if (journalBlocks === 0) return undefined;
    const inode = new NewInode(JOURNAL_INODE, MODE.file, { mode: 0o600, user: 0, group: 0, modifyTime: this.#options.makeTime });
    this.#inodes[JOURNAL_INODE] = inode;
    const head = new Uint8Array(BLOCK_BYTES);
    JOURNAL_SUPERBLOCK.encodeInto(head, 0, {
      ...{ magic: JOURNAL_MAGIC, type: JOURNAL_BLOCK.superblock2, blockSize: BLOCK_BYTES, blockCount: journalBlocks },
      ...{ firstBlock: 1, sequence: 1, start: 0, uuid: this.#options.uuid, userCount: 1 },
    });
    // The rest of it is zeros already.
    const runs = this.#allocate(journalBlocks);
    await this.#disk.write(runs[0].start * BLOCK_BYTES, [head]);
    inode.byteCount = journalBlocks * BLOCK_BYTES;
    await this.#setExtents(inode, runs);
    return inode;
  }

  /** The directory that holds it, and its name there. */
  #place(path: string): readonly [NewDirectory, string] {
    const names = path.split('/');
    const name = names.pop() as string;
    let folder = this.#root;
    for (const part of names) {
      const next = folder.get(part)?.directory;
      if (next === undefined)
        throw new AnilloError('BAD_IMAGE', `${path} lies in a folder that has not come before it; give another archive.`);
      folder = next;
    }
    return [folder, name];
  }

  #newInode(type: number, ownership: Ownership): NewInode {
    const number = this.#inodes.length;
    if (number > this.geometry.groupCount * this.geometry.inodesPerGroup)
      throw new AnilloError('BAD_OPTION', 'There are more files than the file system has inodes; give a larger --size.');
    const inode = new NewInode(number, type, ownership);
    this.#inodes.push(inode);
    return inode;
  }

  #allocate(count: number): readonly BlockRun[] {
    const runs: BlockRun[] = [];
    for (let left = count; left > 0; ) {
      const run = this.#blocks.allocate(left);
      runs.push(run);
      left -= run.count;
    }
    return runs;
  }

  #setExtents(inode: NewInode, runs: readonly BlockRun[]): Promise<void> {
    return inode.setExtents(runs, BLOCK_BYTES, this.#sums, async (block) => {
      const { start } = this.#blocks.allocate(1);
      await this.#disk.write(start * BLOCK_BYTES, [block]);
      return start;
    });
  }

  async #fill(inode: NewInode, byteCount: number, content: FileContent): Promise<void> {
    const runs = this.#allocate(Math.ceil(byteCount / BLOCK_BYTES));
    inode.byteCount = byteCount;
    await this.#setExtents(inode, runs);
    const sink = new RunSink(this.#disk, runs);
    for await (const piece of content) await sink.put(piece);
    await sink.end();
    if (sink.byteCount !== byteCount)
      throw new AnilloError('BAD_IMAGE', `A file has ${sink.byteCount} bytes where ${byteCount} were announced; give another archive.`);
  }
}

/** Writes a row of bytes into runs of blocks, by large pieces; zeros are there already. */
class RunSink {
  byteCount = 0;
  readonly #disk: Disk;
  readonly #runs: readonly BlockRun[];
  #buffer = new Uint8Array(0);
  #filled = 0;
  #run = 0;
  #inRun = 0;

  constructor(disk: Disk, runs: readonly BlockRun[]) {
    this.#disk = disk;
    this.#runs = runs;
  }

  #nextBuffer(): void {
    const { count } = this.#runs[this.#run];
    this.#buffer = new Uint8Array(Math.min(PIECE_BYTES, (count - this.#inRun) * BLOCK_BYTES));
    this.#filled = 0;
  }

  async put(bytes: Uint8Array): Promise<void> {
    this.byteCount += bytes.length;
    for (let done = 0; done < bytes.length; ) {
      if (this.#filled === this.#buffer.length) {
        await this.#write();
        if (this.#run === this.#runs.length) return; // more than was announced
        this.#nextBuffer();
      }
      const count = Math.min(bytes.length - done, this.#buffer.length - this.#filled);
      this.#buffer.set(bytes.subarray(done, done + count), this.#filled);
      this.#filled += count;
      done += count;
    }
  }

  end(): Promise<void> {
    return this.#write();
  }

  async #write(): Promise<void> {
    if (this.#filled === 0) return;
    const blocks = Math.ceil(this.#filled / BLOCK_BYTES);
    const { start, count } = this.#runs[this.#run];
    const bytes = this.#buffer.subarray(0, blocks * BLOCK_BYTES);
    const at = (start + this.#inRun) * BLOCK_BYTES;
    this.#inRun += blocks;
    if (this.#inRun >= count) {
      this.#run++;
      this.#inRun = 0;
    }
    this.#filled = 0;
    this.#buffer = new Uint8Array(0);
    if (!isZero(bytes)) await this.#disk.write(at, [bytes]);
  }
}
