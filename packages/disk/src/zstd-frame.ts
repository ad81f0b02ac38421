// How long a Zstandard frame is (RFC 8878, 3.1.1), for frames that lie in whole sectors with other bytes behind.

import { AnilloError } from '@anillo/base/anillo-error';

const damaged = (): AnilloError => new AnilloError('BAD_IMAGE', 'A Zstandard frame is damaged; restore its file from a copy.');

/** AnilloError BAD_IMAGE where the bytes do not begin with a whole frame. */
export function zstdFrameLength(bytes: Uint8Array): number {
  if (bytes.length < 6 || new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) !== 0xfd2fb528) throw damaged();
  const descriptor = bytes[4];
  const isSingleSegment = (descriptor >> 5) & 1;
  const contentBytes = [isSingleSegment, 2, 4, 8][descriptor >> 6];
  let at = 5 + (1 - isSingleSegment) + [0, 1, 2, 4][descriptor & 3] + contentBytes;
  for (let isLast = 0; isLast === 0; ) {
    if (at + 3 > bytes.length) throw damaged();
    const head = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16);
    isLast = head & 1;
    // A block of one repeated byte has only that byte.
    at += 3 + (((head >> 1) & 3) === 1 ? 1 : head >> 3);
  }
  at += descriptor & 4 ? 4 : 0;
  if (at > bytes.length) throw damaged();
  return at;
}
