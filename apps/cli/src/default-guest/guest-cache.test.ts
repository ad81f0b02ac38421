import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { GuestCache } from './guest-cache.ts';

const parts = {
  kernel: Buffer.from('kernel bytes'),
  busybox: Buffer.from('busybox bytes'),
  applets: ['bin/ls', 'sbin/init'],
  modules: Buffer.from('drivers'),
};

test('stores whole, finds again, and puts damaged ones aside', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'anillo-cache-'));
  t.after(() => rmSync(root, { recursive: true }));
  const cache = new GuestCache('cloud-amd64', root);
  assert.deepEqual(cache.find(), { guest: undefined, damaged: 0 });
  const store = (): void => {
    const work = cache.createWorkFolder();
    cache.store('6.1', parts, work);
    rmSync(work, { recursive: true });
  };
  store();
  const found = cache.find();
  assert.equal(found.guest?.version, '6.1');
  assert.deepEqual(found.guest?.applets, parts.applets);
  for (const damage of [
    (folder: string) => truncateSync(join(folder, 'kernel'), 3),
    (folder: string) => appendFileSync(join(folder, 'busybox'), 'x'),
    (folder: string) => rmSync(join(folder, 'SHA256SUMS')),
    (folder: string) => rmSync(join(folder, 'applets')),
    (folder: string) => appendFileSync(join(folder, 'modules'), 'x'),
  ]) {
    damage(join(cache.folder, '6.1'));
    assert.deepEqual(cache.find(), { guest: undefined, damaged: 1 });
    store();
    assert.equal(cache.find().guest?.version, '6.1');
  }
  assert.deepEqual(readdirSync(cache.folder), ['6.1']);
});

test('a guest of an earlier version has no drivers, until it is fetched again', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'anillo-cache-'));
  t.after(() => rmSync(root, { recursive: true }));
  const cache = new GuestCache('cloud-amd64', root);
  const store = () => cache.store('6.1', parts, cache.createWorkFolder());
  const { folder, modulesPath } = store();
  assert.equal(readFileSync(modulesPath!, 'utf8'), 'drivers');
  rmSync(join(folder, 'modules'));
  assert.equal(cache.find().guest?.modulesPath, undefined);
  assert.equal(cache.find().guest?.version, '6.1');
  store();
  assert.equal(cache.find().guest?.modulesPath, modulesPath);
});

test('sums are computed once while the files look the same, and again after any change', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'anillo-cache-'));
  t.after(() => rmSync(root, { recursive: true }));
  const cache = new GuestCache('cloud-amd64', root);
  const work = cache.createWorkFolder();
  const { folder } = cache.store('6.1', parts, work);
  const kernel = join(folder, 'kernel');
  assert.equal(cache.find().guest?.version, '6.1');
  assert.ok(!existsSync(join(folder, 'CHECKED')), 'too young to tell a change by its time');

  await new Promise((done) => setTimeout(done, 2100));
  assert.equal(cache.find().guest?.version, '6.1');
  const checked = readFileSync(join(folder, 'CHECKED'), 'utf8');
  assert.equal(cache.find().guest?.version, '6.1');
  assert.equal(readFileSync(join(folder, 'CHECKED'), 'utf8'), checked);

  // As long, as old, in the same place: only the time of change differs.
  const { mtime } = statSync(kernel);
  writeFileSync(kernel, 'kernel bytez', { flag: 'r+' });
  utimesSync(kernel, mtime, mtime);
  assert.deepEqual(cache.find(), { guest: undefined, damaged: 1 });
});
