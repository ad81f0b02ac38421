import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type SoakRound, soakFailures, thirds } from './soak-verdict.ts';

const rounds = (count: number, round: (i: number) => Partial<SoakRound>): SoakRound[] =>
  Array.from({ length: count }, (_, i) => ({ seconds: 2, rssMib: 400, clockOffsetMs: 5, ...round(i) }));

test('what stays as it is passes, with noise and a slow start', () => {
  assert.deepEqual(
    soakFailures(rounds(30, (i) => ({ seconds: i < 2 ? 9 : i < 10 ? 2.5 : 2 + (i % 3) * 0.3, rssMib: 400 + (i % 5) * 4 }))),
    [],
  );
});

test('slower work, growing memory and a clock that goes wrong do not', () => {
  const says = (found: readonly SoakRound[], pattern: RegExp): void => assert.match(soakFailures(found).join(), pattern);
  says(
    rounds(30, (i) => ({ seconds: 2 + i * 0.02 })),
    /^The same work took .* longer/,
  );
  says(
    rounds(30, (i) => ({ seconds: i < 10 ? 3 : i < 20 ? 2 : 2.4 })),
    /^The same work took 20\.0 % longer/,
  );
  says(
    rounds(30, (i) => ({ rssMib: 400 + i * 4 })),
    /^Memory grew/,
  );
  says(
    rounds(60, (i) => ({ clockOffsetMs: i * 40 })),
    /^The guest's clock/,
  );
  says(
    rounds(5, () => ({})),
    /^Only 5 rounds/,
  );
});

test('thirds', () => assert.deepEqual(thirds([1, 2, 3, 4, 5, 6, 7, 8, 9]), [2, 5, 8]));
