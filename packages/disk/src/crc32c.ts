// CRC-32C (Castagnoli), as MS-VHDX 2.2 and ext4 want it.

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0x82f63b78 : sum >>> 1;
  return sum >>> 0;
});

/** The sum with further bytes, not inverted at either end: ext4 begins with a seed and takes it as it comes. */
export function crc32cUpdate(sum: number, bytes: Uint8Array): number {
  let next = sum;
  for (let i = 0; i < bytes.length; i++) next = (next >>> 8) ^ TABLE[(next ^ bytes[i]) & 255];
  return next >>> 0;
}

export function crc32c(bytes: Uint8Array): number {
  return (crc32cUpdate(0xffff_ffff, bytes) ^ 0xffff_ffff) >>> 0;
}

/** Of bytes that hold the sum itself, which counts as zero. */
export function crc32cAround(bytes: Uint8Array, sumOffset: number): number {
  const copy = bytes.slice();
  copy.fill(0, sumOffset, sumOffset + 4);
  return crc32c(copy);
}
