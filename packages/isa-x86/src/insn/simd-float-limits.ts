// What tells ordinary numbers (normal, above the smallest normal number) from all others: the upper word of a number, shifted left to lose its sign, less
// `below`, is as an unsigned number less than `range`. So one comparison does for the largest of several.

export const DOUBLE_LIMIT = { below: 0x0020_0001, range: 0xffbf_ffff } as const;
export const SINGLE_LIMIT = { below: 0x0100_0001, range: 0xfdff_ffff } as const;

const lanes = (words: readonly number[]): number[] => [...new Uint8Array(Uint32Array.from(words).buffer)];
/** The same for vectors, kept in the vCPU struct because V8 makes constants anew wherever they are used: below and range less 1 of doubles, of singles. */
export const FLOAT_LIMITS: readonly number[] = [
  ...lanes([0, DOUBLE_LIMIT.below, 0, DOUBLE_LIMIT.below]),
  ...lanes([0xffff_ffff, DOUBLE_LIMIT.range - 1, 0xffff_ffff, DOUBLE_LIMIT.range - 1]),
  ...lanes([SINGLE_LIMIT.below, SINGLE_LIMIT.below, SINGLE_LIMIT.below, SINGLE_LIMIT.below]),
  ...lanes([SINGLE_LIMIT.range - 1, SINGLE_LIMIT.range - 1, SINGLE_LIMIT.range - 1, SINGLE_LIMIT.range - 1]),
];
