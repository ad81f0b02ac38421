import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ConsoleLine, markedWork, MissingMark } from './marks.ts';

const console = (...lines: readonly [number, string][]): readonly ConsoleLine[] =>
  lines.map(([atMs, text]) => ({ atMs, cpuSeconds: atMs / 4000, text }));

test('the time by the guest counts while the host agrees', () => {
  const lines = console([1000, '[  1.0] ANILLO-BENCH gzip begin'], [1500, 'noise'], [3040, 'ANILLO-BENCH gzip 2.010000 e3cb']);
  const { cpuSeconds, endedAtCpuSeconds, ...rest } = markedWork(lines, 'gzip');
  assert.deepEqual(rest, { seconds: 2.01, hostSeconds: 2.04, clocksAgree: true, check: 'e3cb', endedAtMs: 3040 });
  assert.ok(Math.abs(cpuSeconds - 0.51) < 1e-9);
  assert.equal(endedAtCpuSeconds, 0.76);
});

test('a slow or fast guest clock does not count', () => {
  for (const guestSeconds of ['1.000000', '4.000000']) {
    const lines = console([1000, 'ANILLO-BENCH gzip begin'], [3040, `ANILLO-BENCH gzip ${guestSeconds} e3cb`]);
    const { seconds, clocksAgree } = markedWork(lines, 'gzip');
    assert.deepEqual([seconds, clocksAgree], [2.04, false]);
  }
});

test('without a clock in the guest the host measures; without a begin the guest alone', () => {
  const spin = markedWork(console([10, 'ANILLO-BENCH spin begin'], [60, 'ANILLO-BENCH spin - ABCD']), 'spin');
  assert.deepEqual([spin.seconds, spin.check], [0.05, 'ABCD']);
  const boot = markedWork(console([10, 'ANILLO-BENCH boot 2.31 -']), 'boot');
  assert.deepEqual([boot.seconds, boot.hostSeconds, boot.clocksAgree], [2.31, undefined, true]);
});

test('a proof that takes its time is not part of the work', () => {
  const lines = console([0, 'ANILLO-BENCH xz:cold begin'], [1000, 'ANILLO-BENCH xz:cold 1.0'], [3000, 'ANILLO-BENCH xz:cold check ab12']);
  const { seconds, check, endedAtMs } = markedWork(lines, 'xz:cold');
  assert.deepEqual([seconds, check, endedAtMs], [1, 'ab12', 1000]);
  assert.throws(() => markedWork(lines, 'xz:warm'), /mark for "xz:warm"/);
  assert.throws(() => markedWork(lines.slice(0, 2), 'xz:cold'), /mark for "xz:cold"/);
});

test('a missing mark shows the end of the console', () => {
  const lines = console([1, 'ANILLO-BENCH sha256 begin'], [2, 'Kernel panic']);
  assert.throws(() => markedWork(lines, 'sha256'), /mark for "sha256"[\s\S]*Kernel panic/);
  assert.throws(() => markedWork(lines, 'sha256'), MissingMark);
});
