import assert from 'node:assert/strict';
import { test } from 'node:test';
import { raise } from './helper-map.ts';
import { INTERRUPT_RETURN_HELPERS } from './interrupt-return.ts';
import { cplOf, MODE } from './mode.ts';
import { FAR_TRANSFER_HELPERS } from './far-transfer.ts';
import { EFLAG, RSP } from './state.ts';
import { setSegment, setV86Segment } from './segments.ts';
import { CS, DS, ES, FS, GS, SS, TR } from './state.ts';
import { setSignedField, setWord, setWords, word, WORD } from './state-words.ts';
import { syncMode, CR4 } from './mode.ts';
import { deliver, deliverInterrupt, deliverNmi } from './trap.ts';
import { type Bench, enterLong, enterProtected, faultOf, IDT, makeBench, putDescriptor, putGate, putLongGate, register, SELECTOR, TSS } from './ram-bench.test.ts';

const iret = (bench: Bench, bits: number): number => (INTERRUPT_RETURN_HELPERS.iret as (...a: unknown[]) => number)(bench.cpu, bits, 0);
const intN = (bench: Bench, vector: number): number => (FAR_TRANSFER_HELPERS.intN as (...a: unknown[]) => number)(bench.cpu, vector, 2, 2);
const stack32 = (bench: Bench, at: number, count: number): number[] => Array.from({ length: count }, (_, i) => bench.ram.getUint32(at + 4 * i, true));
const stack64 = (bench: Bench, at: number, count: number): bigint[] => Array.from({ length: count }, (_, i) => bench.ram.getBigUint64(at + 8 * i, true));
const pc = (bench: Bench): bigint => bench.cpu.view.pc;
const setFlags = (bench: Bench, flags: number): void => {
  setWords(bench.cpu, WORD.flags, flags | 2, 0);
  syncMode(bench.cpu);
};
const v86 = (bench: Bench, iopl = 0): void => {
  for (const segment of [CS, DS, ES, SS, FS, GS]) setV86Segment(bench.cpu, segment, 0x400 + segment);
  setFlags(bench, EFLAG.VM | EFLAG.IF | (iopl << 12));
};

test('real mode: vector table, no error code, and back', () => {
  const bench = makeBench();
  const { cpu, ram } = bench;
  setSegment(cpu, CS, 0x100, 0x1000, 0xffff, 0x93);
  setWords(cpu, WORD.gpr + 2 * RSP, 0x1_2000, 0);
  setSignedField(cpu, WORD.pc, 0x50);
  setFlags(bench, EFLAG.IF | EFLAG.DF);
  ram.setUint32(13 * 4, 0x0200_0033, true);
  raise(cpu, 13, 0);
  setWord(cpu, WORD.trapAt, 4);
  assert.equal(deliver(cpu), true);
  assert.deepEqual([pc(bench), cpu.view.segmentSelector[CS], cpu.view.codeBase], [0x33n, 0x200, 0x2000n]);
  assert.equal(register(bench, RSP), 0x1_1ffan);
  // A fault's flags image has RF, which 16 bits do not hold.
  assert.deepEqual([ram.getUint16(0x1ffa, true), ram.getUint16(0x1ffc, true), ram.getUint16(0x1ffe, true)], [0x54, 0x100, EFLAG.IF | EFLAG.DF | 2]);
  assert.equal(word(cpu, WORD.flags) & EFLAG.IF, 0);
  assert.equal(iret(bench, 16), 0);
  assert.deepEqual([pc(bench), register(bench, RSP)], [0x54n, 0x1_2000n]);
  assert.equal(word(cpu, WORD.flags), EFLAG.IF | EFLAG.DF | 2);
});

