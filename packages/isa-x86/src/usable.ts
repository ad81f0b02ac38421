// Checks that stand before every instruction of a kind: is the x87, SSE or AVX state usable in this mode, is an unused VEX.vvvv all ones.
// SDM Vol. 3A table 2-2 (x87, MMX), 13.1 (SSE), Vol. 1 chapter 14 (AVX). Mode bits say the state, so nothing is checked at run time.

import type { Lift } from './lift.ts';
import { MODE } from './mode.ts';
import { NEEDS } from './row.ts';
import { TRAP } from './state.ts';

/** x87 instructions: #NM when CR0.EM or CR0.TS is set. */
export function requireX87(c: Lift): boolean {
  if (c.mode & MODE.X87) return true;
  c.trap(TRAP.NM);
  return false;
}

/** MMX: #UD when CR0.EM, #NM when CR0.TS. */
export function requireMmx(c: Lift): boolean {
  if (c.mode & MODE.X87) return true;
  c.trap(c.mode & MODE.EM ? TRAP.UD : TRAP.NM);
  return false;
}

/** SSE: #UD when CR0.EM or not CR4.OSFXSR, #NM when CR0.TS. */
export function requireSse(c: Lift): boolean {
  if ((c.mode & MODE.SSE) === 0) {
    c.trap(TRAP.UD);
    return false;
  }
  return requireX87(c);
}

/** VEX-encoded vectors: #UD unless the OS has enabled AVX state, #NM when CR0.TS. */
export function requireAvx(c: Lift): boolean {
  if ((c.mode & MODE.AVX) === 0) {
    c.trap(TRAP.UD);
    return false;
  }
  return (c.mode & MODE.EM) !== 0 || requireX87(c);
}

/** What the operands of the instruction need. False: a trap ends the block. */
export function checkUsable(c: Lift): boolean {
  const { row } = c.d;
  const { needs } = row;
  if (row.vex && (needs & NEEDS.V) === 0 && c.d.vexVField !== 0) {
    c.trap(TRAP.UD);
    return false;
  }
  const mmx = (needs & NEEDS.MMX) !== 0;
  if ((needs & NEEDS.VECTOR) !== 0) return row.vex ? requireAvx(c) : requireSse(c) && (!mmx || requireMmx(c));
  return !mmx || requireMmx(c);
}
