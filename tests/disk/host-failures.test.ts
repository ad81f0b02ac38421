// What the host fails at while a guest uses its disks: the guest sees an I/O error, or its machine pauses and the request is made again; the host's user gets a sentence;
// other disks and the images themselves are as they were.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, renameSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Disk } from '@anillo/disk/disk';
import { MemoryStore } from '@anillo/disk/memory-store';
import { openImage } from '@anillo/disk/open-image';
import { openQcow2, QCOW2 } from '@anillo/disk/qcow2/qcow2';
import { badSector, FailingStore } from '@anillo/disk/testing/failing-store';
import { createFileStore, imageFiles } from '@anillo/host-node/image-files';
import { BlkGuest } from './blk-guest.ts';
import { scratchFolder } from './qemu-image.ts';

const MIB = 1 << 20;
const host = imageFiles();
const folder = scratchFolder();
after(() => folder[Symbol.dispose]());
const filled = (value: number, byteCount = 4096): Uint8Array => new Uint8Array(byteCount).fill(value);

async function makeQcow2(name: string, options: Record<string, string> = {}): Promise<string> {
  const path = join(folder.path, name);
  const store = await createFileStore(path);
  await QCOW2.create!(store, 4 * MIB, options, host);
  await store.close();
  return path;
}

const open = (path: string, format: string): Promise<Disk> => openImage(path, { isReadOnly: false, format }, host);

/** A file system of its own, with the rights of root or of nobody. */
const UNSHARE = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c'] as const;
const inTmpfs = (script: string, ...args: readonly string[]) =>
  spawnSync(UNSHARE[0], [...UNSHARE.slice(1), `mount -t tmpfs -o size=8m tmpfs "$0" && ${script}`, folder.path, ...args], {
    encoding: 'utf8',
    timeout: 60_000,
  });

test('a full disk: the machine pauses, and goes on where it was when there is room', (t) => {
  if (inTmpfs('true').status !== 0) return t.skip('this host lets nobody mount a small file system (unshare --map-root-user --mount)');
  const { status, stderr } = inTmpfs('exec "$1" "$2" "$0"', process.execPath, join(import.meta.dirname, 'full-disk-story.ts'));
  assert.equal(status, 0, stderr);
});

test('a read error: the guest is told or the machine pauses; nothing is marked as damaged, and other disks go on', async () => {
  for (const rerror of ['report', 'stop']) {
    const below = new MemoryStore('image');
    await QCOW2.create!(below, 4 * MIB, { cluster_size: '512' }, host);
    const store = new FailingStore(below);
    const before = await openQcow2(store, { isReadOnly: false }, host);
    await before.write(0, [filled(1, MIB)]);
    await before.close();
    // The tables are to be read as well as the data.
    const disk = await openQcow2(store, { isReadOnly: false }, host);
    const guest = new BlkGuest(disk, { rerror });
    const other = new BlkGuest(await openQcow2(new FailingStore(await copyOf(below)), { isReadOnly: false }, host));
    // First a table cannot be read, then data.
    for (const [readsBefore, sector] of [400, 1600].entries()) {
      let isBad = true;
      let count = 0;
      store.fails = (kind) => (kind === 'read' && isBad && count++ >= readsBefore ? badSector() : undefined);
      const reading = guest.read(sector, 4096);
      if (rerror === 'stop') {
        while (!guest.isHeld) await new Promise((done) => setImmediate(done));
        assert.deepEqual(await other.read(8, 4096), filled(1));
        isBad = false;
        guest.resume();
        assert.deepEqual(await reading, filled(1));
      } else {
        assert.equal(await reading, undefined);
        isBad = false;
      }
      assert.match(guest.told.at(-1) ?? '', /^host failed: disk: .*\(input\/output error\); check the disk\.$/);
      assert.deepEqual(await guest.read(sector, 4096), filled(1));
      assert.equal(await guest.write(sector, filled(1)), 0);
    }
    assert.equal(disk.tables.isCorrupt, false);
    await disk.close();
  }
});

async function copyOf(store: MemoryStore): Promise<MemoryStore> {
  const bytes = new Uint8Array(await store.size());
  await store.read(0, [bytes]);
  return new MemoryStore('other', bytes);
}

