// A client's fids: each stands for a name, perhaps opened, or for an extended attribute. What is open is closed when nobody uses it any more: a request under way keeps it.

import { FileTreeError, type OpenFile } from './file-tree.ts';
import type { NameNode, NameTree } from './name-tree.ts';

const MOST_FIDS = 65_536;
/** Of files and folders, which cost the host a descriptor. */
const MOST_OPEN = 8192;
const MOST_ATTRIBUTE_BYTES = 64 * 1024;
/** Of attributes being read and written, all together. */
const MOST_ATTRIBUTES = 256;

export class Opened {
  readonly file: OpenFile;
  #users = 1;

  constructor(file: OpenFile) {
    this.file = file;
  }

  /** FileTreeError EBADF when it has been closed: its descriptor may be another file's by now. */
  async use<T>(work: (file: OpenFile) => Promise<T>): Promise<T> {
    if (this.#users === 0) throw new FileTreeError('EBADF');
    this.#users++;
    try {
      return await work(this.file);
    } finally {
      await this.release();
    }
  }

  async release(): Promise<void> {
    if (--this.#users === 0) await this.file.close();
  }
}

export interface FidAttribute {
  readonly name: string;
  readonly value: Uint8Array;
  /** Being written: bytes so far, and flags of setxattr(2). */
  readonly writes: { filled: number; readonly flags: number } | undefined;
}

export class Fid {
  readonly node: NameNode;
  readonly uid: number;
  opened: Opened | undefined;
  attribute: FidAttribute | undefined;
  isGone = false;
  /** A request that opens it is under way. */
  isOpening = false;

  constructor(node: NameNode, uid: number) {
    this.node = node;
    this.uid = uid;
  }
}

export class FidTable {
  readonly #names: NameTree;
  readonly #fids = new Map<number, Fid>();
  #openCount = 0;
  #attributeCount = 0;

  constructor(names: NameTree) {
    this.#names = names;
  }

  get count(): number {
    return this.#fids.size;
  }

  get(number: number): Fid {
    const fid = this.#fids.get(number);
    if (fid === undefined) throw new FileTreeError('EBADF');
    return fid;
  }

  /** Takes over one hold on the node, also when it fails. */
  add(number: number, node: NameNode, uid: number): Fid {
    if (this.#fids.has(number) || this.#fids.size >= MOST_FIDS) {
      const isFull = this.#fids.size >= MOST_FIDS;
      this.#names.release(node);
      throw new FileTreeError(isFull ? 'ENFILE' : 'EBADF');
    }
    const fid = new Fid(node, uid);
    this.#fids.set(number, fid);
    return fid;
  }

  has(number: number): boolean {
    return this.#fids.has(number);
  }

  /** Opens a fid that is neither open nor being opened. */
  async open(number: number, fid: Fid, open: () => Promise<OpenFile>): Promise<void> {
    if (fid.opened !== undefined || fid.attribute !== undefined || fid.isOpening) throw new FileTreeError('EINVAL');
    if (this.#openCount >= MOST_OPEN) throw new FileTreeError('EMFILE');
    this.#openCount++;
    fid.isOpening = true;
    try {
      const file = await open();
      if (this.#fids.get(number) !== fid) {
        await file.close();
        throw new FileTreeError('EBADF');
      }
      fid.opened = new Opened(file);
    } catch (error) {
      this.#openCount--;
      throw error;
    } finally {
      fid.isOpening = false;
    }
  }

  setAttribute(fid: Fid, attribute: FidAttribute): void {
    if (fid.opened !== undefined || fid.attribute !== undefined || fid.isOpening) throw new FileTreeError('EINVAL');
    if (attribute.value.length > MOST_ATTRIBUTE_BYTES) throw new FileTreeError('ENOSPC');
    if (this.#attributeCount >= MOST_ATTRIBUTES) throw new FileTreeError('ENOMEM');
    this.#attributeCount++;
    fid.attribute = attribute;
  }

  /** The fid stands for another name. Takes over one hold on the node, also when it fails. */
  move(number: number, fid: Fid, node: NameNode): void {
    if (this.#fids.get(number) !== fid) {
      this.#names.release(node);
      throw new FileTreeError('EBADF');
    }
    const moved = new Fid(node, fid.uid);
    moved.opened = fid.opened;
    this.#fids.set(number, moved);
    this.#names.release(fid.node);
    fid.isGone = true;
  }

  async remove(number: number): Promise<Fid> {
    const fid = this.get(number);
    this.#fids.delete(number);
    fid.isGone = true;
    this.#names.release(fid.node);
    if (fid.attribute !== undefined) this.#attributeCount--;
    if (fid.opened !== undefined) {
      this.#openCount--;
      await fid.opened.release();
    }
    return fid;
  }

  async clear(): Promise<void> {
    for (const number of [...this.#fids.keys()]) await this.remove(number).catch(() => {});
  }
}
