// node full-disk-story.ts FOLDER: a guest writes to images in a folder whose file system has 8 MiB, and fills it. Run by host-failures.test.ts; fails with what is wrong.

import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FORMATS } from '@anillo/disk/formats';
import { openImage } from '@anillo/disk/open-image';
import { checkImage } from '@anillo/disk/qcow2/check';
import { readHeader } from '@anillo/disk/qcow2/header';
import { createFileStore, imageFiles } from '@anillo/host-node/image-files';
import { openFileStore } from '@anillo/host-node/file-store';
import { BlkGuest } from './blk-guest.ts';

const MIB = 1 << 20;
const PIECE = 64 << 10;
const folder = process.argv[2];
const host = imageFiles();

for (const format of ['raw', 'qcow2']) {
  const path = join(folder, `image.${format}`);
  const store = await createFileStore(path);
  await FORMATS.find(({ name }) => name === format)!.create!(
    store,
    16 * MIB,
    { ...(format === 'qcow2' ? { cluster_size: '4096' } : {}) },
    host,
  );
  await store.close();
  const ballast = join(folder, 'ballast');
  writeFileSync(ballast, new Uint8Array(6 * MIB));
  const disk = await openImage(path, { isReadOnly: false, format }, host);
  const guest = new BlkGuest(disk);
  const put = (piece: number): Promise<number> => guest.write((piece * PIECE) / 512, new Uint8Array(PIECE).fill(piece + 1));
  let written = 0;
  let waiting: Promise<number> | undefined;
  while (waiting === undefined) {
    assert.ok(written < 100, 'the disk never becomes full');
    const status = put(written);
    while (!guest.isHeld && (await Promise.race([status, new Promise((done) => setTimeout(done, 1))])) === undefined);
    if (guest.isHeld) waiting = status;
    else assert.equal(await status, 0);
    written++;
  }
  assert.match(guest.told.join('\n'), /^host failed: disk: The image \S+ cannot grow: the host's disk is full; make room on it\.$/);
  // What was there before is there.
  assert.deepEqual(await guest.read(0, PIECE), new Uint8Array(PIECE).fill(1));
  guest.resume();
  while (!guest.isHeld) await new Promise((done) => setTimeout(done, 1));
  assert.equal(guest.told.length, 2, 'resumed too early, it pauses again');
  rmSync(ballast);
  guest.resume();
  assert.equal(await waiting, 0, 'the request is made again');
  for (let end = written + 8; written < end; written++) assert.equal(await put(written), 0);
  assert.equal(await guest.flush(), 0);
  for (let piece = 0; piece < written; piece++)
    assert.deepEqual(await guest.read((piece * PIECE) / 512, PIECE), new Uint8Array(PIECE).fill(piece + 1), `piece ${piece} of ${format}`);
  await disk.close();
  if (format === 'qcow2') {
    const closed = await openFileStore(path, { isReadOnly: true });
    const { corruptions, leaks } = await checkImage(closed, await readHeader(closed), 'none');
    assert.deepEqual({ corruptions, leaks }, { corruptions: 0, leaks: 0 });
    await closed.close();
  }
  rmSync(path);
}
