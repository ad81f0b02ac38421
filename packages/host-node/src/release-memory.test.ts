import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { memoryReleaser } from './release-memory.ts';

const { Memory } = (
  globalThis as unknown as {
    WebAssembly: { Memory: new (size: { initial: number; maximum: number; shared: boolean }) => { readonly buffer: ArrayBufferLike } };
  }
).WebAssembly;

const residentMiB = (): number => Number(/VmRSS:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) / 1024;

test('pages that are given back read as zeros and take no room; what lies beside them stays', (t) => {
  const release = memoryReleaser();
  if (release === undefined) return t.skip('this host has no node:ffi');
  for (const shared of [false, true]) {
    const { buffer } = new Memory({ initial: 2048, maximum: 2048, shared });
    const bytes = new Uint8Array(buffer);
    bytes.fill(7);
    const before = residentMiB();
    release(buffer, 100, bytes.length - 200);
    assert.deepEqual(
      [bytes[4095], bytes[4096], bytes[bytes.length / 2], bytes[bytes.length - 4097], bytes[bytes.length - 4096]],
      [7, 0, 0, 0, 7],
    );
    assert.ok(before - residentMiB() > 100, 'it still takes room');
  }
});
