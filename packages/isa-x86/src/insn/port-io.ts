// IN, OUT and their string forms. SDM Vol. 2.

import type { Value } from '@anillo/ir/block';
import type { Helper } from '@anillo/ir/callee';
import type { Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { DS, RAX, RDX } from '../state.ts';
import { callHelper, traps, X0 } from './system-lift.ts';

const H = {
  portIn: traps('portIn', 2),
  portOut: traps('portOut', 3),
  portString: traps('portString', 7),
} as const;

export const PORT_CALLEES: readonly Helper[] = Object.values(H);

const ioBits = (c: Lift, isByte: boolean): 8 | 16 | 32 => (isByte ? 8 : c.d.operandSize === 16 ? 16 : 32);
function portIn(c: Lift, port: number | Value<'i32'>, isByte: boolean): void {
  const bits = ioBits(c, isByte);
  callHelper(c, H.portIn, port, bits / 8);
  c.setReg(RAX, bits, c.cut(c.b.get(X0), bits));
  c.endBlock(true);
}
function portOut(c: Lift, port: number | Value<'i32'>, isByte: boolean): void {
  const bits = ioBits(c, isByte);
  callHelper(c, H.portOut, port, bits / 8, c.to32(c.reg(RAX, bits)));
  c.endBlock(true);
}
const immediatePort = (c: Lift): number => c.imm() & 0xff;
const dxPort = (c: Lift): Value<'i32'> => c.to32(c.reg(RDX, 16));
function portString(c: Lift, out: boolean, isByte: boolean): void {
  const segment = c.d.segment >= 0 ? c.d.segment : DS;
  callHelper(c, H.portString, out ? 1 : 0, ioBits(c, isByte) / 8, c.d.addressSize, segment, c.d.rep !== 0 ? 1 : 0, c.at, c.next);
  c.dispatch();
}

export const PORT_ROWS: readonly Row[] = [
  insn('E4', 'in AL,Ib', undefined, (c) => portIn(c, immediatePort(c), true)),
  insn('E5', 'in eAX,Ib', undefined, (c) => portIn(c, immediatePort(c), false)),
  insn('EC', 'in', undefined, (c) => portIn(c, dxPort(c), true)),
  insn('ED', 'in', undefined, (c) => portIn(c, dxPort(c), false)),
  insn('E6', 'out Ib,AL', undefined, (c) => portOut(c, immediatePort(c), true)),
  insn('E7', 'out Ib,eAX', undefined, (c) => portOut(c, immediatePort(c), false)),
  insn('EE', 'out', undefined, (c) => portOut(c, dxPort(c), true)),
  insn('EF', 'out', undefined, (c) => portOut(c, dxPort(c), false)),
  insn('6C', 'insb', undefined, (c) => portString(c, false, true)),
  insn('6D', 'ins', undefined, (c) => portString(c, false, false)),
  insn('6E', 'outsb', undefined, (c) => portString(c, true, true)),
  insn('6F', 'outs', undefined, (c) => portString(c, true, false)),
];
