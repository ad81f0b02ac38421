import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Promptness } from './promptness.ts';

test('what is slow is not tried again for a while, and longer each time', () => {
  let nowMs = 0;
  const promptness = new Promptness(() => nowMs);
  const take = (ms: number) =>
    promptness.try(() => {
      nowMs += ms;
      return true;
    });
  const untilTried = (): number => {
    for (let waited = 0; ; waited++, nowMs++) if (take(0.01)) return waited;
  };
  assert.ok(take(0.01));
  assert.ok(take(3));
  assert.equal(take(0.01), false);
  assert.equal(untilTried(), 5);
  assert.ok(take(3));
  assert.ok([9, 10].includes(untilTried()));
  for (let i = 0; i < 20; i++) {
    take(3);
    untilTried();
  }
  take(3);
  const longest = untilTried();
  assert.ok(longest > 900 && longest <= 1000, String(longest));
  for (let i = 0; i < 500; i++) take(0.01);
  take(3);
  assert.equal(untilTried(), 5, 'the pause is short again');
});

test('it says what the work says', () => {
  const promptness = new Promptness(() => 0);
  assert.equal(
    promptness.try(() => false),
    false,
  );
});
