// Compiled regions found again by the bytes of all of their blocks.

import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import type { Block, Terminal } from '@anillo/ir/block';
import { RememberedRegions, type RecalledRegion } from './remembered-regions.ts';

const MODE = 0x11ba;
const WASM = Uint8Array.from({ length: 77 }, (_, i) => i * 3);
const RETURN: Terminal = { kind: 'indirect', target: undefined as never, hint: 'ret' };
const blockOf = (byteCount: number, terminal: Terminal = RETURN): Block => ({
  ...{ insts: [], terminal, byteCount, insnCount: 2, terminalAt: 0, pcBits: 64 },
});
/** Blocks of 20, 3 and 30 bytes: the hot one is the second, the third lies in the page before. */
const PARTS = [
  { at: 0x2100, byteCount: 20 },
  { at: 0x2200, byteCount: 12 },
  { at: 0x1f00, byteCount: 30 },
] as const;

const byteAt = (address: number): number => (address * 151 + (address >> 5)) & 0xff;

/** Memory with the region's bytes at linear addresses as above plus `move`; page n of linear memory is page `pageOf(n)` of it. */
function memoryWith(move = 0, pageOf = (page: number): number => page): Uint8Array {
  const memory = new Uint8Array(0x20000);
  for (const { at, byteCount } of PARTS) {
    for (let i = 0; i < byteCount; i++) {
      const linear = at + move + i;
      memory[pageOf(linear >> 12) * 4096 + (linear & 0xfff)] = byteAt(at + i);
    }
  }
  return memory;
}

function remembering(regions = new RememberedRegions(1), wasm = WASM): RememberedRegions {
  const blocks = PARTS.map(({ at, byteCount }, i) => ({
    ...{ offset: at - 0x1f00, entry: i === 2 ? -1 : i, isCopy: i === 2, hostAddress: at, block: blockOf(byteCount) },
  }));
  regions.add(memoryWith(), { mode: MODE, hot: 1, blocks, wasm });
  return regions;
}

const find = (
  regions: RememberedRegions,
  memory: Uint8Array,
  at = 0x2200,
  pageAt = (pages: number): number => (at & ~0xfff) + pages * 4096,
) => regions.find(memory, at, MODE, pageAt);

function expectFound(found: RecalledRegion | undefined): void {
  ok(found);
  deepEqual(Array.from(found.wasm), Array.from(WASM));
  deepEqual(
    found.blocks.map(({ offset, entry, isCopy }) => [offset, entry, isCopy]),
    [
      [0x200, 0, false],
      [0x300, 1, false],
      [0, -1, true],
    ],
  );
}

test('a region is found where all of its bytes are', () => {
  const regions = remembering();
  const found = find(regions, memoryWith());
  expectFound(found);
  deepEqual(
    found?.blocks.map(({ hostAddress }) => hostAddress),
    [0x2100, 0x2200, 0x1f00],
  );
});

test('pages may lie anywhere', () => {
  const found = remembering().find(
    memoryWith(0, (page) => 16 - page * 3),
    0xa200,
    MODE,
    (pages) => (10 - pages * 3) * 4096,
  );
  expectFound(found);
  deepEqual(
    found?.blocks.map(({ hostAddress }) => hostAddress),
    [0xa100, 0xa200, 0xdf00],
  );
});

test('the same bytes at another place of their pages', () => {
  expectFound(find(remembering(), memoryWith(0x40), 0x2240));
});

test('a byte of any block, the mode, a page that is not there: nothing is found', () => {
  const regions = remembering();
  for (const { at, byteCount } of PARTS) {
    for (const wrong of [at, at + byteCount - 1]) {
      const memory = memoryWith();
      (memory[wrong] as number) ^= 1;
      equal(find(regions, memory), undefined);
    }
  }
  const memory = memoryWith();
  equal(
    regions.find(memory, 0x2200, MODE ^ 1, (pages) => 0x2000 + pages * 4096),
    undefined,
  );
  equal(
    find(regions, memory, 0x2200, (pages) => (pages < 0 ? -1 : 0x2000)),
    undefined,
  );
  equal(find(regions, memory, 0x2100), undefined);
});

test('where a block goes on to what follows, that counts too, and so does the end of its page', () => {
  const next: Terminal = { kind: 'jump', delta: 8, poll: false };
  const bytes = Uint8Array.from({ length: 64 }, (_, i) => i + 1);
  const at = 0x2000 - 16;
  const memory = new Uint8Array(0x8000);
  memory.set(bytes, at);
  const regions = new RememberedRegions(1);
  const blocks = [{ offset: 0, entry: 0, isCopy: false, hostAddress: at, block: blockOf(8, next) }];
  regions.add(memory, { mode: MODE, hot: 0, blocks, wasm: WASM });
  ok(find(regions, memory, at));
  const elsewhere = new Uint8Array(0x8000);
  elsewhere.set(bytes, 0x4000);
  equal(find(regions, elsewhere, 0x4000), undefined, 'the page goes on');
  (memory[at + 12] as number) ^= 1;
  equal(find(regions, memory, at), undefined, 'what follows is different');
});

test('the newest of several is found', () => {
  const regions = remembering(remembering(new RememberedRegions(1), WASM.slice(0, 5)));
  expectFound(find(regions, memoryWith()));
});

test('what an earlier run has kept is found, unless it is for another host or is no such thing', () => {
  const first = new RememberedRegions(1);
  const wasm = new Uint8Array(0x4000).fill(7);
  for (let i = 0; i < 8; i++) remembering(first, wasm);
  remembering(first);
  // As it comes from a file.
  const image = Buffer.concat([Uint8Array.of(1, 2, 3), first.image() as Uint8Array]).subarray(3);
  const again = new RememberedRegions(1, image);
  expectFound(find(again, memoryWith()));
  equal(again.image(), undefined, 'nothing new');
  equal(find(new RememberedRegions(2, image), memoryWith()), undefined);
  const other = Uint8Array.from(image);
  (other[0] as number) ^= 1;
  equal(find(new RememberedRegions(1, other), memoryWith()), undefined);
  for (const length of [0, 5, 20, image.length >> 1, image.length - 8]) {
    const found = find(new RememberedRegions(1, image.subarray(0, length)), memoryWith());
    ok(found === undefined || found.wasm.length === wasm.length, 'only whole regions');
  }
});

test('memory is bounded, and what a run has not needed is not kept for ever', () => {
  const mib = new Uint8Array(1 << 20);
  const fill = (regions: RememberedRegions, count: number): void => {
    for (let i = 0; i < count; i++) remembering(regions, mib);
  };
  const mibOf = (regions: RememberedRegions): number => Math.floor((regions.image()?.length ?? 0) / mib.length);
  const full = new RememberedRegions(1);
  fill(full, 20);
  equal(mibOf(full), 15);
  const first = new RememberedRegions(1);
  fill(first, 9);
  const second = new RememberedRegions(1, first.image());
  ok(find(second, memoryWith()));
  fill(second, 2);
  equal(mibOf(second), 3, 'the one that was found, and two new ones');
  const third = new RememberedRegions(1, second.image());
  fill(third, 1);
  equal(mibOf(third), 4, 'there is room for what was not needed');
});
