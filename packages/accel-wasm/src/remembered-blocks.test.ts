// Translations found again by the bytes that they were made from.

import { deepEqual, equal, notEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { Block, Terminal } from '@anillo/ir/block';
import { MAX_BYTES, RememberedBlocks } from './remembered-blocks.ts';

const OPCODES = new Map([
  ['i32.add', 0],
  ['jump.64', 1],
]);
const MODE = 0x11ba;
const CODE_AT = 0x8000;
const CODE = { codeBytes: 24, terminalAt: 8 };

const blockOf = (byteCount: number, terminal: Terminal = { kind: 'jump', delta: 1000, poll: false }): Block => ({
  ...{ insts: [], terminal, byteCount, insnCount: 2, terminalAt: 0, pcBits: 64 },
});

function memoryWith(at: number, guestBytes: readonly number[]) {
  const memory = new Uint8Array(0x10000);
  const words = new Uint32Array(memory.buffer);
  memory.set(guestBytes, at);
  for (let i = 0; i < 6; i++) words[(CODE_AT >> 2) + i] = 0x1000_0000 + i;
  return { memory, words };
}

/** Remembers a block at 0x1000. */
function remembering(guestBytes: readonly number[], block: Block, blocks = new RememberedBlocks(OPCODES)) {
  const { memory, words } = memoryWith(0x1000, guestBytes);
  blocks.add(memory, words, 0x1000, MODE, block, CODE_AT, CODE);
  return blocks;
}

const BYTES = Array.from({ length: 40 }, (_, i) => (i * 37 + 11) & 0xff);

for (const byteCount of [1, 2, 3, 4, 5, 8, 15, 16, 17, 40]) {
  test(`a block of ${byteCount} bytes is found where the same bytes stand in the same mode`, () => {
    const blocks = remembering(BYTES, blockOf(byteCount));
    const own = BYTES.slice(0, byteCount);
    const { memory, words } = memoryWith(0x2345, [...own, 0xcc, 0xcc]);
    const entry = blocks.find(memory, 0x2345, MODE);
    notEqual(entry, 0);
    deepEqual(blocks.shape(entry), { byteCount, insnCount: 2, pcBits: 64, ...CODE });
    blocks.copyCode(entry, words, 0x9000);
    deepEqual(words.slice(0x9000 >> 2, (0x9000 >> 2) + 7), Uint32Array.of(...words.slice(CODE_AT >> 2, (CODE_AT >> 2) + 6), 0));
    equal(blocks.find(memory, 0x2345, MODE | 1), 0);
    memory[0x2345 + byteCount - 1] ^= 1;
    equal(blocks.find(memory, 0x2345, MODE), 0);
  });

  test(`a block of ${byteCount} bytes is not found where the page ends before it`, () => {
    const blocks = remembering(BYTES, blockOf(byteCount));
    const fits = memoryWith(0x3000 - byteCount, BYTES.slice(0, byteCount)).memory;
    notEqual(blocks.find(fits, 0x3000 - byteCount, MODE), 0);
    const straddles = memoryWith(0x3001 - byteCount, BYTES.slice(0, byteCount)).memory;
    equal(byteCount > 1 ? blocks.find(straddles, 0x3001 - byteCount, MODE) : 0, 0);
  });
}

test('where a block ends for what comes next, that must be the same', () => {
  const next: Terminal = { kind: 'jump', delta: 5, poll: false };
  const blocks = remembering(BYTES, blockOf(5, next));
  const { memory } = memoryWith(0x2000, BYTES);
  notEqual(blocks.find(memory, 0x2000, MODE), 0);
  memory[0x2000 + 19] ^= 1;
  equal(blocks.find(memory, 0x2000, MODE), 0);
  memory[0x2000 + 19] ^= 1;
  memory[0x2000 + 20] ^= 1;
  notEqual(blocks.find(memory, 0x2000, MODE), 0);
});

test('where a block ends for the end of the page, that must be as far', () => {
  const next: Terminal = { kind: 'jump', delta: 5, poll: false };
  const blocks = new RememberedBlocks(OPCODES);
  const { memory, words } = memoryWith(0x2000 - 9, BYTES);
  blocks.add(memory, words, 0x2000 - 9, MODE, blockOf(5, next), CODE_AT, CODE);
  notEqual(blocks.find(memory, 0x2000 - 9, MODE), 0);
  notEqual(blocks.find(memoryWith(0x3000 - 9, BYTES).memory, 0x3000 - 9, MODE), 0);
  for (const at of [0x3000 - 10, 0x3000 - 8, 0x2800]) equal(blocks.find(memoryWith(at, BYTES).memory, at, MODE), 0);
});

test('what an earlier run has kept is found, unless it is for another interpreter or is no such thing', () => {
  const first = new RememberedBlocks(OPCODES);
  for (let i = 0; i < 100; i++) remembering([i, ...BYTES], blockOf(20), first);
  // As it comes from a file.
  const image = Buffer.concat([Uint8Array.of(1, 2, 3), first.image() as Uint8Array]).subarray(3);
  const { memory } = memoryWith(0x4000, [50, ...BYTES]);
  const again = new RememberedBlocks(OPCODES, image);
  notEqual(again.find(memory, 0x4000, MODE), 0);
  equal(again.image(), undefined);
  equal(new RememberedBlocks(new Map([['jump.64', 0]]), image).find(memory, 0x4000, MODE), 0);
  equal(new RememberedBlocks(OPCODES, image.subarray(0, image.length - 8)).find(memory, 0x4000, MODE), 0);
  equal(new RememberedBlocks(OPCODES, new Uint8Array(100)).find(memory, 0x4000, MODE), 0);
  const other = Uint8Array.from(image);
  other[0] ^= 1;
  equal(new RememberedBlocks(OPCODES, other).find(memory, 0x4000, MODE), 0);
});

test('memory is bounded, and what a run has not needed is not kept for ever', () => {
  const code = { ...CODE, codeBytes: 0x4000 };
  const fill = (blocks: RememberedBlocks, run: number): void => {
    for (let i = 0; i < 2100; i++) {
      const { memory, words } = memoryWith(0x1000, [run, i & 0xff, i >> 8, ...BYTES]);
      blocks.add(memory, words, 0x1000, MODE, blockOf(20), CODE_AT, code);
    }
  };
  const first = new RememberedBlocks(OPCODES);
  fill(first, 1);
  equal(first.used <= MAX_BYTES, true);
  const second = new RememberedBlocks(OPCODES, first.image());
  const needed = memoryWith(0x1000, [1, 7, 0, ...BYTES]).memory;
  const unneeded = memoryWith(0x1000, [1, 8, 0, ...BYTES]).memory;
  notEqual(second.find(needed, 0x1000, MODE), 0);
  fill(second, 2);
  const third = new RememberedBlocks(OPCODES, second.image());
  equal(third.used < MAX_BYTES, true);
  notEqual(third.find(needed, 0x1000, MODE), 0);
  equal(third.find(unneeded, 0x1000, MODE), 0);
});
