// The Internet checksum (RFC 1071). Sums are numbers below 2^32 that `foldSum` brings to 16 bits; they add up as long as each part but the last has an even length.

const IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
/** Below this a view costs more than it saves. */
const SHORT_BYTES = 64;
/** So many words leave each half sum below 2^31. */
const WORDS_AT_ONCE = 0x8000;

export function foldSum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

function sumShort(bytes: Uint8Array, start: number, end: number, isSecondByte: boolean): number {
  let sum = 0;
  let isLow = isSecondByte;
  for (let i = start; i < end; i++) {
    sum += isLow ? bytes[i] : bytes[i] << 8;
    isLow = !isLow;
  }
  return sum;
}

/** The sum of the big-endian 16-bit words of a range; a last single byte counts as the upper half of one. */
export function sumBytes(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < SHORT_BYTES || !IS_LITTLE_ENDIAN) return sumShort(bytes, start, end, false);
  const headBytes = -(bytes.byteOffset + start) & 3;
  const wordsStart = start + headBytes;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + wordsStart, (end - wordsStart) >>> 2);
  let sum = sumShort(bytes, start, wordsStart, false);
  for (let first = 0; first < words.length; first += WORDS_AT_ONCE) {
    const last = Math.min(words.length, first + WORDS_AT_ONCE);
    let low = 0;
    let high = 0;
    for (let i = first; i < last; i++) {
      const word = words[i];
      low += word & 0xffff;
      high += word >>> 16;
    }
    const part = foldSum(low + high);
    // Little-endian words that start at a second byte have the weights of big-endian ones (RFC 1071, 2 (B)).
    sum += (headBytes & 1) === 1 ? part : ((part & 0xff) << 8) | (part >>> 8);
  }
  const tail = wordsStart + words.length * 4;
  return sum + sumShort(bytes, tail, end, (headBytes & 1) === 1);
}

/** What is stored for a sum. */
export const checksumOf = (sum: number): number => ~foldSum(sum) & 0xffff;
