import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from '../testing/random.ts';
import { SackScoreboard } from './sack-scoreboard.ts';
import { seqAdd } from './sequence.ts';

test('it agrees with a plain row of marks', () => {
  const mss = 10;
  for (let seed = 0; seed < 100; seed++) {
    const random = createRandom(seed);
    const base = 0xffff_ff80;
    const board = new SackScoreboard();
    const marks = new Array<boolean>(300).fill(false);
    let una = 0;
    for (let round = 0; round < 60; round++) {
      if (random(5) === 0) {
        una = Math.min(299, una + random(20));
        board.acknowledge(seqAdd(base, una));
        marks.fill(false, 0, una);
      } else {
        const start = random(320) - 10;
        const end = start + random(40) - 3;
        const isValid = end > start && end > una && end <= 300 && start >= una;
        const isNews = isValid && marks.slice(start, end).includes(false);
        assert.equal(board.add(seqAdd(base, start), seqAdd(base, end), seqAdd(base, una), seqAdd(base, 300)), isNews);
        if (isNews) marks.fill(true, start, end);
      }
      const first = marks.indexOf(false, una);
      const gap = board.gapFrom(seqAdd(base, una), seqAdd(base, 300));
      assert.equal(gap?.start, first < 0 ? undefined : seqAdd(base, first));
      const next = marks.indexOf(true, first);
      if (gap !== undefined) assert.equal(gap.end, seqAdd(base, next < 0 ? 300 : next));
      assert.equal(board.byteCount, marks.filter(Boolean).length);
      // Nothing sent again: on their way is what is neither there nor lost.
      let pipe = 0;
      for (let i = una; i < 300; i++) if (!marks[i] && !board.isLost(seqAdd(base, i), mss)) pipe++;
      const told = board.pipe(seqAdd(base, una), seqAdd(base, 300), seqAdd(base, una), mss);
      assert.equal(told, pipe);
    }
  }
});

test('three ranges, or more bytes than two segments, are what makes a loss', () => {
  const board = new SackScoreboard();
  board.add(100, 120, 0, 1000);
  assert.ok(!board.isLost(0, 10));
  board.add(130, 131, 0, 1000);
  assert.ok(board.isLost(0, 10));
  assert.ok(!board.isLost(0, 100));
  board.add(140, 141, 0, 1000);
  assert.ok(board.isLost(0, 100));
});
