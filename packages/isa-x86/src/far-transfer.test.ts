import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONTROL_HELPERS } from './control.ts';
import { FAR_TRANSFER_HELPERS } from './far-transfer.ts';
import type { HelperFunction } from './helper-map.ts';
import { INTERRUPT_RETURN_HELPERS } from './interrupt-return.ts';
import { CR0, CR4, cplOf, MODE } from './mode.ts';
import { PRIVILEGED_HELPERS } from './privileged.ts';
import { loadLdtr, loadSegment, loadTr, setSegment } from './segments.ts';
import { CS, DS, EFLAG, ES, FS, GS, RAX, RCX, RSP, SS, TR } from './state.ts';
import { setSignedField, setWord, setWords, word, WORD } from './state-words.ts';
import { SYSTEM_CALL_HELPERS } from './system-call.ts';
import { taskSwitch } from './task-switch.ts';
import { deliver, deliverInterrupt } from './trap.ts';
import { type Bench, enterLong, enterProtected, faultOf, GDT, makeBench, putDescriptor, putGate, register, SELECTOR, TSS } from './ram-bench.test.ts';
import { syncMode } from './mode.ts';

const HELPERS = { ...FAR_TRANSFER_HELPERS, ...INTERRUPT_RETURN_HELPERS, ...SYSTEM_CALL_HELPERS, ...PRIVILEGED_HELPERS, ...CONTROL_HELPERS };
const call = (bench: Bench, name: string, ...args: number[]): number => (HELPERS[name] as HelperFunction)(bench.cpu, ...args);
const operands = (bench: Bench, x0: number, x1 = 0): void => {
  setSignedField(bench.cpu, WORD.x, x0);
  setSignedField(bench.cpu, WORD.x + 4, x1);
};
const far = (bench: Bench, name: 'farJump' | 'farCall', selector: number, offset: number, bits = 32): number => {
  operands(bench, offset, selector);
  return call(bench, name, bits, 7);
};
const pc = (bench: Bench): bigint => bench.cpu.view.pc;
const selectorIn = (bench: Bench, segment: number): number => bench.cpu.view.segmentSelector[segment] as number;
const stack32 = (bench: Bench, at: number, count: number): number[] => Array.from({ length: count }, (_, i) => bench.ram.getUint32(at + 4 * i, true));

/** Call gate at SELECTOR.gate. */
function putCallGate(bench: Bench, selector: number, offset: number, access: number, parameters = 0): void {
  const at = GDT + (SELECTOR.gate & 0xfff8);
  bench.ram.setUint32(at, (selector << 16) | (offset & 0xffff), true);
  bench.ram.setUint32(at + 4, (offset & 0xffff_0000) | (access << 8) | parameters, true);
}

test('data segment loads: types, privileges, presence, null, accessed', () => {
  const bench = enterProtected(makeBench(), 3);
  const load = (segment: number, selector: number): number[] => (loadSegment(bench.cpu, segment, selector) === 0 ? [] : faultOf(bench));
  assert.deepEqual(load(DS, 0), []);
  assert.equal((bench.cpu.view.segmentAttributes[DS] as number) & 0x80, 0);
  assert.deepEqual(load(DS, SELECTOR.data3), []);
  assert.deepEqual(load(DS, SELECTOR.data0), [13, SELECTOR.data0]);
  assert.deepEqual(load(ES, SELECTOR.tss), [13, SELECTOR.tss]);
  assert.deepEqual(load(ES, 0xfff8), [13, 0xfff8]);
  assert.deepEqual(load(ES, 0x0c), [13, 0x0c]);
  assert.deepEqual(load(ES, SELECTOR.conforming), []);
  assert.deepEqual(load(SS, 0), [13, 0]);
  assert.deepEqual(load(SS, SELECTOR.data0 | 3), [13, SELECTOR.data0]);
  assert.deepEqual(load(SS, SELECTOR.code3), [13, SELECTOR.code3 & ~3]);
  putDescriptor(bench, SELECTOR.absent, 0, 0xf_ffff, 0x72, 0xc);
  assert.deepEqual(load(SS, SELECTOR.absent | 3), [12, SELECTOR.absent]);
  assert.deepEqual(load(FS, SELECTOR.absent), [11, SELECTOR.absent]);
  putDescriptor(bench, SELECTOR.absent, 0x12_3000, 0xff, 0xf2, 0);
  assert.deepEqual(load(GS, SELECTOR.absent), []);
  assert.equal(bench.ram.getUint8(GDT + SELECTOR.absent + 5), 0xf3);
  assert.deepEqual([bench.cpu.view.segmentBase[GS], bench.cpu.view.segmentLimit[GS]], [0x12_3000n, 0xff]);
});