test('protected mode: same level, interrupt gate, error code, RF; iret restores', () => {
  const bench = enterProtected(makeBench());
  putGate(bench, 13, SELECTOR.code0, 0x1234_5678, 0x8e);
  setFlags(bench, EFLAG.IF);
  raise(bench.cpu, 13, 0x18);
  assert.equal(deliver(bench.cpu), true);
  assert.equal(pc(bench), 0x1234_5678n);
  assert.deepEqual(stack32(bench, 0x6ff0, 4), [0x18, 0x5000, SELECTOR.code0, EFLAG.IF | EFLAG.RF | 2]);
  assert.equal(word(bench.cpu, WORD.flags) & (EFLAG.IF | EFLAG.RF), 0);
  setWords(bench.cpu, WORD.gpr + 2 * RSP, 0x6ff4, 0);
  assert.equal(iret(bench, 32), 0);
  assert.deepEqual([pc(bench), register(bench, RSP)], [0x5000n, 0x7000n]);
});

test('protected mode: trap gate keeps IF; 16-bit gate pushes words', () => {
  const bench = enterProtected(makeBench());
  putGate(bench, 0x40, SELECTOR.code0, 0x4444, 0x8f);
  putGate(bench, 0x41, SELECTOR.code0, 0xffff_4444, 0x86);
  setFlags(bench, EFLAG.IF);
  assert.equal(deliverInterrupt(bench.cpu, 0x40), true);
  assert.equal(word(bench.cpu, WORD.flags) & EFLAG.IF, EFLAG.IF);
  assert.equal(deliverInterrupt(bench.cpu, 0x41), true);
  assert.equal(register(bench, RSP), 0x6feen);
  assert.equal(pc(bench), 0x4444n);
});

test('protected mode: level 3 to 0 through the TSS and back', () => {
  const bench = enterProtected(makeBench(), 3);
  putGate(bench, 0x80, SELECTOR.code0, 0x9000, 0xee);
  putGate(bench, 0x81, SELECTOR.code0, 0x9000, 0x8e);
  assert.equal(intN(bench, 0x80), 1);
  assert.equal(deliver(bench.cpu), true);
  assert.equal(cplOf(bench.cpu), 0);
  assert.deepEqual(stack32(bench, 0x7fec, 5), [0x5002, SELECTOR.code3, 2, 0x7000, SELECTOR.data3]);
  assert.equal(word(bench.cpu, WORD.mode) & MODE.CPL3, 0);
  assert.equal(iret(bench, 32), 0);
  assert.equal(cplOf(bench.cpu), 3);
  assert.deepEqual([pc(bench), register(bench, RSP), bench.cpu.view.segmentSelector[SS]], [0x5002n, 0x7000n, SELECTOR.data3]);
  assert.notEqual(word(bench.cpu, WORD.mode) & MODE.CPL3, 0);
  // A gate of level 0 may not be called by INT n.
  setSignedField(bench.cpu, WORD.pc, 0x5000);
  putGate(bench, 13, SELECTOR.code0, 0xa000, 0x8e);
  intN(bench, 0x81);
  assert.equal(deliver(bench.cpu), true);
  assert.deepEqual(stack32(bench, 0x7fe8, 2), [0x81 * 8 + 2, 0x5000]);
});

test('iret to an outer level drops inner data segments', () => {
  const bench = enterProtected(makeBench());
  [0x5555, SELECTOR.code3, 2, 0x6000, SELECTOR.data3].forEach((v, i) => bench.ram.setUint32(0x7000 + 4 * i, v, true));
  assert.equal(iret(bench, 32), 0);
  assert.deepEqual([bench.cpu.view.segmentSelector[DS], (bench.cpu.view.segmentAttributes[DS] as number) & 0x80], [0, 0]);
});

