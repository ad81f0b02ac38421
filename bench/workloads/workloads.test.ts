import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { OWN_WORKLOADS } from './own-workloads.ts';
import { GROUP_NAMES, WORKLOADS } from './workloads.ts';

test('every group has workloads, and no name stands for two things', () => {
  const groups = new Set([...WORKLOADS.values()].map(({ group }) => group));
  assert.deepEqual([...groups], GROUP_NAMES);
  for (const name of WORKLOADS.keys()) {
    assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)*$/);
    assert.ok(!GROUP_NAMES.some((group) => group === name), name);
  }
});

test('each of our own programs is a workload, and none is missing', () => {
  const table = readFileSync(join(import.meta.dirname, '../programs/programs.def'), 'utf8');
  const programs = Array.from(table.matchAll(/^PROGRAM\("([^"]+)"/gm), ([, name]) => name);
  assert.deepEqual(programs.toSorted(), Object.keys(OWN_WORKLOADS).toSorted());
});
