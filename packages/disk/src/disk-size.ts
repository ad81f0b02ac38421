// How large a new image may be.

import { AnilloError } from '@anillo/base/anillo-error';

/** AnilloError BAD_OPTION. */
export function checkDiskSize(format: string, byteCount: number, maxBytes: number): void {
  if (!Number.isSafeInteger(byteCount) || byteCount < 0 || byteCount % 512 !== 0)
    throw new AnilloError('BAD_OPTION', `A disk cannot have ${byteCount} bytes; give a multiple of 512.`);
  if (byteCount > maxBytes)
    throw new AnilloError('BAD_OPTION', `A ${format} image holds at most ${maxBytes} bytes, not ${byteCount}; choose another format.`);
}
