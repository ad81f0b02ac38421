import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from './testing/random.ts';
import { VirtualClock } from './testing/virtual-clock.ts';
import { Deadline, TimerQueue } from './timer-queue.ts';

test('deadlines are met, however often they are moved', () => {
  const random = createRandom(2);
  const clock = new VirtualClock();
  const queue = new TimerQueue(clock);
  const wanted = new Map<number, number>();
  const late: string[] = [];
  const deadlines = Array.from({ length: 200 }, (_, i) => {
    const deadline = new Deadline(queue, () => {
      if (wanted.get(i) !== clock.nowMs()) late.push(`${i} at ${clock.nowMs()}, wanted at ${wanted.get(i)}`);
      wanted.delete(i);
    });
    return deadline;
  });
  for (let round = 0; round < 5000; round++) {
    const i = random(200);
    if (random(4) === 0) {
      deadlines[i].clear();
      wanted.delete(i);
    } else {
      const dueMs = clock.nowMs() + random(1000);
      wanted.set(i, dueMs);
      deadlines[i].set(dueMs);
    }
    if (random(3) === 0) clock.advance(random(20));
  }
  clock.advance(2000);
  assert.deepEqual(late, []);
  assert.equal(wanted.size, 0);
  assert.equal(clock.timerCount, 0);
});
