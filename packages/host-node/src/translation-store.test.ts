import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ownCacheHome } from './testing/own-cache-home.ts';
import { TranslationStore } from './translation-store.ts';

const folder = ownCacheHome();

const files = (): string[] => readdirSync(join(folder, 'anillo', 'translations'));

test('translations come back for the same translator and CPU, undamaged', () => {
  const store = new TranslationStore('one');
  assert.equal(store.load('max'), undefined);
  store.save('max', Uint8Array.of(1, 2, 3));
  assert.deepEqual([...(new TranslationStore('one').load('max') ?? [])], [1, 2, 3]);
  assert.equal(store.load('i686'), undefined);
  assert.equal(new TranslationStore('two').load('max'), undefined);

  const file = join(folder, 'anillo', 'translations', files()[0] as string);
  const bytes = readFileSync(file);
  bytes[bytes.length - 1] ^= 1;
  writeFileSync(file, bytes);
  assert.equal(store.load('max'), undefined);
  writeFileSync(file, '');
  assert.equal(store.load('max'), undefined);
  store.save('max', Uint8Array.of(4));
  assert.deepEqual([...(store.load('max') ?? [])], [4]);
});

test('the number of files is bounded', () => {
  for (let i = 0; i < 20; i++) new TranslationStore(`version ${i}`).save('max', Uint8Array.of(i));
  assert.equal(files().length, 12);
});
