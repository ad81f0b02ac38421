// A program that has four CPUs at each other, in Linux, with exact counts. It is compiled by the host's gcc and is all that the guest has beside its kernel.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { cpio } from '@anillo/cli/default-guest/cpio';
import { fetchGuest } from '@anillo/cli/default-guest/fetch-guest';
import { runCli } from './run-cli.ts';

const TIMEOUT_MS = 600_000;
const SOURCE = join(import.meta.dirname, 'smp-stress.c');
const COUNTS = `locked across lines 120000
locked bytes 192
locked pairs 120000
spin lock 120000
mutex 15000
turns handed on 800
changes of code 300
stores under protection 60000
signals 4000
wrong 0
`;

test('four CPUs of Linux count what they do to each other', { timeout: TIMEOUT_MS }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'anillo-smp-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const program = join(folder, 'init');
  const { status: compiled } = spawnSync('gcc', ['-O2', '-static', '-pthread', '-o', program, SOURCE]);
  if (compiled !== 0) return t.skip('there is no gcc that makes static programs');
  let kernel: string;
  try {
    kernel = (await fetchGuest()).kernelPath;
  } catch (error) {
    if (error instanceof AnilloError) return t.skip(error.message.split('\n', 1)[0]);
    throw error;
  }
  const initrd = join(folder, 'initrd');
  writeFileSync(initrd, cpio([{ path: 'init', kind: 'file', mode: 0o755, content: readFileSync(program) }]));
  const args = ['run', '--cpus', '4', '--kernel', kernel, '--initrd', initrd, '--append', 'console=ttyS0 quiet', '--memory', '256M'];
  const { status, stdout, stderr } = await runCli(args);
  assert.equal(status, 0, stdout + stderr);
  assert.ok(stdout.replaceAll('\r', '').includes(COUNTS), stdout);
  assert.doesNotMatch(stdout, /WRONG|BUG:|Oops|stall|soft lockup/);
});
