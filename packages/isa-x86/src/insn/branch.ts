// Near control flow: JMP, Jcc, LOOP, JCXZ, CALL, RET, UD. Far transfers are in system.ts. SDM Vol. 2.

import type { Value } from '@anillo/ir/block';
import { PC } from '@anillo/ir/vcpu-header';
import type { Int, Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { RCX, TRAP } from '../state.ts';

/** Distance from the block's start to the branch target, or undefined where a 16-bit operand cuts the target in wider code. */
const relative = (c: Lift): number => c.next + c.imm();
const isCut = (c: Lift): boolean => c.d.operandSize === 16 && c.d.codeSize !== 16;

/** Address `delta` from the block's start, cut to the operand size. */
const addressAt = (c: Lift, delta: number): Value<'i64'> => {
  const { b } = c;
  const target = b.add(b.get(PC), b.i64(delta));
  return c.to64(c.cut(target, c.is64 ? 64 : c.d.operandSize));
};

function jump(c: Lift): void {
  if (isCut(c)) c.terminal = { kind: 'indirect', target: addressAt(c, relative(c)), hint: 'jump' };
  else c.jumpTo(relative(c));
}
function branch(c: Lift, cond: Value<'i32'>): void {
  if (isCut(c)) {
    const target = c.b.select(cond, addressAt(c, relative(c)), c.to64(c.cut(c.b.add(c.b.get(PC), c.b.i64(c.next)), c.d.codeSize)));
    c.terminal = { kind: 'indirect', target, hint: 'jump' };
  } else c.terminal = { kind: 'branch', cond, taken: relative(c), fall: c.next };
}
function call(c: Lift): void {
  const size = c.d.operandSize;
  c.push(c.cut(addressAt(c, c.next), size), size);
  if (isCut(c)) c.terminal = { kind: 'indirect', target: addressAt(c, relative(c)), hint: 'jump' };
  else c.terminal = { kind: 'call', delta: relative(c), returnDelta: c.next };
}
const isNonCanonical = ({ b }: Lift, target: Value<'i64'>): Value<'i32'> => b.ne(b.shrS(b.shl(target, b.i64(16)), b.i64(16)), target);
/** In 64-bit code a branch to an address that is not canonical faults itself, having changed nothing. */
function checkTarget(c: Lift, target: Value<'i64'>): Value<'i64'> {
  if (c.is64) c.b.raiseIf(isNonCanonical(c, target), TRAP.GP0);
  return target;
}
function jumpIndirect(c: Lift): void {
  c.terminal = { kind: 'indirect', target: checkTarget(c, c.to64(c.read(0))), hint: 'jump' };
}
function callIndirect(c: Lift): void {
  const size = c.d.operandSize;
  const { b } = c;
  const target = c.to64(c.read(0));
  // The push may fault before the target does, but is not done for a bad one.
  if (c.is64) {
    b.if(isNonCanonical(c, target), () => {
      c.probeStore(c.stackAddress(-size / 8, size / 8, true), size);
      b.raiseIf(b.i32(1), TRAP.GP0);
    });
  }
  c.push(c.cut(addressAt(c, c.next), size), size);
  c.terminal = { kind: 'callIndirect', target, returnDelta: c.next };
}
function ret(c: Lift, extraBytes: number): void {
  const size = c.d.operandSize;
  const target = checkTarget(c, c.to64(c.top(size)));
  c.moveStack(size / 8 + extraBytes);
  c.terminal = { kind: 'indirect', target, hint: 'ret' };
}

const count = (c: Lift): Int => c.reg(RCX, c.d.addressSize);
/** LOOPNE, LOOPE, LOOP: the counter's size is the address size. */
function loop(c: Lift, cc: number | undefined): void {
  const { b } = c;
  const bits = c.d.addressSize;
  const cond = cc === undefined ? undefined : c.flags.condition(cc);
  const n = c.cut(b.sub(count(c), bits === 64 ? b.i64(1) : b.i32(1)), bits);
  c.setReg(RCX, bits, n);
  const more = b.eqz(b.eqz(n));
  branch(c, cond === undefined ? more : b.and(more, cond));
}

const CC_NAMES = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'];
const hex = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');

export const BRANCH_ROWS: readonly Row[] = [
  ...CC_NAMES.flatMap((cc, i) => [
    insn(`f64 ${hex(0x70 + i)}`, `j${cc} Jb`, undefined, (c) => branch(c, c.flags.condition(i))),
    insn(`f64 0F ${hex(0x80 + i)}`, `j${cc} Jz`, undefined, (c) => branch(c, c.flags.condition(i))),
  ]),
  insn('f64 E0', 'loopne Jb', undefined, (c) => loop(c, 5)),
  insn('f64 E1', 'loope Jb', undefined, (c) => loop(c, 4)),
  insn('f64 E2', 'loop Jb', undefined, (c) => loop(c, undefined)),
  insn('f64 E3', 'jcxz Jb', undefined, (c) => branch(c, c.b.eqz(count(c)))),
  insn('f64 E8', 'call Jz', undefined, call),
  insn('f64 E9', 'jmp Jz', undefined, jump),
  insn('f64 EB', 'jmp Jb', undefined, jump),
  insn('f64 FF /2', 'call Ev', undefined, callIndirect),
  insn('f64 FF /4', 'jmp Ev', undefined, jumpIndirect),
  insn('f64 C2', 'ret Iw', undefined, (c) => ret(c, c.imm() & 0xffff)),
  insn('f64 C3', 'ret', undefined, (c) => ret(c, 0)),
  insn('0F 0B', 'ud2', undefined, (c) => c.trap(TRAP.UD)),
  insn('0F B9', 'ud1 Gv,Ev', undefined, (c) => c.trap(TRAP.UD)),
  insn('0F FF', 'ud0 Gv,Ev', undefined, (c) => c.trap(TRAP.UD)),
];
