// Sets of slots against sets of numbers.

import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import { SLOTS_AT_MOST, SlotSet } from './slot-set.ts';

const made = (numbers: Iterable<number>): SlotSet => [...numbers].reduce((set, n) => set.with(n), SlotSet.NONE);
function members(set: SlotSet): number[] {
  const found: number[] = [];
  for (let n = set.next(0); n >= 0; n = set.next(n + 1)) found.push(n);
  return found;
}

const A = new Set([0, 1, 31, 32, 63, 64, 90, 127]);
const B = new Set([1, 30, 31, 33, 64, 95, 96, 126, 127]);

test('members come in order, from any word', () => {
  deepEqual(members(made(A)), [...A]);
  deepEqual(members(SlotSet.NONE), []);
  equal(members(SlotSet.ALL).length, SLOTS_AT_MOST);
  equal(made(A).next(33), 63);
  equal(made(A).next(SLOTS_AT_MOST), -1);
});

test('union, intersection and difference are those of sets', () => {
  const [a, b] = [made(A), made(B)];
  deepEqual(
    members(a.or(b)),
    [...A.union(B)].sort((x, y) => x - y),
  );
  deepEqual(members(a.and(b)), [...A.intersection(B)]);
  deepEqual(members(a.without(b)), [...A.difference(B)]);
});

test('sets are compared by their members', () => {
  equal(made(A).equals(made([...A].reverse())), true);
  for (const n of A) equal(made(A).equals(made([...A].filter((m) => m !== n))), false);
  equal(SlotSet.NONE.isEmpty, true);
  for (const n of A) equal(made([n]).isEmpty, false);
  equal(made(A).has(90) && !made(A).has(91), true);
});
