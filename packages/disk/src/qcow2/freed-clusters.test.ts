// A cluster that an entry has let go holds something else only when that entry is gone from the disk for good: a host that loses its power between the two would show the
// one's bytes to whoever reads the other.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CrashStore } from '../testing/crash-store.ts';
import { checkImage } from './check.ts';
import { readHeader } from './header.ts';
import { openQcow2, QCOW2 } from './qcow2.ts';
import type { Qcow2Disk } from './qcow2-disk.ts';

const CLUSTER = 4096;
const host = {
  codecs: {
    deflate: {
      compress: async (bytes: Uint8Array) => bytes.subarray(0, 600),
      decompress: async (packed: Uint8Array) => new Uint8Array(CLUSTER).fill(packed[0]),
    },
  },
  openStore: async () => {
    throw new Error('no other file');
  },
};

const filled = (value: number): Uint8Array[] => [new Uint8Array(CLUSTER).fill(value)];

async function firstByte(disk: Qcow2Disk, cluster: number): Promise<number> {
  const bytes = new Uint8Array(CLUSTER);
  await disk.read(cluster * CLUSTER, [bytes]);
  assert.ok(
    bytes.every((byte) => byte === bytes[0]),
    'one cluster has bytes of two',
  );
  return bytes[0];
}

const LETTINGS_GO: Readonly<
  Record<string, { put(disk: Qcow2Disk): Promise<void>; letGo(disk: Qcow2Disk): Promise<void>; left: readonly number[] }>
> = {
  'a discard': { put: (disk) => disk.write(0, filled(1)), letGo: (disk) => disk.discard(0, CLUSTER), left: [0, 1] },
  zeros: { put: (disk) => disk.write(0, filled(1)), letGo: (disk) => disk.writeZeroes(0, CLUSTER, true), left: [0, 1] },
  'a write over a compressed cluster': {
    put: (disk) => disk.writeCompressed(0, filled(1)[0]),
    letGo: (disk) => disk.write(0, filled(2)),
    left: [1, 2],
  },
};

for (const [name, { put, letGo, left: choices }] of Object.entries(LETTINGS_GO))
  test(`what ${name} lets go is used again only when that is on stable storage`, async () => {
    const store = new CrashStore();
    await QCOW2.create!(store, 64 * CLUSTER, { cluster_size: String(CLUSTER) }, host);
    const disk = await openQcow2(store, { isReadOnly: false }, host);
    await put(disk);
    // The L2 table and the counts are there: nothing but the cluster is to be free.
    for (let cluster = 8; cluster < 16; cluster++) await disk.write(cluster * CLUSTER, filled(9));
    await disk.flush();
    await letGo(disk);
    // As when a half of a cache has changed: without the flush of a guest.
    await disk.tables.writeBack();
    for (let cluster = 1; cluster < 8; cluster++) {
      const before = store.unflushedCount;
      await disk.write(cluster * CLUSTER, filled(100 + cluster));
      const found = store.cutLosing(before);
      const header = await readHeader(found);
      assert.equal((await checkImage(found, header, 'none')).corruptions, 0);
      const left = await openQcow2(found, { isReadOnly: true }, host);
      assert.ok(choices.includes(await firstByte(left, 0)), `the first cluster has the bytes of cluster ${cluster}`);
      await left.close();
    }
    await disk.close();
  });
