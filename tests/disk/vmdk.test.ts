import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import type { ImageHost } from '@anillo/disk/disk-format';
import { MemoryStore } from '@anillo/disk/memory-store';
import { openImage } from '@anillo/disk/open-image';
import { VMDK } from '@anillo/disk/vmdk/vmdk';
import { compareWithModel, readWhole } from './disk-model.ts';
import { testFormat } from './format-suite.ts';
import { qemuImg, scratchFolder, TEST_HOST, testContent, withoutQemuImg } from './qemu-image.ts';
import { randomBytes, seededRandom } from './random.ts';

testFormat({
  ...{ format: VMDK, qemuName: 'vmdk', hasCheck: true },
  creations: [{}, { subformat: 'streamOptimized' }],
  isStream: ({ subformat }) => subformat === 'streamOptimized',
  qemuOptions: ['', 'compat6', 'zeroed_grain=on', 'subformat=streamOptimized', 'subformat=monolithicSparse,adapter_type=lsilogic'],
});

const SIZE = 3 * 1048576 + 512;

for (const subformat of ['monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat'])
  test(`VMDK of several files made by QEMU, ${subformat}`, { skip: withoutQemuImg }, async () => {
    using folder = scratchFolder();
    const content = testContent(SIZE, seededRandom(5));
    writeFileSync(`${folder.path}/raw`, content);
    const image = `${folder.path}/image.vmdk`;
    qemuImg('convert', '-f', 'raw', '-O', 'vmdk', '-o', `subformat=${subformat}`, `${folder.path}/raw`, image);
    const disk = await openImage(image, { isReadOnly: true, format: 'vmdk' }, TEST_HOST);
    assert.equal(Buffer.compare(await readWhole(disk), content), 0);
    await assert.rejects(openImage(image, { isReadOnly: true }, TEST_HOST), { code: 'BAD_OPTION', message: /only guessed/ });
  });

test('VMDK that is the difference to another, made by QEMU', { skip: withoutQemuImg }, async () => {
  using folder = scratchFolder();
  const content = testContent(SIZE, seededRandom(6));
  const [raw, base, top, flat] = ['raw', 'base.vmdk', 'top.vmdk', 'flat'].map((name) => `${folder.path}/${name}`);
  writeFileSync(raw, content);
  qemuImg('convert', '-f', 'raw', '-O', 'vmdk', raw, base);
  qemuImg('create', '-q', '-f', 'vmdk', '-b', base, '-F', 'vmdk', top);
  qemuImg('bench', '-q', '-f', 'vmdk', '-w', '-c', '5', '-s', '4096', '-S', '300000', '--pattern=7', top);
  qemuImg('convert', '-f', 'vmdk', '-O', 'raw', top, flat);
  const disk = await openImage(top, { isReadOnly: false, format: 'vmdk' }, TEST_HOST);
  const expected = await readWhole(await openImage(flat, { isReadOnly: true, format: 'raw' }, TEST_HOST));
  assert.equal(Buffer.compare(await readWhole(disk), expected), 0);
  assert.equal(disk.isReadOnly, true);
  assert.ok((await disk.extents(0, SIZE)).some(({ depth }) => depth === 1));
  qemuImg('bench', '-q', '-f', 'vmdk', '-w', '-c', '1', '-s', '4096', '--pattern=7', base);
  await assert.rejects(openImage(top, { isReadOnly: true, format: 'vmdk' }, TEST_HOST), { code: 'BAD_IMAGE', message: /has changed/ });
});

/** Files by name, in memory. */
function memoryHost(files: Readonly<Record<string, MemoryStore>>): ImageHost {
  return { ...TEST_HOST, openStore: async (name) => files[name] ?? assert.fail(`no file ${name}`) };
}

test('flat extents, read and written where the descriptor says', async () => {
  const random = seededRandom(9);
  const [a, b] = [new MemoryStore('a', randomBytes(8192, random)), new MemoryStore('b', randomBytes(4096, random))];
  const text = '# Disk DescriptorFile\ncreateType="custom"\nCID=0000002a\nRW 8 FLAT "a" 4\nRW 2 ZERO\nRW 8 VMFS "b"\n';
  const top = new MemoryStore('top', Buffer.from(text));
  const disk = await openImage('top', { isReadOnly: false, format: 'vmdk' }, memoryHost({ a, b, top }));
  const expected = new Uint8Array(18 * 512);
  await a.read(2048, [expected.subarray(0, 4096)]);
  await b.read(0, [expected.subarray(5120)]);
  assert.deepEqual(await readWhole(disk), expected);
  // Zeros have no place to be written to.
  assert.equal(disk.isReadOnly, true);
  await top.write(text.indexOf('RW 2 ZERO'), [Buffer.from('#')]);
  const writable = await openImage('top', { isReadOnly: false, format: 'vmdk' }, memoryHost({ a, b, top }));
  const model = await readWhole(writable);
  await compareWithModel({ disk: writable, model, random, steps: 50, maxSectors: 8 });
  await writable.close();
  const head = new Uint8Array(text.length);
  await top.read(0, [head]);
  assert.match(Buffer.from(head).toString(), /CID=(?!0000002a)[0-9a-f]{8}\n/);
});

test('what VMDK images get wrong is told in a sentence', async () => {
  const open = (text: string) =>
    openImage(
      'top',
      { isReadOnly: true, format: 'vmdk' },
      memoryHost({ top: new MemoryStore('top', Buffer.from(text)), a: new MemoryStore('a') }),
    );
  const head = '# Disk DescriptorFile\ncreateType="custom"\n';
  await assert.rejects(open('# Disk DescriptorFile\n'), { code: 'BAD_IMAGE', message: /createType/ });
  await assert.rejects(open(head), { code: 'BAD_IMAGE', message: /no extents/ });
  await assert.rejects(open(`${head}RW 8 FLAT "a"\n`), { code: 'BAD_IMAGE', message: /too short/ });
  await assert.rejects(open(`${head}RW 8 SESPARSE "a"\n`), { code: 'UNSUPPORTED', message: /SESPARSE/ });
  await assert.rejects(open(`${head}RW 8 SPARSE "a"\n`), { code: 'BAD_IMAGE', message: /signature/ });
  await assert.rejects(open(`${head}RW 9007199254740991 ZERO\n`), { code: 'BAD_IMAGE', message: /too large/ });
});
