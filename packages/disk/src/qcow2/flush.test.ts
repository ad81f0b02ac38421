// What a flush promises while tables are being written back, and what a failure on the way leaves.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { MemoryStore } from '../memory-store.ts';
import { createImage } from './create.ts';
import { INCOMPATIBLE, readHeader } from './header.ts';
import { openQcow2 } from './qcow2.ts';

/** Flushes end when the test says so. */
class SlowStore extends MemoryStore {
  readonly flushes: (() => void)[] = [];
  isSlow = false;

  override flush(): Promise<void> {
    if (!this.isSlow) return Promise.resolve();
    return new Promise((resolve) => this.flushes.push(resolve));
  }
}

class FailingStore extends MemoryStore {
  fails: (offset: number, byteCount: number) => boolean = () => false;

  override async write(offset: number, from: readonly Uint8Array[]): Promise<void> {
    if (
      this.fails(
        offset,
        from.reduce((sum, { length }) => sum + length, 0),
      )
    )
      throw new AnilloError('FILE', 'no');
    await super.write(offset, from);
  }
}

const open = (store: MemoryStore) => openQcow2(store, { isReadOnly: false, backing: null }, { codecs: {} });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a flush waits for the write-back of another one', async () => {
  const store = new SlowStore('image');
  await createImage(store, 1 << 20, {});
  const disk = await open(store);
  await disk.write(0, [new Uint8Array(512).fill(1)]);
  store.isSlow = true;
  const first = disk.flush();
  await turn();
  let isTold = false;
  const second = disk.flush().then(() => (isTold = true));
  await turn();
  // The barrier before the L2 entries, and what the second flush asked for.
  store.isSlow = false;
  for (const end of store.flushes.splice(1)) end();
  await turn();
  assert.equal(isTold, false);
  for (const end of store.flushes) end();
  await Promise.all([first, second]);
  await disk.close();
});

test('an image that could not be marked is marked at the next try', async () => {
  const store = new FailingStore('image');
  await createImage(store, 1 << 20, { lazy_refcounts: 'on' });
  const disk = await open(store);
  await disk.write(0, [new Uint8Array(512).fill(1)]);
  store.fails = (offset) => offset === 0;
  await assert.rejects(disk.flush(), { code: 'FILE' });
  store.fails = () => false;
  await disk.flush();
  assert.notEqual((await readHeader(store)).incompatible & INCOMPATIBLE.dirty, 0n);
  await disk.close();
});

test('an image that is marked as damaged refuses what is to be done at once like all else', async () => {
  const store = new MemoryStore('image');
  await createImage(store, 1 << 20, {});
  const disk = await open(store);
  await disk.write(0, [new Uint8Array(512)]);
  disk.tables.corrupt('for the test');
  assert.equal(disk.writeNow(0, [new Uint8Array(512)]), false);
  await assert.rejects(disk.write(0, [new Uint8Array(512)]), { code: 'BAD_IMAGE' });
});
