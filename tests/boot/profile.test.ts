// `--profile`: a file for speedscope, with names for guest code from a file of symbols.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runCli } from './run-cli.ts';
import { GUESTS, SAY_A } from './tiny-firmware.ts';

const folder = mkdtempSync(join(tmpdir(), 'anillo-profile-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('tells where a guest that loops spends its time', { timeout: 300_000 }, async () => {
  const [bios, map, profile] = ['bios.bin', 'System.map', 'profile.json'].map((name) => join(folder, name));
  writeFileSync(bios, GUESTS.endlessLoop);
  // The code of the firmware is at 0xfffff000; the file says otherwise by 0x1000.
  writeFileSync(map, `ffffe000 T start\n${(0xffffe000 + SAY_A.length + 1).toString(16)} t forever\n`);
  const args = ['run', '--bios', bios, '--profile', profile, '--symbols', `${map}@0x1000`];
  const { stderr } = await runCli(args, { until: /A/, act: (child) => void setTimeout(() => child.kill('SIGTERM'), 500) });
  assert.equal(stderr, '');
  const { shared, profiles } = JSON.parse(readFileSync(profile, 'utf8'));
  const [{ samples, weights }] = profiles;
  const msOf = (name: string): number =>
    samples.reduce(
      (sum: number, stack: number[], i: number) => sum + (stack.some((frame) => shared.frames[frame].name === name) ? weights[i] : 0),
      0,
    );
  assert.ok(msOf('forever') > msOf('start'), `${msOf('forever')} ms in the loop, ${msOf('start')} before it`);
  assert.ok(msOf('guest code, compiled') > msOf('guest code, interpreted'));
  assert.ok(msOf('TypeScript') > 0);
});
