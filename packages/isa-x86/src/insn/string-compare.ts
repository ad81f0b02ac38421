// PCMPESTRx and PCMPISTRx, and CRC32, as helpers. SDM Vol. 1, 12.11.3 (string processing), Vol. 2 4.1.
// Strings are operands 0 and 1 of simdX; the mask result is left in operand 0.

import { helper, type Helper } from '@anillo/ir/callee';
import type { HelperFunction, HelperMap } from '../helper-map.ts';
import { SIMD_X, X86State } from '../state.ts';

/** (imm8, length of string 1, of string 2; -1: up to the first zero). Result: index, arithmetic flags << 8. */
export const STRING_COMPARE: Helper = helper('stringCompare', 3, { reads: SIMD_X, writes: SIMD_X });
/** (crc, data, bytes 1, 2 or 4) -> crc */
export const CRC32C: Helper = helper('crc32c', 3, { reads: 'none', writes: 'none' });

const OFFSET = X86State.offset.simdX;

const AGGREGATE = { ANY: 0, RANGES: 1, EACH: 2, ORDERED: 3 } as const;

function element(data: DataView, at: number, i: number, format: number): number {
  switch (format) {
    case 0:
      return data.getUint8(at + i);
    case 1:
      return data.getUint16(at + 2 * i, true);
    case 2:
      return data.getInt8(at + i);
    default:
      return data.getInt16(at + 2 * i, true);
  }
}

function implicitLength(data: DataView, at: number, count: number, format: number): number {
  let n = 0;
  while (n < count && element(data, at, n, format) !== 0) n++;
  return n;
}

/** Bit j of IntRes1 for element j of string 2. */
function aggregateBit(
  data: DataView,
  at: number,
  j: number,
  length1: number,
  length2: number,
  count: number,
  format: number,
  aggregate: number,
): boolean {
  const first = (i: number): number => element(data, at, i, format);
  const second = (i: number): number => element(data, at + 32, i, format);
  switch (aggregate) {
    case AGGREGATE.ANY:
      if (j < length2) for (let i = 0; i < length1; i++) if (first(i) === second(j)) return true;
      return false;
    case AGGREGATE.RANGES:
      if (j < length2) for (let i = 0; i + 1 < length1; i += 2) if (second(j) >= first(i) && second(j) <= first(i + 1)) return true;
      return false;
    case AGGREGATE.EACH:
      return j < length1 && j < length2 ? first(j) === second(j) : j >= length1 && j >= length2;
    default:
      for (let i = 0; i < length1 && i + j < count; i++) if (i + j >= length2 || first(i) !== second(i + j)) return false;
      return true;
  }
}

const stringCompare: HelperFunction = (cpu, imm, given1, given2) => {
  const { data } = cpu;
  const at = cpu.ports.state + OFFSET;
  const format = imm & 3;
  const count = format & 1 ? 8 : 16;
  const length1 = given1 < 0 ? implicitLength(data, at, count, format) : given1;
  const length2 = given2 < 0 ? implicitLength(data, at + 32, count, format) : given2;
  let bits = 0;
  for (let j = 0; j < count; j++) if (aggregateBit(data, at, j, length1, length2, count, format, (imm >> 2) & 3)) bits |= 1 << j;
  const polarity = (imm >> 4) & 3;
  if (polarity === 1) bits ^= (1 << count) - 1;
  else if (polarity === 3) bits ^= (1 << length2) - 1;
  let index: number = count;
  if (bits !== 0) index = imm & 0x40 ? 31 - Math.clz32(bits) : 31 - Math.clz32(bits & -bits);
  for (let i = 0; i < 16; i++) {
    const expanded = (bits >> (count === 8 ? i >> 1 : i)) & 1 ? 0xff : 0;
    data.setUint8(at + i, imm & 0x40 ? expanded : i < 2 ? (bits >> (8 * i)) & 0xff : 0);
  }
  const flags = (bits !== 0 ? 1 : 0) | (length2 < count ? 0x40 : 0) | (length1 < count ? 0x80 : 0) | (bits & 1 ? 0x800 : 0);
  return index | (flags << 8);
};

/** Castagnoli polynomial, reflected. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let i = 0; i < 8; i++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

const crc32c: HelperFunction = (_cpu, start, value, bytes) => {
  let crc = start;
  for (let i = 0; i < bytes; i++) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ (value >>> (8 * i))) & 0xff] as number);
  return crc | 0;
};

export const STRING_HELPERS: HelperMap = { stringCompare, crc32c };
