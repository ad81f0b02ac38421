import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Measure } from './measures.ts';
import { makeReport } from './report.ts';
import { reportChart } from './report-chart.ts';
import { reportTable } from './report-table.ts';

const measure = (title: string, more: Partial<Measure>): Measure => ({
  name: title,
  title,
  unit: 's',
  job: 'boot',
  value: () => 0,
  ...more,
});
const samples = [
  { measure: measure('boot', { inMean: true, goal: { ratioAtMost: 3 } }), anillo: [5, 4, 30], peer: [2, 1, 4] },
  { measure: measure('a < b', { inMean: true }), anillo: [1], peer: [2.5] },
  { measure: measure('start', { unit: 'ms', goal: { atMost: 400 } }), anillo: [401], peer: [] },
  { measure: measure('speed', { unit: 'million/s', goal: { atLeast: 30 } }), anillo: [31], peer: [] },
];

test('medians are compared, goals held, ratios averaged', () => {
  const { results, meanRatio } = makeReport(samples);
  assert.deepEqual(
    results.map(({ anillo, ratio, reached }) => [anillo.minimum, anillo.median, ratio, reached]),
    [
      [4, 5, 2.5, true],
      [1, 1, 0.4, undefined],
      [401, 401, undefined, false],
      [31, 31, undefined, true],
    ],
  );
  assert.ok(Math.abs((meanRatio ?? 0) - 1) < 1e-12);
  assert.equal(makeReport([{ ...samples[0], peer: [] }]).results[0].reached, undefined);
});

test('the table, with and without a peer', () => {
  const rows = reportTable(makeReport(samples), 'QEMU TCG').split('\n');
  assert.match(rows[1], /^boot +s +4\.00 +5\.00 +1\.00 +2\.00 +2\.50x +<= 3x yes$/);
  assert.match(rows[3], /^start +ms +401 +401 +<= 400 NO$/);
  assert.match(rows[5], /^geometric mean.* 1\.00x$/);
  const alone = reportTable(makeReport(samples.map((sample) => ({ ...sample, peer: [] }))), undefined);
  assert.match(alone, /\nboot +s +4\.00 +5\.00 +<= 3x\n/);
  assert.doesNotMatch(alone, /ratio|geometric/);
});

test('the chart has a bar for each time beside a peer, as long as its ratio', () => {
  const chart = reportChart(makeReport(samples), 'QEMU TCG', ['here & now']) ?? '';
  const widths = Array.from(chart.matchAll(/<rect class="bar".*? width="([\d.]+)"/g), (match) => Number(match[1]));
  assert.equal(widths.length, 2);
  assert.ok(Math.abs(widths[0] / widths[1] - 2.5 / 0.4) < 0.05);
  assert.match(chart, /a &lt; b[\s\S]*here &amp; now/);
  assert.equal(reportChart(makeReport([samples[2]]), 'QEMU TCG', []), undefined);
});