test('mode bits follow segment loads', () => {
  const bench = enterProtected(makeBench());
  assert.notEqual(bench.cpu.view.mode & MODE.FLAT, 0);
  putDescriptor(bench, SELECTOR.absent, 0x1000, 0xf_ffff, 0x93, 0xc);
  loadSegment(bench.cpu, ES, SELECTOR.absent);
  assert.equal(bench.cpu.view.mode & MODE.FLAT, 0);
  loadSegment(bench.cpu, ES, SELECTOR.data0);
  assert.notEqual(bench.cpu.view.mode & MODE.FLAT, 0);
});

test('LLDT and LTR', () => {
  const bench = enterProtected(makeBench());
  assert.equal(loadLdtr(bench.cpu, SELECTOR.ldt), 0);
  assert.equal(loadLdtr(bench.cpu, SELECTOR.tss), 1);
  assert.deepEqual(faultOf(bench), [13, SELECTOR.tss]);
  assert.equal(loadTr(bench.cpu, SELECTOR.tss), 0);
  assert.equal(bench.ram.getUint8(GDT + SELECTOR.tss + 5), 0x8b);
  assert.equal(loadTr(bench.cpu, SELECTOR.tss), 1);
  assert.deepEqual(faultOf(bench), [13, SELECTOR.tss]);
  assert.equal(loadTr(bench.cpu, 0), 1);
  assert.deepEqual(faultOf(bench), [13, 0]);
});

test('far jumps and calls: real mode, code sizes, limits', () => {
  const real = makeBench();
  setSignedField(real.cpu, WORD.pc, 0x100);
  setWords(real.cpu, WORD.gpr + 2 * RSP, 0x1000, 0);
  assert.equal(far(real, 'farCall', 0x2000, 0x10, 16), 0);
  assert.deepEqual([pc(real), real.cpu.view.codeBase, real.ram.getUint32(0xffc, true)], [0x10n, 0x2_0000n, 0xf000_0107]);
  assert.equal(call(real, 'farReturn', 16, 6), 0);
  assert.deepEqual([pc(real), selectorIn(real, CS), register(real, RSP)], [0x107n, 0xf000, 0x1006n]);

  const bench = enterProtected(makeBench());
  assert.equal(far(bench, 'farJump', SELECTOR.code16, 0x1234), 0);
  assert.deepEqual([bench.cpu.view.mode & MODE.CODE_SIZE, bench.cpu.view.codeBase], [0, 0x1_0000n]);
  assert.equal(far(bench, 'farJump', SELECTOR.code16, 0x1_0000), 1);
  assert.deepEqual(faultOf(bench), [13, 0]);
  assert.equal(far(bench, 'farCall', SELECTOR.code0, 0x9000, 32), 0);
  assert.equal(call(bench, 'farReturn', 32, 0), 0);
  assert.equal(pc(bench), 0x123bn);
  for (const [selector, fault] of [[0, [13, 0]], [SELECTOR.data0, [13, SELECTOR.data0]], [SELECTOR.code3, [13, SELECTOR.code3 & ~3]], [SELECTOR.absent, [13, SELECTOR.absent]]] as const) {
    assert.equal(far(bench, 'farJump', selector, 0), 1);
    assert.deepEqual(faultOf(bench), fault);
  }
});

