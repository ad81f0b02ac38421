// The commands as users start them: from the start-up snapshot, which must behave as the sources do.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type CliOptions, type CliResult, runCli } from './run-cli.ts';
import { GUESTS, SAY_A, tinyFirmware } from './tiny-firmware.ts';

const TIMEOUT_MS = 120_000;
const CTRL_A = '\x01';
const ROOT = resolve(import.meta.dirname, '../..');

/** mov dx, 0xf4; mov al, 3; out dx, al; jmp $ */
const DEBUG_EXIT = tinyFirmware([...SAY_A, 0xba, 0xf4, 0x00, 0xb0, 0x03, 0xee, 0xeb, 0xfe]);
const DEBUG_EXIT_STATUS = 2 * 3 + 1;

describe('the start-up snapshot', { timeout: TIMEOUT_MS }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'anillo-snapshot-'));
  const image = (name: string): string => join(folder, `${name}.bin`);
  const command = (name: string): string => join(ROOT, 'apps/cli/bin', name);
  const launch = (args: readonly string[], options: CliOptions = {}, name = 'anillo'): Promise<CliResult> =>
    runCli([], { ...options, under: [command(name), ...args] });

  before(() => {
    for (const [name, bytes] of Object.entries({ ...GUESTS, debugExit: DEBUG_EXIT })) writeFileSync(image(name), bytes);
  });
  after(() => rmSync(folder, { recursive: true }));

  test('is made and runs', async () => {
    assert.deepEqual(await launch(['--version']), { status: 0, signal: null, stdout: 'anillo 0.1.0\n', stderr: '' });
    assert.ok(statSync(join(ROOT, 'build/start/snapshot.blob')).size > 1_000_000);
  });

  test('runs guests, in each tier, and tells their status', async () => {
    for (const accel of ['jit', 'interp']) {
      const { status, stdout, stderr } = await launch([
        'run',
        '--accel',
        accel,
        '--bios',
        image('debugExit'),
        '--device',
        'isa-debug-exit,iobase=0xf4',
      ]);
      assert.deepEqual([status, stdout, stderr], [DEBUG_EXIT_STATUS, 'A', '']);
    }
  });

  test('is anillo-qemu too', async () => {
    const args = ['-nographic', '-bios', image('debugExit'), '-device', 'isa-debug-exit,iobase=0xf4,iosize=4'];
    const { status, stdout } = await launch(args, {}, 'anillo-qemu');
    assert.deepEqual([status, stdout], [DEBUG_EXIT_STATUS, 'A']);
  });

  test('takes files, arguments and environment of its own process', async () => {
    const { status, stdout, stderr } = await launch(['run'], { env: { XDG_CACHE_HOME: image('endlessLoop') } });
    assert.deepEqual([status, stdout], [2, '']);
    assert.match(stderr, /^anillo: .*endlessLoop\.bin.*set XDG_CACHE_HOME.*\n$/);
    const missing = await launch(['run', '--kernel', 'no such file']);
    assert.deepEqual([missing.status, missing.stderr], [2, 'anillo: The kernel no such file does not exist; check the path.\n']);
  });

  test('runs under options for Node', async () => {
    const { status, stderr } = await launch(['--version'], { env: { NODE_OPTIONS: '--max-old-space-size=300' } });
    assert.deepEqual([status, stderr], [0, '']);
  });

  test('has the terminal and the signals', async () => {
    const args = ['run', '--bios', image('endlessLoop')];
    const onTerminal = await runCli([], {
      under: ['script', '-qefc', [command('anillo'), ...args].join(' '), '/dev/null'],
      until: /A/,
      act: (child) => child.type(`${CTRL_A}x`),
    });
    assert.equal(onTerminal.status, 0, onTerminal.stdout);
    const killed = await launch(args, { until: /A/, act: (child) => child.kill('SIGTERM') });
    assert.deepEqual([killed.status, killed.stderr], [128 + 15, '']);
  });
});
