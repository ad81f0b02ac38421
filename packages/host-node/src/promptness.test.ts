import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Promptness } from './promptness.ts';

/** A host whose calls take so long, and how much of the time was spent waiting for them. */
function waitingShare(takesMs: (call: number) => number, betweenMs: number): number {
  let nowMs = 0;
  let waitedMs = 0;
  const promptness = new Promptness(() => nowMs);
  for (let call = 0; nowMs < 5000; call++) {
    promptness.try(() => {
      nowMs += takesMs(call);
      waitedMs += takesMs(call);
      return true;
    });
    nowMs += betweenMs;
  }
  return waitedMs / nowMs;
}

test('what is quick is always done at once', () => {
  const share = waitingShare(() => 0.01, 0.09);
  assert.ok(share > 0.099, String(share));
});

test('waiting takes a tenth of the time, whatever the host does', () => {
  for (const takesMs of [0.5, 5, 50])
    for (const betweenMs of [0.05, 1, 10]) {
      const share = waitingShare(() => takesMs, betweenMs);
      assert.ok(share < 0.13, `${takesMs} ms each, ${betweenMs} between: ${share}`);
    }
});

test('a slow one now and then changes nothing', () => {
  let nowMs = 0;
  const promptness = new Promptness(() => nowMs);
  for (let call = 0; call < 1000; call++) {
    const isDone = promptness.try(() => {
      nowMs += call % 100 === 0 ? 4 : 0.01;
      return true;
    });
    assert.ok(isDone);
    nowMs += 0.5;
  }
});

test('it says what the work says', () => {
  assert.equal(
    new Promptness(() => 0).try(() => false),
    false,
  );
});
