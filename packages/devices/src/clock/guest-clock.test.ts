import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuestClock } from './guest-clock.ts';

function make() {
  const host = { ns: 5000 };
  return { host, clock: new GuestClock({ hostNowNs: () => host.ns, hostWallMs: () => 1000 }) };
}

test('starts at 0 and stands still while paused; the wall clock goes on', () => {
  const { host, clock } = make();
  assert.equal(clock.nowNs(), 0);
  host.ns += 2e6;
  clock.pause();
  clock.pause();
  host.ns += 5e6;
  assert.equal(clock.nowNs(), 2e6);
  assert.equal(clock.wallMs(), 1007);
  clock.resume();
  host.ns += 1e6;
  assert.equal(clock.nowNs(), 3e6);
});

test('timers fire in order of their deadlines, each once', () => {
  const { host, clock } = make();
  const fired: number[] = [];
  const deadlines = Array.from({ length: 200 }, (_, i) => (i * 7919) % 1009);
  const timers = deadlines.map((at) => clock.createTimer(() => fired.push(at)));
  for (const [i, at] of deadlines.entries()) timers[i].arm(at + 5000);
  for (const [i, at] of deadlines.entries()) timers[i].arm(at);
  for (let i = 0; i < 200; i += 3) timers[i].disarm();
  const expected = deadlines.filter((_, i) => i % 3 !== 0).sort((a, b) => a - b);
  assert.equal(clock.nextDeadlineNs(), expected[0]);
  host.ns += 500;
  assert.equal(clock.runDue(), expected.filter((at) => at <= 500).length);
  host.ns += 10000;
  clock.runDue();
  assert.deepEqual(fired, expected);
  assert.equal(clock.nextDeadlineNs(), Infinity);
});

test('a timer that arms itself for the past does not keep runDue', () => {
  const { clock } = make();
  let count = 0;
  const timer = clock.createTimer(() => {
    count++;
    timer.arm(0);
  });
  timer.arm(0);
  assert.equal(clock.runDue(), 1);
  assert.equal(count, 1);
});

test('an earlier deadline is announced, Infinity and NaN are never', () => {
  const { clock } = make();
  let earlier = 0;
  clock.onEarlier = () => earlier++;
  const [a, b] = [clock.createTimer(() => {}), clock.createTimer(() => {})];
  a.arm(100);
  b.arm(200);
  b.arm(50);
  assert.equal(earlier, 2);
  a.arm(Infinity);
  b.arm(Number.NaN);
  assert.equal(clock.nextDeadlineNs(), Infinity);
});

test('a snapshot brings back guest time', () => {
  const a = make();
  a.host.ns += 123456;
  const b = make();
  b.clock.restore(a.clock.save());
  assert.equal(b.clock.nowNs(), 123456);
});

test('restored while paused it stands at the restored time', () => {
  const a = make();
  a.host.ns += 500;
  const b = make();
  b.clock.pause();
  b.clock.restore(a.clock.save());
  b.host.ns += 1000;
  assert.equal(b.clock.nowNs(), 500);
  b.clock.resume();
  b.host.ns += 1;
  assert.equal(b.clock.nowNs(), 501);
});
