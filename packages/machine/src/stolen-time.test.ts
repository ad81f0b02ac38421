import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StolenTime } from './stolen-time.ts';

test('what has passed without computing or waiting is stolen, and never given back', () => {
  let now = 50e6;
  let used = 7e6;
  const stolen = new StolenTime({ nowNs: () => now, threadNs: () => used });
  assert.equal(stolen.totalNs(), 0);
  now += 100e6;
  used += 60e6;
  assert.equal(stolen.totalNs(), 30e6, 'all but what the account may be late');
  const since = now;
  now += 1000e6;
  stolen.waited(since);
  assert.equal(stolen.totalNs(), 30e6);
  used += 20e6;
  assert.equal(stolen.totalNs(), 30e6);
});

test('a host that does not count steals nothing', () => {
  let now = 0;
  const stolen = new StolenTime({ nowNs: () => now });
  now = 1e12;
  assert.equal(stolen.totalNs(), 0);
});
