import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpio } from './cpio.ts';

const ascii = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** A reader of its own, after the format's description: names to [mode, content]. */
function read(archive: Uint8Array): Map<string, [number, string]> {
  const found = new Map<string, [number, string]>();
  for (let at = 0; ; ) {
    assert.equal(at % 4, 0);
    assert.equal(ascii(archive.subarray(at, at + 6)), '070701');
    const field = (index: number): number => Number.parseInt(ascii(archive.subarray(at + 6 + index * 8, at + 14 + index * 8)), 16);
    const nameEnd = at + 110 + field(11);
    assert.equal(archive[nameEnd - 1], 0);
    const name = ascii(archive.subarray(at + 110, nameEnd - 1));
    const start = (nameEnd + 3) & -4;
    if (name === 'TRAILER!!!') return found;
    found.set(name, [field(1), ascii(archive.subarray(start, start + field(6)))]);
    at = (start + field(6) + 3) & -4;
  }
}

test('entries come back with type, permissions and content', () => {
  const archive = cpio([
    { kind: 'directory', path: 'bin', mode: 0o755 },
    { kind: 'file', path: 'bin/five', mode: 0o644, content: 'fünf' },
    { kind: 'symlink', path: 'bin/sh', target: 'busybox' },
    { kind: 'character-device', path: 'console', mode: 0o600, major: 5, minor: 1 },
  ]);
  assert.equal(archive.length % 512, 0);
  assert.deepEqual(
    [...read(archive)],
    [
      ['bin', [0o040755, '']],
      ['bin/five', [0o100644, Buffer.from('fünf').toString('latin1')]],
      ['bin/sh', [0o120777, 'busybox']],
      ['console', [0o020600, '']],
    ],
  );
});

test('equal entries give equal bytes', () => {
  const make = (): Uint8Array => cpio([{ kind: 'file', path: 'init', mode: 0o755, content: '#!/bin/sh\n' }]);
  assert.deepEqual(make(), make());
});
