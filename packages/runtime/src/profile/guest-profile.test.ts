import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GuestProfile } from './guest-profile.ts';

test('the same code in the same tier is the same number', () => {
  const profile = new GuestProfile();
  const a = profile.code('fast', 0x1000n);
  assert.equal(profile.code('fast', 0x1000n), a);
  assert.notEqual(profile.code('slow', 0x1000n), a);
  assert.notEqual(profile.code('fast', 0x1001n), a);
  assert.deepEqual(profile.stacks[a], { kind: 'code', tier: 'fast', address: 0x1000n });
});

test('entries are in the order of time, one for a stack and window', () => {
  const profile = new GuestProfile();
  const [a, b] = [profile.activity(['a']), profile.activity(['b'])];
  for (const [number, ms] of [
    [a, 4],
    [b, 1],
    [a, 4],
    [b, 1],
    [b, 7],
  ])
    profile.spend(number, ms);
  assert.deepEqual(profile.entries(), [
    { stack: a, ms: 8 },
    { stack: b, ms: 2 },
    { stack: b, ms: 7 },
  ]);
});

test('a long profile stays small and loses no time', () => {
  const profile = new GuestProfile();
  const numbers = Array.from({ length: 100 }, (_, i) => profile.code('fast', BigInt(i)));
  for (let i = 0; i < 500_000; i++) profile.spend(numbers[i % 100], 0.1);
  const entries = profile.entries();
  assert.ok(entries.length <= 400_100, String(entries.length));
  assert.equal(Math.round(entries.reduce((sum, { ms }) => sum + ms, 0)), 50_000);
});
