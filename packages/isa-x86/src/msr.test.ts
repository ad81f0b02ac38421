import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnilloError } from '@anillo/base/anillo-error';
import { CONTROL_HELPERS } from './control.ts';
import { cpuModel, parseCpuModel } from './cpu-model.ts';
import { cpuid } from './cpuid.ts';
import type { HelperFunction } from './helper-map.ts';
import { CR4, EFER, MODE } from './mode.ts';
import { readMsr, writeMsr } from './msr.ts';
import { setStartState } from './reset-state.ts';
import { RAX, RCX, RDX } from './state.ts';
import { setWord, setWords, word, WORD } from './state-words.ts';
import { XSAVE_HELPERS } from './xsave.ts';
import { enterLong, faultOf, makeBench } from './ram-bench.test.ts';

test('MSRs: fields, canonical checks, reserved bits, unknown numbers', () => {
  const { cpu } = enterLong(makeBench());
  assert.equal(writeMsr(cpu, 0xc000_0082, 0x1000, 0xffff_8000), true);
  assert.deepEqual(readMsr(cpu, 0xc000_0082), { low: 0x1000, high: 0xffff_8000 });
  assert.equal(writeMsr(cpu, 0xc000_0082, 0, 0x8000), false);
  assert.equal(writeMsr(cpu, 0xc000_0100, 0, 0x8000_0000), false);
  assert.equal(writeMsr(cpu, 0xc000_0080, EFER.SCE, 0), false, 'LME cannot change while paging is on');
  assert.equal(writeMsr(cpu, 0xc000_0080, EFER.SCE | EFER.LME | 2, 0), false);
  assert.equal(writeMsr(cpu, 0xc000_0080, EFER.SCE | EFER.LME, 0), true);
  assert.deepEqual(readMsr(cpu, 0xc000_0080), { low: EFER.SCE | EFER.LME | EFER.LMA, high: 0 });
  assert.equal(writeMsr(cpu, 0x277, 0x0707_0702, 0), false);
  assert.equal(writeMsr(cpu, 0x2ff, 0xc06, 0), true);
  assert.equal(readMsr(cpu, 0x1234), undefined);
  assert.equal(writeMsr(cpu, 0xc001_0015, 0, 0), false);
});

test("the performance counters of AMD's processors are there on those only", () => {
  assert.equal(readMsr(makeBench().cpu, 0xc001_0000), undefined);
  const { cpu } = makeBench({ model: parseCpuModel('x86-64-v1,vendor=AuthenticAMD') });
  assert.equal(writeMsr(cpu, 0xc001_0004, 1, 0), true);
  assert.deepEqual(readMsr(cpu, 0xc001_0004), { low: 0, high: 0 });
});

test('TSC, TSC_ADJUST and the deadline go together', () => {
  const bench = enterLong(makeBench());
  const { cpu, log } = bench;
  assert.deepEqual(readMsr(cpu, 0x10), { low: 1000, high: 0 });
  writeMsr(cpu, 0x10, 0, 1);
  log.nowNs = 1500.7;
  assert.deepEqual(readMsr(cpu, 0x10), { low: 500, high: 1 });
  assert.deepEqual(readMsr(cpu, 0x3b), { low: 0xffff_fc18, high: 0 });
  writeMsr(cpu, 0x6e0, 600, 1);
  assert.deepEqual(log.apic.get(0x6e0), { low: 1600, high: 0 });
  assert.deepEqual(readMsr(cpu, 0x6e0), { low: 600, high: 1 });
  writeMsr(cpu, 0x3b, 0, 0);
  assert.deepEqual(readMsr(cpu, 0x10), { low: 1500, high: 0 });
});

test('paravirtual clock page', () => {
  const bench = enterLong(makeBench({ wallClockMs: () => 5_000_000.5 }));
  writeMsr(bench.cpu, 0x4b56_4d01, 0x2_0001, 0);
  const { ram } = bench;
  assert.deepEqual([ram.getUint32(0x2_0000, true), ram.getUint32(0x2_0008, true), ram.getUint32(0x2_0010, true), ram.getUint32(0x2_0018, true), ram.getInt8(0x2_001c), ram.getUint8(0x2_001d)], [2, 1000, 1000, 0x8000_0000, 1, 1]);
  writeMsr(bench.cpu, 0x11, 0x2_0100, 0);
  assert.deepEqual([ram.getUint32(0x2_0100, true), ram.getUint32(0x2_0104, true)], [2, 5000]);
});

test('CPUID follows the model', () => {
  const v3 = enterLong(makeBench()).cpu;
  const [, ebx, ecx, edx] = cpuid(v3, 0, 0);
  assert.equal(Buffer.from(new Uint32Array([ebx, edx, ecx]).buffer).toString(), 'GenuineIntel');
  assert.notEqual(cpuid(v3, 7, 0)[1] & (1 << 5), 0);
  assert.equal(cpuid(v3, 1, 0)[2] & (1 << 27), 0);
  setWord(v3, WORD.cr4, CR4.PAE | CR4.OSXSAVE);
  assert.notEqual(cpuid(v3, 1, 0)[2] & (1 << 27), 0);
  assert.deepEqual(cpuid(v3, 0x15, 0), [1, 1, 1_000_000_000, 0]);
  assert.equal(cpuid(v3, 0xd, 0)[2], 832);
  assert.equal(cpuid(v3, 0x8000_0008, 0)[0], 0x3028);
  const i686 = makeBench({ model: 'i686' }).cpu;
  assert.equal(cpuid(i686, 0x8000_0001, 0)[3] & (1 << 29), 0);
  assert.equal(cpuid(i686, 0xd, 0)[0], 0);
});

