// Gives pages of a buffer back to the host: they take no room any more, and read as zeros.

import { hostLibc, MADV_DONTNEED } from './libc.ts';

const PAGE_BYTES = 4096;

/** Whole pages within the range; undefined where the host cannot. */
export function memoryReleaser(): ((buffer: ArrayBufferLike, offset: number, byteCount: number) => void) | undefined {
  const libc = hostLibc();
  if (libc === undefined) return undefined;
  return (buffer, offset, byteCount) => {
    const start = Math.ceil(offset / PAGE_BYTES) * PAGE_BYTES;
    const end = Math.floor((offset + byteCount) / PAGE_BYTES) * PAGE_BYTES;
    if (start < end) libc.madvise(new Uint8Array(buffer, start, end - start), MADV_DONTNEED);
  };
}
