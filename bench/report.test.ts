import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Resources } from './collect.ts';
import type { Measure } from './measures.ts';
import { makeReport, type Samples } from './report.ts';
import { reportChart } from './report-chart.ts';
import { reportTable } from './report-table.ts';

const QEMU = 'QEMU TCG';
const measure = (title: string, more: Partial<Measure>): Measure => ({
  ...{ name: title, title, unit: 's', job: 'boot', value: () => 0 },
  ...more,
});
const peers = (qemu: readonly number[], native: readonly number[] = []): Samples['peers'] =>
  new Map([
    [QEMU, qemu],
    ['native', native],
  ]);
const machine: readonly Samples[] = [
  { measure: measure('boot', { goal: { ratioAtMost: 3 } }), anillo: [5, 4, 30], peers: peers([2, 1, 4]) },
  { measure: measure('start', { unit: 'ms', goal: { atMost: 400 } }), anillo: [401], peers: peers([]) },
  { measure: measure('speed', { unit: 'million/s', goal: { atLeast: 30 } }), anillo: [31], peers: peers([]) },
  { measure: measure('broken', { goal: { ratioAtMost: 3 } }), anillo: [], peers: peers([2]) },
];
const work = (name: string, group: 'fp' | 'system', cold: number, warm: number): readonly Samples[] =>
  (['cold', 'warm'] as const).map((phase) => ({
    measure: measure(name, { phase, group, ...(phase === 'warm' ? { goal: { ratioAtMost: 1 } } : {}) }),
    anillo: [phase === 'cold' ? cold : warm],
    peers: peers([2], [0.25]),
  }));
const samples = [...machine, ...work('a < b', 'fp', 8, 4), ...work('c', 'fp', 2, 0.5), ...work('d', 'system', 2, 2)];
const resources: readonly Resources[] = [
  {
    job: 'fp',
    contender: 'Anillo',
    peakMib: 300,
    seconds: 9,
    stats: new Map([
      ['compilations', 1234],
      ['exits, miss', 5],
    ]),
  },
  { job: 'fp', contender: QEMU, peakMib: 200, seconds: 9, stats: new Map() },
];

test('medians are compared, goals held; what failed has no figure', () => {
  const { results } = makeReport(machine, QEMU);
  assert.deepEqual(
    results.map(({ anillo, peers: [peer], reached }) => [anillo.minimum, anillo.median, peer?.ratio, reached]),
    [
      [4, 5, 2.5, true],
      [401, 401, undefined, false],
      [31, 31, undefined, true],
      [Number.NaN, Number.NaN, Number.NaN, undefined],
    ],
  );
  assert.equal(makeReport([{ ...machine[0], peers: peers([], [1]) }], QEMU).results[0].reached, undefined);
});

test('geometric means of the ratios, by kind of work, phase and peer', () => {
  const { means } = makeReport(samples, QEMU);
  const of = (title: string, phase: string, peer: string) =>
    means.find((mean) => mean.title === title && mean.phase === phase && mean.peer === peer);
  assert.ok(Math.abs((of('all CPU workloads', 'cold', QEMU)?.ratio ?? 0) - 2) < 1e-12);
  assert.ok(Math.abs((of('all CPU workloads', 'warm', QEMU)?.ratio ?? 0) - Math.SQRT1_2) < 1e-12);
  assert.equal(of('all workloads', 'warm', QEMU)?.workloadCount, 3);
  assert.ok(Math.abs((of('floating point and SIMD', 'warm', 'native')?.ratio ?? 0) - Math.sqrt(16 * 2)) < 1e-12);
  assert.equal(of('crypto', 'warm', QEMU), undefined);
});

test('the tables, with and without peers', () => {
  const text = reportTable(makeReport(samples, QEMU), resources, [QEMU, 'native']);
  assert.match(text, /^floating point\n {2}a < b +8\.00 +4\.00 +4\.00 +2\.00 +2\.00 +2\.00 +4\.00x +2\.00x +0\.25 +16\.0x +<= 1x NO$/m);
  assert.match(text, /^boot +s +4\.00 +5\.00 +1\.00 +2\.00 +2\.50x +<= 3x yes$/m);
  assert.match(text, /^start +ms +401 +401 +<= 400 NO$/m);
  assert.match(text, /^broken +s +\? +\? +2\.00 +2\.00 +\?x +<= 3x$/m);
  assert.match(text, /^all CPU workloads +QEMU TCG +2 +2\.00x +0\.71x +1\.41$/m);
  assert.match(text, /^fp +300 +200 +1,234$/m);
  const alone = reportTable(
    makeReport(
      samples.map((sample) => ({ ...sample, peers: new Map() })),
      QEMU,
    ),
    [],
    [],
  );
  assert.match(alone, /^ {2}c +2\.00 +0\.50 +0\.50 +<= 1x$/m);
  assert.doesNotMatch(alone, /ratio|geometric|QEMU/);
});

test('the chart has a bar for each time beside the peer, from its line, as long as the logarithm of the ratio', () => {
  const chart = reportChart(makeReport(samples, QEMU), QEMU, ['here & now']) ?? '';
  const bars = Array.from(chart.matchAll(/<rect class="bar (\w+)" x="([\d.]+)".*? width="([\d.]+)"/g), ([, kind, x, width]) => ({
    ...{ kind, from: Number(x), width: Number(width) },
  }));
  assert.deepEqual(
    bars.map(({ kind }) => kind),
    ['slower', 'slower', 'faster', 'faster'],
  );
  const [boot, slower, faster, equal] = bars;
  assert.ok(Math.abs(boot.width / slower.width - Math.log2(2.5)) < 0.01 && Math.abs(faster.width / slower.width - 2) < 0.01);
  assert.ok(Math.abs(faster.from + faster.width - slower.from) < 0.2 && equal.width === 0);
  assert.equal(Array.from(chart.matchAll(/class="cold"/g)).length, 3);
  assert.match(chart, /a &lt; b[\s\S]*here &amp; now/);
  assert.equal(reportChart(makeReport([machine[1]], QEMU), QEMU, []), undefined);
});
