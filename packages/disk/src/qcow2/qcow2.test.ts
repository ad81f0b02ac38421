// A disk in random images against an array of bytes: reads, writes side by side, zeros, discards, snapshots, sizes; the check must find nothing at the end.

import assert from 'node:assert/strict';
import { promisify } from 'node:util';
import { test } from 'node:test';
import { deflateRaw, inflateRaw, zstdCompress, zstdDecompress } from 'node:zlib';
import type { Codecs } from '../codecs.ts';
import type { Disk } from '../disk.ts';
import { MemoryStore } from '../memory-store.ts';
import { RAW } from '../raw.ts';
import { Random } from '../testing/random.ts';
import { checkImage } from './check.ts';
import { readHeader } from './header.ts';
import { openQcow2, QCOW2 } from './qcow2.ts';
import type { Qcow2Disk } from './qcow2-disk.ts';

const codecs: Codecs = {
  deflate: { compress: promisify(deflateRaw), decompress: (bytes, maxOutputLength) => promisify(inflateRaw)(bytes, { maxOutputLength }) },
  zstd: {
    compress: (bytes) => promisify(zstdCompress)(bytes),
    decompress: (bytes, maxOutputLength) => promisify(zstdDecompress)(bytes, { maxOutputLength }),
  },
};
const host = {
  codecs,
  openStore: async () => {
    throw new Error('no other file');
  },
};

async function findingsOf(store: MemoryStore): Promise<readonly string[]> {
  const lines: string[] = [];
  const result = await checkImage(store, await readHeader(store), 'none', (line) => lines.push(line));
  return result.corruptions + result.leaks === 0 ? [] : lines;
}

class Model {
  bytes: Uint8Array;
  readonly kept: { name: string; bytes: Uint8Array }[] = [];

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

function randomOptions(random: Random): Record<string, string> {
  const clusterBits = random.pick([9, 9, 10, 12, 14, 16]);
  const isOld = random.below(6) === 0;
  if (isOld) return { cluster_size: String(2 ** clusterBits), compat: '0.10' };
  return {
    cluster_size: String(2 ** clusterBits),
    refcount_bits: String(2 ** random.below(7)),
    compression_type: random.pick(['zlib', 'zstd']),
    lazy_refcounts: random.pick(['on', 'off']),
    extended_l2: clusterBits >= 14 ? random.pick(['on', 'off']) : 'off',
  };
}

/** A range on sectors, mostly small. */
function range(random: Random, limit: number): [number, number] {
  const sectors = limit / 512;
  const start = random.below(sectors);
  const most = random.below(8) === 0 ? sectors - start : Math.min(sectors - start, 1 + random.below(200));
  return [start * 512, (1 + random.below(most)) * 512];
}

function split(random: Random, bytes: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 512 * (1 + random.below(20)));
    parts.push(bytes.subarray(at, end));
    at = end;
  }
  return parts;
}

async function readAll(disk: Disk): Promise<Uint8Array> {
  const bytes = new Uint8Array(disk.byteCount).fill(0xaa);
  await disk.read(0, [bytes]);
  return bytes;
}

/** Several requests at once, of which no two overlap. */
async function volley(random: Random, disk: Qcow2Disk, model: Model): Promise<void> {
  const taken: [number, number][] = [];
  const work: Promise<void>[] = [];
  for (let count = 1 + random.below(8); count > 0; count--) {
    const [offset, byteCount] = range(random, disk.byteCount);
    if (taken.some(([start, length]) => start < offset + byteCount && offset < start + length)) continue;
    taken.push([offset, byteCount]);
    const kind = random.below(10);
    if (kind < 6) {
      const bytes = random.bytes(byteCount);
      model.bytes.set(bytes, offset);
      const parts = split(random, bytes);
      if (random.below(2) === 0 || !disk.writeNow(offset, parts)) work.push(disk.write(offset, parts));
    } else if (kind < 8) {
      model.bytes.fill(0, offset, offset + byteCount);
      work.push(disk.writeZeroes(offset, byteCount, random.below(2) === 0));
    } else {
      const into = new Uint8Array(byteCount);
      const expected = model.bytes.slice(offset, offset + byteCount);
      const parts = split(random, into);
      if (random.below(2) === 0 && disk.readNow(offset, parts)) assert.deepEqual(into, expected);
      else work.push(disk.read(offset, parts).then(() => assert.deepEqual(into, expected)));
    }
  }
  await Promise.all(work);
}

