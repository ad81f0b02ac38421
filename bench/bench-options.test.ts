import assert from 'node:assert/strict';
import { test } from 'node:test';
import { benchOptions } from './bench-options.ts';
import { MEASURE_NAMES } from './measures.ts';

test('everything by default; the chart in docs only when everything of the default guest is measured', () => {
  const { names, runs, guest, svg } = benchOptions([]);
  assert.deepEqual([names, runs, guest, svg], [MEASURE_NAMES, 5, 'amd64', 'docs/bench.svg']);
  assert.equal(benchOptions(['--only', 'boot']).svg, undefined);
  assert.equal(benchOptions(['--guest', 'i386']).svg, undefined);
  assert.equal(benchOptions(['--only', 'boot', '--svg', 'a.svg']).svg, 'a.svg');
});

test('names and numbers', () => {
  assert.deepEqual(benchOptions(['--only', 'boot,sha256,boot', '--runs=3']).names, ['boot', 'sha256']);
  assert.throws(() => benchOptions(['--only', 'boot,sha1']), /"sha1"; choose among boot, loop/);
  for (const runs of ['0', '-1', 'many', '1.5']) assert.throws(() => benchOptions(['--runs', runs]), /from 1 to 9999/);
});
