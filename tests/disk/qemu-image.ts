// Judges of disk images: Debian's qemu-utils, where they are installed. For tests only.

import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Codec } from '@anillo/disk/codecs';
import type { ImageHost } from '@anillo/disk/disk-format';
import { MemoryStore } from '@anillo/disk/memory-store';
import { randomBytes } from './random.ts';
import { deflateSync, inflateSync } from 'node:zlib';

/** Why a test that needs it is skipped; false: it is not. */
export const withoutQemuImg: string | false = existsSync('/usr/bin/qemu-img') ? false : 'qemu-img is not installed (Debian: qemu-utils)';

export function qemuImg(...args: string[]): string {
  return execFileSync('qemu-img', args, { encoding: 'utf8', timeout: 60_000, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Status of `qemu-img compare`: 0 when they are equal. */
export function qemuCompare(a: string, formatA: string, b: string, formatB = 'raw'): string {
  const { status, stdout, stderr } = spawnSync('qemu-img', ['compare', '-f', formatA, '-F', formatB, a, b], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return status === 0 ? 'equal' : `${stdout}${stderr}`;
}

/** A folder that is there while the test runs. */
export function scratchFolder(): { readonly path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'anillo-disk-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

const PIECE = 1 << 16;
const ZEROS = Buffer.alloc(PIECE);

export function loadStore(path: string): MemoryStore {
  const store = new MemoryStore(path);
  const file = openSync(path, 'r');
  const { size } = statSync(path);
  const piece = Buffer.alloc(PIECE);
  for (let at = 0; at < size; at += PIECE) {
    const count = readSync(file, piece, 0, PIECE, at);
    if (piece.compare(ZEROS, 0, count, 0, count) !== 0) void store.write(at, [piece.subarray(0, count)]);
  }
  closeSync(file);
  void store.resize(size);
  return store;
}

export async function saveStore(store: MemoryStore, path: string): Promise<void> {
  const file = openSync(path, 'w');
  const size = await store.size();
  for (const { offset, byteCount, isHole } of await store.stretches(0, size)) {
    if (isHole) continue;
    const bytes = new Uint8Array(byteCount);
    await store.read(offset, [bytes]);
    writeSync(file, bytes, 0, byteCount, offset);
  }
  ftruncateSync(file, size);
  closeSync(file);
}

const zlib: Codec = {
  decompress: async (bytes, byteCount) => new Uint8Array(inflateSync(bytes, { maxOutputLength: byteCount })),
  compress: async (bytes) => new Uint8Array(deflateSync(bytes)),
};

/** Opens files of the host, without writing to them. */
export const TEST_HOST: ImageHost = {
  codecs: { zlib },
  openStore: async (name, beside) => loadStore(name.startsWith('/') ? name : join(beside, '..', name)),
};

/** Content of a test disk: runs of random bytes, zeros and nothing, of all sizes. */
export function testContent(byteCount: number, random: () => number): Uint8Array {
  const bytes = new Uint8Array(byteCount);
  for (let at = 0; at < byteCount; ) {
    const count = Math.min(byteCount - at, 512 * Math.ceil(2 ** (random() * 12)));
    if (random() < 0.4) bytes.set(randomBytes(count, random), at);
    at += count;
  }
  return bytes;
}
