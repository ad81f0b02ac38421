// A store that remembers its changes in order, so that what a process that is killed would have left can be made again. For tests only.

import type { ByteStore } from '@anillo/disk/byte-store';
import { MemoryStore } from '@anillo/disk/memory-store';

type Change = (store: ByteStore) => Promise<void>;

export class RecordedStore extends MemoryStore {
  readonly changes: Change[] = [];
  readonly #first: Uint8Array;

  constructor(bytes: Uint8Array) {
    super('recorded', bytes);
    this.#first = bytes;
  }

  override async write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    const copy = from.map((buffer) => buffer.slice());
    this.changes.push((store) => store.write(offset, copy));
    await super.write(offset, from);
  }

  override async resize(byteCount: number): Promise<void> {
    this.changes.push((store) => store.resize(byteCount));
    await super.resize(byteCount);
  }

  override async writeZeroes(offset: number, byteCount: number): Promise<void> {
    this.changes.push((store) => store.writeZeroes(offset, byteCount));
    await super.writeZeroes(offset, byteCount);
  }

  /** What there was after so many changes. */
  async after(count: number): Promise<MemoryStore> {
    const store = new MemoryStore('cut short', this.#first);
    for (const change of this.changes.slice(0, count)) await change(store);
    return store;
  }
}