async function discardSome(random: Random, disk: Qcow2Disk, model: Model): Promise<void> {
  const [offset, byteCount] = range(random, disk.byteCount);
  await disk.discard(offset, byteCount);
  const now = new Uint8Array(byteCount);
  await disk.read(offset, [now]);
  for (let at = 0; at < byteCount; at++)
    assert.ok(now[at] === 0 || now[at] === model.bytes[offset + at], `byte ${offset + at} is neither zero nor as before`);
  model.bytes.set(now, offset);
}

async function compressSome(random: Random, disk: Qcow2Disk, model: Model): Promise<void> {
  const cluster = random.below(Math.ceil(disk.byteCount / disk.clusterByteCount));
  const offset = cluster * disk.clusterByteCount;
  const bytes = random.bytes(Math.min(disk.clusterByteCount, disk.byteCount - offset));
  model.bytes.set(bytes, offset);
  await disk.writeCompressed(offset, bytes);
}

async function snapshotSome(random: Random, disk: Qcow2Disk, model: Model): Promise<void> {
  if (disk.tables.geometry.maxRefcount < 8) return;
  const kept = random.below(model.kept.length + 1);
  if (kept === model.kept.length || model.kept.length < 2) {
    if (model.kept.length >= 5) return;
    const name = `s${random.below(1e9)}`;
    await disk.createSnapshot(name, new Date(0));
    model.kept.push({ name, bytes: model.bytes.slice() });
  } else if (random.below(2) === 0) {
    await disk.applySnapshot(model.kept[kept].name);
    model.bytes = model.kept[kept].bytes.slice();
  } else {
    await disk.deleteSnapshot(model.kept[kept].name);
    model.kept.splice(kept, 1);
  }
}

async function resizeSome(random: Random, disk: Qcow2Disk, model: Model): Promise<void> {
  if (disk.tables.header.version < 3 && model.kept.length > 0) return;
  const byteCount = 512 * (1 + random.below(3000));
  await disk.resize(byteCount);
  const bytes = new Uint8Array(byteCount);
  bytes.set(model.bytes.subarray(0, byteCount));
  model.bytes = bytes;
}

async function story(seed: number, steps: number): Promise<void> {
  const random = new Random(seed);
  const store = new MemoryStore('image');
  const behind = random.below(2) === 0 ? undefined : random.bytes(512 * (1 + random.below(2000)));
  const backing = behind === undefined ? null : await RAW.open(new MemoryStore('behind', behind), { isReadOnly: true }, host);
  const byteCount = 512 * (1 + random.below(2000));
  const model = new Model(new Uint8Array(byteCount));
  model.bytes.set((behind ?? new Uint8Array(0)).subarray(0, byteCount));
  await QCOW2.create!(store, byteCount, { ...randomOptions(random), ...(behind === undefined ? {} : { backing_file: 'behind' }) }, host);
  let disk = await openQcow2(store, { isReadOnly: false, backing }, host);
  for (let step = 0; step < steps; step++) {
    const kind = random.below(20);
    if (kind < 10) await volley(random, disk, model);
    else if (kind < 12) await discardSome(random, disk, model);
    else if (kind < 14) await compressSome(random, disk, model);
    else if (kind < 16) await snapshotSome(random, disk, model);
    else if (kind === 16) await resizeSome(random, disk, model);
    else if (kind === 17) await disk.flush();
    else if (kind === 18) assert.deepEqual(await readAll(disk), model.bytes);
    else {
      await disk.close();
      assert.deepEqual(await findingsOf(store), []);
      disk = await openQcow2(store, { isReadOnly: false, backing }, host);
    }
  }
  assert.deepEqual(await readAll(disk), model.bytes);
  await disk.close();
  assert.deepEqual(await findingsOf(store), []);
  for (const { name, bytes } of model.kept) {
    const old = await openQcow2(store, { isReadOnly: true, backing, snapshot: name }, host);
    assert.deepEqual(await readAll(old), bytes);
  }
}

const [first, count] = (process.env.ANILLO_QCOW2_SEEDS ?? '1,12').split(',').map(Number);
test('random requests read back what was written', { timeout: 200_000 }, async () => {
  for (let seed = first; seed < first + count; seed++)
    await story(seed, 40).catch((error) => Promise.reject(new Error(`seed ${seed}`, { cause: error })));
});
