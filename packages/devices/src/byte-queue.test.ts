import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteQueue } from './byte-queue.ts';

test('first in, first out, around the end; a full queue refuses', () => {
  const queue = new ByteQueue({ queue: new Uint8Array(3), queueHead: 2, queueCount: 0 });
  assert.deepEqual(
    [1, 2, 3, 4].map((byte) => queue.push(byte)),
    [true, true, true, false],
  );
  assert.equal(queue.peek(), 1);
  assert.deepEqual([queue.shift(), queue.shift(), queue.count], [1, 2, 1]);
  queue.clear();
  assert.deepEqual([queue.shift(), queue.count], [0, 0]);
});
