import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cpio } from '@anillo/cli/default-guest/cpio';
import { folderEntries } from '@anillo/cli/default-guest/folder-entries';
import { unpackCpio } from './unpack-cpio.ts';

test('archives come back as folders, and folders as archives; the later archive wins', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'anillo-unpack-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const first = cpio([
    { kind: 'directory', path: 'bin', mode: 0o755 },
    { kind: 'file', path: 'bin/odd', mode: 0o755, content: 'seven b' },
    { kind: 'symlink', path: 'bin/sh', target: 'odd' },
    { kind: 'character-device', path: 'console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'file', path: 'init', mode: 0o755, content: 'first' },
  ]);
  const second = cpio([{ kind: 'file', path: 'init', mode: 0o755, content: 'second' }]);
  unpackCpio(Buffer.concat([first, second]), folder);
  assert.deepEqual(readdirSync(folder).sort(), ['bin', 'init']);
  assert.equal(readFileSync(join(folder, 'bin/odd'), 'utf8'), 'seven b');
  assert.equal(statSync(join(folder, 'bin/odd')).mode & 0o111, 0o111);
  assert.equal(readlinkSync(join(folder, 'bin/sh')), 'odd');
  assert.equal(readFileSync(join(folder, 'init'), 'utf8'), 'second');
  assert.deepEqual(
    folderEntries(folder).map(({ kind, path }) => [kind, path]),
    [
      ['directory', 'bin'],
      ['file', 'bin/odd'],
      ['symlink', 'bin/sh'],
      ['file', 'init'],
    ],
  );
});
