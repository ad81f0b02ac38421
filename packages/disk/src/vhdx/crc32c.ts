// CRC-32C (Castagnoli), as MS-VHDX 2.2 wants it.

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0x82f63b78 : sum >>> 1;
  return sum >>> 0;
});

export function crc32c(bytes: Uint8Array): number {
  let sum = 0xffff_ffff;
  for (const byte of bytes) sum = (sum >>> 8) ^ TABLE[(sum ^ byte) & 255];
  return (sum ^ 0xffff_ffff) >>> 0;
}

/** Of bytes that hold the sum itself, which counts as zero. */
export function crc32cAround(bytes: Uint8Array, sumOffset: number): number {
  const copy = bytes.slice();
  copy.fill(0, sumOffset, sumOffset + 4);
  return crc32c(copy);
}
