// A store with changes that are not made in it: the log of an image that is opened for reading only.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore, Stretch } from '../byte-store.ts';
import type { LogChange } from './vhdx-log.ts';

export class PatchedStore implements ByteStore {
  readonly isReadOnly = true;
  readonly name: string;
  readonly #store: ByteStore;
  readonly #changes: readonly LogChange[];

  constructor(store: ByteStore, changes: readonly LogChange[]) {
    this.name = store.name;
    this.#store = store;
    this.#changes = changes;
  }

  async size(): Promise<number> {
    const size = await this.#store.size();
    return this.#changes.reduce((most, { offset, byteCount }) => Math.max(most, offset + byteCount), size);
  }

  async read(offset: number, into: readonly Uint8Array[]): Promise<void> {
    await this.#store.read(offset, into);
    let at = offset;
    for (const buffer of into) {
      for (const change of this.#changes) applyChange(change, at, buffer);
      at += buffer.length;
    }
  }

  #refuse(): Promise<never> {
    return Promise.reject(new AnilloError('FILE', `${this.name} is open for reading only.`));
  }

  write(): Promise<void> {
    return this.#refuse();
  }

  resize(): Promise<void> {
    return this.#refuse();
  }

  writeZeroes(): Promise<void> {
    return this.#refuse();
  }

  async flush(): Promise<void> {}

  async stretches(offset: number, byteCount: number): Promise<readonly Stretch[]> {
    return byteCount === 0 ? [] : [{ offset, byteCount, isHole: false }];
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

function applyChange({ offset, byteCount, bytes }: LogChange, at: number, buffer: Uint8Array): void {
  const from = Math.max(offset, at);
  const to = Math.min(offset + byteCount, at + buffer.length);
  if (from >= to) return;
  if (bytes === undefined) buffer.fill(0, from - at, to - at);
  else buffer.set(bytes.subarray(from - offset, to - offset), from - at);
}