test('missing gates: #NP, #GP, then double and triple fault', () => {
  const bench = enterProtected(makeBench());
  putGate(bench, 8, SELECTOR.code0, 0x8888, 0x8e);
  putGate(bench, 0x40, SELECTOR.code0, 0x4444, 0x0e);
  putGate(bench, 11, SELECTOR.code0, 0xb000, 0x8e);
  assert.equal(deliverInterrupt(bench.cpu, 0x40), true);
  assert.deepEqual([pc(bench), bench.ram.getUint32(0x6ff0, true)], [0xb000n, 0x40 * 8 + 3]);
  // #GP has no gate: contributory after contributory.
  raise(bench.cpu, 13, 0);
  assert.equal(deliver(bench.cpu), true);
  assert.deepEqual([pc(bench), bench.ram.getUint32(0x6fe0, true)], [0x8888n, 0]);
  putGate(bench, 8, 0, 0, 0);
  raise(bench.cpu, 13, 0);
  assert.equal(deliver(bench.cpu), false);
});

test('a delivery that cannot push leaves the state alone', () => {
  const bench = enterProtected(makeBench());
  setSegment(bench.cpu, SS, SELECTOR.data0, 0, 0x6ff5, 0x4093);
  putGate(bench, 3, SELECTOR.code0, 0x3333, 0xee);
  const before = register(bench, RSP);
  raise(bench.cpu, 3, -1);
  assert.equal(deliver(bench.cpu), false);
  assert.equal(register(bench, RSP), before);
  assert.equal(pc(bench), 0x5000n);
});

test('virtual-8086 mode: to level 0 with segments pushed, and back', () => {
  const bench = enterProtected(makeBench());
  v86(bench);
  putGate(bench, 0x30, SELECTOR.code0, 0x9000, 0x8e);
  assert.equal(deliverInterrupt(bench.cpu, 0x30), true);
  assert.equal(word(bench.cpu, WORD.flags) & EFLAG.VM, 0);
  assert.deepEqual(stack32(bench, 0x7fdc, 9), [0x5000, 0x401, EFLAG.VM | EFLAG.IF | 2, 0x7000, 0x402, 0x400, 0x403, 0x404, 0x405]);
  assert.equal((bench.cpu.view.segmentAttributes[DS] as number) & 0x80, 0);
  assert.equal(iret(bench, 32), 0);
  assert.notEqual(word(bench.cpu, WORD.mode) & MODE.V86, 0);
  assert.deepEqual([...bench.cpu.view.segmentSelector.subarray(0, 6)], [0x400, 0x401, 0x402, 0x403, 0x404, 0x405]);
  assert.deepEqual([pc(bench), bench.cpu.view.codeBase], [0x5000n, 0x4010n]);
});

test('virtual-8086 mode: INT n by IOPL and by the redirection map', () => {
  const bench = enterProtected(makeBench());
  v86(bench);
  assert.equal(intN(bench, 0x21), 1);
  assert.deepEqual(faultOf(bench), [13, 0]);
  setWord(bench.cpu, WORD.cr4, CR4.VME);
  bench.ram.setUint32(4 * 0x21, 0x0300_0042, true);
  setFlags(bench, EFLAG.VM | EFLAG.IF | EFLAG.VIF);
  assert.equal(intN(bench, 0x21), 0);
  assert.deepEqual([pc(bench), bench.cpu.view.segmentSelector[CS]], [0x42n, 0x300]);
  assert.equal(bench.ram.getUint16(0x4020 + 0x6ffe, true), 0x3202);
  assert.equal(word(bench.cpu, WORD.flags) & (EFLAG.IF | EFLAG.VIF), EFLAG.IF);
  bench.ram.setUint8(TSS + 0x100 - 32 + (0x21 >> 3), 1 << (0x21 & 7));
  assert.equal(intN(bench, 0x21), 1);
  assert.deepEqual(faultOf(bench), [13, 0]);
});

