import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chachaBlock, keyStream } from './key-stream.ts';

test("a block is that of RFC 8439's example (2.3.2)", () => {
  const key = new Uint32Array(Uint8Array.from({ length: 32 }, (_, i) => i).buffer);
  const input = new Uint32Array([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, ...key, 1, 0x09000000, 0x4a000000, 0]);
  assert.deepEqual([...chachaBlock(input).subarray(0, 4)], [0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3]);
});

test('the stream goes on where it ended', () => {
  const fill = keyStream(new Uint32Array(8));
  const [first, second] = [new Uint32Array(20), new Uint32Array(20)];
  fill(first);
  fill(second);
  assert.equal(new Set([...first, ...second]).size, 40);
});
