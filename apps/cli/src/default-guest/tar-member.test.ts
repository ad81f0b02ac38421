import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { tarMember } from './tar-member.ts';

function sampleTar(): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'anillo-tar-'));
  mkdirSync(join(folder, 'boot'));
  writeFileSync(join(folder, 'boot/config'), 'x'.repeat(700));
  writeFileSync(join(folder, 'boot/vmlinuz-1'), 'k'.repeat(1500));
  const archive = execFileSync('tar', ['-c', '--format=gnu', '-C', folder, './boot/config', './boot/vmlinuz-1']);
  rmSync(folder, { recursive: true });
  return archive;
}

async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

test('finds the member whatever the size of the pieces', async () => {
  const archive = sampleTar();
  for (const pieceBytes of [1, 7, 512, 4096, archive.length]) {
    const member = await tarMember(inPieces(archive, pieceBytes), /\/vmlinuz-/);
    assert.equal(member?.name, './boot/vmlinuz-1');
    assert.equal(Buffer.from(member.content).toString(), 'k'.repeat(1500));
  }
});

test('no such member, a cut archive and rubbish give undefined', async () => {
  const archive = sampleTar();
  assert.equal(await tarMember(inPieces(archive, 999), /initrd/), undefined);
  assert.equal(await tarMember(inPieces(archive.subarray(0, archive.indexOf('k') + 100), 999), /vmlinuz/), undefined);
  assert.equal(await tarMember(inPieces(new Uint8Array(4096).fill(7), 999), /vmlinuz/), undefined);
});