test('64-bit: same level with stack alignment, error code, and iretq', () => {
  const bench = enterLong(makeBench());
  setWords(bench.cpu, WORD.gpr + 2 * RSP, 0x6ff9, 0);
  putLongGate(bench, 14, SELECTOR.code64, 0x7_1234_5678n, 0x8e);
  raise(bench.cpu, 14, 2);
  setWord(bench.cpu, WORD.trapAt, 3);
  assert.equal(deliver(bench.cpu), true);
  assert.equal(pc(bench), 0x7_1234_5678n);
  assert.equal(register(bench, RSP), 0x6fc0n);
  assert.deepEqual(stack64(bench, 0x6fc0, 6), [2n, 0x5003n, BigInt(SELECTOR.code64), BigInt(EFLAG.RF | 2), 0x6ff9n, BigInt(SELECTOR.data0)]);
  setWords(bench.cpu, WORD.gpr + 2 * RSP, 0x6fc8, 0);
  assert.equal(iret(bench, 64), 0);
  assert.deepEqual([pc(bench), register(bench, RSP)], [0x5003n, 0x6ff9n]);
});

test('64-bit: level 3 to 0, interrupt stack table, null SS', () => {
  const bench = enterLong(makeBench(), 3);
  putLongGate(bench, 0x20, SELECTOR.code64, 0x9000n, 0x8e);
  putLongGate(bench, 2, SELECTOR.code64, 0xa000n, 0x8e, 1);
  assert.equal(deliverInterrupt(bench.cpu, 0x20), true);
  assert.deepEqual([cplOf(bench.cpu), register(bench, RSP), bench.cpu.view.segmentSelector[SS]], [0, 0x7fd8n, 0]);
  assert.equal(bench.cpu.view.tlb, 0);
  assert.equal(deliverNmi(bench.cpu), true);
  assert.equal(register(bench, RSP), 0x8fd8n);
  assert.equal(bench.cpu.view.nmiBlocked, 1);
  assert.equal(iret(bench, 64), 0);
  assert.deepEqual([bench.cpu.view.nmiBlocked, register(bench, RSP)], [0, 0x7fd8n]);
  assert.equal(iret(bench, 64), 0);
  assert.deepEqual([cplOf(bench.cpu), bench.cpu.view.segmentSelector[SS], register(bench, RSP)], [3, SELECTOR.data3, 0x7000n]);
  assert.equal(bench.cpu.view.tlb, 1);
});

test('64-bit: iret to compatibility mode and its faults', () => {
  const bench = enterLong(makeBench());
  const frame = (...values: number[]): void => values.forEach((v, i) => bench.ram.setBigUint64(0x7000 + 8 * i, BigInt(v), true));
  frame(0x4444, SELECTOR.code3, 0x202, 0x6000, SELECTOR.data3);
  assert.equal(iret(bench, 64), 0);
  assert.equal(word(bench.cpu, WORD.mode) & MODE.CODE_SIZE, 1);
  assert.notEqual(word(bench.cpu, WORD.mode) & MODE.LONG, 0);

  const other = enterLong(makeBench());
  const bad = (...values: number[]): number[] => {
    values.forEach((v, i) => other.ram.setBigUint64(0x7000 + 8 * i, BigInt(v), true));
    assert.equal(iret(other, 64), 1);
    return faultOf(other);
  };
  assert.deepEqual(bad(0x4444, 0, 2, 0x6000, SELECTOR.data0), [13, 0]);
  assert.deepEqual(bad(0x4444, SELECTOR.data0, 2, 0x6000, SELECTOR.data0), [13, SELECTOR.data0]);
  assert.deepEqual(bad(0x8000_0000_0000, SELECTOR.code64, 2, 0x6000, SELECTOR.data0), [13, 0]);
  assert.deepEqual(bad(0x4444, SELECTOR.user64, 2, 0x6000, 0), [13, 0]);
  assert.deepEqual(bad(0x4444, SELECTOR.user64, 2, 0x6000, SELECTOR.data0), [13, SELECTOR.data0]);
  assert.deepEqual(bad(0x4444, 0x2008, 2, 0x6000, SELECTOR.data0), [13, 0x2008]);
  setFlags(other, EFLAG.NT);
  assert.deepEqual(bad(0x4444, SELECTOR.code64, 2, 0x6000, SELECTOR.data0), [13, 0]);
});

