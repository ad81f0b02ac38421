import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CaptureFile } from './capture-file.ts';

test('frames of several interfaces, written when it is closed at the latest', () => {
  const folder = mkdtempSync(join(tmpdir(), 'anillo-capture-'));
  try {
    const path = join(folder, 'a.pcapng');
    const file = new CaptureFile(path, assert.fail);
    const taps = [file.addInterface('net0'), file.addInterface('net1')];
    const frame = new Uint8Array(1000);
    for (let i = 0; i < 600; i++) taps[i & 1].see(frame, undefined, 'in');
    file.close();
    file.close();
    taps[0].see(frame, undefined, 'in');
    const bytes = readFileSync(path);
    let count = 0;
    for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at + 4)) if (bytes.readUInt32LE(at) === 6) count++;
    assert.equal(count, 600);
    assert.throws(() => new CaptureFile(join(folder, 'no', 'a'), assert.fail), { code: 'FILE' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a full disk ends the capture, and nothing else', { skip: process.platform === 'linux' ? false : 'there is no /dev/full' }, () => {
  const told: string[] = [];
  const file = new CaptureFile('/dev/full', (sentence) => told.push(sentence));
  const tap = file.addInterface('net0');
  for (let i = 0; i < 600; i++) tap.see(new Uint8Array(1000), undefined, 'in');
  file.close();
  assert.equal(told.length, 1);
  assert.match(told[0], /\/dev\/full.*ENOSPC/);
});
