// Sequence numbers (RFC 9293, 3.4): 32 bits, compared around the circle.

export const seqAfter = (a: number, b: number): boolean => ((a - b) | 0) > 0;
export const seqAtOrAfter = (a: number, b: number): boolean => ((a - b) | 0) >= 0;
/** How far a lies behind b; negative: before it. */
export const seqDistance = (a: number, b: number): number => (a - b) | 0;
export const seqAdd = (a: number, count: number): number => (a + count) >>> 0;