test('call gates: inner level with parameters, return to the outer level', () => {
  const bench = enterProtected(makeBench(), 3);
  putCallGate(bench, SELECTOR.code0, 0x9999, 0xec, 2);
  bench.ram.setUint32(0x7000, 0x11, true);
  bench.ram.setUint32(0x7004, 0x22, true);
  assert.equal(far(bench, 'farCall', SELECTOR.gate, 0), 0);
  assert.deepEqual([cplOf(bench.cpu), pc(bench), register(bench, RSP)], [0, 0x9999n, 0x7fe8n]);
  assert.deepEqual(stack32(bench, 0x7fe8, 6), [0x5007, SELECTOR.code3, 0x11, 0x22, 0x7000, SELECTOR.data3]);
  assert.equal(call(bench, 'farReturn', 32, 8), 0);
  assert.deepEqual([cplOf(bench.cpu), pc(bench), register(bench, RSP)], [3, 0x5007n, 0x7008n]);
  assert.equal(far(bench, 'farJump', SELECTOR.gate, 0), 1);
  assert.deepEqual(faultOf(bench), [13, SELECTOR.code0]);
  putCallGate(bench, SELECTOR.code0, 0x9999, 0x8c);
  assert.equal(far(bench, 'farCall', SELECTOR.gate, 0), 1);
  assert.deepEqual(faultOf(bench), [13, SELECTOR.gate & ~3]);
});

test('64-bit call gate', () => {
  const bench = enterLong(makeBench(), 3);
  putCallGate(bench, SELECTOR.code64, 0x1234_5678, 0xec);
  bench.ram.setUint32(GDT + 0x78, 0x7f, true);
  bench.ram.setUint32(GDT + 0x7c, 0, true);
  assert.equal(far(bench, 'farCall', SELECTOR.gate, 0), 0);
  assert.deepEqual([cplOf(bench.cpu), pc(bench), register(bench, RSP)], [0, 0x7f_1234_5678n, 0x7fe0n]);
  assert.equal(call(bench, 'farReturn', 64, 0), 0);
  assert.deepEqual([cplOf(bench.cpu), register(bench, RSP), selectorIn(bench, SS)], [3, 0x7000n, SELECTOR.data3]);
});

test('syscall and sysret', () => {
  const bench = enterLong(makeBench(), 3);
  const { cpu } = bench;
  setWords(cpu, WORD.star, 0, (0x10 << 16) | 0x08);
  setWords(cpu, WORD.lstar, 0x8100_0000, 0xffff_ffff);
  setWords(cpu, WORD.sfmask, EFLAG.IF | EFLAG.DF, 0);
  setWords(cpu, WORD.flags, EFLAG.IF | 2, 0);
  assert.equal(call(bench, 'syscall', 2), 0);
  assert.deepEqual([pc(bench), register(bench, RCX), register(bench, 11), cplOf(cpu)], [0xffff_ffff_8100_0000n, 0x5002n, BigInt(EFLAG.IF | 2), 0]);
  assert.equal(word(cpu, WORD.flags) & EFLAG.IF, 0);
  assert.equal(bench.cpu.view.tlb, 0);
  assert.equal(call(bench, 'sysret', 64), 0);
  assert.deepEqual([pc(bench), cplOf(cpu), selectorIn(bench, CS), selectorIn(bench, SS), word(cpu, WORD.flags)], [0x5002n, 3, 0x23, 0x1b, EFLAG.IF | 2]);
  assert.equal(call(bench, 'sysret', 64), 1);
  assert.deepEqual(faultOf(bench), [13, 0]);
  call(bench, 'syscall', 2);
  setWords(cpu, WORD.gpr + 2 * RCX, 0, 0x8000);
  assert.equal(call(bench, 'sysret', 64), 1);
  assert.deepEqual([faultOf(bench), cplOf(cpu)], [[13, 0], 0]);
});

