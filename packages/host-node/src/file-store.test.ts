import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs, { linkSync, mkdtempSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, mock, test } from 'node:test';
import { createFileStore, createTemporaryStore } from './image-files.ts';
import { openFileStore } from './file-store.ts';
import { hostLibc } from './libc.ts';

const folder = mkdtempSync(join(tmpdir(), 'anillo-store-'));
after(() => rmSync(folder, { recursive: true }));

test('lists of buffers, many at once, and what lies behind the end', async () => {
  const path = join(folder, 'many');
  const store = await createFileStore(path);
  const parts = Array.from({ length: 3000 }, (_, index) => new Uint8Array(7).fill(index));
  await Promise.all([store.write(0, parts), store.write(1 << 20, [new Uint8Array(4096).fill(9)])]);
  const back = Array.from({ length: 1500 }, () => new Uint8Array(14));
  await store.read(0, back);
  assert.deepEqual(Buffer.concat(back), Buffer.concat(parts));
  const end = new Uint8Array(8192).fill(1);
  await store.read(1 << 20, [end]);
  assert.deepEqual([end[4095], end[4096]], [9, 0]);
  await store.flush();
  await store.close();
});

test('holes are told, and zeros give room back', { skip: hostLibc() === undefined }, async () => {
  const path = join(folder, 'holes');
  const store = await createFileStore(path);
  await store.resize(4 << 20);
  await store.write(1 << 20, [new Uint8Array(1 << 20).fill(1)]);
  const kinds = async (): Promise<unknown> => (await store.stretches(0, 8 << 20)).map(({ offset, isHole }) => [offset / 2 ** 20, isHole]);
  assert.deepEqual(await kinds(), [
    [0, true],
    [1, false],
    [2, true],
    [4, true],
  ]);
  await store.writeZeroes(1 << 20, 1 << 20);
  assert.equal(statSync(path).blocks, 0);
  await store.close();
});

test('two writers, or a writer and a reader, do not have one image', async () => {
  const path = join(folder, 'locked');
  const writer = await createFileStore(path);
  await assert.rejects(openFileStore(path, { isReadOnly: false }), { code: 'FILE', message: /in use by this process; end that first/ });
  const script = `import { openFileStore } from '${join(import.meta.dirname, 'file-store.ts')}';
    openFileStore(process.argv[1], { isReadOnly: process.argv[2] === 'r' }).then(() => console.log('open'), (error) => console.log(error.message));`;
  const other = (mode: string): string =>
    spawnSync(process.execPath, ['--input-type=module-typescript', '-e', script, path, mode], { encoding: 'utf8' }).stdout.trim();
  assert.match(other('w'), new RegExp(`in use by .*process ${process.pid}`));
  if (hostLibc() !== undefined) assert.match(other('r'), /being written to by/);
  await writer.close();
  const readers = [await openFileStore(path, { isReadOnly: true }), await openFileStore(path, { isReadOnly: true })];
  assert.equal(other('r'), 'open');
  for (const reader of readers) await reader.close();
  assert.equal(other('w'), 'open');
});

test('a file that somebody cuts is an error, not zeros', async () => {
  const path = join(folder, 'cut');
  writeFileSync(path, new Uint8Array(8192).fill(1));
  const store = await openFileStore(path, { isReadOnly: false });
  truncateSync(path, 4096);
  await store.read(0, [new Uint8Array(4096)]);
  await assert.rejects(store.read(4096, [new Uint8Array(512)]), { code: 'FILE', message: /has become shorter/ });
  await store.close();
});

test('a file that is deleted holds nothing for long: a flush says so', async () => {
  const path = join(folder, 'deleted');
  const store = await createFileStore(path);
  await store.write(0, [new Uint8Array(4096).fill(1)]);
  await store.flush();
  linkSync(path, `${path}2`);
  rmSync(path);
  await store.write(0, [new Uint8Array(4096).fill(2)]);
  await store.flush();
  rmSync(`${path}2`);
  await store.flush();
  await store.write(0, [new Uint8Array(4096).fill(3)]);
  for (let time = 0; time < 2; time++)
    await assert.rejects(store.flush(), {
      code: 'FILE',
      message: /deleted was deleted while it was in use; copy .* before the machine ends\.$/,
    });
  await store.close();
});

test('a file that is cut while it is written to is told by a flush', async () => {
  const path = join(folder, 'cut2');
  writeFileSync(path, new Uint8Array(8192).fill(1));
  const store = await openFileStore(path, { isReadOnly: false });
  truncateSync(path, 4096);
  await store.write(0, [new Uint8Array(512)]);
  await assert.rejects(store.flush(), { code: 'FILE', message: /has become shorter/ });
  await store.close();
});