test('an image that is deleted or cut while a machine runs', async () => {
  for (const format of ['raw', 'qcow2']) {
    const path = format === 'raw' ? join(folder.path, 'vanishing.raw') : await makeQcow2('vanishing.qcow2');
    if (format === 'raw') writeFileSync(path, filled(3, 4 * MIB));
    const disk = await open(path, format);
    const guest = new BlkGuest(disk, { werror: 'stop' });
    assert.deepEqual([await guest.write(8, filled(1)), await guest.flush()], [0, 0]);
    renameSync(path, `${path}.moved`);
    assert.deepEqual([await guest.write(16, filled(2)), await guest.flush()], [0, 0], 'elsewhere it is as good');
    rmSync(`${path}.moved`);
    assert.equal(await guest.write(24, filled(3)), 0);
    const flushing = guest.flush();
    while (!guest.isHeld) await new Promise((done) => setImmediate(done));
    assert.match(
      guest.told.join(''),
      /^host failed: disk: The image \S+ was deleted while it was in use; copy \S+ .* before the machine ends\.$/,
    );
    const place = /copy (\/\S+)/.exec(guest.told[0])?.[1];
    if (place !== undefined && existsSync(place)) {
      copyFileSync(place, path);
      const copy = await open(path, format).then((one) => one, assert.fail);
      if (format === 'raw') assert.deepEqual(await new BlkGuest(copy).read(24, 4096), filled(3));
      await copy.close();
    }
    // The machine ends: whoever waits for the flush gets nothing, and the host's user is told again.
    await assert.rejects(disk.close(), { code: 'FILE', message: /was deleted while it was in use/ });
    guest.end();
    assert.equal(await flushing, -1);
  }
  const path = join(folder.path, 'cut.raw');
  writeFileSync(path, filled(3, 4 * MIB));
  const disk = await open(path, 'raw');
  const guest = new BlkGuest(disk);
  truncateSync(path, MIB);
  assert.equal(await guest.read((2 * MIB) / 512, 4096), undefined);
  assert.deepEqual(await guest.read(0, 4096), filled(3));
  assert.equal(await guest.write(0, filled(4)), 0);
  assert.equal(await guest.flush(), 1);
  for (const line of guest.told)
    assert.match(line, /^host failed: disk: The image \S+ has become shorter while it was in use; restore it from a copy\.$/);
  assert.equal(guest.told.length, 2);
  await assert.rejects(disk.close(), { code: 'FILE' });
});

test('a backing file that somebody changes: what lies on it is not given to the guest as if nothing had happened', async () => {
  for (const rerror of ['report', 'stop']) {
    const base = join(folder.path, 'base.raw');
    writeFileSync(base, filled(5, 4 * MIB));
    const { atime, mtime } = statSync(base);
    utimesSync(base, atime, mtime);
    const disk = await open(await makeQcow2('over.qcow2', { backing_file: 'base.raw', backing_fmt: 'raw' }), 'qcow2');
    const guest = new BlkGuest(disk, { rerror });
    assert.deepEqual(await guest.read(0, 4096), filled(5));
    assert.equal(await guest.write(8, filled(6)), 0);
    writeFileSync(base, filled(7, 4 * MIB));
    await new Promise((done) => setTimeout(done, 3));
    const reading = guest.read(4096, 4096);
    if (rerror === 'stop') while (!guest.isHeld) await new Promise((done) => setImmediate(done));
    else assert.equal(await reading, undefined);
    assert.match(
      guest.told[0],
      /^host failed: disk: The image \S+base\.raw was changed while it was in use.*put it back with its time \(cp -p\)\.$/,
    );
    if (rerror === 'stop') {
      writeFileSync(base, filled(5, 4 * MIB));
      utimesSync(base, atime, mtime);
      await new Promise((done) => setTimeout(done, 3));
      guest.resume();
      assert.deepEqual(await reading, filled(5));
    }
    assert.deepEqual(await guest.read(8, 4096), filled(6), 'what the overlay has itself is good');
    assert.equal(await guest.flush(), 0);
    await disk.close();
  }
});
