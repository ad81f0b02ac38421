import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checksumOf, foldSum, sumBytes } from './checksum.ts';
import { createRandom } from './testing/random.ts';

test("RFC 1071's example", () => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  assert.equal(foldSum(sumBytes(bytes, 0, 8)), 0xddf2);
  assert.equal(checksumOf(sumBytes(bytes, 0, 8)), 0x220d);
});

test('the sum is the same wherever the bytes lie, however many there are', () => {
  const random = createRandom(1);
  const bytes = Uint8Array.from({ length: 140_000 }, () => random(256));
  for (let round = 0; round < 300; round++) {
    const start = random(9);
    const end = start + random(round < 280 ? 300 : 130_000);
    let plain = 0;
    for (let i = start; i < end; i++) plain += (i - start) % 2 === 0 ? bytes[i] * 256 : bytes[i];
    assert.equal(foldSum(sumBytes(bytes, start, end)), foldSum(plain));
    const within = bytes.subarray(start);
    assert.equal(foldSum(sumBytes(within, 0, end - start)), foldSum(plain));
  }
});
