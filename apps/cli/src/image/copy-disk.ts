// Moves what a disk holds into another one: several requests on their way, and what reads as zeros left out where the target does so already.

import { settleAll } from '@anillo/disk/settle-all';
import type { Disk, Extent } from '@anillo/disk/disk';

const CHUNK = 1 << 20;
const AT_ONCE = 8;

/** Runs of work, a few at a time. */
export class Pool {
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  async add(work: () => Promise<void>): Promise<void> {
    while (this.#running.size >= AT_ONCE) await Promise.race(this.#running);
    if (this.#failure !== undefined) throw this.#failure.error;
    const running: Promise<void> = work()
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async end(): Promise<void> {
    await settleAll([...this.#running]);
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

/** Every extent of a range, in order. */
export async function* extentsOf(disk: Disk, offset = 0, end = disk.byteCount): AsyncGenerator<Extent> {
  for (let at = offset; at < end; ) {
    const extents = await disk.extents(at, end - at);
    yield* extents;
    const last = extents.at(-1)!;
    at = last.offset + last.byteCount;
  }
}

export function isZero(bytes: Uint8Array): boolean {
  const words = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3);
  for (let at = 0; at < words.length; at++) if (words[at] !== 0 || Object.is(words[at], -0)) return false;
  return true;
}

/** Parts that are not zero, by pieces of `unit` bytes; with 0 everything. */
function* dataParts(bytes: Uint8Array, unit: number): Generator<[number, number]> {
  if (unit === 0) return yield [0, bytes.length];
  let start = -1;
  for (let at = 0; at < bytes.length; at += unit) {
    const empty = isZero(bytes.subarray(at, at + unit));
    if (!empty && start < 0) start = at;
    if (empty && start >= 0) {
      yield [start, at];
      start = -1;
    }
  }
  if (start >= 0) yield [start, bytes.length];
}

export interface CopyOptions {
  /** The target reads as zeros. */
  readonly isEmpty: boolean;
  /** Zeros of this length in data are left out; 0: none are. */
  readonly sparseBytes: number;
  readonly isCompressed: boolean;
  readonly onProgress?: (part: number) => void;
}

export async function copyDisk(from: Disk, to: Disk, options: CopyOptions): Promise<void> {
  const pool = new Pool();
  const step = options.isCompressed ? (to.clusterByteCount ?? CHUNK) : CHUNK;
  if (options.isCompressed) {
    for (let at = 0; at < from.byteCount; at += step) {
      options.onProgress?.(at / from.byteCount);
      const extents = await from.extents(at, Math.min(step, from.byteCount - at));
      if (
        options.isEmpty &&
        extents.every(({ kind }) => kind !== 'data') &&
        extents.reduce((sum, { byteCount }) => sum + byteCount, 0) >= Math.min(step, from.byteCount - at)
      )
        continue;
      await pool.add(() => copyCompressed(from, to, at, Math.min(step, from.byteCount - at), options));
    }
    return pool.end();
  }
  for await (const extent of extentsOf(from)) {
    const end = extent.offset + extent.byteCount;
    if (extent.kind !== 'data') {
      if (!options.isEmpty) await pool.add(() => to.writeZeroes(extent.offset, extent.byteCount, true));
      continue;
    }
    for (let at = extent.offset; at < end; ) {
      const count = Math.min(step - (at % step), end - at);
      const offset = at;
      await pool.add(() => copyPart(from, to, offset, count, options));
      at += count;
      options.onProgress?.(at / from.byteCount);
    }
  }
  await pool.end();
}

async function copyPart(from: Disk, to: Disk, offset: number, count: number, options: CopyOptions): Promise<void> {
  const bytes = new Uint8Array(count);
  await from.read(offset, [bytes]);
  let done = 0;
  for (const [start, end] of dataParts(bytes, options.sparseBytes)) {
    if (start > done && !options.isEmpty) await to.writeZeroes(offset + done, start - done, true);
    await to.write(offset + start, [bytes.subarray(start, end)]);
    done = end;
  }
  if (done < count && !options.isEmpty) await to.writeZeroes(offset + done, count - done, true);
}

async function copyCompressed(from: Disk, to: Disk, offset: number, count: number, options: CopyOptions): Promise<void> {
  const bytes = new Uint8Array(count);
  await from.read(offset, [bytes]);
  if (!isZero(bytes)) await to.writeCompressed!(offset, bytes);
  else if (!options.isEmpty) await to.writeZeroes(offset, count, true);
}

/** QEMU's line, which is written over. */
export function progressLine(isShown: boolean): (part: number) => void {
  let last = -1;
  return (part) => {
    const percent = Math.floor(part * 1000);
    if (!isShown || percent === last) return;
    last = percent;
    process.stdout.write(`    (${(part * 100).toFixed(2)}/100%)\r`);
  };
}
