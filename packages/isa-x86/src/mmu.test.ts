import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCESS, type Access, type Translation } from '@anillo/ir/frontend';
import { loadPdptes, probeTranslation, translate } from './mmu.ts';
import { CR0, CR4, EFER, syncMode } from './mode.ts';
import { EFLAG, NON_CANONICAL } from './state.ts';
import { setSignedField, setWord, setWords, word, WORD } from './state-words.ts';
import { type Bench, enterLong, enterProtected, faultOf, makeBench } from './ram-bench.test.ts';

const PT = 0x1_3000;
const into: Translation = { gpa: 0, grants: 0, pageBytes: 4096, isGlobal: false };

function go(bench: Bench, linear: number, access: Access): number {
  setSignedField(bench.cpu, WORD.accessAddress, linear);
  bench.cpu.view.faultVector = 0;
  return translate(bench.cpu, access, into) ? -1 : bench.cpu.view.faultError;
}
const entry = (bench: Bench, at: number): bigint => bench.ram.getBigUint64(at, true);
const setEntry = (bench: Bench, at: number, value: bigint): void => bench.ram.setBigUint64(at, value, true);
const setBits = (bench: Bench, at: number, bits: number): void => setWord(bench.cpu, at, word(bench.cpu, at) | bits);

test('paging off: identity, all rights, 32 bits', () => {
  const bench = enterProtected(makeBench());
  assert.equal(go(bench, 0x1_2345_6789, ACCESS.WRITE), -1);
  assert.equal(into.gpa, 0x2345_6789);
  assert.equal(into.grants, 7);
});

test('4-level: grants write only once dirty, sets accessed and dirty', () => {
  const bench = enterLong(makeBench());
  assert.equal(go(bench, 0x5123, ACCESS.READ), -1);
  assert.equal(into.gpa, 0x5123);
  assert.equal(into.grants, 0b101);
  assert.equal(entry(bench, PT + 5 * 8), 0x5027n);
  assert.equal(entry(bench, 0x1_0000) & 0x20n, 0x20n);
  assert.equal(go(bench, 0x5123, ACCESS.WRITE), -1);
  assert.equal(into.grants, 7);
  assert.equal(entry(bench, PT + 5 * 8), 0x5067n);
});

test('4-level: not present, write to read-only with and without WP, user, reserved, NX', () => {
  const bench = enterLong(makeBench());
  setEntry(bench, PT + 8, 0n);
  assert.equal(go(bench, 0x1fff, ACCESS.READ), 0);
  assert.equal(go(bench, 0x1fff, ACCESS.WRITE), 2);
  assert.deepEqual([bench.cpu.view.faultVector, bench.cpu.view.cr2], [14, 0x1fffn]);
  setEntry(bench, PT + 16, 0x2005n);
  assert.equal(go(bench, 0x2000, ACCESS.WRITE), 3);
  bench.cpu.view.cr0 &= ~BigInt(CR0.WP);
  assert.equal(go(bench, 0x2000, ACCESS.WRITE), -1);
  setEntry(bench, PT + 24, 0x3007n | (1n << 45n));
  assert.equal(go(bench, 0x3000, ACCESS.READ), 9);
  setEntry(bench, PT + 32, 0x4007n | (1n << 63n));
  assert.equal(go(bench, 0x4000, ACCESS.EXECUTE), 0x11);
  assert.equal(go(bench, 0x4000, ACCESS.READ), -1);
  assert.equal(into.grants & 4, 0);
  bench.cpu.view.efer &= ~BigInt(EFER.NXE);
  assert.equal(go(bench, 0x4000, ACCESS.READ), 9);
});

test('user level: supervisor pages fault with U set; rights of all levels count', () => {
  const bench = enterLong(makeBench(), 3);
  setEntry(bench, PT + 8, 0x1003n);
  assert.equal(go(bench, 0x1000, ACCESS.READ), 5);
  assert.equal(go(bench, 0x2000, ACCESS.WRITE), -1);
  setEntry(bench, 0x1_2000, 0x1_3005n);
  assert.equal(go(bench, 0x2000, ACCESS.WRITE), 7);
});

test('SMEP and SMAP', () => {
  const bench = enterLong(makeBench());
  setBits(bench, WORD.cr4, CR4.SMEP | CR4.SMAP);
  syncMode(bench.cpu);
  assert.equal(go(bench, 0x2000, ACCESS.EXECUTE), 0x11);
  assert.equal(go(bench, 0x2000, ACCESS.READ), 1);
  setBits(bench, WORD.flags, EFLAG.AC);
  syncMode(bench.cpu);
  assert.equal(bench.cpu.view.tlb, 2);
  assert.equal(go(bench, 0x2000, ACCESS.READ), -1);
  assert.equal(into.grants & 4, 0);
});

