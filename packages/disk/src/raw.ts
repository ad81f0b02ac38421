// The format without a format: the store's bytes are the disk's.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from './byte-store.ts';
import type { Disk, Extent } from './disk.ts';
import type { DiskFormat } from './disk-format.ts';
import { checkRange, checkWritable, listByteCount } from './request.ts';

class RawDisk implements Disk {
  readonly format = 'raw';
  readonly isReadOnly: boolean;
  readonly clusterByteCount = undefined;
  readonly #store: ByteStore;
  #byteCount: number;

  constructor(store: ByteStore, byteCount: number, isReadOnly: boolean) {
    this.#store = store;
    this.#byteCount = byteCount;
    this.isReadOnly = isReadOnly;
  }

  get byteCount(): number {
    return this.#byteCount;
  }

  async read(offset: number, into: readonly Uint8Array[]): Promise<void> {
    checkRange(this, offset, listByteCount(into));
    await this.#store.read(offset, into);
  }

  readNow(offset: number, into: readonly Uint8Array[]): boolean {
    checkRange(this, offset, listByteCount(into));
    return this.#store.readNow?.(offset, into) ?? false;
  }

  writeNow(offset: number, from: readonly Uint8Array[]): boolean {
    checkWritable(this);
    checkRange(this, offset, listByteCount(from));
    return this.#store.writeNow?.(offset, from) ?? false;
  }

  async write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    checkWritable(this);
    checkRange(this, offset, listByteCount(from));
    await this.#store.write(offset, from);
  }

  async writeZeroes(offset: number, byteCount: number, _mayUnmap: boolean): Promise<void> {
    checkWritable(this);
    checkRange(this, offset, byteCount);
    await this.#store.writeZeroes(offset, byteCount);
  }

  async discard(offset: number, byteCount: number): Promise<void> {
    await this.writeZeroes(offset, byteCount, true);
  }

  async flush(): Promise<void> {
    if (!this.isReadOnly) await this.#store.flush();
  }

  async resize(byteCount: number): Promise<void> {
    checkWritable(this);
    if (byteCount % 512 !== 0) throw new AnilloError('STATE', 'The size of a disk is a multiple of 512 bytes.');
    await this.#store.resize(byteCount);
    this.#byteCount = byteCount;
  }

  async extents(offset: number, byteCount: number): Promise<readonly Extent[]> {
    checkRange(this, offset, byteCount);
    const stretches = await this.#store.stretches(offset, byteCount);
    return stretches.map((stretch) => ({
      offset: stretch.offset,
      byteCount: stretch.byteCount,
      kind: stretch.isHole ? 'zero' : 'data',
      depth: 0,
      isCompressed: false,
      storeOffset: stretch.offset,
    }));
  }

  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#store.close();
    }
  }
}

export const RAW: DiskFormat = {
  name: 'raw',
  probe: () => false,
  createOptions: { size: 'Virtual disk size', preallocation: 'Preallocation mode (allowed values: off, falloc, full)' },

  async open(store, options) {
    try {
      // A last sector that is not whole reads as zeros to its end.
      return new RawDisk(store, Math.ceil((await store.size()) / 512) * 512, options.isReadOnly || store.isReadOnly);
    } catch (error) {
      await store.close();
      throw error;
    }
  },

  async create(store, byteCount, options) {
    const { preallocation = 'off' } = options;
    if (!['off', 'falloc', 'full'].includes(preallocation))
      throw new AnilloError('BAD_OPTION', `preallocation=${preallocation} is not known for raw; give off, falloc or full.`);
    await store.resize(Math.ceil(byteCount / 512) * 512);
    if (preallocation === 'off') return;
    const zeros = new Uint8Array(1 << 20);
    for (let at = 0; at < byteCount; at += zeros.length) await store.write(at, [zeros.subarray(0, Math.min(zeros.length, byteCount - at))]);
  },
};
