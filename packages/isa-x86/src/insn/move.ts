// Data movement: MOV, MOVZX/SX, LEA, XCHG, CMOV, SETcc, stack, BSWAP, MOVBE, conversions, flags in AH. SDM Vol. 2.

import { helper } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import type { IntBits } from '../flags.ts';
import type { Int, Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { EFLAG, FLAGS, GPR, RAX, RBP, RDX, RSP } from '../state.ts';

export const PAUSE = helper('pause', 0, { reads: 'none', writes: 'none' });

const mov = (c: Lift): void => c.write(0, c.read(1));

function lea(c: Lift): void {
  const bits = c.bits(0);
  c.write(0, c.cut(c.sum(c.effectiveAddress()), bits));
}

function extend(c: Lift, signed: boolean): void {
  const from = c.bits(1);
  const to = c.bits(0);
  const v = c.read(1);
  c.write(0, signed ? (from < to ? c.signExtend(v, from, to) : v) : v);
}

function xchg(c: Lift): void {
  const bits = c.bits(0);
  const y = c.read(1);
  if (c.isMemory && c.operand(0).kind === 'E') {
    c.write(1, c.atomic(c.memory(bits / 8, true), bits, 'xchg', y));
    return;
  }
  const x = c.read(0);
  c.write(0, y);
  c.write(1, x);
}

function cmov(c: Lift, cc: number): void {
  const bits = c.bits(0);
  const source = c.read(1);
  c.write(0, c.b.select(c.flags.condition(cc), source, c.reg(c.d.reg, bits)));
}

function bswap(c: Lift): void {
  // With a 16-bit operand the result is undefined; hardware gives 0.
  const bits = c.bits(0);
  if (bits === 64) c.write(0, c.b.op('i64.bswap', [c.to64(c.read(0))]));
  else if (bits === 32) c.write(0, c.b.op('i32.bswap', [c.to32(c.read(0))]));
  else c.write(0, c.b.i32(0));
}

function reverse(c: Lift, v: Int, bits: IntBits): Int {
  if (bits === 64) return c.b.op('i64.bswap', [c.to64(v)]);
  const swapped = c.b.op('i32.bswap', [c.to32(v)]);
  return bits === 32 ? swapped : c.b.shrU(swapped, c.b.i32(16));
}
const movbe = (c: Lift): void => c.write(0, reverse(c, c.read(1), c.bits(0)));

function pop(c: Lift): void {
  const bits = c.bits(0);
  const v = c.top(bits);
  if (c.isMemory && c.operand(0).kind === 'E') {
    // The address of POP [RSP+x] uses the moved stack pointer.
    const sp = c.b.get(GPR[RSP] as Slot<'i64'>);
    if (c.d.base === RSP) {
      const a = c.effectiveAddress();
      const moved = c.cut(c.b.add(c.sum(a), c.b.i64(bits / 8)), c.d.addressSize);
      c.store(c.linear(c.segment, { base: c.to64(moved), disp: 0 }, bits / 8, true), bits, v);
    } else c.write(0, v);
    const width = c.stackBits;
    c.setReg(RSP, width, c.cut(c.b.add(sp, c.b.i64(bits / 8)), width));
    return;
  }
  c.moveStack(bits / 8);
  c.write(0, v);
}

function pushAll(c: Lift): void {
  const bits = c.d.operandSize;
  const size = bits / 8;
  // Pushes done before one faults stay in memory.
  for (let n = 0; n < 8; n++) c.store(c.stackAddress(-size * (n + 1), size, true), bits, c.reg(n, bits));
  c.moveStack(-8 * size);
}
function popAll(c: Lift): void {
  const bits = c.d.operandSize;
  const size = bits / 8;
  // Registers popped before one faults keep what they got, as AMD's do; the stack pointer moves last.
  for (let i = 0; i < 8; i++) if (i !== 3) c.setReg(7 - i, bits, c.top(bits, i * size));
  c.moveStack(8 * size);
}

function enter(c: Lift): void {
  const { b } = c;
  const bits = c.d.operandSize;
  const size = bits / 8;
  const frameBytes = c.imm(0) & 0xffff;
  const level = c.imm(1) & 31;
  const width = c.stackBits;
  const sp = c.cut(b.get(GPR[RSP] as Slot<'i64'>), width);
  const frame = c.cut(b.sub(c.to64(sp), b.i64(size)), width);
  // Pushes done before one faults stay in memory; the registers are as they were.
  c.store(c.stackAddress(-size, size, true), bits, c.reg(RBP, bits));
  for (let i = 1; i < level; i++) {
    const from = c.cut(b.sub(c.to64(c.reg(RBP, width)), b.i64(i * size)), width);
    const link = c.load(c.linear(2, { base: c.to64(from), disp: 0 }, size, false), bits);
    c.store(c.stackAddress(-size * (i + 1), size, true), bits, link);
  }
  if (level > 0) c.store(c.stackAddress(-size * (level + 1), size, true), bits, c.cut(frame, bits));
  const end = -size * (level > 0 ? level + 1 : 1) - frameBytes;
  c.probeStore(c.stackAddress(end, size, true), bits);
  c.setReg(RBP, bits, c.cut(frame, bits));
  c.moveStack(end);
}
function leave(c: Lift): void {
  const bits = c.d.operandSize;
  const width = c.stackBits;
  const frame = c.reg(RBP, width);
  const v = c.load(c.linear(2, { base: c.to64(frame), disp: 0 }, bits / 8, false), bits);
  c.setReg(RSP, width, c.cut(c.b.add(c.to64(frame), c.b.i64(bits / 8)), width));
  c.setReg(RBP, bits, v);
}

/** CBW, CWDE, CDQE. */
function widenA(c: Lift): void {
  const to = c.d.operandSize;
  const from = (to / 2) as IntBits;
  c.setReg(RAX, to, c.signExtend(c.reg(RAX, from), from, to));
}
/** CWD, CDQ, CQO. */
function signIntoD(c: Lift): void {
  const bits = c.d.operandSize;
  const { b } = c;
  const v = c.reg(RAX, bits);
  if (bits === 64) c.setReg(RDX, 64, b.shrS(c.to64(v), b.i64(63)));
  else c.setReg(RDX, bits, b.shrS(c.to32(c.signedValue(v, bits)), b.i32(31)));
}

function lahf(c: Lift): void {
  const { b } = c;
  c.b.set(GPR[RAX] as Slot<'i64'>, b.op('i64.insert8h', [b.get(GPR[RAX] as Slot<'i64'>), b.extendU(b.or(c.flags.bits(), b.i32(2)))]));
}
function sahf(c: Lift): void {
  const { b } = c;
  const mask = EFLAG.CF | EFLAG.PF | EFLAG.AF | EFLAG.ZF | EFLAG.SF;
  const ah = b.shrU(c.to32(c.reg(RAX, 32)), b.i32(8));
  c.changeFlags(mask, b.and(ah, b.i32(mask)));
}
const directionFlag = (c: Lift, on: boolean): void =>
  c.b.set(FLAGS, on ? c.b.or(c.b.get(FLAGS), c.b.i64(EFLAG.DF)) : c.b.and(c.b.get(FLAGS), c.b.i64(~EFLAG.DF)));

function xlat(c: Lift): void {
  const { b, d } = c;
  const width = d.addressSize;
  const sum = b.add(c.to64(c.reg(3, width)), c.to64(c.reg(RAX, 8)));
  const a = c.linear(d.segment >= 0 ? d.segment : 3, { base: c.to64(c.cut(sum, width)), disp: 0 }, 1, false);
  c.setReg(RAX, 8, c.load(a, 8));
}

const CC_NAMES = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'];
const hex = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');
const nop = (): void => {};
const push = (c: Lift): void => c.push(c.read(0), c.bits(0));
const pushImmediate = (c: Lift): void => c.push(c.immValue(0, c.d.operandSize), c.d.operandSize);

export const MOVE_ROWS: readonly Row[] = [
  insn('88', 'mov Eb,Gb', undefined, mov),
  insn('89', 'mov Ev,Gv', undefined, mov),
  insn('8A', 'mov Gb,Eb', undefined, mov),
  insn('8B', 'mov Gv,Ev', undefined, mov),
  insn('A0', 'mov AL,Ob', undefined, mov),
  insn('A1', 'mov rAX,Ov', undefined, mov),
  insn('A2', 'mov Ob,AL', undefined, mov),
  insn('A3', 'mov Ov,rAX', undefined, mov),
  insn('B0+r', 'mov Zb,Ib', undefined, mov),
  insn('B8+r', 'mov Zv,Iv', undefined, mov),
  insn('C6 /0', 'mov Eb,Ib', undefined, mov),
  insn('C7 /0', 'mov Ev,Iz', undefined, mov),
  insn('NP 0F C3', 'movnti My,Gy', 'sse2', mov),
  insn('NFx 0F38 F0', 'movbe Gv,Mv', 'movbe', movbe),
  insn('NFx 0F38 F1', 'movbe Mv,Gv', 'movbe', movbe),
  insn('8D', 'lea Gv,M', undefined, lea),
  insn('0F B6', 'movzx Gv,Eb', undefined, (c) => extend(c, false)),
  insn('0F B7', 'movzx Gv,Ew', undefined, (c) => extend(c, false)),
  insn('0F BE', 'movsx Gv,Eb', undefined, (c) => extend(c, true)),
  insn('0F BF', 'movsx Gv,Ew', undefined, (c) => extend(c, true)),
  insn('64 63', 'movsxd Gv,Ed', undefined, (c) => extend(c, true)),
  insn('lock 86', 'xchg Eb,Gb', undefined, xchg),
  insn('lock 87', 'xchg Ev,Gv', undefined, xchg),
  insn('90+r', 'xchg Zv,rAX', undefined, xchg),
  insn('F3 90', 'pause', undefined, (c) => (c.d.rex & 1 ? xchgR8(c) : void c.b.call(PAUSE, []))),
  ...['NFx 90', 'F2 90'].map((encoding) => insn(encoding, 'nop', undefined, (c) => (c.d.rex & 1 ? xchgR8(c) : undefined))),
  ...CC_NAMES.flatMap((cc, i) => [
    insn(`0F ${hex(0x40 + i)}`, `cmov${cc} Gv,Ev`, 'cmov', (c) => cmov(c, i)),
    insn(`0F ${hex(0x90 + i)}`, `set${cc} Eb`, undefined, (c) => c.write(0, c.flags.condition(i))),
  ]),
  insn('0F C8+r', 'bswap Zv', undefined, bswap),
  insn('d64 50+r', 'push Zv', undefined, push),
  insn('d64 58+r', 'pop Zv', undefined, pop),
  insn('d64 68', 'push Iz', undefined, pushImmediate),
  insn('d64 6A', 'push Ib', undefined, pushImmediate),
  insn('d64 FF /6', 'push Ev', undefined, push),
  insn('d64 8F /0', 'pop Ev', undefined, pop),
  insn('!64 60', 'pusha', undefined, pushAll),
  insn('!64 61', 'popa', undefined, popAll),
  insn('d64 C8', 'enter Iw,Ib', undefined, enter),
  insn('d64 C9', 'leave', undefined, leave),
  insn('98', 'cbw', undefined, widenA),
  insn('99', 'cwd', undefined, signIntoD),
  insn('9E', 'sahf', undefined, sahf),
  insn('9F', 'lahf', undefined, lahf),
  insn('F5', 'cmc', undefined, (c) => c.flags.setCarry(c.b.eqz(c.flags.carry()))),
  insn('F8', 'clc', undefined, (c) => c.flags.setCarry(c.b.i32(0))),
  insn('F9', 'stc', undefined, (c) => c.flags.setCarry(c.b.i32(1))),
  insn('FC', 'cld', undefined, (c) => directionFlag(c, false)),
  insn('FD', 'std', undefined, (c) => directionFlag(c, true)),
  insn('D7', 'xlat', undefined, xlat),
  insn('!64 D6', 'salc', undefined, (c) => c.setReg(RAX, 8, c.b.sub(c.b.i32(0), c.flags.carry()))),
  insn('0F 1F', 'nop Ev', undefined, nop),
  ...[0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e].map((op) => insn(`0F ${hex(op)}`, 'nop Ev', undefined, nop)),
  insn('0F 18', 'prefetch Ev', undefined, nop),
  insn('0F 0D', 'prefetchw Ev', undefined, nop),
  insn('NP 0F AE /5 reg', 'lfence', 'sse2', nop),
  insn('NP 0F AE /6 reg', 'mfence', 'sse2', (c) => c.b.op('fence', [])),
  insn('NP 0F AE /7 reg', 'sfence', 'sse', nop),
  insn('NP 0F AE /7 mem', 'clflush Mb', 'clflush', (c) => void c.read(0)),
  insn('66 0F AE /7 mem', 'clflushopt Mb', 'clflushopt', (c) => void c.read(0)),
  insn('66 0F AE /6 mem', 'clwb Mb', 'clwb', (c) => void c.read(0)),
];

/** REX.B 90 is XCHG R8, RAX. */
function xchgR8(c: Lift): void {
  const bits = c.d.operandSize;
  const x = c.reg(8, bits);
  const y = c.reg(RAX, bits);
  c.setReg(8, bits, y);
  c.setReg(RAX, bits, x);
}
