// Guest time at which a TSC that nobody has written reaches a value.

export const tscToNs =
  (tscHz: number) =>
  (low: number, high: number): number =>
    ((high * 0x1_0000_0000 + (low >>> 0)) * 1e9) / tscHz;