test('sysenter and sysexit', () => {
  const bench = enterProtected(makeBench(), 3);
  const { cpu } = bench;
  assert.equal(call(bench, 'sysenter'), 1);
  setWords(cpu, WORD.sysenterCs, 8, 0);
  setWords(cpu, WORD.sysenterEsp, 0x8800, 0);
  setWords(cpu, WORD.sysenterEip, 0xc000, 0);
  assert.equal(call(bench, 'sysenter'), 0);
  assert.deepEqual([pc(bench), register(bench, RSP), cplOf(cpu), selectorIn(bench, SS)], [0xc000n, 0x8800n, 0, 0x10]);
  setWords(cpu, WORD.gpr + 2 * 2, 0x5555, 0);
  setWords(cpu, WORD.gpr + 2 * RCX, 0x6666, 0);
  assert.equal(call(bench, 'sysexit', 32), 0);
  assert.deepEqual([pc(bench), register(bench, RSP), cplOf(cpu), selectorIn(bench, CS)], [0x5555n, 0x6666n, 3, 0x1b]);
});

const TSS2 = 0x3400;
const TSS2_SELECTOR = 0x80;
function putSecondTask(bench: Bench): void {
  putDescriptor(bench, TSS2_SELECTOR, TSS2, 0x67, 0x89);
  const put = (at: number, value: number): void => bench.ram.setUint32(TSS2 + at, value, true);
  put(0x20, 0xabcd);
  put(0x24, 2);
  for (let i = 0; i < 8; i++) put(0x28 + 4 * i, 0x100 + i);
  put(0x38, 0x6800);
  [ES, CS, SS, DS, FS, GS].forEach((segment) => put(0x48 + 4 * segment, segment === CS ? SELECTOR.code0 : SELECTOR.data0));
}

test('task switch by call, return by iret', () => {
  const bench = enterProtected(makeBench());
  const { cpu, ram } = bench;
  putDescriptor(bench, SELECTOR.tss, TSS, 0x2ff, 0x8b);
  putSecondTask(bench);
  setWords(cpu, WORD.gpr, 0xcafe, 0);
  assert.equal(far(bench, 'farCall', TSS2_SELECTOR, 0), 0);
  assert.deepEqual([pc(bench), register(bench, RAX), register(bench, RSP), selectorIn(bench, TR)], [0xabcdn, 0x100n, 0x6800n, TSS2_SELECTOR]);
  assert.notEqual(word(cpu, WORD.flags) & EFLAG.NT, 0);
  assert.notEqual(word(cpu, WORD.cr0) & CR0.TS, 0);
  assert.deepEqual([ram.getUint16(TSS2, true), ram.getUint32(TSS + 0x20, true), ram.getUint32(TSS + 0x28, true), ram.getUint16(TSS + 0x4c, true)], [SELECTOR.tss, 0x5007, 0xcafe, SELECTOR.code0]);
  assert.deepEqual([ram.getUint8(GDT + SELECTOR.tss + 5), ram.getUint8(GDT + TSS2_SELECTOR + 5)], [0x8b, 0x8b]);
  assert.equal(call(bench, 'iret', 32, 1), 0);
  assert.deepEqual([pc(bench), register(bench, RAX), selectorIn(bench, TR)], [0x5007n, 0xcafen, SELECTOR.tss]);
  assert.deepEqual([ram.getUint8(GDT + TSS2_SELECTOR + 5), ram.getUint32(TSS2 + 0x20, true), ram.getUint32(TSS2 + 0x24, true) & EFLAG.NT], [0x89, 0xabce, 0]);
});

test('task gate for an exception pushes the error code in the new task', () => {
  const bench = enterProtected(makeBench());
  putSecondTask(bench);
  putGate(bench, 13, TSS2_SELECTOR, 0, 0x85);
  bench.cpu.view.faultVector = 13;
  bench.cpu.view.faultError = 0x1234;
  assert.equal(deliver(bench.cpu), true);
  assert.deepEqual([pc(bench), register(bench, RSP), bench.ram.getUint32(0x67fc, true)], [0xabcdn, 0x67fcn, 0x1234]);
});

