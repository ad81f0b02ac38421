import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { RuntimeStore } from './runtime-store.ts';
import { sourceFingerprint } from './source-fingerprint.ts';
import { ownCacheHome } from './testing/own-cache-home.ts';

const folder = ownCacheHome();
const sources = join(folder, 'sources');

const runtime = {
  bytes: Uint8Array.of(0, 97, 115, 109),
  opcodes: new Map([
    ['i32.add', 7],
    ['jump', 8],
  ]),
};

test('what was saved is loaded, until the file is damaged or the sources change', async () => {
  mkdirSync(sources);
  writeFileSync(join(sources, 'a.ts'), 'one');
  assert.equal(new RuntimeStore(sourceFingerprint([sources])).load(false), undefined);
  new RuntimeStore(sourceFingerprint([sources])).save(false, runtime);
  assert.deepEqual(new RuntimeStore(sourceFingerprint([sources])).load(false), runtime);

  const file = join(folder, 'anillo', 'runtime', readdirSync(join(folder, 'anillo', 'runtime'))[0] as string);
  const bytes = readFileSync(file);
  bytes[bytes.length - 1] ^= 1;
  writeFileSync(file, bytes);
  assert.equal(new RuntimeStore(sourceFingerprint([sources])).load(false), undefined);
  writeFileSync(file, bytes.subarray(0, 20));
  assert.equal(new RuntimeStore(sourceFingerprint([sources])).load(false), undefined);

  new RuntimeStore(sourceFingerprint([sources])).save(false, runtime);
  writeFileSync(join(sources, 'a.ts'), 'other');
  assert.equal(new RuntimeStore(sourceFingerprint([sources])).load(false), undefined);
});

test('only the newest files are kept', () => {
  for (let i = 0; i < 20; i++) {
    writeFileSync(join(sources, 'a.ts'), 'x'.repeat(100 + i));
    new RuntimeStore(sourceFingerprint([sources])).save(false, runtime);
  }
  assert.equal(readdirSync(join(folder, 'anillo', 'runtime')).length, 16);
  assert.deepEqual(new RuntimeStore(sourceFingerprint([sources])).load(false), runtime);
});

test('a folder that cannot be written is no error', () => {
  process.env.XDG_CACHE_HOME = join(sources, 'a.ts');
  new RuntimeStore(sourceFingerprint([sources])).save(false, runtime);
  assert.equal(new RuntimeStore(sourceFingerprint([sources])).load(false), undefined);
  process.env.XDG_CACHE_HOME = folder;
});
