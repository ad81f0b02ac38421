// A process that is killed while it writes: whichever change of the file was its last, the image opens, what was flushed is there, and a writer can go on.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DiskFormat } from '@anillo/disk/disk-format';
import { MemoryStore } from '@anillo/disk/memory-store';
import { VDI } from '@anillo/disk/vdi/vdi';
import { VHDX } from '@anillo/disk/vhdx/vhdx';
import { VMDK } from '@anillo/disk/vmdk/vmdk';
import { readWhole } from './disk-model.ts';
import { qemuImg, saveStore, scratchFolder, TEST_HOST, withoutQemuImg } from './qemu-image.ts';
import { randomBytes, seededRandom } from './random.ts';
import { RecordedStore } from './recorded-store.ts';

const SIZE = 3 << 20;
const PIECE = 8192;
const NOTHING = new Uint8Array(PIECE);

async function bytesOf(store: MemoryStore): Promise<Uint8Array> {
  const bytes = new Uint8Array(await store.size());
  await store.read(0, [bytes]);
  return bytes;
}

async function writeAndRecord(format: DiskFormat) {
  const created = new MemoryStore('new');
  await format.create!(created, SIZE, {}, TEST_HOST);
  const store = new RecordedStore(await bytesOf(created));
  const disk = await format.open(store, { isReadOnly: false }, TEST_HOST);
  const content = new Uint8Array(SIZE);
  /** Content that has been flushed when so many changes had been made. */
  const flushed: { readonly changes: number; readonly content: Uint8Array }[] = [{ changes: 0, content: content.slice() }];
  const random = seededRandom(3);
  // Each place is written once, so that what is there is either that or nothing.
  for (const place of [1, 80, 3, 250, 150, 2, 151, 300]) {
    const bytes = randomBytes(PIECE, random);
    await disk.write(place * PIECE, [bytes]);
    content.set(bytes, place * PIECE);
    if (random() < 0.5) {
      await disk.flush();
      flushed.push({ changes: store.changes.length, content: content.slice() });
    }
  }
  await disk.close();
  return { store, content, flushed };
}

for (const format of [VDI, VMDK, VHDX])
  test(`${format.name}: killed after a change`, async () => {
    using folder = scratchFolder();
    const { store, content, flushed } = await writeAndRecord(format);
    for (let count = 0; count <= store.changes.length; count += 2) {
      const sure = flushed.findLast(({ changes }) => changes <= count)!.content;
      const left = await store.after(count);
      const seen = await readWhole(await format.open(left, { isReadOnly: true }, TEST_HOST));
      for (let at = 0; at < SIZE; at += PIECE) {
        const piece = Buffer.from(seen.subarray(at, at + PIECE));
        const isOne = [sure, content].some((one) => piece.equals(one.subarray(at, at + PIECE))) || piece.equals(NOTHING);
        assert.ok(isOne && (sure[at] === 0 || piece.equals(sure.subarray(at, at + PIECE))), `after ${count} changes, at ${at}`);
      }
      const disk = await format.open(left, { isReadOnly: false }, TEST_HOST);
      assert.equal(Buffer.compare(await readWhole(disk), seen), 0, 'a writer sees what a reader saw');
      await disk.write(SIZE - PIECE, [content.subarray(PIECE, 2 * PIECE)]);
      await disk.close();
      if (withoutQemuImg !== false || count % 10 !== 0) continue;
      await saveStore(left, `${folder.path}/image`);
      qemuImg('check', '-f', format.name, `${folder.path}/image`);
    }
  });