test('a file that is only read and that somebody changes is no good any more, until it is put back', async () => {
  const path = join(folder, 'changed');
  writeFileSync(path, new Uint8Array(8192).fill(1));
  const { atime, mtime } = statSync(path);
  utimesSync(path, atime, mtime);
  const store = await openFileStore(path, { isReadOnly: true });
  const bytes = new Uint8Array(512);
  await store.read(0, [bytes]);
  writeFileSync(path, new Uint8Array(8192).fill(2));
  const later = (): Promise<void> => new Promise((done) => setTimeout(done, 3));
  await later();
  for (let time = 0; time < 2; time++) {
    assert.equal(store.readNow!(0, [bytes]), false);
    await assert.rejects(store.read(0, [bytes]), { code: 'FILE', message: /was changed while it was in use.*put it back/ });
  }
  writeFileSync(path, new Uint8Array(8192).fill(1));
  utimesSync(path, atime, mtime);
  await later();
  await store.read(0, [bytes]);
  assert.equal(bytes[0], 1);
  await store.close();
});

test('requests that the host has in memory are done at once', async () => {
  const store = await createFileStore(join(folder, 'prompt'));
  const [a, b] = [new Uint8Array(512).fill(7), new Uint8Array(1024).fill(8)];
  assert.equal(store.writeNow!(0, [a, b]), false, 'not where the file has to grow');
  await store.write(0, [new Uint8Array(8192)]);
  // The host may be busy with something else for once.
  const insist = (work: () => boolean): void => {
    const endMs = performance.now() + 5000;
    while (!work()) assert.ok(performance.now() < endMs);
  };
  insist(() => store.writeNow!(512, [a, b]));
  const back = [new Uint8Array(600), new Uint8Array(936)];
  insist(() => store.readNow!(512, back));
  assert.deepEqual(Buffer.concat(back), Buffer.concat([a, b]));
  insist(() => store.writeNow!(0, [b]));
  insist(() => store.readNow!(0, [b]));
  assert.equal(store.readNow!(8000, [new Uint8Array(512)]), false, 'not behind the end');
  assert.equal(store.readNow!(0, [new Uint8Array(1 << 20)]), false, 'not what is large');
  await store.close();
});

test('what the host cannot read is one sentence', { skip: process.platform !== 'linux' }, async () => {
  // Nothing is mapped there.
  const store = await openFileStore('/proc/self/mem', { isReadOnly: true });
  assert.equal(store.readNow!(0, [new Uint8Array(512)]), false);
  await assert.rejects(store.read(0, [new Uint8Array(512)]), { code: 'FILE', message: /input\/output error\); check the disk\.$/ });
  await store.close();
});

test('what cannot be opened is one sentence', async () => {
  await assert.rejects(openFileStore(join(folder, 'none'), { isReadOnly: true }), { message: /none does not exist; check the path\.$/ });
  await assert.rejects(openFileStore(folder, { isReadOnly: true }), { message: /is a directory; give a file/ });
  await assert.rejects(openFileStore('/dev/null', { isReadOnly: true }), { code: 'FILE' });
});

test('a temporary store has no name', async () => {
  const store = await createTemporaryStore();
  await store.write(0, [new Uint8Array(10).fill(3)]);
  const back = new Uint8Array(12);
  await store.read(0, [back]);
  assert.deepEqual([...back], [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 0]);
  assert.throws(() => statSync(store.name));
  await store.close();
});

test('zeros behind the end do not cut what somebody else writes meanwhile', async () => {
  const store = await createFileStore(join(folder, 'grows'));
  const { fstat } = fs;
  const late = mock.method(fs, 'fstat', (fd: number, then: (error: NodeJS.ErrnoException | null, stats: fs.Stats) => void) =>
    fstat(fd, (error, stats) => setTimeout(then, 20, error, stats)),
  );
  const zeros = store.writeZeroes(0, 4096);
  await store.write(8192, [new Uint8Array(4096).fill(5)]);
  await zeros;
  late.mock.restore();
  const back = new Uint8Array(4096);
  await store.read(8192, [back]);
  assert.deepEqual([back[0], back[4095]], [5, 5]);
  await store.close();
});

test('a flush has not ended before one that was under way', async () => {
  const store = await createFileStore(join(folder, 'flushed'));
  await store.write(0, [new Uint8Array(512)]);
  const ends: (() => void)[] = [];
  const late = mock.method(fs, 'fdatasync', (_fd: number, then: (error: null) => void) => ends.push(() => then(null)));
  let told = 0;
  const flushes = [store.flush(), store.flush()].map((flush) => flush.then(() => told++));
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual([ends.length, told], [1, 0]);
  ends[0]();
  await Promise.all(flushes);
  late.mock.restore();
  await store.close();
});

test('a closed store keeps its descriptor until all requests have ended', async () => {
  const store = await createFileStore(join(folder, 'closed'));
  const ends: (() => void)[] = [];
  const late = mock.method(
    fs,
    'write',
    (_fd: number, bytes: Uint8Array, _from: number, _count: number, _at: number, then: (error: null, count: number) => void) =>
      ends.push(() => then(null, bytes.length)),
  );
  const write = store.write(0, [new Uint8Array(512)]);
  let isClosed = false;
  const closing = store.close().then(() => (isClosed = true));
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(isClosed, false);
  await assert.rejects(store.read(0, [new Uint8Array(512)]), { code: 'STATE' });
  ends[0]();
  await Promise.all([write, closing]);
  late.mock.restore();
});
