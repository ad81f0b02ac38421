// The load of a process that is killed: lanes, each with sectors of its own, write, zero and discard pieces of them one after the other. Everything follows from the lane
// and the number of the operation, so whoever finds a sector knows which operation it comes from, and whether that could be.

export const LANES = 4;
export const LANE_SECTORS = 4096;
export const DISK_BYTES = LANES * LANE_SECTORS * 512;
const LONGEST_SECTORS = 96;
const MAGIC = 0x4b494c4c;

export interface Operation {
  readonly kind: 'write' | 'zero' | 'discard';
  /** Of the disk. */
  readonly first: number;
  readonly count: number;
}

/** xorshift-multiply (splitmix32's finish): every bit of the input changes half of the output's. */
function mixed(value: number): number {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

export function operationOf(lane: number, number: number): Operation {
  const a = mixed(number * 8 + lane + 1);
  const b = mixed(a + 0x9e3779b9);
  const c = mixed(b + 0x9e3779b9);
  const start = a % LANE_SECTORS;
  const count = 1 + (b % Math.min(LANE_SECTORS - start, b % 3 === 0 ? LONGEST_SECTORS : 8));
  const share = c % 16;
  return { kind: share < 12 ? 'write' : share < 14 ? 'zero' : 'discard', first: lane * LANE_SECTORS + start, count };
}

/** Does the lane flush after it? */
export const isFlushed = (lane: number, number: number): boolean => mixed(number * 8 + lane + 5) % 3 === 0;

export function sectorsOf(lane: number, number: number, { first, count }: Operation): Uint8Array {
  const words = new Uint32Array(count * 128);
  for (let sector = 0; sector < count; sector++) {
    words.fill(mixed(number), sector * 128, (sector + 1) * 128);
    words.set([MAGIC, lane, number, first + sector], sector * 128);
  }
  return new Uint8Array(words.buffer);
}

/** The number of the operation that wrote a sector; -1: it is zero. Text: what is wrong with it. */
export function writerOf(words: Uint32Array, sector: number): number | string {
  const lane = Math.floor(sector / LANE_SECTORS);
  if (words.every((word) => word === 0)) return -1;
  const [magic, itsLane, number, itsSector] = words;
  if (magic !== MAGIC || itsLane !== lane || itsSector !== sector)
    return `it holds what nobody wrote to it (${[magic, itsLane, number, itsSector].join(' ')})`;
  const { kind, first, count } = operationOf(lane, number);
  if (kind !== 'write' || sector < first || sector >= first + count) return `operation ${number} did not write it`;
  return words.subarray(4).every((word) => word === mixed(number)) ? number : `it is torn in operation ${number}`;
}
