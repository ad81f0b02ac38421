import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEventLoop } from './event-loop.ts';
import { hostNowNs } from './host-clock.ts';

test('a sleep ends by itself, and at once when woken', { timeout: 120_000 }, async () => {
  const loop = createEventLoop();
  const start = hostNowNs();
  await loop.sleep(20);
  assert.ok(hostNowNs() - start >= 18e6);
  setTimeout(() => loop.wake(), 5);
  await loop.sleep(Number.POSITIVE_INFINITY);
  loop.wake();
  await loop.sleep(1);
});

test('yielding lets timers and input be served', async () => {
  const loop = createEventLoop();
  let served = false;
  setTimeout(() => {
    served = true;
  }, 1);
  const start = hostNowNs();
  while (!served && hostNowNs() - start < 2e9) await loop.yieldToHost();
  assert.ok(served);
});

test('two machines sleep independently', { timeout: 120_000 }, async () => {
  const [one, two] = [createEventLoop(), createEventLoop()];
  const both = Promise.all([one.sleep(Number.POSITIVE_INFINITY), two.sleep(10)]);
  await new Promise((resolve) => setTimeout(resolve, 30));
  one.wake();
  await both;
});
