import assert from 'node:assert/strict';
import { test } from 'node:test';
import { modulesArchive, wantedModule } from './guest-modules.ts';

const module = (description: string): Uint8Array => Buffer.from(`\x7fELF junk\0${description.replaceAll('|', '\0')}\0more`, 'latin1');

test('drivers of a kernel package, by their names', () => {
  assert.equal(wantedModule('lib/modules/6.1.0/kernel/drivers/block/virtio_blk.ko'), '6.1.0/kernel/drivers/block/virtio_blk.ko');
  assert.equal(
    wantedModule('usr/lib/modules/6.1.0/kernel/drivers/char/hw_random/virtio-rng.ko'),
    '6.1.0/kernel/drivers/char/hw_random/virtio-rng.ko',
  );
  assert.equal(wantedModule('lib/modules/6.1.0/kernel/fs/xfs/xfs.ko'), undefined);
  assert.equal(wantedModule('boot/vmlinuz-6.1.0'), undefined);
});

test('what modprobe reads is made from what the modules say of themselves', () => {
  const archive = Buffer.from(
    modulesArchive([
      { path: '6.1/kernel/a/virtio_blk.ko', content: module('alias=virtio:d00000002v*|depends=virtio_ring,virtio,absent|name=virtio_blk') },
      { path: '6.1/kernel/a/virtio.ko', content: module('depends=virtio_ring') },
      { path: '6.1/kernel/b/netfs.ko', content: module('depends=') },
      { path: '6.1/kernel/b/virtio_ring.ko', content: module('depends=') },
    ]),
  ).toString('latin1');
  assert.ok(
    archive.includes(
      'kernel/a/virtio_blk.ko: kernel/a/virtio.ko kernel/b/virtio_ring.ko\nkernel/a/virtio.ko: kernel/b/virtio_ring.ko\nkernel/b/virtio_ring.ko:\n',
    ),
  );
  assert.ok(archive.includes('alias virtio:d00000002v* virtio_blk\n'));
  assert.ok(archive.includes('lib/modules/6.1/kernel/b\0'));
  assert.ok(!archive.includes('netfs'), 'nothing needs it');
  assert.equal(modulesArchive([]).length, 0);
});