test('task switch faults: before the switch in the old task, after it in the new one', () => {
  const bench = enterProtected(makeBench());
  putSecondTask(bench);
  putDescriptor(bench, TSS2_SELECTOR, TSS2, 0x66, 0x89);
  assert.equal(taskSwitch(bench.cpu, TSS2_SELECTOR, 'jump', 0, 0x5007), false);
  assert.deepEqual([faultOf(bench), selectorIn(bench, TR)], [[10, TSS2_SELECTOR], SELECTOR.tss]);
  putDescriptor(bench, TSS2_SELECTOR, TSS2, 0x67, 0x8b);
  assert.equal(taskSwitch(bench.cpu, TSS2_SELECTOR, 'jump', 0, 0x5007), false);
  assert.deepEqual(faultOf(bench), [13, TSS2_SELECTOR]);
  putDescriptor(bench, TSS2_SELECTOR, TSS2, 0x67, 0x89);
  bench.ram.setUint32(TSS2 + 0x50, SELECTOR.code0, true);
  putGate(bench, 10, SELECTOR.code0, 0xa000, 0x8e);
  assert.equal(taskSwitch(bench.cpu, TSS2_SELECTOR, 'jump', 0, 0x5007), false);
  assert.deepEqual([faultOf(bench), selectorIn(bench, TR), bench.cpu.view.faultInNewTask], [[10, SELECTOR.code0], TSS2_SELECTOR, 1]);
});

test('CR0 and CR4: what faults, entering long mode', () => {
  const bench = enterProtected(makeBench());
  const { cpu } = bench;
  const write = (register: number, value: number): number[] => {
    operands(bench, value);
    return call(bench, 'writeControl', register) === 0 ? [] : faultOf(bench);
  };
  assert.deepEqual(write(0, 0x8000_0000), [13, 0]);
  assert.deepEqual(write(0, CR0.PE | CR0.NW), [13, 0]);
  assert.deepEqual(write(0, 0x1_0000_0001), [13, 0]);
  assert.deepEqual(write(4, 1 << 24), [13, 0]);
  assert.deepEqual(write(4, CR4.PCIDE), [13, 0]);
  assert.deepEqual(write(4, CR4.PAE), []);
  setWord(cpu, WORD.efer, 0x100);
  assert.deepEqual(write(3, 0x1_0000), []);
  assert.deepEqual(write(0, 0x8000_0011), []);
  assert.equal(word(cpu, WORD.efer), 0x500);
  assert.equal(cpu.view.mode & MODE.CODE_SIZE, 1);
  assert.deepEqual(write(4, 0), [13, 0]);
  assert.equal(far(bench, 'farJump', SELECTOR.code64, 0x5000), 1, 'no page tables: the descriptor cannot be read');
  assert.equal(faultOf(bench)[0], 14);
  assert.deepEqual(write(8, 16), [13, 0]);
  assert.deepEqual(write(8, 5), []);
  assert.equal(bench.log.priority, 5);
  assert.deepEqual(write(5, 0), [6, -1]);
});

test('debug registers: DE, GD, fixed bits, breakpoint mode', () => {
  const bench = enterProtected(makeBench());
  const { cpu } = bench;
  operands(bench, 0x1_0000_0000);
  assert.equal(call(bench, 'writeDebug', 7), 1);
  operands(bench, 0xffff_dfff);
  assert.equal(call(bench, 'writeDebug', 6), 0);
  assert.equal(word(cpu, WORD.dr + 12), 0xffff_cfff);
  operands(bench, 0x401);
  assert.equal(call(bench, 'writeDebug', 5), 0);
  assert.notEqual(cpu.view.mode & MODE.BREAK, 0);
  setWord(cpu, WORD.cr4, CR4.DE);
  assert.equal(call(bench, 'readDebug', 5), 1);
  assert.deepEqual(faultOf(bench), [6, -1]);
  setWord(cpu, WORD.dr + 14, 0x2400);
  assert.equal(call(bench, 'readDebug', 0), 1);
  assert.deepEqual([faultOf(bench)[0], cpu.view.faultDr6], [1, 0x2000]);
});

