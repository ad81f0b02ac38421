import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCESS, type Access, type Translation } from '@anillo/ir/frontend';
import { cpuModel } from './cpu-model.ts';
import { CONTROL_HELPERS } from './control.ts';
import { cpuid } from './cpuid.ts';
import type { HelperFunction } from './helper-map.ts';
import { translate } from './mmu.ts';
import { CR0, CR4 } from './mode.ts';
import { writeMsr } from './msr.ts';
import { PROTECTION_KEY_HELPERS } from './protection-keys.ts';
import { RAX, RCX, RDX } from './state.ts';
import { setSignedField, setWord, setWords, word, WORD } from './state-words.ts';
import { XSAVE_FORM, XSAVE_HELPERS } from './xsave.ts';
import { type Bench, enterLong, faultOf, makeBench } from './ram-bench.test.ts';

const PT = 0x1_3000;
const into: Translation = { gpa: 0, grants: 0, pageBytes: 4096, isGlobal: false };
const model = cpuModel('max');

/** -1, or the error code of the page fault. */
function go({ cpu }: Bench, linear: number, access: Access): number {
  setSignedField(cpu, WORD.accessAddress, linear);
  return translate(cpu, access, into) ? -1 : cpu.view.faultError;
}
const setPage = (bench: Bench, page: number, flags: bigint, key: bigint): void => bench.ram.setBigUint64(PT + 8 * page, (BigInt(page) << 12n) | flags | (key << 59n), true);
const call = (bench: Bench, helpers: Readonly<Record<string, HelperFunction>>, name: string, ...args: number[]): number => (helpers[name] as HelperFunction)(bench.cpu, ...args);
const set = ({ cpu }: Bench, register: number, value: number): void => setWords(cpu, WORD.gpr + 2 * register, value, 0);

test('PKRU: user pages by key, for both levels; fetches are free', () => {
  const bench = enterLong(makeBench({ model }), 3);
  const { cpu } = bench;
  setPage(bench, 5, 0x67n, 2n);
  setPage(bench, 6, 0x67n, 3n);
  setWord(cpu, WORD.pkru, (1 << 4) | (2 << 6));
  assert.equal(go(bench, 0x5000, ACCESS.READ), -1, 'CR4.PKE is off');
  setWord(cpu, WORD.cr4, CR4.PAE | CR4.PKE);
  assert.equal(go(bench, 0x5000, ACCESS.READ), 0x25);
  assert.equal(go(bench, 0x5000, ACCESS.WRITE), 0x27);
  assert.equal(go(bench, 0x5000, ACCESS.EXECUTE), -1);
  assert.equal(go(bench, 0x6000, ACCESS.READ), -1);
  assert.equal(into.grants & 2, 0);
  assert.equal(go(bench, 0x6000, ACCESS.WRITE), 0x27);
  const supervisor = enterLong(makeBench({ model }));
  setPage(supervisor, 6, 0x67n, 3n);
  setWord(supervisor.cpu, WORD.cr4, CR4.PAE | CR4.PKE);
  setWord(supervisor.cpu, WORD.pkru, 2 << 6);
  assert.equal(go(supervisor, 0x6000, ACCESS.WRITE), 0x23);
  setWord(supervisor.cpu, WORD.cr0, word(supervisor.cpu, WORD.cr0) & ~CR0.WP);
  assert.equal(go(supervisor, 0x6000, ACCESS.WRITE), -1);
});

test('IA32_PKRS: supervisor pages only', () => {
  const bench = enterLong(makeBench({ model }));
  setPage(bench, 5, 0x63n, 2n);
  setPage(bench, 6, 0x67n, 2n);
  setWord(bench.cpu, WORD.cr4, CR4.PAE | CR4.PKS);
  assert.equal(writeMsr(bench.cpu, 0x6e1, 0, 1), false);
  assert.equal(writeMsr(bench.cpu, 0x6e1, 1 << 4, 0), true);
  assert.equal(go(bench, 0x5000, ACCESS.READ), 0x21);
  assert.equal(go(bench, 0x6000, ACCESS.READ), -1);
  assert.equal(writeMsr(makeBench().cpu, 0x6e1, 0, 0), false, 'not in the default model');
});

test('RDPKRU and WRPKRU want CR4.PKE and zeroes, and a new value flushes', () => {
  const bench = enterLong(makeBench({ model }), 3);
  const { cpu, log } = bench;
  for (const register of [RAX, RCX, RDX]) set(bench, register, 0);
  assert.equal(call(bench, PROTECTION_KEY_HELPERS, 'rdpkru'), 1);
  assert.equal(faultOf(bench)[0], 6);
  setWord(cpu, WORD.cr4, CR4.PAE | CR4.PKE);
  assert.equal((cpuid(cpu, 7, 0)[2] >> 3) & 3, 3);
  set(bench, RAX, 0x54);
  const before = log.flushes;
  assert.equal(call(bench, PROTECTION_KEY_HELPERS, 'wrpkru'), 0);
  assert.equal(call(bench, PROTECTION_KEY_HELPERS, 'wrpkru'), 0);
  assert.equal(log.flushes, before + 1);
  set(bench, RAX, 0);
  assert.equal(call(bench, PROTECTION_KEY_HELPERS, 'rdpkru'), 0);
  assert.equal(word(cpu, WORD.gpr + 2 * RAX), 0x54);
  set(bench, RDX, 1);
  assert.equal(call(bench, PROTECTION_KEY_HELPERS, 'wrpkru'), 1);
});

test('XSAVE keeps PKRU: at its fixed place, and behind what is there in the compacted format', () => {
  const bench = enterLong(makeBench({ model }));
  const { cpu, ram } = bench;
  setWord(cpu, WORD.cr4, CR4.PAE | CR4.OSXSAVE | CR4.OSFXSR | CR4.PKE);
  set(bench, RCX, 0);
  set(bench, RDX, 0);
  set(bench, RAX, 0x207);
  assert.equal(call(bench, CONTROL_HELPERS, 'xsetbv'), 0);
  assert.deepEqual([cpuid(cpu, 13, 0)[1], cpuid(cpu, 13, 1)[1], cpuid(cpu, 13, 9)], [2696, 840, [8, 2688, 0, 0]]);
  setWord(cpu, WORD.pkru, 0x54);
  setWords(cpu, WORD.x, 0x2_0000, 0);
  assert.equal(call(bench, XSAVE_HELPERS, 'xsave', XSAVE_FORM.XSAVE, 1), 0);
  assert.deepEqual([ram.getUint32(0x2_0200, true) & 0x200, ram.getUint32(0x2_0000 + 2688, true)], [0x200, 0x54]);
  setWord(cpu, WORD.pkru, 0);
  assert.equal(call(bench, XSAVE_HELPERS, 'xrstor', 1), 0);
  assert.equal(word(cpu, WORD.pkru), 0x54);
  setWords(cpu, WORD.x, 0x2_2000, 0);
  set(bench, RAX, 0x203);
  assert.equal(call(bench, XSAVE_HELPERS, 'xsave', XSAVE_FORM.XSAVEC, 1), 0);
  assert.equal(ram.getUint32(0x2_2240, true), 0x54);
  setWord(cpu, WORD.pkru, 4);
  assert.equal(call(bench, XSAVE_HELPERS, 'xrstor', 1), 0);
  assert.equal(word(cpu, WORD.pkru), 0x54);
  ram.setUint32(0x2_2200, 0, true);
  assert.equal(call(bench, XSAVE_HELPERS, 'xrstor', 1), 0);
  assert.equal(word(cpu, WORD.pkru), 0);
});
