import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partitionsOf } from './partition-table.ts';
import { guidBytes } from './vhdx/guid.ts';

const SECTORS = 1000;

function diskOf(bytes: Uint8Array) {
  return {
    byteCount: bytes.length,
    async read(offset: number, into: readonly Uint8Array[]): Promise<void> {
      let at = offset;
      for (const buffer of into) {
        buffer.set(bytes.subarray(at, at + buffer.length));
        at += buffer.length;
      }
    },
  };
}

function putMbr(bytes: Uint8Array, sector: number, entries: readonly (readonly [type: number, first: number, count: number])[]): void {
  const view = new DataView(bytes.buffer, sector * 512, 512);
  view.setUint16(510, 0xaa55, true);
  for (const [i, [type, first, count]] of entries.entries()) {
    view.setUint8(446 + 16 * i + 4, type);
    view.setUint32(446 + 16 * i + 8, first, true);
    view.setUint32(446 + 16 * i + 12, count, true);
  }
}

function putGpt(bytes: Uint8Array, sector: number, tableSector: number): void {
  bytes.set(Buffer.from('EFI PART'), sector * 512);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(sector * 512 + 72, BigInt(tableSector), true);
  view.setUint32(sector * 512 + 80, 128, true);
  view.setUint32(sector * 512 + 84, 128, true);
  const entries = [
    [34, 99],
    [100, 899],
    [900, 5000],
  ];
  for (const [i, [first, last]] of entries.entries()) {
    const at = tableSector * 512 + i * 128;
    bytes[at] = 1;
    bytes.set(guidBytes(`0000000${i}-1111-2222-3333-444444444444`), at + 16);
    view.setBigUint64(at + 32, BigInt(first), true);
    view.setBigUint64(at + 40, BigInt(last), true);
  }
}

test('a master boot record with logical drives', async () => {
  const bytes = new Uint8Array(SECTORS * 512);
  new DataView(bytes.buffer).setUint32(440, 0xbeef, true);
  putMbr(bytes, 0, [
    [0x83, 10, 90],
    [0x05, 100, 800],
    [0x83, 990, 100],
  ]);
  putMbr(bytes, 100, [
    [0x83, 2, 50],
    [0x05, 200, 100],
  ]);
  // Leads back, so it is the last.
  putMbr(bytes, 300, [
    [0x82, 1, 20],
    [0x05, 0, 100],
  ]);
  assert.deepEqual(await partitionsOf(diskOf(bytes)), [
    { offset: 10 * 512, byteCount: 90 * 512, id: '0000beef-01' },
    { offset: 102 * 512, byteCount: 50 * 512, id: '0000beef-05' },
    { offset: 301 * 512, byteCount: 20 * 512, id: '0000beef-06' },
  ]);
});

for (const place of ['first', 'last'] as const)
  test(`GPT, its ${place} copy`, async () => {
    const bytes = new Uint8Array(SECTORS * 512);
    putMbr(bytes, 0, [[0xee, 1, SECTORS - 1]]);
    if (place === 'first') putGpt(bytes, 1, 2);
    else putGpt(bytes, SECTORS - 1, SECTORS - 33);
    assert.deepEqual(await partitionsOf(diskOf(bytes)), [
      { offset: 34 * 512, byteCount: 66 * 512, id: '00000000-1111-2222-3333-444444444444' },
      { offset: 100 * 512, byteCount: 800 * 512, id: '00000001-1111-2222-3333-444444444444' },
    ]);
  });

test('no table, no partitions', async () => {
  assert.deepEqual(await partitionsOf(diskOf(new Uint8Array(4096))), []);
  assert.deepEqual(await partitionsOf(diskOf(new Uint8Array(0))), []);
});
