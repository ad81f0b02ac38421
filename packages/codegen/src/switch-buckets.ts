// How a switch in a region finds its target: numbers are sorted into buckets by a few shifted bits, so that a table decides between buckets and a
// compare or two within one.

export interface Buckets {
  /** The bucket of a number n is ((n >>> shifts[0]) ^ (n >>> shifts[1])) & mask. */
  readonly shifts: readonly [number, number];
  readonly mask: number;
  /** Indices into the numbers, by bucket. */
  readonly members: readonly (readonly number[])[];
}

const SHIFTS = 14;
/** Up to this many, compares one after the other are as good as a table. */
const FEW = 3;

/** Buckets for different numbers, of which the fullest has as few members as can be found. */
export function chooseBuckets(numbers: readonly number[]): Buckets {
  const size = numbers.length <= FEW ? 1 : 1 << Math.ceil(Math.log2(2 * numbers.length));
  const mask = size - 1;
  const counts = new Uint8Array(size);
  let best: readonly [number, number] = [0, 0];
  let fewest = Number.POSITIVE_INFINITY;
  for (let first = 0; first < SHIFTS && mask > 0; first++) {
    for (let second = first; second < SHIFTS; second++) {
      // The same shift twice stands for one alone.
      const other = second === first ? 31 : second;
      counts.fill(0);
      let compares = 0;
      for (const n of numbers) compares += ++counts[((n >>> first) ^ (n >>> other)) & mask];
      if (compares >= fewest) continue;
      fewest = compares;
      best = [first, other];
    }
  }
  const members: number[][] = Array.from({ length: size }, () => []);
  numbers.forEach((n, i) => {
    members[((n >>> best[0]) ^ (n >>> best[1])) & mask]?.push(i);
  });
  return { shifts: best, mask, members };
}
