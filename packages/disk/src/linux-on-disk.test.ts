import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { findLinux } from './linux-on-disk.ts';
import { MemoryStore } from './memory-store.ts';
import { RAW } from './raw.ts';
import { addKernel, bytesOf, OWN_FILE, TINY_INITRD, TINY_KERNEL, tinyLinux } from './testing/tiny-linux.ts';

const UUID = '00112233-4455-6677-8899-aabbccddeeff';

const diskOf = (bytes: Uint8Array) => {
  const store = new MemoryStore('disk', bytes);
  return RAW.open(store, { isReadOnly: true }, { codecs: {}, openStore: async () => store });
};

async function linuxOf(bytes: Uint8Array) {
  const found = await findLinux(await diskOf(bytes));
  assert.ok(found.linux !== undefined, found.linux === undefined ? found.why : '');
  return found.linux;
}

/** Two file systems in partitions of a master boot record. */
function inPartitions(...images: readonly Uint8Array[]): Uint8Array {
  const first = 2048;
  const bytes = new Uint8Array(first * 512 + images.reduce((sum, { length }) => sum + length, 0));
  const view = new DataView(bytes.buffer);
  view.setUint16(510, 0xaa55, true);
  view.setUint32(440, 0x1234, true);
  let sector = first;
  for (const [i, image] of images.entries()) {
    view.setUint8(450 + 16 * i, 0x83);
    view.setUint32(454 + 16 * i, sector, true);
    view.setUint32(458 + 16 * i, image.length / 512, true);
    bytes.set(image, sector * 512);
    sector += image.length / 512;
  }
  return bytes;
}

test('the newest kernel with its initial RAM disk', async () => {
  const linux = await linuxOf(await tinyLinux(4 << 20));
  assert.equal(linux.kernel.name, '/boot/vmlinuz-6.1.0-10-test');
  assert.deepEqual(await linux.kernel.read(), TINY_KERNEL);
  assert.deepEqual(await linux.initrd?.read(), TINY_INITRD);
  assert.equal(linux.commandLine, `root=UUID=${UUID} ro console=ttyS0`);
});

test('a link says which kernel; without an initial RAM disk the root is named so that the kernel finds it', async () => {
  const image = await tinyLinux(4 << 20, async (writer) => {
    await addKernel(writer);
    await writer.addSymlink({ ...OWN_FILE, path: 'vmlinuz' }, 'boot/vmlinuz-6.1.0-9-test');
  });
  const linux = await linuxOf(image);
  assert.equal(linux.kernel.name, '/boot/vmlinuz-6.1.0-9-test');
  assert.equal(linux.initrd, undefined);
  assert.equal(linux.commandLine, 'root=/dev/vda ro console=ttyS0');
  assert.equal((await linuxOf(inPartitions(image))).commandLine, 'root=PARTUUID=00001234-01 ro console=ttyS0');
});

test('/boot may be a file system of its own', async () => {
  const { Ext4Writer } = await import('./ext4/ext4-writer.ts');
  const store = new MemoryStore('boot');
  await store.resize(4 << 20);
  const disk = await RAW.open(store, { isReadOnly: false }, { codecs: {}, openStore: async () => store });
  const writer = new Ext4Writer(disk, { uuid: new Uint8Array(16).fill(1), hashSeed: new Uint8Array(16), makeTime: 0 });
  await writer.addFile({ ...OWN_FILE, path: 'vmlinuz-5.4.1' }, 6, [bytesOf('kernel')]);
  await writer.addFile({ ...OWN_FILE, path: 'initramfs-5.4.1.img' }, 4, [bytesOf('disk')]);
  await writer.finish();
  const boot = new Uint8Array(4 << 20);
  await store.read(0, [boot]);
  const linux = await linuxOf(inPartitions(boot, await tinyLinux(4 << 20, async () => {})));
  assert.equal(linux.kernel.name, '/vmlinuz-5.4.1');
  assert.deepEqual(await linux.initrd?.read(), bytesOf('disk'));
  assert.equal(linux.commandLine, `root=UUID=${UUID} ro console=ttyS0`);
});

test('why there is none', async () => {
  const why = async (bytes: Uint8Array): Promise<string> => {
    const found = await findLinux(await diskOf(bytes));
    assert.equal(found.linux, undefined);
    return found.linux === undefined ? found.why : '';
  };
  assert.match(await why(new Uint8Array(1 << 20)), /no ext4 file system/);
  assert.match(await why(await tinyLinux(4 << 20, async () => {})), /no kernel in \/boot/);
  const unknown = await tinyLinux(4 << 20);
  unknown[1024 + 0x63] = 0x40;
  assert.match(await why(unknown), /features that are not known/);
});

test("what the host fails at is the host's", async () => {
  const disk = { byteCount: 1 << 20, read: () => Promise.reject(new AnilloError('FILE', 'The host has failed.')) };
  await assert.rejects(findLinux(disk), /The host has failed/);
});
