// GuestMemory over one buffer: a short list of regions, each contiguous in the buffer. Multi-byte values are little-endian.

import { gpa, type Gpa } from '@anillo/base/gpa';
import type { GuestMemory, MemoryRegion, WriteWatcher } from './guest-memory.ts';

export class RegionMemory implements GuestMemory {
  readonly regions: readonly MemoryRegion[];
  readonly ramBytes: number;
  readonly buffer: ArrayBufferLike;
  watcher: WriteWatcher | undefined = undefined;
  releaser: ((offset: number, byteCount: number) => void) | undefined = undefined;
  readonly #bytes: Uint8Array;
  readonly #data: DataView;
  readonly #main: MemoryRegion;

  constructor(buffer: ArrayBufferLike, regions: readonly MemoryRegion[]) {
    this.regions = regions;
    this.#main = regions.filter((r) => r.kind === 'ram').reduce((x, y) => (y.byteCount > x.byteCount ? y : x));
    this.ramBytes = regions.reduce((sum, r) => sum + (r.kind === 'ram' ? r.byteCount : 0), 0);
    this.buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
    this.#data = new DataView(buffer);
  }

  offsetOf(address: number, byteCount: number, write: boolean): number {
    // Most accesses are to the largest region.
    const fromMain = address - this.#main.start;
    if (fromMain >= 0 && fromMain + byteCount <= this.#main.byteCount) return this.#main.offset + fromMain;
    for (const r of this.regions) {
      const into = address - r.start;
      if (into >= 0 && into + byteCount <= r.byteCount && !(write && r.kind === 'rom')) return r.offset + into;
    }
    return -1;
  }

  /** Visits the parts of a range that lie in regions. */
  #eachPart(address: number, byteCount: number, visit: (offset: number, from: number, count: number, kind: 'ram' | 'rom') => void): void {
    for (const r of this.regions) {
      const start = Math.max(address, r.start);
      const end = Math.min(address + byteCount, r.start + r.byteCount);
      if (start < end) visit(r.offset + start - r.start, start - address, end - start, r.kind);
    }
  }

  read(address: Gpa, byteCount: number): Uint8Array {
    const out = new Uint8Array(byteCount).fill(0xff);
    this.#eachPart(address, byteCount, (offset, from, count) => out.set(this.#bytes.subarray(offset, offset + count), from));
    return out;
  }

  #set(offset: number, bytes: Uint8Array): void {
    this.watcher?.beginWrite(offset, bytes.length);
    this.#bytes.set(bytes, offset);
    this.watcher?.endWrite();
  }

  view(address: number, byteCount: number, write: boolean): Uint8Array | undefined {
    const at = this.offsetOf(address, byteCount, write);
    return at < 0 ? undefined : new Uint8Array(this.buffer, at, byteCount);
  }

  wrote(offset: number, byteCount: number): void {
    if (byteCount === 0) return;
    this.watcher?.beginWrite(offset, byteCount);
    this.watcher?.endWrite();
  }

  discard(offset: number, byteCount: number): void {
    if (this.releaser === undefined) return;
    this.watcher?.beginWrite(offset, byteCount);
    this.releaser(offset, byteCount);
    this.watcher?.endWrite();
  }

  write(address: Gpa, bytes: Uint8Array): void {
    this.#eachPart(address, bytes.length, (offset, from, count, kind) => {
      if (kind === 'rom') return;
      this.#set(offset, bytes.subarray(from, from + count));
    });
  }

  load(address: Gpa, bytes: Uint8Array): void {
    this.#eachPart(address, bytes.length, (offset, from, count) => {
      this.#set(offset, bytes.subarray(from, from + count));
    });
  }

  read8(address: Gpa): number {
    const at = this.offsetOf(address, 1, false);
    return at < 0 ? 0xff : this.#bytes[at];
  }
  read16(address: Gpa): number {
    const at = this.offsetOf(address, 2, false);
    return at < 0 ? this.read8(address) | (this.read8(gpa(address + 1)) << 8) : this.#data.getUint16(at, true);
  }
  read32(address: Gpa): number {
    const at = this.offsetOf(address, 4, false);
    return at < 0 ? (this.read16(address) | (this.read16(gpa(address + 2)) << 16)) >>> 0 : this.#data.getUint32(at, true);
  }
  write8(address: Gpa, value: number): void {
    this.write(address, Uint8Array.of(value));
  }
  write16(address: Gpa, value: number): void {
    this.write(address, Uint8Array.of(value, value >>> 8));
  }
  write32(address: Gpa, value: number): void {
    this.write(address, Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24));
  }
}
