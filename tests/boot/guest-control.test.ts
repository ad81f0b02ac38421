// Whatever the guest does, Anillo stays in control: signals, the quit key and `stop()` work, and a triple fault prints the registers.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Machine } from 'anillo';
import { cliWords, runCli } from './run-cli.ts';
import { GUESTS, tinyFirmware } from './tiny-firmware.ts';

const TIMEOUT_MS = 300_000;
const SIGTERM_STATUS = 128 + 15;
const CTRL_A = '\x01';

const folder = mkdtempSync(join(tmpdir(), 'anillo-control-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const imagePath = (guest: keyof typeof GUESTS): string => {
  const path = join(folder, `${guest}.bin`);
  writeFileSync(path, GUESTS[guest]);
  return path;
};

describe('guests that never give up control', { timeout: TIMEOUT_MS }, () => {
  for (const guest of ['endlessLoop', 'haltedForGood'] as const) {
    for (const accel of ['jit', 'interp'] as const) {
      test(`${guest} (${accel}): SIGTERM`, async () => {
        const args = ['run', '--bios', imagePath(guest), '--accel', accel, '--stats'];
        const { status, signal, stdout, stderr } = await runCli(args, { until: /A/, act: (child) => child.kill('SIGTERM') });
        assert.deepEqual({ status, signal, stdout }, { status: SIGTERM_STATUS, signal: null, stdout: 'A' }, stderr);
        assert.match(stderr, /^guest instructions, interpreted +[\d,]+$/m);
      });
    }

    const hasScript = process.platform === 'linux' && spawnSync('script', ['--version']).status === 0;
    test(`${guest}: Ctrl-A X on a terminal`, { skip: !hasScript && 'no script(1)' }, async () => {
      const command = cliWords(['run', '--bios', imagePath(guest)]).join(' ');
      const { status, stdout } = await runCli([], {
        under: ['script', '-qefc', command, '/dev/null'],
        until: /A/,
        act: (child) => child.type(`${CTRL_A}x`),
      });
      assert.equal(status, 0, stdout);
    });

    test(`${guest}: stop() of the library`, async () => {
      await using machine = await Machine.create({ bios: GUESTS[guest] });
      machine.start();
      await machine.serial.waitForOutput('A');
      assert.equal((await machine.stop()).reason, 'stopped');
    });
  }
});

for (const accel of ['jit', 'interp'] as const) {
  test(`a triple fault ends the machine and prints the registers (${accel})`, { timeout: TIMEOUT_MS }, async () => {
    const { status, stdout, stderr } = await runCli(['run', '--bios', imagePath('tripleFault'), '--accel', accel]);
    assert.deepEqual([status, stdout], [1, 'A']);
    assert.match(stderr, /^anillo: The guest's CPU shut down \(triple fault\)\.\n/);
    for (const register of [/^rip=0+f00c /m, /^eax=00000041 /m, /^cs +=f000 /m, /^cr0=60000010 /m, /idt base=0+ limit=0000/])
      assert.match(stderr, register);
  });
}

test('two machines in one process do not meet', { timeout: TIMEOUT_MS }, async () => {
  await using endless = await Machine.create({ bios: GUESTS.endlessLoop, memory: 16 });
  await using other = await Machine.create({ bios: GUESTS.tripleFault, memory: 32 });
  endless.start();
  other.start();
  await Promise.all([endless.serial.waitForOutput('A'), other.serial.waitForOutput('A')]);
  assert.equal((await other.waitForExit()).reason, 'triple-fault');
  assert.equal(endless.state, 'running');
  await endless.stop();
});

test('--trace tells what happens in the categories asked for, and nothing else', { timeout: TIMEOUT_MS }, async () => {
  const traced = async (list: string): Promise<string[]> => {
    const { stderr } = await runCli(['run', '--bios', imagePath('tripleFault'), '--trace', list]);
    return stderr.split('\n').filter((line) => /^(trap|interrupt|NMI|exit|block|port|mmio)\b/.test(line));
  };
  assert.deepEqual(await traced('traps,ports'), ['port 0x3f8 <- 0x41 (1)', 'trap #UD at 0xf00c']);
  const blocks = await traced('blocks,exits');
  assert.equal(blocks[0], 'exit miss at 0xfffffff0');
  assert.match(blocks[1], /^block at 0xfffffff0, 3 bytes, 1 instructions$/);
  assert.ok(blocks.includes('exit trap at 0xfffff00c'), blocks.join('\n'));
});

test('interrupts and device memory are traced', { timeout: TIMEOUT_MS }, async () => {
  const lines: string[] = [];
  const trace = { interrupts: true, mmio: true, line: (text: string) => void lines.push(text) };
  await using machine = await Machine.create({ bios: TIMER_GUEST, devices: [{ model: 'isa-debug-exit', iobase: 0xf4, iosize: 4 }], trace });
  machine.start();
  assert.equal((await machine.waitForExit()).reason, 'debug-exit');
  assert.deepEqual(
    lines.map((line) => line.replace(/ at .*/, '')),
    ['mmio 0xfee00030 -> 0x1050014 (4)', 'interrupt 0x8'],
  );
});

/** The 8259 with the timer alone at vector 8, whose handler is an iret; hlt until it comes; ends through isa-debug-exit. */
const out = (port: number, value: number): number[] => [0xb0, value, 0xe6, port];
const BEFORE = [
  // Real mode with a 4 GiB limit in DS, by a detour to protected mode: lgdt cs:[0xe000]; cr0 |= 1; mov ds, 8; cr0 &= ~1
  ...[0xfa, 0x66, 0x2e, 0x0f, 0x01, 0x16, 0x00, 0xe0, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0],
  ...[0xbb, 0x08, 0x00, 0x8e, 0xdb, 0x24, 0xfe, 0x0f, 0x22, 0xc0],
  // xor bx, bx; mov ds, bx; mov eax, [dword 0xfee00030]
  ...[0x31, 0xdb, 0x8e, 0xdb, 0x67, 0x66, 0xa1, 0x30, 0x00, 0xe0, 0xfe],
  // mov word [0x20], 0xe100; mov word [0x22], 0xf000
  ...[0xc7, 0x06, 0x20, 0x00, 0x00, 0xe1, 0xc7, 0x06, 0x22, 0x00, 0x00, 0xf0],
];
const TIMER_GUEST = tinyFirmware([
  ...BEFORE,
  ...[...out(0x20, 0x11), ...out(0x21, 8), ...out(0x21, 4), ...out(0x21, 1), ...out(0x21, 0xfe)],
  ...[...out(0x43, 0x34), ...out(0x40, 0), ...out(0x40, 0x10)],
  // mov sp, 0x7000; sti; hlt; cli
  ...[0xbc, 0x00, 0x70, 0xfb, 0xf4, 0xfa],
  ...out(0xf4, 0),
  ...[0xeb, 0xfe],
]);
TIMER_GUEST.set([0x0f, 0x00, 0x10, 0xe0, 0xff, 0xff], 0xe000);
TIMER_GUEST.set([0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0], 0xe018);
TIMER_GUEST[0xe100] = 0xcf;
