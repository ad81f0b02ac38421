// The host loses its power at random moments of random work: the image then has at most leaks (or says itself that its counts are to be made anew), and every sector reads
// as when it was last flushed, or as something that was written to it since.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MemoryStore } from '../memory-store.ts';
import { CrashStore } from '../testing/crash-store.ts';
import { Random } from '../testing/random.ts';
import { checkImage } from './check.ts';
import { INCOMPATIBLE, readHeader } from './header.ts';
import { openQcow2, QCOW2 } from './qcow2.ts';
import type { Qcow2Disk } from './qcow2-disk.ts';

const SECTORS = 512;
const host = {
  // No compression that compresses: an image's structure is what is tested.
  codecs: { deflate: { compress: async (bytes: Uint8Array) => bytes.subarray(0, 100), decompress: async (bytes: Uint8Array) => bytes } },
  openStore: async () => {
    throw new Error('no other file');
  },
};

/** What each sector may read as: its fill byte, the same throughout. */
class Expectations {
  readonly allowed: number[][] = Array.from({ length: SECTORS }, () => [0]);

  changing(first: number, count: number, value: number): void {
    for (let sector = first; sector < first + count; sector++) this.allowed[sector].push(value);
  }

  flushed(): void {
    for (const values of this.allowed) values.splice(0, values.length - 1);
  }
}

async function judge(found: MemoryStore, allowed: readonly (readonly number[])[], what: string): Promise<void> {
  const header = await readHeader(found);
  const lines: string[] = [];
  const result = await checkImage(found, header, 'none', (line) => lines.push(line));
  if (!(header.incompatible & INCOMPATIBLE.dirty)) assert.equal(result.corruptions, 0, `${what}: ${lines.join('\n')}`);
  const disk = await openQcow2(found, { isReadOnly: false }, host);
  const bytes = new Uint8Array(SECTORS * 512);
  await disk.read(0, [bytes]);
  for (const [sector, values] of allowed.entries()) {
    const part = bytes.subarray(sector * 512, (sector + 1) * 512);
    assert.ok(
      part.every((byte) => byte === part[0]) && values.includes(part[0]),
      `${what}: sector ${sector} is ${part[0]}, not one of ${values}`,
    );
  }
  await disk.close();
}

async function change(random: Random, disk: Qcow2Disk, expectations: Expectations, start: number, sectors: number): Promise<void> {
  const first = start + random.below(sectors);
  const count = 1 + random.below(Math.min(start + sectors - first, 40));
  const kind = random.below(10);
  if (kind < 6) {
    const value = 1 + random.below(255);
    expectations.changing(first, count, value);
    const bytes = [new Uint8Array(count * 512).fill(value)];
    return random.below(2) === 0 && disk.writeNow(first * 512, bytes) ? undefined : disk.write(first * 512, bytes);
  }
  expectations.changing(first, count, 0);
  return kind < 8 ? disk.writeZeroes(first * 512, count * 512, kind === 6) : disk.discard(first * 512, count * 512);
}

/** A discard may leave what it does not reach. */
async function settle(disk: Qcow2Disk, expectations: Expectations): Promise<void> {
  const bytes = new Uint8Array(SECTORS * 512);
  await disk.read(0, [bytes]);
  for (const [sector, values] of expectations.allowed.entries()) values.push(bytes[sector * 512]);
}

async function story(seed: number): Promise<number> {
  const random = new Random(seed);
  const store = new CrashStore();
  const variants: Record<string, string>[] = [{ compat: '0.10' }, { lazy_refcounts: 'on' }, {}, { refcount_bits: '8' }];
  const options: Record<string, string> = {
    ...random.pick(variants),
    cluster_size: random.pick(['512', '1024', '4096']),
  };
  const extended: Record<string, string> = random.below(5) === 0 ? { extended_l2: 'on', cluster_size: '16384' } : options;
  await QCOW2.create!(store, SECTORS * 512, extended, host);
  const disk = await openQcow2(store, { isReadOnly: false }, host);
  const expectations = new Expectations();
  const cuts: Promise<void>[] = [];
  let step = 0;
  let changes = 0;
  let hasSnapshots = false;
  store.onChange = () => {
    changes++;
    if (random.below(25) !== 0) return;
    const allowed = expectations.allowed.map((values) => values.slice());
    const what = `seed ${seed} step ${step} change ${changes} of ${JSON.stringify(extended)}`;
    cuts.push(judge(store.cut(new Random(seed * 1000 + changes)), allowed, what));
    cuts.at(-1)!.catch(() => {});
  };
  for (step = 0; step < 30; step++) {
    const kind = random.below(12);
    if (kind < 8) {
      const half = SECTORS / 2;
      // Side by side, in parts that do not meet.
      await Promise.all([
        change(random, disk, expectations, 0, half),
        change(random, disk, expectations, half, half),
        random.below(3) === 0 && disk.flush(),
      ]);
      await settle(disk, expectations);
    } else if (kind < 11 || extended.compat === '0.10') {
      await disk.flush();
      expectations.flushed();
    } else if (!hasSnapshots) {
      await disk.createSnapshot('s', new Date(0));
      hasSnapshots = true;
      expectations.flushed();
    } else {
      await disk.deleteSnapshot('s');
      hasSnapshots = false;
      expectations.flushed();
    }
  }
  await disk.close();
  await Promise.all(cuts);
  return cuts.length;
}

const [first, count] = (process.env.ANILLO_CRASH_SEEDS ?? '1,5').split(',').map(Number);
test('power lost at any moment leaves a sound image with all that was flushed', { timeout: 200_000 }, async () => {
  let cuts = 0;
  for (let seed = first; seed < first + count; seed++) cuts += await story(seed);
  assert.ok(cuts > count);
});
