// The default guest (Debian's kernel and BusyBox), booted by the command as a user does. The first time it is fetched through apt.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { fetchGuest } from '@anillo/cli/default-guest/fetch-guest';
import { runCli } from './run-cli.ts';

const TIMEOUT_MS = 420_000;
const SIGTERM_STATUS = 128 + 15;

describe('the default guest', { timeout: TIMEOUT_MS }, () => {
  let missing: string | undefined;
  before(async () => {
    try {
      await fetchGuest();
    } catch (error) {
      if (!(error instanceof AnilloError)) throw error;
      missing = error.message.split('\n', 1)[0];
    }
  });

  test('boots to a shell that takes commands from a pipe, and powers off', async (t) => {
    if (missing !== undefined) return t.skip(missing);
    const { status, stdout, stderr } = await runCli(['run', '--accel', 'jit'], { input: 'uname -a\ncat /proc/cpuinfo\npoweroff -f\n' });
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /^Linux anillo \d+\.\d+\.\S+ .* x86_64 GNU\/Linux\r?$/m);
    assert.match(stdout, /^model name\s*: Anillo x86-64-v3\r?$/m);
    assert.match(stdout, /^flags\s*: .*\bavx2\b.*\bbmi2\b/m);
    assert.match(stdout, /reboot: Power down/);
    assert.equal(stderr, '');
  });

  test('starts in the interpreter', async (t) => {
    if (missing !== undefined) return t.skip(missing);
    const args = ['run', '--accel', 'interp', '--append', 'loglevel=7 earlyprintk=ttyS0'];
    const { status, stdout, stderr } = await runCli(args, { until: /Linux version \d/, act: (child) => child.kill('SIGTERM') });
    assert.equal(status, SIGTERM_STATUS, stdout + stderr);
  });

  test('its panic leaves Anillo in control', async (t) => {
    if (missing !== undefined) return t.skip(missing);
    const args = ['run', '--append', 'rdinit=/nothing root=/dev/nothing panic=0'];
    const { status, stdout, stderr } = await runCli(args, { until: /end Kernel panic/, act: (child) => child.kill('SIGTERM') });
    assert.equal(status, SIGTERM_STATUS, stdout + stderr);
    assert.match(stdout, /Kernel panic - not syncing/);
  });
});
