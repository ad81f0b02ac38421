// FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XSAVEC, XRSTOR. SDM Vol. 2. REX.W selects 64-bit instruction and data pointers.

import { helper, type Helper } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import { X64 } from '@anillo/ir/vcpu-header';
import type { Lift } from '../lift.ts';
import { insn, type Row } from '../row.ts';
import { requireX87 } from '../usable.ts';
import { XSAVE_FORM } from '../xsave.ts';

const traps = (name: string, argCount: number): Helper => helper(name, argCount, { traps: true });
const FXSAVE = traps('fxsave', 1);
const FXRSTOR = traps('fxrstor', 1);
const XSAVE = traps('xsave', 2);
const XRSTOR = traps('xrstor', 1);
export const STATE_SAVE_HELPERS: readonly Helper[] = [FXSAVE, FXRSTOR, XSAVE, XRSTOR];

/** `byteCount`: what the segment limit is checked for. */
function save(c: Lift, h: Helper, byteCount: number, write: boolean, ...args: readonly number[]): void {
  if (!requireX87(c)) return;
  c.b.set(X64[0] as Slot<'i64'>, c.sum(c.memory(byteCount, write)));
  c.b.call(h, [...args, c.d.w].map((a) => c.b.i32(a)));
}

export const STATE_SAVE_ROWS: readonly Row[] = [
  insn('NP 0F AE /0 mem', 'fxsave', 'fxsr', (c) => save(c, FXSAVE, 512, true)),
  insn('NP 0F AE /1 mem', 'fxrstor', 'fxsr', (c) => save(c, FXRSTOR, 512, false)),
  insn('NP 0F AE /4 mem', 'xsave', 'xsave', (c) => save(c, XSAVE, 576, true, XSAVE_FORM.XSAVE)),
  insn('NP 0F AE /6 mem', 'xsaveopt', 'xsaveopt', (c) => save(c, XSAVE, 576, true, XSAVE_FORM.XSAVEOPT)),
  insn('NP 0F C7 /4 mem', 'xsavec', 'xsavec', (c) => save(c, XSAVE, 576, true, XSAVE_FORM.XSAVEC)),
  insn('NP 0F AE /5 mem', 'xrstor', 'xsave', (c) => save(c, XRSTOR, 576, false)),
];
