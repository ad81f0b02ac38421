// Damaged and hostile disks to boot from: each case changes bytes of a file system, its journal or its partition table, and looks for a kernel. Nothing but AnilloError may come of it, in bounded time.

import { AnilloError } from '@anillo/base/anillo-error';
import { findLinux } from '@anillo/disk/linux-on-disk';
import { RAW } from '@anillo/disk/raw';
import { addKernel, OWN_FILE, tinyLinux } from '@anillo/disk/testing/tiny-linux';
import { ForkedStore } from './forked-store.ts';
import { damage, type ImageFuzzReport, MAX_MS } from './fuzz-image.ts';
import { TEST_HOST } from './qemu-image.ts';
import { seededRandom } from './random.ts';

const PARTITION_SECTOR = 64;
/** Of the superblock's "incompat", whose bit 2 says that the journal is to be replayed. */
const NEEDS_RECOVERY_AT = 1024 + 0x60;

function inPartition(image: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(PARTITION_SECTOR * 512 + image.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(510, 0xaa55, true);
  view.setUint8(450, 0x83);
  view.setUint32(454, PARTITION_SECTOR, true);
  view.setUint32(458, image.length / 512, true);
  bytes.set(image, PARTITION_SECTOR * 512);
  return bytes;
}

/** A transaction that puts one block in place, in the journal of a file system that our writer made; and that it is to be replayed. */
export function withTransaction(image: Uint8Array, block: number, content: Uint8Array): Uint8Array {
  const bytes = image.slice();
  const view = new DataView(bytes.buffer);
  bytes[NEEDS_RECOVERY_AT] |= 4;
  let journal = -1;
  for (let at = 0; at < bytes.length && journal < 0; at += 4096)
    if (view.getUint32(at) === 0xc03b3998 && view.getUint32(at + 4) === 4) journal = at;
  view.setUint32(journal + 0x1c, 1);
  const sequence = view.getUint32(journal + 0x18);
  const put = (index: number, type: number): number => {
    const at = journal + index * 4096;
    for (const [i, word] of [0xc03b3998, type, sequence].entries()) view.setUint32(at + 4 * i, word);
    return at;
  };
  const descriptor = put(1, 1);
  view.setUint32(descriptor + 12, block);
  view.setUint16(descriptor + 12 + 6, 8 | 2);
  bytes.set(content, journal + 2 * 4096);
  put(3, 2);
  return bytes;
}

async function goodDisks(): Promise<readonly Uint8Array[]> {
  const plain = await tinyLinux(4 << 20, async (writer) => {
    await addKernel(writer);
    await writer.addSymlink({ ...OWN_FILE, path: 'vmlinuz' }, 'boot/vmlinuz-6.1.0-10-test');
    await writer.addSymlink({ ...OWN_FILE, path: 'initrd.img' }, `${'./'.repeat(50)}boot/initrd.img-6.1.0-10-test`);
  });
  const small = await tinyLinux(2 << 20);
  const journaled = withTransaction(await tinyLinux(12 << 20), 0, plain.subarray(0, 4096));
  return [plain, small, inPartition(small), journaled];
}

async function oneCase(image: Uint8Array, seed: number): Promise<boolean> {
  const random = seededRandom(seed);
  const store = new ForkedStore(image, true);
  damage(store, image, random);
  const disk = await RAW.open(store, { isReadOnly: true }, TEST_HOST);
  try {
    const { linux } = await findLinux(disk);
    await linux?.kernel.read();
    await linux?.initrd?.read();
    return linux !== undefined;
  } catch (error) {
    if (!(error instanceof AnilloError)) throw error;
    return false;
  }
}

export async function fuzzLinux(cases: number, seed: number, onProgress?: (done: number) => void): Promise<ImageFuzzReport> {
  const disks = await goodDisks();
  const failures: { seed: number; error: unknown }[] = [];
  let [opened, slowestMs] = [0, 0];
  for (let number = 0; number < cases; number++) {
    const caseSeed = (Math.imul(seed, 0x9e3779b1) + number) >>> 0;
    const begin = performance.now();
    try {
      if (await oneCase(disks[number % disks.length], caseSeed)) opened++;
    } catch (error) {
      failures.push({ seed: caseSeed, error });
    }
    const ms = performance.now() - begin;
    slowestMs = Math.max(slowestMs, ms);
    if (ms > MAX_MS) failures.push({ seed: caseSeed, error: new Error(`took ${Math.round(ms)} ms`) });
    if (number % 1000 === 999) onProgress?.(number + 1);
  }
  return { cases, opened, failures, slowestMs };
}