test('I/O permission: IOPL, the bit map, its end', () => {
  const bench = enterProtected(makeBench(), 3);
  const io = (port: number, byteCount: number): number => call(bench, 'portOut', port, byteCount, 0x55);
  bench.ram.setUint8(TSS + 0x100 + (0x3f8 >> 3), 0xfe);
  assert.equal(io(0x3f8, 1), 0);
  assert.deepEqual(bench.log.portWrites, [[0x3f8, 1, 0x55]]);
  assert.equal(io(0x3f8, 2), 1);
  assert.deepEqual(faultOf(bench), [13, 0]);
  assert.equal(io(0xffff, 1), 1);
  setWord(bench.cpu, WORD.flags, EFLAG.IOPL | 2);
  assert.equal(io(0xffff, 1), 0);
});

test('POPF: what each level may change; STI and CLI by IOPL', () => {
  const bench = enterProtected(makeBench(), 3);
  operands(bench, 0x00ff_ffff);
  assert.equal(call(bench, 'popf', 32), 0);
  assert.equal(word(bench.cpu, WORD.flags) & (EFLAG.IF | EFLAG.IOPL | EFLAG.VM | EFLAG.VIF), 0);
  assert.notEqual(bench.cpu.view.mode & MODE.STEP, 0);
  assert.equal(call(bench, 'changeInterruptFlag', 0), 1);
  setWord(bench.cpu, WORD.cr4, CR4.PVI);
  assert.equal(call(bench, 'changeInterruptFlag', 1), 0);
  assert.notEqual(word(bench.cpu, WORD.flags) & EFLAG.VIF, 0);
  const kernel = enterProtected(makeBench());
  operands(kernel, EFLAG.IOPL | EFLAG.IF);
  assert.equal(call(kernel, 'popf', 32), 0);
  assert.equal(word(kernel.cpu, WORD.flags), EFLAG.IOPL | EFLAG.IF | 2);
});

test('LAR, LSL, VERR, VERW', () => {
  const bench = enterProtected(makeBench(), 3);
  const inspect = (name: string, selector: number): [number, number] => {
    operands(bench, selector, 9);
    assert.equal(call(bench, name, name === 'verify' ? 1 : 0), 0);
    return [word(bench.cpu, WORD.x + 4), word(bench.cpu, WORD.x)];
  };
  assert.deepEqual(inspect('lar', SELECTOR.data3), [1, 0xcf_f300 & 0xff_ff00]);
  assert.deepEqual(inspect('lsl', SELECTOR.data3), [1, 0xffff_ffff]);
  assert.equal(inspect('lar', SELECTOR.data0)[0], 0);
  assert.equal(inspect('lar', 0)[0], 0);
  assert.equal(inspect('verify', SELECTOR.data3)[0], 1);
  assert.equal(inspect('verify', SELECTOR.code3)[0], 0);
});

test('an interrupt in 16-bit code saves and restores SP only', () => {
  const bench = enterProtected(makeBench());
  setSegment(bench.cpu, SS, SELECTOR.data0, 0, 0xffff, 0x93);
  setWords(bench.cpu, WORD.gpr + 2 * RSP, 0xabcd_0004, 0);
  syncMode(bench.cpu);
  putGate(bench, 0x44, SELECTOR.code0, 0x100, 0x8e);
  assert.equal(deliverInterrupt(bench.cpu, 0x44), true);
  assert.equal(register(bench, RSP), 0xabcd_fff8n);
  assert.deepEqual([bench.ram.getUint32(0, true), bench.ram.getUint32(0xfff8, true)], [2, 0x5000]);
});
