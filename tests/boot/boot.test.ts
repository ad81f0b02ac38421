// The default guest (Debian's kernel and BusyBox), booted by the command as a user does. The first time it is fetched through apt.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { fetchGuest } from '@anillo/cli/default-guest/fetch-guest';
import { runCli } from './run-cli.ts';

const TIMEOUT_MS = 600_000;
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
    const folder = mkdtempSync(join(tmpdir(), 'anillo-boot-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const profile = join(folder, 'profile.json');
    const args = ['run', '--accel', 'jit', '--profile', profile];
    const { status, stdout, stderr } = await runCli(args, { input: 'uname -a\ncat /proc/cpuinfo\npoweroff -f\n' });
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /^Linux anillo \d+\.\d+\.\S+ .* x86_64 GNU\/Linux\r?$/m);
    assert.match(stdout, /^model name\s*: Anillo x86-64-v3\r?$/m);
    assert.match(stdout, /^flags\s*: .*\bavx2\b.*\bbmi2\b/m);
    assert.match(stdout, /reboot: Power down/);
    assert.equal(stderr, '');
    // The kernel's own symbols, wherever it has put itself.
    const { shared } = JSON.parse(readFileSync(profile, 'utf8'));
    const names = new Set(shared.frames.map(({ name }: { name: string }) => name));
    for (const name of ['memset_orig', 'strcmp', 'kernel', 'translation']) assert.ok(names.has(name), `${name} is missing`);
  });

  test('finds PCI Express, a PCI device and an IOMMU on q35, and remaps its interrupts', async (t) => {
    if (missing !== undefined) return t.skip(missing);
    const args = ['run', '--machine', 'q35', '--device', 'intel-iommu', '--device', 'edu,addr=5', '--append', 'intel_iommu=on'];
    const commands = [
      'dmesg | grep -E "DMAR|MMCONFIG"',
      'cd /sys/bus/pci/devices/0000:00:05.0; cat device; basename $(readlink iommu_group); echo 1 > enable; devmem 0xc0000008 32 6',
      'sleep 1; devmem 0xc0000008; poweroff -f',
    ];
    const { status, stdout, stderr } = await runCli(args, { input: `${commands.join('\n')}\n` });
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /PCI: MMCONFIG for domain 0000 \[bus 00-ff\]/);
    assert.match(stdout, /DMAR-IR: Enabled IRQ remapping in x2apic mode/);
    assert.match(stdout, /DMAR: Intel\(R\) Virtualization Technology for Directed I\/O/);
    assert.match(stdout, /^0x11e8\r?\n\d+\r?$/m);
    assert.match(stdout, /^0x000002D0\r?$/m);
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
