// Collects a chain descriptor by descriptor, and refuses what a device must not believe: buffers outside memory, empty ones, what is readable behind what is
// writable, more of anything than a queue may have.

import type { RingMemory } from './ring-memory.ts';

/** Descriptors of a chain, tables counted; as many as Linux and others build. */
export const MOST_DESCRIPTORS = 1024;
/** Views of a chain: an IOMMU may divide a descriptor. */
const MOST_VIEWS = 4096;
/** 2.6.4. */
const MOST_BYTES = 2 ** 32;

export const DESCRIPTOR = { next: 1, write: 2, indirect: 4 } as const;

export class ChainBuilder {
  readable: Uint8Array[] = [];
  writable: Uint8Array[] = [];
  readonly #memory: RingMemory;
  #byteCount = 0;
  #descriptorCount = 0;

  constructor(memory: RingMemory) {
    this.#memory = memory;
  }

  start(): void {
    this.readable = [];
    this.writable = [];
    this.#byteCount = 0;
    this.#descriptorCount = 0;
  }

  /** What is wrong with the buffer; undefined: it is in the chain. */
  add(address: number, byteCount: number, isWritable: boolean): string | undefined {
    this.#byteCount += byteCount;
    if (byteCount === 0) return 'a descriptor of no bytes';
    if (++this.#descriptorCount > MOST_DESCRIPTORS) return 'a chain of too many descriptors';
    if (this.#byteCount > MOST_BYTES) return 'a chain of too many bytes';
    if (!isWritable && this.writable.length > 0) return 'a readable descriptor behind a writable one';
    const into = isWritable ? this.writable : this.readable;
    return this.#memory.addViews(address, byteCount, isWritable, into, MOST_VIEWS) ? undefined : 'a descriptor outside memory';
  }
}
