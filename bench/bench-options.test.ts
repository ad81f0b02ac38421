import assert from 'node:assert/strict';
import { test } from 'node:test';
import { benchList, benchOptions } from './bench-options.ts';
import { MEASURE_NAMES } from './measures.ts';

test('everything by default; the chart in docs only when everything of the default guest is measured', () => {
  const { names, runs, guest, cpus, beside, svg } = benchOptions([]);
  assert.deepEqual([names, runs, guest, cpus], [MEASURE_NAMES, 3, 'amd64', undefined]);
  assert.deepEqual([beside, svg], [['qemu', 'v86', 'native'], 'docs/bench.svg']);
  assert.equal(benchOptions(['--only', 'boot']).svg, undefined);
  assert.equal(benchOptions(['--guest', 'i386']).svg, undefined);
  assert.equal(benchOptions(['--cpus', '2']).svg, undefined);
  assert.equal(benchOptions(['--only', 'boot', '--svg', 'a.svg']).svg, 'a.svg');
});

test('names, groups and numbers', () => {
  assert.deepEqual(benchOptions(['--only', 'boot,sha256,boot', '--runs=3']).names, ['boot', 'sha256']);
  assert.deepEqual(benchOptions(['--only', 'nbody,simd,sad']).names, ['nbody', 'saxpy', 'sad', 'avx2-dot', 'avx2-shuffle']);
  assert.throws(() => benchOptions(['--only', 'boot,sha1']), /"sha1"; choose among busybox, fp/);
  for (const runs of ['0', '-1', 'many', '1.5']) assert.throws(() => benchOptions(['--runs', runs]), /from 1 to 9999/);
  assert.equal(benchOptions(['--cpus', '4']).cpus, 4);
  assert.throws(() => benchOptions(['--cpus', '256']), /from 1 to 255/);
});

test('whom it is measured beside', () => {
  assert.deepEqual(benchOptions(['--beside', 'native,qemu']).beside, ['qemu', 'native']);
  assert.deepEqual(benchOptions(['--beside', 'none']).beside, []);
  assert.throws(() => benchOptions(['--beside', 'bochs']), /"bochs"; choose among qemu, v86, native, none/);
});

test('the list has every name once', () => {
  const listed = Array.from(benchList().matchAll(/^ {2}(\S+)/gm), ([, name]) => name);
  assert.deepEqual(listed.toSorted(), MEASURE_NAMES.toSorted());
});
