// An open file or folder of a shared folder: what its descriptor stands for, whatever becomes of its name.

import { closeSync, type Dir, fdatasync, fstatSync, fsync, opendirSync, readv, writev } from 'node:fs';
import type { FileStat, FolderEntry, OpenFile, StatChange } from '@anillo/devices/virtio/9p/file-tree';
import { FileTreeError } from '@anillo/devices/virtio/9p/file-tree';
import { descriptorPath, treeError } from './confined-folder.ts';

/** What a file asks of its tree: the guest's view of a descriptor, and of a name in a folder. */
export interface FileHost {
  statOf(fd: number): FileStat;
  changeOf(fd: number, change: StatChange): void;
  /** Undefined: it is not there any more. */
  statOfName(folder: number, name: string): FileStat | undefined;
}

/** Entries that are looked at in one go. */
const ENTRIES_AT_ONCE = 128;
/** IOV_MAX of Linux. */
const MOST_VIEWS = 1024;

type Move = (fd: number, views: Uint8Array[], offset: number, then: (error: NodeJS.ErrnoException | null, count: number) => void) => void;

/** Moves all bytes; gives how many, fewer only at the file's end. */
async function moveAll(move: Move, fd: number, offset: number, views: readonly Uint8Array[]): Promise<number> {
  let left = views.filter((view) => view.length > 0);
  let moved = 0;
  while (left.length > 0) {
    const part = left.slice(0, MOST_VIEWS);
    const count = await new Promise<number>((resolve, reject) => {
      move(fd, part, offset + moved, (error, done) => (error === null ? resolve(done) : reject(treeError(error))));
    });
    if (count === 0) break;
    moved += count;
    let skip = count;
    while (left.length > 0 && skip >= left[0].length) {
      skip -= left[0].length;
      left = left.slice(1);
    }
    if (skip > 0) left = [left[0].subarray(skip), ...left.slice(1)];
  }
  return moved;
}

export class HostFile implements OpenFile {
  readonly isFolder: boolean;
  readonly #fd: number;
  readonly #host: FileHost;
  #listing: Dir | undefined;
  /** Of the next entry that the listing gives. */
  #position = 0;
  /** Entries of the last time, the first of which is at `from`. */
  #last: { readonly from: number; readonly entries: readonly FolderEntry[] } | undefined;

  constructor(fd: number, host: FileHost) {
    this.#fd = fd;
    this.#host = host;
    this.isFolder = fstatSync(fd).isDirectory();
  }

  async stat(): Promise<FileStat> {
    return this.#host.statOf(this.#fd);
  }

  async change(change: StatChange): Promise<void> {
    this.#host.changeOf(this.#fd, change);
  }

  async read(offset: number, into: readonly Uint8Array[]): Promise<number> {
    return await moveAll(readv as Move, this.#fd, offset, into);
  }

  async write(offset: number, from: readonly Uint8Array[]): Promise<number> {
    return await moveAll(writev as Move, this.#fd, offset, from);
  }

  sync(dataOnly: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      (dataOnly ? fdatasync : fsync)(this.#fd, (error) => (error === null ? resolve() : reject(treeError(error))));
    });
  }

  async list(position: number): Promise<readonly FolderEntry[]> {
    if (!this.isFolder) throw new FileTreeError('ENOTDIR');
    const kept = this.#last?.entries.slice(position - this.#last.from) ?? [];
    if (this.#last !== undefined && position >= this.#last.from && kept.length > 0) return kept;
    try {
      return this.#listFrom(position);
    } catch (error) {
      throw treeError(error);
    }
  }

  #listFrom(position: number): readonly FolderEntry[] {
    if (position !== this.#position || this.#listing === undefined) {
      this.#listing?.closeSync();
      this.#listing = opendirSync(descriptorPath(this.#fd) as unknown as string, {
        encoding: 'buffer' as BufferEncoding,
        bufferSize: ENTRIES_AT_ONCE,
      });
      this.#position = 0;
      while (this.#position < position && this.#listing.readSync() !== null) this.#position++;
    }
    const entries: FolderEntry[] = [];
    while (entries.length < ENTRIES_AT_ONCE) {
      const found = this.#listing.readSync();
      if (found === null) break;
      this.#position++;
      const name = (found.name as unknown as Buffer).toString('latin1');
      const stat = this.#host.statOfName(this.#fd, name);
      if (stat !== undefined) entries.push({ name, stat, next: this.#position });
    }
    // Positions are counted: what vanished meanwhile leaves gaps, and then nothing is kept.
    const isWhole = entries.every(({ next }, i) => next === position + i + 1);
    this.#last = isWhole ? { from: position, entries } : undefined;
    return entries;
  }

  async close(): Promise<void> {
    this.#listing?.closeSync();
    closeSync(this.#fd);
  }
}
