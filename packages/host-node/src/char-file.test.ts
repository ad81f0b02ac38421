import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { CharFile } from './char-file.ts';
import { readHostFile } from './file.ts';

const folder = mkdtempSync(join(tmpdir(), 'anillo-host-'));
after(() => rmSync(folder, { recursive: true }));

const isFileError =
  (says: RegExp) =>
  (e: unknown): boolean =>
    e instanceof AnilloError && e.code === 'FILE' && says.test(e.message);

test('what the guest writes is in the file after close, whatever its size', () => {
  for (const count of [0, 1, 65_536, 200_000]) {
    const path = join(folder, `out-${count}`);
    const file = new CharFile(path);
    for (let i = 0; i < count; i++) assert.ok(file.write(i & 0xff));
    file.close();
    const bytes = readFileSync(path);
    assert.equal(bytes.length, count);
    for (let i = 0; i < count; i += 997) assert.equal(bytes[i], i & 0xff);
  }
});

test('output appears also while the guest runs', async () => {
  const path = join(folder, 'live');
  const file = new CharFile(path);
  file.write(0x61);
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.equal(readFileSync(path, 'latin1'), 'a');
  file.close();
});

test('errors are sentences', () => {
  assert.throws(() => new CharFile(folder), isFileError(/is a directory/));
  assert.throws(() => new CharFile(join(folder, 'no', 'where')), isFileError(/directory does not exist; create it/));
});

test('a full disk is reported once and does not stop the guest', { skip: process.platform === 'linux' ? false : 'needs /dev/full' }, () => {
  const errors: AnilloError[] = [];
  const file = new CharFile('/dev/full', { onError: (e) => errors.push(e) });
  for (let i = 0; i < 300_000; i++) assert.ok(file.write(0));
  file.close();
  assert.equal(errors.length, 1);
  assert.ok(isFileError(/disk is full; make room/)(errors[0]));
});

test('files that cannot be read are named with the reason', async () => {
  const empty = join(folder, 'empty');
  new CharFile(empty).close();
  await assert.rejects(readHostFile(join(folder, 'none'), 'kernel'), isFileError(/^The kernel .*none does not exist; check the path\.$/));
  await assert.rejects(readHostFile(folder, 'initrd'), isFileError(/The initrd .* is a directory/));
  await assert.rejects(readHostFile(empty, 'kernel'), isFileError(/is empty/));
  await assert.rejects(readHostFile('/dev/zero', 'kernel'), isFileError(/is a device/));
  await assert.rejects(readHostFile('', 'kernel'), isFileError(/"" does not exist/));
  assert.ok((await readHostFile(import.meta.filename, 'test')).length > 100);
});
