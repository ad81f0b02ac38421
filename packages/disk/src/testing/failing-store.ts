// A store whose host fails when the test says so: a request is refused, a write after a part of it has been done.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore, Stretch } from '../byte-store.ts';
import { listByteCount, listSlice } from '../request.ts';

export class FailingStore implements ByteStore {
  readonly isReadOnly: boolean;
  readonly name: string;
  readonly #store: ByteStore;
  /** Asked before each request: what it fails with, if it does. */
  fails: (kind: 'read' | 'write' | 'flush' | 'resize') => AnilloError | undefined = () => undefined;
  /** Of a write that fails, how much is done: 0 to 1. */
  doneShare: () => number = () => 0;

  constructor(store: ByteStore) {
    this.#store = store;
    this.name = store.name;
    this.isReadOnly = store.isReadOnly;
  }

  async #ask(kind: 'read' | 'write' | 'flush' | 'resize'): Promise<void> {
    const failure = this.fails(kind);
    if (failure !== undefined) throw failure;
  }

  size(): Promise<number> {
    return this.#store.size();
  }

  async read(offset: number, into: readonly Uint8Array[]): Promise<void> {
    await this.#ask('read');
    await this.#store.read(offset, into);
  }

  async write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    const failure = this.fails('write');
    if (failure === undefined) return this.#store.write(offset, from);
    await this.#store.write(offset, listSlice(from, 0, Math.floor(listByteCount(from) * this.doneShare())));
    throw failure;
  }

  async resize(byteCount: number): Promise<void> {
    await this.#ask('resize');
    await this.#store.resize(byteCount);
  }

  async writeZeroes(offset: number, byteCount: number): Promise<void> {
    await this.#ask('write');
    await this.#store.writeZeroes(offset, byteCount);
  }

  async flush(): Promise<void> {
    await this.#ask('flush');
    await this.#store.flush();
  }

  stretches(offset: number, byteCount: number): Promise<readonly Stretch[]> {
    return this.#store.stretches(offset, byteCount);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

/** As host-node tells of a full disk. */
export function fullDisk(): AnilloError {
  const cause = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  return new AnilloError('FILE', "The image image cannot grow: the host's disk is full; make room on it.", { cause });
}

export function badSector(): AnilloError {
  const cause = Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
  return new AnilloError('FILE', 'The image image cannot be read or written (input/output error); check the disk.', { cause });
}