test('large pages: 2 MiB, 1 GiB, reserved bits in them', () => {
  const bench = enterLong(makeBench());
  setEntry(bench, 0x1_2000 + 8 * 3, 0x20_00e7n);
  assert.equal(go(bench, 0x61_2345, ACCESS.WRITE), -1);
  assert.deepEqual([into.gpa, into.pageBytes], [0x21_2345, 0x20_0000]);
  setEntry(bench, 0x1_2000 + 8 * 3, 0x20_20e7n);
  assert.equal(go(bench, 0x61_2345, ACCESS.READ), 9);
  setEntry(bench, 0x1_1000 + 8 * 1, 0x87n);
  assert.equal(go(bench, 0x4012_3456, ACCESS.READ), -1);
  assert.equal(into.gpa, 0x12_3456);
});

test('high half and non-canonical addresses', () => {
  const bench = enterLong(makeBench());
  setEntry(bench, 0x1_0000 + 8 * 511, 0x1_1007n);
  setEntry(bench, 0x1_1000 + 8 * 510, 0x1_2007n);
  assert.equal(go(bench, -0x8000_0000 + 0x5678, ACCESS.READ), -1);
  assert.equal(into.gpa, 0x5678);
  assert.equal(go(bench, 0x8000_0000_0000, ACCESS.READ), 0);
  assert.deepEqual(faultOf(bench), [NON_CANONICAL, 0]);
});

test('32-bit paging with 4 MiB and PSE-36 pages', () => {
  const bench = enterProtected(makeBench());
  const { ram, cpu } = bench;
  setBits(bench, WORD.cr0, CR0.PG);
  setWord(cpu, WORD.cr3, 0x2_0000);
  ram.setUint32(0x2_0000, 0x2_1007, true);
  ram.setUint32(0x2_1000 + 4 * 5, 0x9007, true);
  assert.equal(go(bench, 0x5abc, ACCESS.WRITE), -1);
  assert.equal(into.gpa, 0x9abc);
  assert.equal(ram.getUint32(0x2_1014, true), 0x9067);
  assert.equal(go(bench, 0x6000, ACCESS.READ), 0);
  ram.setUint32(0x2_0004, (3 << 13) | 0xe7, true);
  setBits(bench, WORD.cr4, CR4.PSE);
  assert.equal(go(bench, 0x40_1234, ACCESS.READ), -1);
  assert.equal(into.gpa, 3 * 0x1_0000_0000 + 0x1234);
  ram.setUint32(0x2_0004, (1 << 21) | 0xe7, true);
  assert.equal(go(bench, 0x40_1234, ACCESS.READ), 9);
});

test('PAE: PDPTEs are checked when loaded, then used without memory', () => {
  const bench = enterProtected(makeBench());
  const { ram, cpu } = bench;
  setBits(bench, WORD.cr0, CR0.PG);
  setBits(bench, WORD.cr4, CR4.PAE);
  setEntry(bench, 0x2_0020, 0x2_1001n | 2n);
  assert.equal(loadPdptes(cpu, 0x2_0020), false);
  setEntry(bench, 0x2_0020, 0x2_1001n);
  assert.equal(loadPdptes(cpu, 0x2_0020), true);
  setEntry(bench, 0x2_0020, 0n);
  setEntry(bench, 0x2_1000, 0x2_2007n);
  setEntry(bench, 0x2_2000 + 8, 0x3_7000_0000n | 7n);
  assert.equal(go(bench, 0x1010, ACCESS.READ), -1);
  assert.equal(into.gpa, 0x3_7000_0010);
  setEntry(bench, 0x2_2000 + 8, 0x7007n | (1n << 53n));
  assert.equal(go(bench, 0x1010, ACCESS.READ), 9);
  assert.equal(ram.getUint32(0x2_1000, true) & 0x20, 0x20);
  assert.equal(go(bench, 0x4000_0000, ACCESS.READ), 0);
});

test('a debugger looks without marking or faulting', () => {
  const bench = enterLong(makeBench(), 3);
  setEntry(bench, PT + 8, 0x1003n);
  setSignedField(bench.cpu, WORD.accessAddress, 0x1234);
  assert.equal(probeTranslation(bench.cpu, ACCESS.READ, into), true);
  assert.equal(entry(bench, PT + 8), 0x1003n);
  setWords(bench.cpu, WORD.accessAddress, 0xf000_0000, 0);
  assert.equal(probeTranslation(bench.cpu, ACCESS.READ, into), false);
  assert.equal(bench.cpu.view.trapped, 0);
});
