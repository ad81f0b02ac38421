// Control flow that may change code segment or privilege: far jumps, calls and returns, software interrupts, IRET and system calls. SDM Vol. 2.

import type { Value } from '@anillo/ir/block';
import type { Helper } from '@anillo/ir/callee';
import { PC } from '@anillo/ir/vcpu-header';
import { IRET32, IRET64 } from '../interrupt-return-routines.ts';
import type { Lift } from '../lift.ts';
import { EFER } from '../mode.ts';
import { insn, type Row } from '../row.ts';
import { FLAGS, TRAP, X86State } from '../state.ts';
import { StateBuilder } from '../state-builder.ts';
import { modeAtLevel0, modeAtLevel3, SYSCALL64, SYSENTER32, SYSEXIT32, SYSRET64 } from '../system-call-routines.ts';
import { callEither, callHelper, isFlat32, isLevel3, isStepping, transferred, traps, X0, X1 } from './system-lift.ts';

const H = {
  farJump: traps('farJump', 2),
  farCall: traps('farCall', 2),
  farReturn: traps('farReturn', 2),
  iret: traps('iret', 2),
  intN: traps('intN', 3),
  breakpointTrap: traps('breakpointTrap', 2),
  int1: traps('int1', 1),
  syscall: traps('syscall', 1),
  sysret: traps('sysret', 1),
  sysenter: traps('sysenter', 0),
  sysexit: traps('sysexit', 1),
} as const;

export const FAR_TRANSFER_CALLEES: readonly Helper[] = Object.values(H);

function farPointerOperand(c: Lift): void {
  const { b } = c;
  b.set(X0, b.i64Words(c.imm(0), 0));
  b.set(X1, b.i64(c.imm(1) & 0xffff));
}
function farMemoryOperand(c: Lift): void {
  const bits = c.d.operandSize;
  const a = c.memory(bits / 8 + 2);
  c.b.set(X0, c.to64(c.load(a, bits)));
  c.b.set(X1, c.to64(c.load(c.offset(a, bits / 8), 16)));
}
function farJump(c: Lift): void {
  callHelper(c, H.farJump, c.d.operandSize, c.next);
  transferred(c);
}
function farCall(c: Lift): void {
  callHelper(c, H.farCall, c.d.operandSize, c.next);
  transferred(c);
}
function farReturn(c: Lift, popBytes: number): void {
  callHelper(c, H.farReturn, c.d.operandSize, popBytes);
  transferred(c);
}
function into(c: Lift): void {
  c.b.if(c.flags.condition(0), () => callHelper(c, H.breakpointTrap, 4, c.d.byteCount));
}

function iret(c: Lift): void {
  const bits = c.is64 ? 64 : 32;
  if (isStepping(c) || isLevel3(c) || c.d.operandSize !== bits || !(c.is64 || isFlat32(c))) callHelper(c, H.iret, c.d.operandSize, c.next);
  else callEither(c, c.is64 ? IRET64 : IRET32, [c.b.i32(modeAtLevel0(c.mode))], H.iret, bits, c.next);
  transferred(c);
}

// ---- system calls

/** All of EFLAGS. */
const eflags = (c: Lift): Value<'i32'> => c.b.or(c.b.or(c.b.wrap(c.b.get(FLAGS)), c.flags.bits()), c.b.i32(2));

function syscall(c: Lift): void {
  const { b } = c;
  if (!c.is64 || isStepping(c)) callHelper(c, H.syscall, c.next);
  else {
    const s = new StateBuilder(b);
    b.raiseIf(s.matches(s.word(X86State.offset.efer), EFER.SCE, 0), TRAP.UD);
    b.call(SYSCALL64, [b.add(b.get(PC), b.i64(c.next)), eflags(c), b.i32(modeAtLevel0(c.mode))]);
  }
  transferred(c);
}
function sysret(c: Lift): void {
  const bits = c.d.operandSize === 64 ? 64 : 32;
  if (!c.is64 || bits !== 64 || isStepping(c) || isLevel3(c)) callHelper(c, H.sysret, bits);
  else callEither(c, SYSRET64, [c.b.i32(modeAtLevel3(c.mode))], H.sysret, bits);
  transferred(c);
}
function sysenter(c: Lift): void {
  if (!isFlat32(c)) callHelper(c, H.sysenter);
  else callEither(c, SYSENTER32, [eflags(c), c.b.i32(modeAtLevel0(c.mode))], H.sysenter);
  transferred(c);
}
function sysexit(c: Lift): void {
  const bits = c.d.operandSize === 64 ? 64 : 32;
  if (!isFlat32(c) || isLevel3(c)) callHelper(c, H.sysexit, bits);
  else callEither(c, SYSEXIT32, [c.b.i32(modeAtLevel3(c.mode))], H.sysexit, bits);
  transferred(c);
}

export const FAR_TRANSFER_ROWS: readonly Row[] = [
  insn('!64 EA', 'jmp Ap', undefined, (c) => (farPointerOperand(c), farJump(c))),
  insn('!64 9A', 'call Ap', undefined, (c) => (farPointerOperand(c), farCall(c))),
  insn('FF /5 mem', 'jmp', undefined, (c) => (farMemoryOperand(c), farJump(c))),
  insn('FF /3 mem', 'call', undefined, (c) => (farMemoryOperand(c), farCall(c))),
  insn('CA', 'retf Iw', undefined, (c) => farReturn(c, c.imm() & 0xffff)),
  insn('CB', 'retf', undefined, (c) => farReturn(c, 0)),
  insn('CF', 'iret', undefined, iret),
  insn('CD', 'int Ib', undefined, (c) => (callHelper(c, H.intN, c.imm() & 0xff, c.d.byteCount, c.next), transferred(c))),
  insn('CC', 'int3', undefined, (c) => (callHelper(c, H.breakpointTrap, 3, c.d.byteCount), transferred(c))),
  insn('!64 CE', 'into', undefined, into),
  insn('F1', 'int1', undefined, (c) => (callHelper(c, H.int1, c.d.byteCount), transferred(c))),
  insn('0F 05', 'syscall', 'syscall', syscall),
  insn('0F 07', 'sysret', 'syscall', sysret),
  insn('0F 34', 'sysenter', 'sep', sysenter),
  insn('0F 35', 'sysexit', 'sep', sysexit),
];
