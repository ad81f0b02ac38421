// What every format has to do, whatever it is: one suite that each of them runs. For tests only.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import type { CreateOptions, DiskFormat } from '@anillo/disk/disk-format';
import type { Disk } from '@anillo/disk/disk';
import { MemoryStore } from '@anillo/disk/memory-store';
import { compareWithModel, readWhole } from './disk-model.ts';
import { loadStore, qemuCompare, qemuImg, saveStore, scratchFolder, TEST_HOST, testContent, withoutQemuImg } from './qemu-image.ts';
import { seededRandom } from './random.ts';

export interface FormatSuite {
  readonly format: DiskFormat;
  /** The format's name in QEMU. */
  readonly qemuName: string;
  /** Whether `qemu-img check` knows it. */
  readonly hasCheck: boolean;
  /** Of `create`, to be tried each. */
  readonly creations: readonly CreateOptions[];
  /** Those that are written once and in order. */
  readonly isStream?: (options: CreateOptions) => boolean;
  /** `-o` of `qemu-img convert`. */
  readonly qemuOptions: readonly string[];
  /** Sizes that the format does not round. */
  readonly sizes?: readonly number[];
}

const told = (options: CreateOptions): string =>
  Object.entries(options)
    .map(([name, value]) => `${name}=${value}`)
    .join(',') || 'defaults';

async function openAgain(format: DiskFormat, store: MemoryStore, isReadOnly: boolean): Promise<Disk> {
  return format.open(store, { isReadOnly, openBehind: () => assert.fail('nothing lies behind') }, TEST_HOST);
}

async function headOf(store: MemoryStore): Promise<Uint8Array> {
  const head = new Uint8Array(Math.min(4096, await store.size()));
  await store.read(0, [head]);
  return head;
}

async function fillInOrder(disk: Disk, content: Uint8Array): Promise<void> {
  const writes: Promise<void>[] = [];
  for (let at = 0; at < content.length; at += 100 * 512) writes.push(disk.write(at, [content.subarray(at, at + 100 * 512)]));
  await Promise.all(writes);
}

async function makeImage(suite: FormatSuite, options: CreateOptions, content: Uint8Array, seed: number): Promise<MemoryStore> {
  const { format } = suite;
  const store = new MemoryStore('new');
  await format.create!(store, content.length, options, TEST_HOST);
  const disk = await openAgain(format, store, false);
  assert.equal(disk.byteCount, content.length);
  assert.equal(disk.isReadOnly, false);
  if (suite.isStream?.(options) === true) await fillInOrder(disk, content);
  else {
    const random = seededRandom(seed);
    const model = new Uint8Array(content.length);
    await compareWithModel({ disk, model, random, steps: 30 });
    await disk.flush();
    content.set(model);
  }
  await disk.close();
  return store;
}

export function testFormat(suite: FormatSuite): void {
  const { format, qemuName, creations, qemuOptions, hasCheck } = suite;
  const sizes = suite.sizes ?? [2 * 1048576 + 7 * 512];

  for (const options of creations)
    test(`${format.name}, created with ${told(options)}: what is written is read, also by QEMU`, async () => {
      using folder = scratchFolder();
      for (const [seed, size] of sizes.entries()) {
        const content = testContent(size, seededRandom(seed));
        const store = await makeImage(suite, options, content, seed);
        assert.ok(format.probe(await headOf(store)));
        const disk = await openAgain(format, store, true);
        assert.deepEqual(Buffer.compare(await readWhole(disk), content), 0);
        await assert.rejects(disk.write(0, [new Uint8Array(512)]), { code: 'STATE' });
        if (withoutQemuImg !== false) continue;
        const [image, raw] = [`${folder.path}/image`, `${folder.path}/raw`];
        await saveStore(store, image);
        writeFileSync(raw, content);
        assert.equal(qemuCompare(image, qemuName, raw), 'equal');
        if (hasCheck) qemuImg('check', '-f', qemuName, image);
      }
    });

  for (const options of qemuOptions)
    test(`${format.name}, made by QEMU with ${options === '' ? 'defaults' : options}: reads and writes equal`, {
      skip: withoutQemuImg,
    }, async () => {
      using folder = scratchFolder();
      for (const [seed, size] of sizes.entries()) {
        const content = testContent(size, seededRandom(100 + seed));
        const [image, raw] = [`${folder.path}/image`, `${folder.path}/raw`];
        writeFileSync(raw, content);
        qemuImg('convert', '-f', 'raw', '-O', qemuName, ...(options === '' ? [] : ['-o', options]), raw, image);
        const disk = await openAgain(format, loadStore(image), true);
        assert.deepEqual(Buffer.compare(await readWhole(disk), content), 0);
        const again = loadStore(image);
        const writable = await openAgain(format, again, false);
        if (writable.isReadOnly) continue;
        await compareWithModel({ disk: writable, model: content, random: seededRandom(seed), steps: 30 });
        await writable.close();
        await saveStore(again, image);
        writeFileSync(raw, content);
        assert.equal(qemuCompare(image, qemuName, raw), 'equal');
        if (hasCheck) qemuImg('check', '-f', qemuName, image);
      }
    });
}
