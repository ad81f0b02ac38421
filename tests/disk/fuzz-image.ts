// Damaged and hostile images: each case takes a good image, changes bytes where its format keeps its tables, opens it and uses it. Nothing but AnilloError may come of it, and no memory
// or time that the image asks for without being of that size.

import { AnilloError } from '@anillo/base/anillo-error';
import type { ByteStore } from '@anillo/disk/byte-store';
import type { CreateOptions, DiskFormat, ImageHost } from '@anillo/disk/disk-format';
import { MemoryStore } from '@anillo/disk/memory-store';
import { RAW } from '@anillo/disk/raw';
import { ForkedStore } from './forked-store.ts';
import { mendVhdx } from './mend-vhdx.ts';
import { TEST_HOST } from './qemu-image.ts';
import { randomBytes, seededRandom } from './random.ts';

export interface ImageFuzzReport {
  readonly cases: number;
  /** Cases whose image could be opened. */
  readonly opened: number;
  readonly failures: readonly { readonly seed: number; readonly error: unknown }[];
  readonly slowestMs: number;
}

export interface ImageFuzzOptions {
  readonly format: DiskFormat;
  readonly cases: number;
  readonly seed: number;
  /** Good images to begin with; by default what `create` makes of `creations`. */
  readonly images?: readonly Uint8Array[];
  readonly creations?: readonly CreateOptions[];
  readonly onProgress?: (done: number) => void;
}

const MAX_CHANGED_BYTES = 64 << 20;
export const MAX_MS = 4000;

const INTERESTING = [0, 1, 2, 3, 0x7f, 0xff, 0x200, 0x1000, 0xffff, 0x10000, 0x100000, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

/** What the image names beside itself is there, and of no use. */
const FUZZ_HOST: ImageHost = { codecs: TEST_HOST.codecs, openStore: async (name) => new MemoryStore(name, new Uint8Array(4096)) };

async function allBytes(store: ByteStore): Promise<Uint8Array> {
  const bytes = new Uint8Array(await store.size());
  await store.read(0, [bytes]);
  return bytes;
}

async function goodImage(format: DiskFormat, options: CreateOptions, random: () => number): Promise<Uint8Array> {
  const store = new MemoryStore('good');
  await format.create!(store, 3 << 20, options, FUZZ_HOST);
  const disk = await format.open(store, { isReadOnly: false }, FUZZ_HOST);
  await disk.write(0, [randomBytes(65536, random)]);
  await disk.write(1 << 20, [randomBytes(8192, random)]);
  if (format.name === 'vhdx') {
    // Not closed: its log is in use.
    await disk.flush();
    return allBytes(store);
  }
  await disk.close();
  return allBytes(store);
}

/** Places with something other than zeros near by are where tables are, so half of the changes go there. */
function changePlace(image: Uint8Array, random: () => number): number {
  for (let tries = 0; tries < 8; tries++) {
    const at = Math.floor(random() ** 3 * image.length);
    if (tries === 7 || image[at] !== 0 || random() < 0.1) return at;
  }
  return 0;
}

export function damage(store: ForkedStore, image: Uint8Array, random: () => number): void {
  for (let changes = 1 + Math.floor(random() ** 2 * 8); changes > 0; changes--) {
    const at = changePlace(image, random);
    const kind = random();
    if (kind < 0.3) store.put(at, Uint8Array.of(random() * 256));
    else if (kind < 0.8) {
      const bytes = new Uint8Array(random() < 0.5 ? 4 : 8);
      const value = INTERESTING[Math.floor(random() * INTERESTING.length)];
      const view = new DataView(bytes.buffer);
      view.setUint32(random() < 0.5 ? 0 : bytes.length - 4, value, random() < 0.7);
      if (random() < 0.2) bytes.fill(255);
      store.put(at - (at % bytes.length), bytes);
    } else if (kind < 0.9) store.put(at, image.subarray(changePlace(image, random)).subarray(0, Math.floor(1 + random() * 64)));
    else if (kind < 0.93) store.cut(Math.floor(random() * image.length));
    else store.put(at, randomBytes(4 * Math.ceil(random() * 16), random));
  }
}

async function useImage(format: DiskFormat, store: ForkedStore, random: () => number): Promise<boolean> {
  const isReadOnly = random() < 0.4;
  const openBehind = async () => RAW.open(new MemoryStore('behind', new Uint8Array(4096).fill(7)), { isReadOnly: true }, FUZZ_HOST);
  const disk = await format.open(store, { isReadOnly, openBehind }, FUZZ_HOST);
  try {
    for (let step = 0; step < 6; step++) {
      const sectors = Math.floor(disk.byteCount / 512);
      const first = Math.floor(random() ** 4 * sectors);
      const byteCount = 512 * Math.min(sectors - first, 1 + Math.floor(random() ** 2 * 300));
      try {
        const kind = random();
        if (kind < 0.5) await disk.read(first * 512, [new Uint8Array(byteCount)]);
        else if (kind < 0.65) await disk.extents(first * 512, byteCount);
        else if (kind < 0.9) await disk.write(first * 512, [new Uint8Array(byteCount).fill(5)]);
        else await disk.writeZeroes(first * 512, byteCount, true);
      } catch (error) {
        // The disk stays usable.
        if (!(error instanceof AnilloError)) throw error;
      }
    }
  } finally {
    await disk.close();
  }
  return true;
}

async function oneCase(format: DiskFormat, image: Uint8Array, seed: number): Promise<boolean> {
  const random = seededRandom(seed);
  const store = new ForkedStore(image, false);
  damage(store, image, random);
  if (format.name === 'vhdx' && random() < 0.7) await mendVhdx(store);
  let isOpened = false;
  try {
    isOpened = await useImage(format, store, random);
  } catch (error) {
    if (!(error instanceof AnilloError)) throw error;
  }
  if (store.changedByteCount > MAX_CHANGED_BYTES) throw new Error(`${store.changedByteCount} bytes were written`);
  return isOpened;
}

/** Case n of a seed is the same whatever runs before it. */
export async function fuzzImages({
  format,
  cases,
  seed,
  images,
  creations = [{}],
  onProgress,
}: ImageFuzzOptions): Promise<ImageFuzzReport> {
  const good = images ?? (await Promise.all(creations.map((options) => goodImage(format, options, seededRandom(1)))));
  const failures: { seed: number; error: unknown }[] = [];
  let [opened, slowestMs] = [0, 0];
  for (let number = 0; number < cases; number++) {
    const caseSeed = (Math.imul(seed, 0x9e3779b1) + number) >>> 0;
    const begin = performance.now();
    try {
      if (await oneCase(format, good[number % good.length], caseSeed)) opened++;
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
