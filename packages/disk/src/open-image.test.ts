import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from './memory-store.ts';
import { openImage } from './open-image.ts';

const QCOW2_HEAD = [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3];

async function guessed(store: MemoryStore) {
  return openImage('disk', { isReadOnly: false, trustsProbe: true }, { codecs: {}, openStore: async () => store });
}

test('a disk guessed to be raw never begins like another format, whatever becomes of the buffer meanwhile', async () => {
  const bytes = new Uint8Array(8192).fill(1);
  const store = new (class extends MemoryStore {
    /** As a host that gets to it later, when the guest has had its turn. */
    override async write(offset: number, from: readonly Uint8Array[]): Promise<void> {
      bytes.set(QCOW2_HEAD);
      await super.write(offset, from);
    }
  })('disk', new Uint8Array(16384));
  const disk = await guessed(store);
  await disk.write(0, [bytes]);
  await Promise.allSettled([disk.write(0, [Uint8Array.from({ length: 512 }, (_, i) => QCOW2_HEAD[i] ?? 0)])]);
  const found = new Uint8Array(8192);
  await store.read(0, [found]);
  assert.notDeepEqual([...found.subarray(0, 8)], QCOW2_HEAD);
  assert.equal((await guessed(store)).format, 'raw');
});

test('what goes over the first bytes of a guessed disk and on arrives whole', async () => {
  const store = new MemoryStore('disk', new Uint8Array(16384));
  const disk = await guessed(store);
  const parts = [1, 2, 3, 4].map((value) => new Uint8Array(2048).fill(value));
  await disk.write(512, parts);
  const found = new Uint8Array(16384);
  await disk.read(0, [found]);
  const wanted = new Uint8Array(16384);
  wanted.set(Buffer.concat(parts), 512);
  assert.deepEqual(found, wanted);
  await assert.rejects(disk.write(0, [new Uint8Array(32768)]), { code: 'STATE' });
});
