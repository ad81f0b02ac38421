// Guest-physical memory as devices, boot protocols and front ends see it. Device memory (MMIO) is not here: accesses to it are the bus's.
// Everything here is synchronous and runs on the thread that owns the machine's memory view.

import type { Gpa } from '@anillo/base/gpa';

export interface MemoryRegion {
  readonly start: Gpa;
  readonly byteCount: number;
  /** Byte offset of the region in the machine's memory. */
  readonly offset: number;
  readonly kind: 'ram' | 'rom';
}

export interface GuestMemory {
  readonly regions: readonly MemoryRegion[];
  /** Bytes of RAM (ROM not counted). */
  readonly ramBytes: number;
  /** Byte offset into the machine's memory of [address, address + byteCount) if that lies in one region (and, for `write`, is RAM), else -1. */
  offsetOf(address: number, byteCount: number, write: boolean): number;
  /** Copies out; bytes outside RAM and ROM read as 0xff. */
  read(address: Gpa, byteCount: number): Uint8Array;
  /** Copies in; tells whoever watches (translated code); bytes outside RAM are dropped. For devices and boot protocols alike. */
  write(address: Gpa, bytes: Uint8Array): void;
  /** The machine's memory, in which `offsetOf` counts; shared where several threads run CPUs. For who needs it where it lies: `view`, and ordered access to rings. */
  readonly buffer: ArrayBufferLike;
  /** [address, address + byteCount) where it lies, if that is in one region (and, for `write`, is RAM). Whoever has written there says so by `wrote`. */
  view(address: number, byteCount: number, write: boolean): Uint8Array | undefined;
  /** These bytes of `buffer` have changed: tells whoever watches. */
  wrote(offset: number, byteCount: number): void;
  /** These bytes of `buffer`, RAM, hold nothing any more that matters: the host need not keep them, where it can do that (`releaser`). */
  discard(offset: number, byteCount: number): void;
  /** Gives whole pages of the host back; they read as zeros afterwards. */
  releaser: ((offset: number, byteCount: number) => void) | undefined;
  /** Fills ROM at set-up. */
  load(address: Gpa, bytes: Uint8Array): void;
  read8(address: Gpa): number;
  read16(address: Gpa): number;
  read32(address: Gpa): number;
  write8(address: Gpa, value: number): void;
  write16(address: Gpa, value: number): void;
  write32(address: Gpa, value: number): void;
  /** Told of each `write` through this interface, and of what `wrote` says. */
  watcher: WriteWatcher | undefined;
}

/** What must know before guest memory is written, or before it is used again where it was written already; offsets are the machine memory's. */
export interface WriteWatcher {
  beginWrite(offset: number, byteCount: number): void;
  endWrite(): void;
}
