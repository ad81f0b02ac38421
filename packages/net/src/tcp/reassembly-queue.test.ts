import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from '../testing/random.ts';
import { ReassemblyQueue } from './reassembly-queue.ts';
import { seqAdd, seqDistance } from './sequence.ts';

/** Ranges neither overlap nor touch. */
function assertApart(queue: ReassemblyQueue, start: number): void {
  const blocks: number[] = [];
  queue.sackBlocks(1000, blocks);
  const edges = blocks.map((edge) => seqDistance(edge, start)).sort((a, b) => a - b);
  assert.equal(new Set(edges).size, edges.length);
  for (let i = 0; i < blocks.length; i += 2) {
    const from = edges.indexOf(seqDistance(blocks[i], start));
    assert.ok(from % 2 === 0 && edges[from + 1] === seqDistance(blocks[i + 1], start));
  }
}

test('pieces in any order, overlapping, around the end of sequence numbers, become what was sent', () => {
  for (let seed = 0; seed < 200; seed++) {
    const random = createRandom(seed);
    const start = 0xffff_ff00;
    const sent = Uint8Array.from({ length: 2000 }, () => random(256));
    const queue = new ReassemblyQueue();
    const got: number[] = [];
    let next = start;
    for (let round = 0; got.length < sent.length; round++) {
      assert.ok(round < 5000);
      const at = random(8) === 0 ? got.length : random(sent.length);
      const piece = sent.subarray(at, at + 1 + random(300));
      const sequence = seqAdd(start, at);
      const old = seqDistance(next, sequence);
      if (old >= piece.length) continue;
      if (old > 0 || sequence === next) {
        got.push(...piece.subarray(Math.max(0, old)));
        next = seqAdd(sequence, piece.length);
        next = queue.takeFrom(next, (bytes) => got.push(...bytes));
      } else {
        queue.add(sequence, piece, 1_000_000);
        assertApart(queue, start);
      }
      assert.equal(seqDistance(next, start), got.length);
    }
    assert.ok(Buffer.compare(Uint8Array.from(got), sent) === 0, `seed ${seed}`);
    assert.ok(queue.isEmpty);
  }
});

test('it is bounded by what keeping costs, and by how many ranges there are', () => {
  const queue = new ReassemblyQueue();
  for (let i = 1; i < 1000; i++) queue.add(2 * i, Uint8Array.of(1), 1_000_000);
  const blocks: number[] = [];
  queue.sackBlocks(1000, blocks);
  assert.equal(blocks.length, 2 * 128);
  const small = new ReassemblyQueue();
  let kept = 0;
  for (let i = 1; i < 1000; i++) small.add(i, Uint8Array.of(1), 10_000);
  small.takeFrom(1, () => kept++);
  assert.equal(kept, Math.ceil(9_999 / 257));
});

test('the range that grew last is named first', () => {
  const queue = new ReassemblyQueue();
  const blocks: number[] = [];
  queue.add(100, new Uint8Array(10), 10_000);
  queue.add(200, new Uint8Array(10), 10_000);
  queue.add(110, new Uint8Array(5), 10_000);
  queue.sackBlocks(3, blocks);
  assert.deepEqual(blocks, [100, 115, 200, 210]);
});
