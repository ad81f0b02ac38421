import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { Ext4Reader } from '@anillo/disk/ext4/ext4-reader';
import { Ext4Writer } from '@anillo/disk/ext4/ext4-writer';
import { MemoryStore } from '@anillo/disk/memory-store';
import { RAW } from '@anillo/disk/raw';
import { Volume } from '@anillo/disk/volume';
import { writeTree } from './write-tree.ts';

const LONG = `${'folder-with-a-long-name-'.repeat(8)}/${'x'.repeat(200)}`;

/** In pieces that fit nothing. */
async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
}

async function emptyDisk() {
  const store = new MemoryStore('disk');
  await store.resize(16 << 20);
  return RAW.open(store, { isReadOnly: false }, { codecs: {}, openStore: async () => store });
}

function archive(format: string): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'anillo-tar-'));
  try {
    mkdirSync(join(folder, 'etc'));
    mkdirSync(join(folder, LONG, '..'), { recursive: true });
    writeFileSync(join(folder, 'etc/name'), 'archive');
    writeFileSync(join(folder, 'etc/hostname'), 'builder');
    writeFileSync(join(folder, 'etc/large'), Buffer.alloc(100_000, 'abc'));
    writeFileSync(join(folder, LONG), 'long');
    writeFileSync(join(folder, 'é'), 'utf8');
    linkSync(join(folder, 'etc/name'), join(folder, 'same'));
    symlinkSync(`etc/${'./'.repeat(120)}name`, join(folder, 'link'));
    return execFileSync('tar', ['-C', folder, '--sort=name', `--format=${format}`, '--numeric-owner', '-c', '.']);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const format of ['pax', 'gnu'])
  test(`a tar of the form ${format} becomes a file system`, async () => {
    const disk = await emptyDisk();
    const writer = new Ext4Writer(disk, { uuid: new Uint8Array(16), hashSeed: new Uint8Array(16), makeTime: 0 });
    const own = [
      { path: 'etc/hostname', content: 'own\n' },
      { path: 'etc/resolv.conf', target: '../run/x' },
    ];
    await writeTree(writer, pieces(archive(format)), { own, time: 1 });
    await writer.finish();
    const reader = (await Ext4Reader.open(new Volume(disk)))!;
    const text = async (path: string): Promise<string> => {
      const found = await reader.find(path);
      return found === undefined ? 'none' : Buffer.from(await reader.read(found.file, 1 << 20)).toString();
    };
    assert.deepEqual(await Promise.all(['etc/name', 'same', 'link', LONG].map(text)), ['archive', 'archive', 'archive', 'long']);
    assert.equal(await text('etc/hostname'), 'own\n');
    assert.equal(await text('etc/large'), Buffer.alloc(100_000, 'abc').toString());
    assert.equal(await text(Buffer.from('é').toString('latin1')), 'utf8');
    const etc = (await reader.find('etc'))!.file;
    const number = (await reader.list(etc)).get('resolv.conf')!;
    assert.equal(await reader.target(await reader.inode(number)), '../run/x');
  });

test('what is cut short or no archive is told', async () => {
  const whole = archive('pax');
  const flipped = whole.slice();
  flipped[100] ^= 1;
  for (const bytes of [whole.subarray(0, 40_000), flipped, new Uint8Array(512).fill(7), new Uint8Array(0)]) {
    const writer = new Ext4Writer(await emptyDisk(), { uuid: new Uint8Array(16), hashSeed: new Uint8Array(16), makeTime: 0 });
    await assert.rejects(writeTree(writer, pieces(bytes), { own: [], time: 1 }), (error: unknown) => error instanceof AnilloError && error.code === 'BAD_IMAGE');
  }
});
