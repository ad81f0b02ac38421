import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { NOT_SUPPORTED } from '../workloads/workload.ts';
import { OWN_WORKLOADS } from '../workloads/own-workloads.ts';
import { compilePrograms } from './own-programs.ts';

const canRun = process.platform === 'linux' && process.arch === 'x64' && spawnSync('gcc', ['--version']).status === 0;

test('every program proves a little of its work on this CPU, and more of it differently', { skip: !canRun && 'no gcc for x86-64' }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'anillo-programs-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const program = join(folder, 'programs');
  assert.equal(compilePrograms('amd64', program), undefined);
  const run = (...args: readonly string[]) => spawnSync(program, args, { encoding: 'latin1' });
  for (const name of Object.keys(OWN_WORKLOADS)) {
    // The set's area needs some lines, chasing needs no longer way than one.
    const count = name === 'mandelbrot' ? '20' : '1';
    const { status, stdout } = run(name, count);
    assert.equal(status, 0, `${name}: ${stdout}`);
    assert.match(stdout, new RegExp(`^([0-9a-f]{16}|${NOT_SUPPORTED})\\n$`), name);
    assert.equal(run(name, count).stdout, stdout, `${name} proves something else each time`);
  }
  assert.notEqual(run('sort', '1').stdout, run('sort', '2').stdout);
  assert.equal(run('nothing').status, 0);
  assert.equal(run('unknown', '1').status, 2);
});