test('64-bit: page fault while a page fault is delivered is a double fault', () => {
  const bench = enterLong(makeBench());
  putLongGate(bench, 8, SELECTOR.code64, 0x8888n, 0x8e, 1);
  putLongGate(bench, 14, SELECTOR.code64, 0xe000n, 0x8e);
  setWords(bench.cpu, WORD.gpr + 2 * RSP, 0x3000_0000, 0);
  raise(bench.cpu, 14, 0);
  assert.equal(deliver(bench.cpu), true);
  assert.equal(pc(bench), 0x8888n);
  assert.deepEqual(stack64(bench, 0x9000 - 48, 2), [0n, 0x5000n]);
  assert.equal(bench.cpu.view.cr2, 0x3000_0000n - 48n);
});

test('trap codes of generated code; debug exceptions set DR6', () => {
  const bench = enterLong(makeBench());
  putLongGate(bench, 6, SELECTOR.code64, 0x6666n, 0x8e);
  putLongGate(bench, 1, SELECTOR.code64, 0x1111n, 0x8e);
  setWord(bench.cpu, WORD.trapCode, 6 | 0x200);
  assert.equal(deliver(bench.cpu), true);
  assert.equal(pc(bench), 0x6666n);
  raise(bench.cpu, 1);
  setWord(bench.cpu, WORD.faultDr6, 0x4000);
  setWord(bench.cpu, WORD.dr + 14, 0x2400);
  assert.equal(deliver(bench.cpu), true);
  assert.deepEqual([word(bench.cpu, WORD.dr + 12), word(bench.cpu, WORD.dr + 14)], [0xffff_4ff0, 0x400]);
});

test('gate targets: null selector, data segment, absent code', () => {
  const bench = enterProtected(makeBench());
  putGate(bench, 13, SELECTOR.code0, 0xd000, 0x8f);
  putGate(bench, 11, SELECTOR.code0, 0xb000, 0x8f);
  putDescriptor(bench, SELECTOR.absent, 0, 0xf_ffff, 0x1b, 0xc);
  const errorOf = (selector: number): [bigint, number] => {
    putGate(bench, 0x50, selector, 0x100, 0x8e);
    setWords(bench.cpu, WORD.gpr + 2 * RSP, 0x7000, 0);
    assert.equal(deliverInterrupt(bench.cpu, 0x50), true);
    return [pc(bench), bench.ram.getUint32(0x6ff0, true)];
  };
  assert.deepEqual(errorOf(0), [0xd000n, 1]);
  assert.deepEqual(errorOf(SELECTOR.data0), [0xd000n, SELECTOR.data0 | 1]);
  assert.deepEqual(errorOf(SELECTOR.absent), [0xb000n, SELECTOR.absent | 1]);
  assert.equal(bench.ram.getUint32(IDT, true), 0);
  assert.equal(bench.cpu.view.segmentSelector[TR], SELECTOR.tss);
});

test('a breakpoint met by MOV SS traps at the handler of the software interrupt that follows', () => {
  const bench = enterLong(makeBench());
  putLongGate(bench, 0x21, SELECTOR.code64, 0x2100n, 0x8e);
  putLongGate(bench, 1, SELECTOR.code64, 0x1111n, 0x8e);
  assert.equal(intN(bench, 0x21), 1);
  setWord(bench.cpu, WORD.pendingDr6, 2);
  assert.equal(deliver(bench.cpu), true);
  assert.equal(pc(bench), 0x1111n);
  assert.equal(stack64(bench, 0x6fa8, 1)[0], 0x2100n);
  assert.equal(word(bench.cpu, WORD.dr + 12), 0xffff_0ff2);
});
