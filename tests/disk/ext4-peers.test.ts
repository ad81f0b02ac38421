// Our ext4 beside that of e2fsprogs: what it makes is read by us, what we make is sound to it.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { Ext4Reader } from '@anillo/disk/ext4/ext4-reader';
import { MemoryStore } from '@anillo/disk/memory-store';
import { RAW } from '@anillo/disk/raw';
import { addKernel, OWN_FILE, OWN_FOLDER, tinyLinux } from '@anillo/disk/testing/tiny-linux';
import { Volume } from '@anillo/disk/volume';
import { withTransaction } from './fuzz-linux.ts';
import { loadStore, scratchFolder, TEST_HOST } from './qemu-image.ts';

const skip = existsSync('/sbin/mke2fs') || existsSync('/usr/sbin/mke2fs') ? false : 'mke2fs is not installed (Debian: e2fsprogs)';
const env = { ...process.env, PATH: `${process.env.PATH}:/sbin:/usr/sbin` };
const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', timeout: 60_000, stdio: ['ignore', 'pipe', 'pipe'], env });

function fsck(image: string): string {
  const { status, stdout } = spawnSync('e2fsck', ['-fn', image], { encoding: 'utf8', timeout: 60_000, env });
  return status === 0 ? 'sound' : stdout;
}

async function readerOf(store: MemoryStore): Promise<Ext4Reader> {
  return (await Ext4Reader.open(new Volume(await RAW.open(store, { isReadOnly: true }, TEST_HOST))))!;
}

async function content(reader: Ext4Reader, path: string): Promise<Buffer> {
  const found = await reader.find(path);
  assert.ok(found !== undefined, path);
  return Buffer.from(await reader.read(found.file, 1 << 26));
}

const CASES: readonly (readonly string[])[] = [
  ['-t', 'ext4'],
  ['-t', 'ext4', '-b', '1024'],
  ['-t', 'ext4', '-b', '1024', '-g', '1024', '-O', '^resize_inode,meta_bg'],
  ['-t', 'ext4', '-O', '^64bit,^metadata_csum', '-I', '128'],
  ['-t', 'ext4', '-b', '2048', '-O', '^flex_bg,^64bit,^extent'],
  ['-t', 'ext3', '-b', '1024'],
  ['-t', 'ext2'],
];

for (const options of CASES)
  test(`mke2fs ${options.join(' ')}`, { skip }, async () => {
    using scratch = scratchFolder();
    const tree = `${scratch.path}/tree`;
    mkdirSync(`${tree}/boot`, { recursive: true });
    mkdirSync(`${tree}/many`);
    const large = Buffer.alloc(3_000_000, 'These are some bytes. ');
    writeFileSync(`${tree}/boot/large`, large);
    writeFileSync(`${tree}/boot/small`, 'small');
    const holed = Buffer.concat([Buffer.alloc(500_000), Buffer.from('end')]);
    writeFileSync(`${tree}/boot/holed`, holed);
    symlinkSync('boot/small', `${tree}/fast`);
    symlinkSync(`boot/${'./'.repeat(60)}small`, `${tree}/slow`);
    linkSync(`${tree}/boot/small`, `${tree}/boot/linked`);
    for (let i = 0; i < 700; i++) writeFileSync(`${tree}/many/a-file-with-a-long-name-${i}`, `${i}`);
    const image = `${scratch.path}/image`;
    run('mke2fs', '-q', ...options, '-d', tree, image, '24M');
    const reader = await readerOf(loadStore(image));
    assert.ok((await content(reader, 'boot/large')).equals(large));
    assert.ok((await content(reader, 'boot/holed')).equals(holed));
    for (const path of ['fast', 'slow', 'boot/linked']) assert.equal(String(await content(reader, path)), 'small');
    assert.equal((await reader.list((await reader.find('many'))!.file)).size, 700);
    for (const i of [0, 350, 699]) assert.equal(String(await content(reader, `many/a-file-with-a-long-name-${i}`)), `${i}`);
    assert.ok(run('dumpe2fs', '-h', image).includes(reader.uuid));
  });

test('what we make is sound', { skip }, async () => {
  using scratch = scratchFolder();
  for (const megabytes of [2, 40, 150]) {
    const image = `${scratch.path}/image`;
    const bytes = await tinyLinux(megabytes << 20, async (writer) => {
      await addKernel(writer);
      await writer.addFile(
        { ...OWN_FILE, path: 'etc/x', user: 70_000, modifyTime: 5e9, attributes: new Map([['security.capability', new Uint8Array(20)]]) },
        1,
        [Uint8Array.of(1)],
      );
      writer.addHardLink('etc/y', 'etc/x');
      await writer.addSymlink({ ...OWN_FILE, path: 'slow' }, 'x'.repeat(200));
      writer.addDevice({ ...OWN_FILE, path: 'null' }, 'character', 1, 3);
      writer.addDevice({ ...OWN_FILE, path: 'nvme' }, 'block', 259, 300);
      writer.addFifo({ ...OWN_FILE, path: 'fifo' });
      writer.addDirectory({ ...OWN_FOLDER, path: 'many' });
      for (let i = 0; i < 60; i++) await writer.addFile({ ...OWN_FILE, path: `many/${'name'.repeat(50)}${i}` }, 0, []);
    });
    writeFileSync(image, bytes);
    assert.equal(fsck(image), 'sound', `${megabytes} MiB`);
    const device = run('debugfs', '-R', 'stat /nvme', image);
    assert.match(device, /Device major\/minor number: 259:300/);
    assert.match(
      run('debugfs', '-R', 'stat /etc/x', image),
      /User: 70000 [\s\S]*mtime: 0x[0-9a-f]+:[0-9a-f]{7}1 [\s\S]*security.capability \(20\)/,
    );
    assert.match(run('debugfs', '-R', 'ls -l /boot', image), /300001 .* vmlinuz-6.1.0-10-test/);
  }
});

test('what a journal holds is read as e2fsck replays it', { skip }, async () => {
  using scratch = scratchFolder();
  const image = `${scratch.path}/image`;
  const bytes = await tinyLinux(12 << 20);
  const before = await readerOf(new MemoryStore('before', bytes));
  const directory = (await before.find('boot'))!.file;
  // The first extent's start: the block with its names.
  const block = new DataView(directory.block.buffer, directory.block.byteOffset).getUint32(20, true);
  const names = bytes.slice(block * 4096, (block + 1) * 4096);
  const at = Buffer.from(names).indexOf('vmlinuz-6.1.0-9-test');
  names[at] = 'V'.charCodeAt(0);
  const pending = withTransaction(bytes, block, names);
  const after = await readerOf(new MemoryStore('after', pending));
  const listed = [...(await after.list((await after.find('boot'))!.file)).keys()];
  assert.ok(listed.includes('Vmlinuz-6.1.0-9-test'));
  writeFileSync(image, pending);
  spawnSync('e2fsck', ['-fy', image], { timeout: 60_000, env });
  const replayed = await readerOf(new MemoryStore('replayed', new Uint8Array(readFileSync(image))));
  assert.deepEqual([...(await replayed.list((await replayed.find('boot'))!.file)).keys()].sort(), listed.sort());
});
