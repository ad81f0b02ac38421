// SSE3: horizontal arithmetic, duplicating moves, LDDQU. SDM Vol. 1 chapter 12.

import type { Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { rearrangedRows } from './simd-float-rows.ts';
import { everySecond, laneBytes } from './simd-integer.ts';
import { loadVector, readPart, readVector, setVector, vectorAddress, vectorRegister, type V } from './simd-operands.ts';

const horizontal =
  (width: 4 | 8) =>
  (c: Lift, x: V, y: V): readonly [V, V] => [everySecond(c.b, x, y, width, 0), everySecond(c.b, x, y, width, 1)];
const asIs = (_c: Lift, x: V, y: V): readonly [V, V] => [x, y];

/** Even or odd 32-bit lanes twice. */
function duplicateRows(opcode: string, name: string, lanes: readonly number[]): Row[] {
  const lift = (c: Lift): void =>
    setVector(
      c,
      vectorRegister(c, 0),
      readVector(c, 1).map((v) => c.b.shuffle(v, v, laneBytes(lanes, 4))),
    );
  return [insn(`F3 0F ${opcode}`, `${name} Vdq,Wdq`, 'sse3', lift), insn(`VEX F3 0F ${opcode}`, `v${name} Vx,Wx`, 'avx', lift)];
}
const low = (c: Lift, v: V): V => c.b.shuffle(v, v, laneBytes([0, 0], 8));

const lddqu = (c: Lift): void => {
  if (!c.d.row.vex) setVector(c, vectorRegister(c, 0), [loadVector(c.b, vectorAddress(c, 16, false, false))]);
  else setVector(c, vectorRegister(c, 0), readVector(c, 1));
};

export const SSE3_ROWS: readonly Row[] = [
  insn('F2 0F 12', 'movddup Vdq,Wq', 'sse3', (c) => setVector(c, vectorRegister(c, 0), [low(c, readPart(c, 1, 8))])),
  insn('VEX F2 0F 12 L0', 'vmovddup Vdq,Wq', 'avx', (c) => setVector(c, vectorRegister(c, 0), [low(c, readPart(c, 1, 8))])),
  insn('VEX F2 0F 12 L1', 'vmovddup Vx,Wx', 'avx', (c) =>
    setVector(
      c,
      vectorRegister(c, 0),
      readVector(c, 1).map((v) => low(c, v)),
    ),
  ),
  ...duplicateRows('12', 'movsldup', [0, 0, 2, 2]),
  ...duplicateRows('16', 'movshdup', [1, 1, 3, 3]),
  ...rearrangedRows('F2', '7C', 'haddps', 'sse3', 'add', 'ps', horizontal(4)),
  ...rearrangedRows('66', '7C', 'haddpd', 'sse3', 'add', 'pd', horizontal(8)),
  ...rearrangedRows('F2', '7D', 'hsubps', 'sse3', 'sub', 'ps', horizontal(4)),
  ...rearrangedRows('66', '7D', 'hsubpd', 'sse3', 'sub', 'pd', horizontal(8)),
  ...rearrangedRows('F2', 'D0', 'addsubps', 'sse3', 'addsub', 'ps', asIs),
  ...rearrangedRows('66', 'D0', 'addsubpd', 'sse3', 'addsub', 'pd', asIs),
  insn('F2 0F F0 mem', 'lddqu Vdq,Wdq', 'sse3', lddqu),
  insn('VEX F2 0F F0 mem', 'vlddqu Vx,Wx', 'avx', lddqu),
];
