import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_FLAGS } from '@anillo/codegen/block-record';
import { BlockEncoder } from '@anillo/codegen/bytecode';
import { buildRuntime } from '@anillo/codegen/runtime-module';
import { Builder } from '@anillo/ir/builder';
import { CodePages } from './code-pages.ts';
import { planMemory } from './memory-plan.ts';
import { RememberedBlocks } from './remembered-blocks.ts';
import { type BlockGuard, TranslationCache } from './translation-cache.ts';

const MODE = 5;
const plan = planMemory(1, [{ start: 0, byteCount: 0x10000, kind: 'ram' }]);
const PAGE = plan.regions[0]?.offset ?? 0;

function rig(kept?: Uint8Array) {
  const buffer = new ArrayBuffer(plan.pageCount * 65536);
  const { opcodes } = buildRuntime({ routines: [], helpers: [] });
  const remembered = new RememberedBlocks(opcodes, kept);
  const codePages = new CodePages(buffer, plan.granulesAt, plan.pageCount * 65536);
  const cache = new TranslationCache(buffer, plan, 0, new BlockEncoder(opcodes, buffer), codePages, remembered);
  const insert = (at: number, byteCount: number, guard?: BlockGuard, remember = false): number => {
    const block = new Builder().finish({ kind: 'jump', delta: byteCount, poll: false }, { byteCount, insnCount: 1, pcBits: 64 });
    return cache.insert(block, at, MODE, 100, guard, remember);
  };
  const isAlive = (record: number): boolean => {
    const isFound = cache.find(cache.word(record, 'hostAddress'), MODE) === record;
    assert.ok(!isFound || (cache.word(record, 'flags') & BLOCK_FLAGS.DEAD) === 0, 'a dead block is found');
    return isFound;
  };
  return { cache, insert, isAlive, memory: new Uint8Array(buffer), remembered };
}

test('what is stored ends the blocks with bytes in its granules, and no others', () => {
  const { cache, insert, isAlive } = rig();
  const told: [number, number[]][] = [];
  cache.onDrop = (page, records) => told.push([page, [...records]]);
  const records = [insert(PAGE, 64), insert(PAGE + 60, 8), insert(PAGE + 64, 20), insert(PAGE + 128, 64)];
  cache.dropRange(PAGE + 70, 1);
  assert.deepEqual(records.map(isAlive), [true, false, false, true]);
  assert.deepEqual(told, [[PAGE, [records[1], records[2]]]]);
  assert.deepEqual([cache.codePages.touches(PAGE + 100, 4), cache.codePages.touches(PAGE + 120, 16)], [false, true]);
  const long = insert(PAGE + 0x400, 80);
  cache.dropRange(PAGE + 0x448, 1);
  assert.equal(isAlive(long), false);
  cache.dropRange(PAGE - 8, 0x1008);
  assert.deepEqual(records.map(isAlive), [false, false, false, false]);
  assert.equal(cache.codePages.hasCode(PAGE), false);
});

test('stores one after the other end the page', () => {
  for (const interruptsAt of [-1, 2]) {
    const { cache, insert, isAlive } = rig();
    const records = [0, 1, 2, 3, 4].map((i) => insert(PAGE + 64 * i, 8));
    for (let i = 0; i < 3; i++) {
      insert(PAGE + (i === interruptsAt ? 0x800 : 0x1000 + 64 * i), 8);
      cache.dropRange(PAGE + 64 * i, 1);
    }
    const isLeft = interruptsAt >= 0;
    assert.deepEqual(records.map(isAlive), [false, false, false, isLeft, isLeft]);
  }
});

test('a block that runs into the next page ends with either part', () => {
  for (const stored of [PAGE + 0xffe, PAGE + 0x3002]) {
    const { cache, insert, isAlive } = rig();
    const straddling = insert(PAGE + 0xffc, 9, { delta: 4, hostPage: PAGE + 0x3000 });
    const others = [insert(PAGE + 0x100, 4), insert(PAGE + 0x3100, 4)];
    cache.dropRange(stored ^ 0x800, 1);
    assert.equal(isAlive(straddling), true);
    cache.dropRange(stored, 1);
    assert.deepEqual([straddling, ...others].map(isAlive), [false, true, true]);
  }
});

test('a hidden block comes back, but not from the dead', () => {
  const { cache, insert, isAlive } = rig();
  const [kept, overwritten] = [insert(PAGE, 4), insert(PAGE + 0x200, 4)] as const;
  for (const record of [kept, overwritten]) cache.hide(record);
  const single = insert(PAGE, 2);
  assert.deepEqual([kept, single].map(isAlive), [false, true]);
  cache.dropRange(PAGE + 0x200, 1);
  cache.drop(single);
  for (const record of [kept, overwritten]) cache.show(record);
  assert.deepEqual([kept, overwritten, single].map(isAlive), [true, false, false]);
});

test('what was compiled in one run is compiled sooner in the next, once', () => {
  const { cache, memory, insert, remembered } = rig();
  memory.set(
    Uint8Array.from({ length: 300 }, (_, i) => i >> 1),
    PAGE,
  );
  for (let i = 0; i < 100; i++) insert(PAGE + 2 * i, 2, undefined, true);
  cache.noteHot(cache.find(PAGE + 20, MODE));
  cache.dropPage(PAGE);
  assert.equal(cache.word(cache.recall(PAGE + 20, MODE, 4000), 'hotAt'), 4000);
  const next = rig(remembered.image());
  next.memory.set(memory.subarray(PAGE, PAGE + 300), PAGE);
  const heat = (at: number, hotAt: number): number => next.cache.word(next.cache.recall(at, MODE, hotAt), 'hotAt');
  assert.deepEqual([heat(PAGE + 20, 4000), heat(PAGE + 22, 4000)], [50, 4000]);
  const early = next.cache.find(PAGE + 20, MODE);
  // Nothing compiled was kept for it.
  assert.deepEqual([next.cache.waitsLonger(early), next.cache.word(early, 'hotAt'), next.cache.waitsLonger(early)], [true, 200, false]);
  next.cache.dropPage(PAGE);
  assert.equal(heat(PAGE + 20, 4000), 4000);
  const interpreting = rig(remembered.image());
  interpreting.memory.set(memory.subarray(PAGE, PAGE + 300), PAGE);
  assert.equal(interpreting.cache.word(interpreting.cache.recall(PAGE + 20, MODE, 0), 'hotAt'), 0);
});

test('a block is made from one with the same bytes elsewhere, and dies with its own', () => {
  const { cache, isAlive, memory } = rig();
  const [first, second] = [PAGE + 0x10, PAGE + 0x2345];
  const bytes = [0x48, 0x01, 0xc8, 0xeb, 0x20];
  memory.set(bytes, first);
  memory.set(bytes, second);
  const block = new Builder().finish({ kind: 'jump', delta: 0x25, poll: false }, { byteCount: 5, insnCount: 2, pcBits: 64 });
  assert.equal(cache.recall(second, MODE, 100), 0);
  const made = cache.insert(block, first, MODE, 100, undefined, true);
  const record = cache.recall(second, MODE, 70);
  assert.deepEqual([isAlive(made), isAlive(record)], [true, true]);
  assert.deepEqual([cache.word(record, 'byteCount'), cache.word(record, 'insnCount'), cache.word(record, 'hotAt')], [5, 2, 70]);
  cache.dropRange(second + 4, 1);
  assert.deepEqual([isAlive(made), isAlive(record)], [true, false]);
  memory[second + 4] ^= 1;
  assert.equal(cache.recall(second, MODE, 100), 0);
  assert.equal(cache.recall(first, MODE + 1, 100), 0);
});
