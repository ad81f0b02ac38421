import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpuid } from './cpuid.ts';
import { HYPERCALL_HELPERS } from './hypercall.ts';
import { RAX, RBX, RCX, RDX, RSI } from './state.ts';
import { setWords, word, WORD } from './state-words.ts';
import { enterLong, enterProtected, makeBench, type Bench } from './ram-bench.test.ts';

const set = ({ cpu }: Bench, register: number, low: number, high = 0): void => setWords(cpu, WORD.gpr + 2 * register, low, high);
const call = (bench: Bench): [number, number] => {
  HYPERCALL_HELPERS.hypercall?.(bench.cpu);
  return [word(bench.cpu, WORD.gpr + 2 * RAX) | 0, word(bench.cpu, WORD.gpr + 2 * RAX + 1) | 0];
};

test('hypercalls: unknown ones, those of user code, and results cut in 32-bit code', () => {
  const long = enterLong(makeBench());
  set(long, RAX, 77);
  assert.deepEqual(call(long), [-1000, -1]);
  set(long, RAX, 1);
  assert.deepEqual(call(long), [0, 0]);
  const narrow = enterProtected(makeBench());
  set(narrow, RAX, 77);
  assert.deepEqual(call(narrow), [-1000, 0]);
  const user = enterLong(makeBench(), 3);
  set(user, RAX, 1);
  assert.deepEqual(call(user), [-1, -1]);
});

test('interprocessor interrupts by hypercall: a bitmap of APIC IDs from a first one on', () => {
  const bench = enterLong(makeBench());
  const sent: [number, number][] = [];
  Object.assign(bench.cpu.ports.interrupts, { sendInterrupt: (command: number, id: number) => sent.push([command, id]) > 0 && id < 40 });
  set(bench, RBX, 1, 2);
  set(bench, RCX, 4);
  set(bench, RDX, 3);
  set(bench, RSI, 0x4441);
  set(bench, RAX, 10);
  assert.deepEqual(call(bench), [2, 0]);
  assert.deepEqual(sent, [[0x441, 3], [0x441, 36], [0x441, 69]]);
  set(bench, RBX, 0xffff_ffff);
  set(bench, RDX, 0xffff_ffff);
  set(bench, RAX, 10);
  set(bench, RCX, 0);
  assert.deepEqual(call(bench), [0, 0]);
  assert.equal(sent.length, 3);
});

test('a kick by hypercall is a message to the local APIC with that ID', () => {
  const bench = enterLong(makeBench());
  const sent: [number, number][] = [];
  Object.assign(bench.cpu.ports.interrupts, { sendInterrupt: (command: number, id: number) => sent.push([command, id]) > 0 });
  set(bench, RAX, 5);
  set(bench, RBX, 0);
  set(bench, RCX, 3);
  assert.deepEqual(call(bench), [0, 0]);
  assert.deepEqual(sent, [[0x300, 3]]);
});

test("CPUID's APIC flag follows the APIC base register", () => {
  const { cpu, log } = enterLong(makeBench());
  log.apic.set(0x1b, { low: 0xfee0_0900, high: 0 });
  assert.equal((cpuid(cpu, 1, 0)[3] >> 9) & 1, 1);
  log.apic.set(0x1b, { low: 0xfee0_0100, high: 0 });
  assert.equal((cpuid(cpu, 1, 0)[3] >> 9) & 1, 0);
});
