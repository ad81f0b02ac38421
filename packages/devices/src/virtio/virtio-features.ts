// Feature bits that belong to no kind of device (Virtio 1.2, chapter 6), and sets of features as negotiation carries them: words of 32 bits.

export const FEATURE = {
  indirectDescriptors: 28,
  eventIndex: 29,
  version1: 32,
  accessPlatform: 33,
  packedRing: 34,
} as const;

export const FEATURE_WORDS = 2;

export function hasFeature(words: Uint32Array, bit: number): boolean {
  return (words[bit >> 5] & (1 << (bit & 31))) !== 0;
}

export function featureWords(bits: Iterable<number>): Uint32Array {
  const words = new Uint32Array(FEATURE_WORDS);
  for (const bit of bits) words[bit >> 5] |= 1 << (bit & 31);
  return words;
}
