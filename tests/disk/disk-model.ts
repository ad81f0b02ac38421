// Compares a disk with an array that is given the same requests. For tests only.

import assert from 'node:assert/strict';
import type { Disk } from '@anillo/disk/disk';
import { randomBytes } from './random.ts';

const SECTOR = 512;

/** Buffers that the bytes are spread over. */
function spread(bytes: Uint8Array, random: () => number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const count = Math.min(bytes.length - at, 1 + Math.floor(random() * bytes.length));
    parts.push(bytes.subarray(at, at + count));
    at += count;
  }
  return parts;
}

export interface DiskModelOptions {
  readonly disk: Disk;
  /** What the disk holds now; kept up to date. */
  readonly model: Uint8Array;
  readonly random: () => number;
  readonly steps: number;
  readonly maxSectors?: number;
}

/** Random requests, some at once where they do not overlap. */
export async function compareWithModel({ disk, model, random, steps, maxSectors = 400 }: DiskModelOptions): Promise<void> {
  const sectors = disk.byteCount / SECTOR;
  for (let step = 0; step < steps; step++) {
    const first = Math.floor(random() * sectors);
    const count = Math.min(sectors - first, 1 + Math.floor(random() ** 3 * maxSectors));
    const [offset, byteCount] = [first * SECTOR, count * SECTOR];
    const kind = random();
    if (kind < 0.45 && !disk.isReadOnly) {
      const bytes = randomBytes(byteCount, random);
      model.set(bytes, offset);
      const half = SECTOR * Math.floor(count / 2);
      // Two halves at once: a block that both of them touch is given one place.
      await Promise.all([
        disk.write(offset, spread(bytes.subarray(0, half), random)),
        disk.write(offset + half, spread(bytes.subarray(half), random)),
      ]);
    } else if (kind < 0.55 && !disk.isReadOnly) {
      model.fill(0, offset, offset + byteCount);
      await disk.writeZeroes(offset, byteCount, random() < 0.5);
    } else {
      const bytes = new Uint8Array(byteCount).fill(0xaa);
      await disk.read(offset, spread(bytes, random));
      assert.deepEqual(Buffer.compare(bytes, model.subarray(offset, offset + byteCount)), 0, `sectors ${first} to ${first + count}`);
    }
  }
}

/** The whole disk, read at once; checks that what its extents call empty is. */
export async function readWhole(disk: Disk): Promise<Uint8Array> {
  const bytes = new Uint8Array(disk.byteCount).fill(0xaa);
  if (bytes.length > 0) await disk.read(0, [bytes]);
  let at = 0;
  while (at < bytes.length) {
    for (const extent of await disk.extents(at, bytes.length - at)) {
      assert.equal(extent.offset, at);
      assert.ok(extent.byteCount > 0 && extent.byteCount % SECTOR === 0);
      if (extent.kind !== 'data')
        assert.ok(
          bytes.subarray(at, at + extent.byteCount).every((byte) => byte === 0),
          `zeros at ${at}`,
        );
      at += extent.byteCount;
    }
  }
  return bytes;
}
