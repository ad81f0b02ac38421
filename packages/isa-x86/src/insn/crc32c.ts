// CRC32: a step is linear over GF(2), so the result is the sum of what each bit of the input gives, found four bits at a time. SDM Vol. 2, CRC32.

import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import { vectorZero, type V } from './simd-operands.ts';

/** Castagnoli polynomial, reflected. */
const POLYNOMIAL = 0x82f6_3b78;

/** 32 bits through the register. */
function advance(word: number): number {
  let crc = word;
  for (let i = 0; i < 32; i++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  return crc;
}
const words = (values: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

/** CRC of 32 bits from a register that holds their sum with it: (word) -> register. */
export const CRC32C: Routine = routine({
  name: 'crc32c',
  params: ['i32'],
  result: 'i32',
  reads: 'none',
  writes: 'none',
  traps: false,
  pure: true,
  build: (b, [word]) => {
    // Lane n begins with byte n.
    const bytes = b.op('i32x4.mul', [b.op('i32x4.splat', [word as Value<'i32'>]), b.v128(words([1 << 24, 1 << 16, 1 << 8, 1]))]);
    let sum: V = vectorZero(b);
    for (let k = 0; k < 8; k++) {
      const isSet = b.op('i32x4.shr_s', [b.op('i32x4.shl', [bytes, b.i32(k)]), b.i32(31)]);
      const gives = b.v128(words([0, 1, 2, 3].map((lane) => advance((1 << (8 * lane + 7 - k)) >>> 0))));
      sum = b.op('v128.xor', [sum, b.op('v128.and', [isSet, gives])]);
    }
    const lane = (n: number): Value<'i32'> => b.op('i32x4.extract_lane', [sum], n);
    return b.xor(b.xor(lane(0), lane(1)), b.xor(lane(2), lane(3)));
  },
});
