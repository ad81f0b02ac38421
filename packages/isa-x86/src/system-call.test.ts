import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HelperFunction } from './helper-map.ts';
import { EFLAG, RCX, VECTOR } from './state.ts';
import { setWord, setWords, word, WORD } from './state-words.ts';
import { SYSTEM_CALL_HELPERS } from './system-call.ts';
import { deliver } from './trap.ts';
import { enterLong, makeBench, putLongGate, SELECTOR, type Bench } from './ram-bench.test.ts';

const R11 = 11;
const call = ({ cpu }: Bench, name: string, ...args: number[]): number => (SYSTEM_CALL_HELPERS[name] as HelperFunction)(cpu, ...args);

function ready(cpl: 0 | 3): Bench {
  const bench = enterLong(makeBench(), cpl);
  const { cpu } = bench;
  putLongGate(bench, VECTOR.DB, SELECTOR.code64, 0x6000n, 0x8e);
  setWords(cpu, WORD.star, 0, (0x13 << 16) | SELECTOR.code64);
  setWords(cpu, WORD.lstar, 0x4000, 0);
  setWords(cpu, WORD.sfmask, EFLAG.TF, 0);
  return bench;
}

test('SYSCALL that clears TF is not followed by a single-step trap', () => {
  const bench = ready(3);
  const { cpu } = bench;
  setWord(cpu, WORD.flags, word(cpu, WORD.flags) | EFLAG.TF);
  setWord(cpu, WORD.stepFlags, EFLAG.TF);
  assert.equal(call(bench, 'syscall', 2), 0);
  assert.deepEqual([word(cpu, WORD.stepFlags), word(cpu, WORD.pc)], [0, 0x4000]);
  setWords(cpu, WORD.sfmask, 0, 0);
  setWord(cpu, WORD.flags, word(cpu, WORD.flags) | EFLAG.TF);
  assert.equal(call(bench, 'syscall', 2), 1);
});

test('SYSRET that sets TF traps before the next instruction', () => {
  const bench = ready(0);
  const { cpu, ram } = bench;
  setWords(cpu, WORD.gpr + 2 * RCX, 0x5500, 0);
  setWords(cpu, WORD.gpr + 2 * R11, EFLAG.TF | 2, 0);
  assert.equal(call(bench, 'sysret', 64), 1);
  assert.equal(deliver(cpu), true);
  assert.equal(word(cpu, WORD.pc), 0x6000);
  assert.equal(word(cpu, WORD.dr + 12) & 0x4000, 0x4000);
  // The frame on the level-0 stack: RIP, CS.
  assert.deepEqual([ram.getUint32(0x8000 - 40, true), ram.getUint32(0x8000 - 32, true) & 3], [0x5500, 3]);
});
