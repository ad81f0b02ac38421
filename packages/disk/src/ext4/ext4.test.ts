import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { bytesOf, OWN_FILE, OWN_FOLDER, tinyLinux } from '../testing/tiny-linux.ts';
import { Volume } from '../volume.ts';
import { Ext4Checksums } from './ext4-checksums.ts';
import { ext4Geometry } from './ext4-geometry.ts';
import { MODE } from './ext4-layout.ts';
import { Ext4Reader } from './ext4-reader.ts';
import type { Ext4Writer } from './ext4-writer.ts';
import { extentRuns } from './file-blocks.ts';
import { NewInode } from './new-inode.ts';

async function readerOf(bytes: Uint8Array): Promise<Ext4Reader> {
  const read = async (offset: number, into: readonly Uint8Array[]): Promise<void> => {
    let at = offset;
    for (const buffer of into) {
      buffer.set(bytes.subarray(at, at + buffer.length));
      at += buffer.length;
    }
  };
  return (await Ext4Reader.open(new Volume({ byteCount: bytes.length, read })))!;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

async function content(reader: Ext4Reader, path: string): Promise<string> {
  const found = await reader.find(path);
  assert.ok(found !== undefined, path);
  return text(await reader.read(found.file, 1 << 24));
}

test('what is written is read again', async () => {
  const pieces = Array.from({ length: 7 }, (_, i) => new Uint8Array(100_000 + i).fill(i));
  const long = 'x'.repeat(40);
  const image = await tinyLinux(40 << 20, async (writer: Ext4Writer) => {
    await writer.addFile({ ...OWN_FILE, path: 'etc/name' }, 4, [bytesOf('here')]);
    await writer.addFile({ ...OWN_FILE, path: 'etc/empty' }, 0, []);
    await writer.addFile({ ...OWN_FILE, path: 'large' }, 700_021, pieces);
    writer.addHardLink('etc/other', 'etc/name');
    await writer.addSymlink({ ...OWN_FILE, path: 'link' }, 'etc/../etc/name');
    await writer.addSymlink({ ...OWN_FILE, path: 'etc/absolute' }, '/link');
    await writer.addSymlink({ ...OWN_FILE, path: 'long' }, `etc/${'./'.repeat(60)}name`);
    await writer.addSymlink({ ...OWN_FILE, path: 'circle' }, 'circle');
    writer.addDevice({ ...OWN_FILE, path: 'etc/null' }, 'character', 1, 3);
    writer.addFifo({ ...OWN_FILE, path: 'etc/fifo' });
    writer.addDirectory({ ...OWN_FOLDER, path: 'many' });
    for (let i = 0; i < 300; i++) await writer.addFile({ ...OWN_FILE, path: `many/${long}${i}` }, 1, [Uint8Array.of(i)]);
  });
  const reader = await readerOf(image);
  for (const path of ['etc/name', '/etc/other', 'link', 'etc/absolute', 'long']) assert.equal(await content(reader, path), 'here', path);
  assert.equal(await content(reader, 'etc/empty'), '');
  assert.equal(await content(reader, 'large'), pieces.map(text).join(''));
  assert.equal(await reader.find('circle'), undefined);
  assert.equal(await reader.find('etc/name/below'), undefined);
  assert.equal((await reader.find('etc/fifo'))?.file.kind, 'other');
  const many = await reader.list((await reader.find('many'))!.file);
  assert.equal(many.size, 300);
  assert.equal(await content(reader, `many/${long}299`), String.fromCharCode(299 & 255));
  assert.equal(reader.uuid, '00112233-4455-6677-8899-aabbccddeeff');
  assert.equal((await reader.find('link'))?.path, 'etc/name');
});

test('a file in more pieces than an inode has room for', async () => {
  const runs = Array.from({ length: 1000 }, (_, i) => ({ start: 2 ** 33 + 40_000 * i, count: i + 1 }));
  const inode = new NewInode(12, MODE.file, OWN_FILE);
  const tree = new Map<number, Uint8Array>();
  await inode.setExtents(runs, 4096, new Ext4Checksums(new Uint8Array(16)), async (block) => {
    tree.set(2 ** 34 + tree.size, block);
    return 2 ** 34 + tree.size - 1;
  });
  assert.equal(tree.size, 3);
  assert.equal(inode.blockCount, 3 + (1000 * 1001) / 2);
  const read = await extentRuns(inode.block, { blockBytes: 4096, readBlock: async (block) => tree.get(block)! });
  let fileBlock = 0;
  for (const [i, { start, count }] of runs.entries()) {
    assert.deepEqual(read[i], { fileBlock, start, count });
    fileBlock += count;
  }
});

test('what does not fit is told', async () => {
  const refused = async (prepare: (writer: Ext4Writer) => Promise<void>, code: string): Promise<void> => {
    await assert.rejects(tinyLinux(4 << 20, prepare), (error: unknown) => error instanceof AnilloError && error.code === code);
  };
  await refused((writer) => writer.addFile({ ...OWN_FILE, path: 'x' }, 5 << 20, [new Uint8Array(5 << 20)]), 'BAD_OPTION');
  await refused(async (writer) => {
    for (let i = 0; i < 5000; i++) await writer.addFile({ ...OWN_FILE, path: `${i}` }, 0, []);
  }, 'BAD_OPTION');
  await refused((writer) => writer.addFile({ ...OWN_FILE, path: 'x' }, 5, [new Uint8Array(4)]), 'BAD_IMAGE');
  await refused((writer) => writer.addFile({ ...OWN_FILE, path: 'x' }, 5, [new Uint8Array(6000)]), 'BAD_IMAGE');
  await refused((writer) => writer.addFile({ ...OWN_FILE, path: 'nowhere/x' }, 0, []), 'BAD_IMAGE');
  await refused(async (writer) => writer.addHardLink('y', 'etc'), 'BAD_IMAGE');
  assert.throws(() => ext4Geometry(100_000), AnilloError);
  assert.throws(() => ext4Geometry(2 ** 50), AnilloError);
});

test('a last group with next to no room is left out', () => {
  assert.equal(ext4Geometry((128 << 20) + 4096).groupCount, 1);
  assert.equal(ext4Geometry((128 << 20) + (16 << 20)).groupCount, 2);
});
