// A directory of a new file system: names in memory until all of them are there, then blocks.

import { AnilloError } from '@anillo/base/anillo-error';
import type { Ext4Checksums } from './ext4-checksums.ts';
import { DIRECTORY_TAIL_BYTES } from './ext4-checksums.ts';
import { DIRECTORY_ENTRY, FILE_TYPE } from './ext4-layout.ts';
import type { NewInode } from './new-inode.ts';

export interface DirectoryEntry {
  readonly inode: number;
  readonly fileType: number;
  /** Of a directory. */
  readonly directory?: NewDirectory;
}

/** More of them are written as 1: nobody counts them ("dir_nlink"). */
const MOST_LINKS = 65_000;
const recordBytes = (name: string): number => (DIRECTORY_ENTRY.byteCount + name.length + 3) & ~3;

/** Names are bytes, one character each. */
export class NewDirectory {
  readonly inode: NewInode;
  readonly #parent: number;
  readonly #entries = new Map<string, DirectoryEntry>();
  #subdirectories = 0;

  /** `parent`: undefined for the root, which is its own. */
  constructor(inode: NewInode, parent: NewDirectory | undefined) {
    this.inode = inode;
    this.#parent = parent?.inode.number ?? inode.number;
    inode.links = 2;
  }

  get(name: string): DirectoryEntry | undefined {
    return this.#entries.get(name);
  }

  /** AnilloError BAD_IMAGE for a name that cannot be, or is there. */
  add(name: string, entry: DirectoryEntry): void {
    if (
      name === '' ||
      name === '.' ||
      name === '..' ||
      name.length > 255 ||
      name.includes('/') ||
      name.includes('\0') ||
      this.#entries.has(name)
    )
      throw new AnilloError(
        'BAD_IMAGE',
        `A directory cannot have an entry ${JSON.stringify(name)}, or has it twice; give another archive.`,
      );
    this.#entries.set(name, entry);
    if (entry.directory === undefined) return;
    this.#subdirectories++;
    this.inode.links = this.#subdirectories + 2 >= MOST_LINKS ? 1 : this.#subdirectories + 2;
  }

  *directories(): Generator<NewDirectory> {
    for (const { directory } of this.#entries.values()) if (directory !== undefined) yield directory;
  }

  encode(blockBytes: number, sums: Ext4Checksums): readonly Uint8Array[] {
    const room = blockBytes - DIRECTORY_TAIL_BYTES;
    const blocks: Uint8Array[] = [];
    let block = new Uint8Array(blockBytes);
    let [at, last] = [0, 0];
    const finish = (): void => {
      // The last entry reaches up to the tail.
      DIRECTORY_ENTRY.encodeInto(block, last, { recordBytes: room - last });
      sums.signDirectory(this.inode.number, block);
      blocks.push(block);
    };
    const put = (name: string, inode: number, fileType: number): void => {
      const bytes = recordBytes(name);
      if (at + bytes > room) {
        finish();
        block = new Uint8Array(blockBytes);
        at = 0;
      }
      last = at;
      DIRECTORY_ENTRY.encodeInto(block, at, { inode, recordBytes: bytes, nameBytes: name.length, fileType });
      for (let i = 0; i < name.length; i++) block[at + DIRECTORY_ENTRY.byteCount + i] = name.charCodeAt(i);
      at += bytes;
    };
    put('.', this.inode.number, FILE_TYPE.directory);
    put('..', this.#parent, FILE_TYPE.directory);
    for (const [name, { inode, fileType }] of this.#entries) put(name, inode, fileType);
    finish();
    return blocks;
  }
}
