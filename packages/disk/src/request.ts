// A request to a disk or a store: its buffers as one row of bytes, and what a disk refuses.

import { AnilloError } from '@anillo/base/anillo-error';

export function listByteCount(buffers: readonly Uint8Array[]): number {
  let sum = 0;
  for (const buffer of buffers) sum += buffer.length;
  return sum;
}

/** The part of a list of buffers that begins `offset` bytes behind its start. */
export function listSlice(buffers: readonly Uint8Array[], offset: number, byteCount: number): readonly Uint8Array[] {
  if (buffers.length === 1) {
    const [only] = buffers;
    return offset === 0 && byteCount === only.length ? buffers : [only.subarray(offset, offset + byteCount)];
  }
  const part: Uint8Array[] = [];
  let at = 0;
  for (const buffer of buffers) {
    const from = Math.max(offset - at, 0);
    const to = Math.min(offset + byteCount - at, buffer.length);
    if (from < to) part.push(from === 0 && to === buffer.length ? buffer : buffer.subarray(from, to));
    at += buffer.length;
    if (at >= offset + byteCount) break;
  }
  return part;
}

/** Fills a list of buffers with what `bytes` holds; both are of one length. */
export function copyIntoList(into: readonly Uint8Array[], bytes: Uint8Array): void {
  let at = 0;
  for (const buffer of into) {
    buffer.set(bytes.subarray(at, at + buffer.length));
    at += buffer.length;
  }
}

export function zeroList(into: readonly Uint8Array[]): void {
  for (const buffer of into) buffer.fill(0);
}

/** AnilloError STATE unless the range lies in the disk and on its sectors. */
export function checkRange(disk: { readonly byteCount: number }, offset: number, byteCount: number): void {
  if (offset % 512 !== 0 || byteCount % 512 !== 0 || !(offset >= 0) || !(byteCount >= 0) || offset + byteCount > disk.byteCount)
    throw new AnilloError(
      'STATE',
      `A disk of ${disk.byteCount} bytes has no ${byteCount} bytes at ${offset}, or they are not whole sectors; ask for what it has.`,
    );
}

export function checkWritable(disk: { readonly isReadOnly: boolean }): void {
  if (disk.isReadOnly) throw new AnilloError('STATE', 'The disk is read-only; open it for writing.');
}