test('branch history control goes with its bit of SPEC_CTRL, and no processor bug is announced that needs software', () => {
  const { cpu } = enterLong(makeBench());
  assert.equal(cpuid(cpu, 7, 0)[0], 2);
  assert.deepEqual(cpuid(cpu, 7, 2), [0, 0, 0, 1 << 4]);
  assert.equal(writeMsr(cpu, 0x48, 0x401, 0), true);
  assert.equal(writeMsr(cpu, 0x48, 0x800, 0), false);
  assert.equal(((readMsr(cpu, 0x10a)?.high ?? 0) >>> 30) & 1, 1, 'ITS_NO');
  const without = enterLong(makeBench({ model: 'x86-64-v3,-bhi_ctrl' })).cpu;
  assert.deepEqual(cpuid(without, 7, 2), [0, 0, 0, 0]);
  assert.equal(writeMsr(without, 0x48, 0x400, 0), false);
});

test('a boot protocol sets registers by number; those that the model lacks are skipped', () => {
  const { cpu } = makeBench({ model: 'x86-64-v3,-pat' });
  const registers = [[0x2ff, 0xc06], [0x277, 0]].map(([index, low]) => ({ index: index as number, low: low as number, high: 0 }));
  setStartState(cpu, { mode: 'protected32', pc: 0x1000, registers: {}, modelRegisters: registers });
  assert.deepEqual(readMsr(cpu, 0x2ff), { low: 0xc06, high: 0 });
  assert.equal(readMsr(cpu, 0x277), undefined);
});

test('CPU models: features added and removed, unknown names', () => {
  assert.equal(parseCpuModel('x86-64-v3,-avx').features.has('avx2'), false);
  assert.equal(parseCpuModel('x86-64-v1,+sse4.2,popcnt=on').features.has('sse4_2'), true);
  assert.equal(cpuModel('max').features.has('sha'), true);
  assert.equal(parseCpuModel('x86-64-v1,-pcid,+invpcid').features.has('invpcid'), true, 'INVPCID needs no PCID');
  assert.equal(parseCpuModel('x86-64-v1,vendor=AuthenticAMD').vendor, 'AuthenticAMD');
  assert.throws(() => cpuModel('pentium9'), (e: unknown) => e instanceof AnilloError && e.code === 'BAD_OPTION' && e.message.includes('x86-64-v3'));
  assert.throws(() => parseCpuModel('max,+warp'), /warp/);
  assert.throws(() => parseCpuModel('x86-64-v1,+avx'), /"avx" needs "xsave"/);
  assert.equal(parseCpuModel('x86-64-v3,-avx,+avx2').features.has('avx2'), false);
});

test('XSAVE, XSAVEC and XRSTOR', () => {
  const bench = enterLong(makeBench());
  const { cpu, ram } = bench;
  const call = (name: string, ...args: number[]): number => (XSAVE_HELPERS[name] as HelperFunction)(cpu, ...args);
  const mask = (low: number): void => setWords(cpu, WORD.gpr + 2 * RAX, low, 0);
  setWords(cpu, WORD.x, 0x2_0000, 0);
  assert.equal(call('xsave', 0, 1), 1);
  assert.equal(faultOf(bench)[0], 6);
  setWord(cpu, WORD.cr4, CR4.PAE | CR4.OSXSAVE | CR4.OSFXSR);
  setWords(cpu, WORD.gpr + 2 * RCX, 0, 0);
  setWords(cpu, WORD.gpr + 2 * RDX, 0, 0);
  mask(5);
  assert.equal((CONTROL_HELPERS.xsetbv as HelperFunction)(cpu), 1);
  mask(7);
  assert.equal((CONTROL_HELPERS.xsetbv as HelperFunction)(cpu), 0);
  assert.notEqual(cpu.view.mode & MODE.AVX, 0);
  cpu.view.xmm.fill(0x11, 0, 16);
  cpu.view.ymmHigh.fill(0x22, 240, 256);
  assert.equal(call('xsave', 0, 1), 0);
  assert.deepEqual([ram.getUint32(0x2_0200, true), ram.getUint8(0x2_00a0), ram.getUint8(0x2_0240 + 255), ram.getUint32(0x2_0018, true)], [6, 0x11, 0x22, 0x1f80]);
  cpu.view.xmm.fill(0);
  cpu.view.ymmHigh.fill(0x33);
  mask(2);
  assert.equal(call('xrstor', 1), 0);
  assert.deepEqual([cpu.view.xmm[15], cpu.view.ymmHigh[0]], [0x11, 0x33]);
  mask(7);
  ram.setUint32(0x2_0200, 2, true);
  assert.equal(call('xrstor', 1), 0);
  assert.equal(cpu.view.ymmHigh[255], 0);
  assert.equal(call('xsave', 2, 1), 0);
  assert.deepEqual([ram.getUint32(0x2_0200, true), ram.getUint32(0x2_0208, true), ram.getUint32(0x2_020c, true)], [2, 7, 0x8000_0000]);
  ram.setUint32(0x2_0018, 0x1_0000, true);
  assert.equal(call('xrstor', 1), 1);
  assert.deepEqual(faultOf(bench), [13, 0]);
  setWords(cpu, WORD.x, 0x2_0010, 0);
  assert.equal(call('xsave', 0, 1), 1);
  assert.equal(call('fxsave', 1), 0);
});

test('a start in real mode: the code segment begins at the address', () => {
  const { cpu } = makeBench();
  setStartState(cpu, { mode: 'real16', pc: 0x1_2345, registers: {} });
  assert.deepEqual([word(cpu, WORD.segmentSelector + 1), word(cpu, WORD.segmentBase + 2), word(cpu, WORD.pc), word(cpu, WORD.cr0) & 1], [0x1234, 0x1_2340, 5, 0]);
});
