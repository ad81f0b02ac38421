import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageHost } from '@anillo/disk/disk-format';
import { MemoryStore } from '@anillo/disk/memory-store';
import { openImage } from '@anillo/disk/open-image';
import { utf16Bytes } from '@anillo/disk/text-bytes';
import { guidBytes, guidText } from '@anillo/disk/vhdx/guid';
import { VHDX } from '@anillo/disk/vhdx/vhdx';
import { readVhdxHeader } from '@anillo/disk/vhdx/vhdx-header';
import {
  FILE_FLAG,
  METADATA,
  METADATA_ENTRY,
  METADATA_FLAG,
  METADATA_TABLE,
  METADATA_TABLE_BYTES,
  MIB,
  PARENT_ENTRY,
  PARENT_LOCATOR,
  PARENT_TYPE_VHDX,
} from '@anillo/disk/vhdx/vhdx-layout';
import { readWhole } from './disk-model.ts';
import { testFormat } from './format-suite.ts';
import { TEST_HOST, testContent } from './qemu-image.ts';
import { randomBytes, seededRandom } from './random.ts';

testFormat({
  ...{ format: VHDX, qemuName: 'vhdx', hasCheck: true },
  creations: [{}, { block_size: '1M' }, { subformat: 'fixed' }],
  qemuOptions: ['', 'subformat=fixed', 'block_size=1M', 'block_state_zero=off', 'log_size=2M,block_size=16M'],
});

/** Makes an empty image the difference to another: block 0 has some sectors of its own, block 1 is zero, block 2 is not there. */
async function makeDifference(child: MemoryStore, linkage: string, sectorBytes: number, own: Uint8Array): Promise<void> {
  const pairs = [
    ['parent_linkage', `{${linkage}}`],
    ['relative_path', '.\\base.vhdx'],
  ].map((pair) => pair.map(utf16Bytes));
  const locator = new Uint8Array(1024);
  PARENT_LOCATOR.encodeInto(locator, 0, { type: guidBytes(PARENT_TYPE_VHDX), entryCount: pairs.length });
  let at = 256;
  for (const [i, [key, value]] of pairs.entries()) {
    const entry = { keyOffset: at, keyBytes: key.length, valueOffset: at + key.length, valueBytes: value.length };
    PARENT_ENTRY.encodeInto(locator, PARENT_LOCATOR.byteCount + i * PARENT_ENTRY.byteCount, entry);
    locator.set(key, at);
    locator.set(value, at + key.length);
    at += key.length + value.length;
  }
  const [metadata, bat, itemOffset] = [2 * MIB, 3 * MIB, 0x18000];
  await child.write(metadata + itemOffset, [locator]);
  const entry = METADATA_ENTRY.encode({
    guid: guidBytes(METADATA.parentLocator),
    offset: itemOffset,
    byteCount: locator.length,
    flags: METADATA_FLAG.required,
  });
  await child.write(metadata + METADATA_TABLE.byteCount + 5 * METADATA_ENTRY.byteCount, [entry]);
  await child.write(metadata + METADATA_TABLE.offset.entryCount, [Uint8Array.of(6)]);
  await child.write(metadata + METADATA_TABLE_BYTES + 4, [Uint8Array.of(FILE_FLAG.hasParent)]);
  await child.write(metadata + METADATA_TABLE_BYTES + 32, [Uint8Array.of(0, sectorBytes >> 8)]);
  const table = async (index: number, value: number) =>
    child.write(bat + 8 * index, [Uint8Array.of(value % 256, 0, (value >> 16) % 256, value >> 24)]);
  await table(0, (8 * MIB) | 7);
  await table(1, 2);
  await table((2 ** 23 * sectorBytes) / MIB, (9 * MIB) | 6);
  await child.resize(10 * MIB);
  await child.write(8 * MIB, [own]);
  // Sectors 1, 8 and 9.
  await child.write(9 * MIB, [Uint8Array.of(0b10, 0b11)]);
}

for (const sectorBytes of [512, 4096])
  test(`VHDX that is the difference to another, sectors of ${sectorBytes} bytes`, async () => {
    const random = seededRandom(4);
    const [base, child] = [new MemoryStore('base.vhdx'), new MemoryStore('child.vhdx')];
    const content = testContent(3 * MIB, random).fill(9, 0, 65536);
    await VHDX.create!(base, content.length, { block_size: '1M' }, TEST_HOST);
    const disk = await VHDX.open(base, { isReadOnly: false }, TEST_HOST);
    await disk.write(0, [content]);
    await disk.close();
    await VHDX.create!(child, content.length, { block_size: '1M' }, TEST_HOST);
    const own = randomBytes(65536, random);
    const linkage = guidText((await readVhdxHeader(base)).dataWriteGuid);
    await makeDifference(child, linkage, sectorBytes, own);
    for (const sector of [1, 8, 9]) content.set(own.subarray(sector * sectorBytes, (sector + 1) * sectorBytes), sector * sectorBytes);
    content.fill(0, MIB, 2 * MIB);
    const host: ImageHost = { ...TEST_HOST, openStore: async (name) => (name === './base.vhdx' ? base : child) };
    const difference = await openImage('child.vhdx', { isReadOnly: false, format: 'vhdx' }, host);
    assert.equal(difference.isReadOnly, true);
    assert.equal(Buffer.compare(await readWhole(difference), content), 0);
    await difference.close();
    await assert.rejects(openImage('child.vhdx', { isReadOnly: true }, host), { code: 'BAD_OPTION', message: /only guessed/ });
    const changed = await VHDX.open(base, { isReadOnly: false }, TEST_HOST);
    await changed.write(0, [new Uint8Array(512)]);
    await changed.close();
    await assert.rejects(openImage('child.vhdx', { isReadOnly: true, format: 'vhdx' }, host), {
      code: 'BAD_IMAGE',
      message: /has changed/,
    });
  });
