// The same images through qemu-img and through us. Skipped where qemu-img is not installed.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openImage } from '@anillo/disk/open-image';
import { QCOW2, openQcow2 } from '@anillo/disk/qcow2/qcow2';
import { Random } from '@anillo/disk/testing/random';
import { openFileStore } from './file-store.ts';
import { createFileStore, imageFiles } from './image-files.ts';

const hasQemuImg = spawnSync('qemu-img', ['--version']).status === 0;
const skip = hasQemuImg ? false : 'qemu-img is not installed';
const folder = mkdtempSync(join(tmpdir(), 'anillo-qemu-img-'));
after(() => rmSync(folder, { recursive: true }));
const host = imageFiles();

function qemuImg(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('qemu-img', args, { encoding: 'utf8', cwd: folder });
  assert.equal(status, 0, `qemu-img ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

const CASES: readonly Record<string, string>[] = [
  { compat: '0.10' },
  { compat: '1.1', cluster_size: '512' },
  { compat: '1.1', cluster_size: '2M', compression_type: 'zstd' },
  { compat: '1.1', lazy_refcounts: 'on', refcount_bits: '64' },
  { compat: '1.1', extended_l2: 'on', refcount_bits: '1' },
  { compat: '1.1', extended_l2: 'on', cluster_size: '16k', compression_type: 'zstd' },
  { compat: '1.1', cluster_size: '4k', refcount_bits: '8' },
  { compat: '1.1', preallocation: 'metadata' },
  { compat: '1.1', preallocation: 'full', cluster_size: '4k' },
  { compat: '1.1', preallocation: 'falloc', extended_l2: 'on' },
];
const SIZE = 6 << 20;

/** Runs of data, zeros and nothing. */
function content(random: Random): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  for (let at = 0; at < SIZE; at += 512 * (1 + random.below(700)))
    if (random.below(2) === 0) bytes.set(random.bytes(512 * (1 + random.below(200))).subarray(0, SIZE - at), at);
  return bytes;
}

async function readAll(name: string, format: string, snapshot?: string): Promise<Uint8Array> {
  const disk = await openImage(join(folder, name), { isReadOnly: true, format, snapshot }, host);
  const bytes = new Uint8Array(disk.byteCount);
  await disk.read(0, [bytes]);
  await disk.close();
  return bytes;
}

for (const [index, options] of CASES.entries()) {
  const list = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  const isPreallocated = options.preallocation !== undefined;

  test(`${list.join()}: what qemu-img wrote is read`, { skip }, async () => {
    const random = new Random(index);
    const bytes = content(random);
    writeFileSync(join(folder, 'a.raw'), bytes);
    qemuImg('convert', '-f', 'raw', '-O', 'qcow2', '-o', list.join(), 'a.raw', 'a.qcow2');
    assert.deepEqual(await readAll('a.qcow2', 'qcow2'), bytes);
    if (isPreallocated) return;
    qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', '-o', list.join(), 'a.raw', 'c.qcow2');
    assert.deepEqual(await readAll('c.qcow2', 'qcow2'), bytes);
    qemuImg('create', '-f', 'qcow2', '-b', 'c.qcow2', '-F', 'qcow2', '-o', list.join(), 'top.qcow2', '8M');
    assert.deepEqual((await readAll('top.qcow2', 'qcow2')).subarray(0, SIZE), bytes);
  });

  test(`${list.join()}: what we write is right to qemu-img`, { skip }, async () => {
    const random = new Random(index + 100);
    const bytes = content(random);
    const store = await createFileStore(join(folder, 'b.qcow2'));
    await QCOW2.create!(store, SIZE, options, host);
    await store.close();
    const disk = await openQcow2(await openFileStore(join(folder, 'b.qcow2'), { isReadOnly: false }), { isReadOnly: false }, host);
    const hasSnapshot = options.refcount_bits !== '1';
    for (let at = 0; at < SIZE; at += disk.clusterByteCount) {
      const part = bytes.subarray(at, Math.min(SIZE, at + disk.clusterByteCount));
      if (random.below(3) === 0) await disk.writeCompressed(at, part);
      else if (part.some((byte) => byte !== 0)) await disk.write(at, [part]);
      if (hasSnapshot && at === Math.floor(SIZE / 2 / disk.clusterByteCount) * disk.clusterByteCount)
        await disk.createSnapshot('half', new Date());
    }
    for (let count = 0; count < 40; count++) {
      const at = 512 * random.below(SIZE / 512 - 400);
      const length = 512 * (1 + random.below(400));
      if (count % 2 === 0) {
        await disk.writeZeroes(at, length, count % 4 === 0);
        bytes.fill(0, at, at + length);
      } else {
        const part = random.bytes(length);
        await disk.write(at, [part]);
        bytes.set(part, at);
      }
    }
    await disk.close();
    writeFileSync(join(folder, 'b.raw'), bytes);
    qemuImg('check', '-f', 'qcow2', 'b.qcow2');
    qemuImg('compare', '-f', 'raw', '-F', 'qcow2', 'b.raw', 'b.qcow2');
    if (!hasSnapshot) return;
    qemuImg('snapshot', '-a', 'half', 'b.qcow2');
    const half = await readAll('b.qcow2', 'qcow2');
    assert.deepEqual(await readAll('b.qcow2', 'qcow2', 'half'), half);
    qemuImg('snapshot', '-d', 'half', 'b.qcow2');
    qemuImg('check', '-f', 'qcow2', 'b.qcow2');
  });
}

test('bitmaps go on recording what changes', { skip }, async () => {
  qemuImg('create', '-f', 'qcow2', 'm.qcow2', '64M');
  qemuImg('bitmap', '--add', 'm.qcow2', 'backup');
  qemuImg('bitmap', '--add', '--disable', 'm.qcow2', 'still');
  const disk = await openImage(join(folder, 'm.qcow2'), { isReadOnly: false, format: 'qcow2' }, host);
  await disk.write(3 << 20, [new Uint8Array(4096).fill(1)]);
  await disk.close();
  qemuImg('check', 'm.qcow2');
  const { bitmaps } = JSON.parse(qemuImg('info', '--output=json', 'm.qcow2'))['format-specific'].data;
  assert.deepEqual(bitmaps, [
    { flags: ['auto'], name: 'backup', granularity: 65536 },
    { flags: [], name: 'still', granularity: 65536 },
  ]);
});
