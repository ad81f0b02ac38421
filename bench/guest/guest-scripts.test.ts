import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { markedWork } from '../marks.ts';
import type { Workload } from '../workloads/workload.ts';
import { markName, workScript } from './guest-scripts.ts';

const workloads: readonly (readonly [string, Workload])[] = [
  ['count', { title: 'count', group: 'int', prepare: 'n=40', shell: 'n=$((n + 1))', verify: 'check="$n turns"' }],
  [
    'own-marks',
    {
      title: 'own marks',
      group: 'disk',
      marksItself: true,
      shell: 'sleep 1; echo $mark begin >&3; echo $mark - >&3 | cat',
      verify: 'check=done',
    },
  ],
  ['fails', { title: 'fails', group: 'int', shell: 'check=$(false)' }],
];

test('each phase leaves its marks; the preparation is done once; nothing of one check is left to the next', (t) => {
  // EPOCHREALTIME: Bash has it too, which BusyBox's shell took it from.
  const { status, stdout } = spawnSync('bash', ['-c', workScript(workloads)], { encoding: 'latin1' });
  if (status === null) return t.skip('no bash');
  const lines = stdout.split('\n').map((text, index) => ({ atMs: index, cpuSeconds: 0, text }));
  const proofs = workloads.flatMap(([name]) =>
    (['cold', 'warm'] as const).map((phase) => {
      const { check, seconds } = markedWork(lines, markName(name, phase));
      return [check, seconds < 1];
    }),
  );
  assert.deepEqual(proofs, [
    ['41', true],
    ['42', true],
    ['done', true],
    ['done', true],
    ['', true],
    ['', true],
  ]);
});
