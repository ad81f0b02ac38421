// Segment registers: moves, pushes and pops, far pointers, and the bases of FS and GS. SDM Vol. 2.

import type { Value } from '@anillo/ir/block';
import type { Helper } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import type { Lift } from '../lift.ts';
import { CR4 } from '../mode.ts';
import { insn, type Row } from '../row.ts';
import { SEGMENT_LOADS_32, SEGMENT_LOADS_64 } from '../segment-load-routines.ts';
import { CS, DS, ES, FS, GS, SEGMENT_BASE, SS, STACK_SHADOW, TRAP, X86State } from '../state.ts';
import { StateBuilder } from '../state-builder.ts';
import { callEither, callHelper, isFlat32, isLevel3, leave, requireLevel0, stateSlot, traps } from './system-lift.ts';

const SELECTOR_OFFSET = X86State.offset.segmentSelector;
const KERNEL_GS_BASE = stateSlot('kernelGsBase');

const LOAD_SEGMENT = traps('loadSegment', 2);
export const SEGMENT_REGISTER_CALLEES: readonly Helper[] = [LOAD_SEGMENT];

const selectorOf = (c: Lift, segment: number): Value<'i32'> => c.b.op('state.load32', [c.b.i32(0)], SELECTOR_OFFSET + 4 * segment);

function loadSegment(c: Lift, segment: number, selector: Value<'i32'>): void {
  const loads = isLevel3(c) ? undefined : c.is64 ? SEGMENT_LOADS_64 : isFlat32(c) ? SEGMENT_LOADS_32 : undefined;
  const r = loads?.get(segment);
  if (r === undefined) callHelper(c, LOAD_SEGMENT, segment, selector);
  else callEither(c, r, [selector], LOAD_SEGMENT, segment, selector);
}
/** After MOV or POP to a segment register. */
function segmentLoaded(c: Lift, segment: number): void {
  if (segment === SS) c.b.set(STACK_SHADOW, c.b.i64(1));
  if (c.is64 || segment >= FS) {
    if (segment === SS) c.shadow = true;
  } else if (segment === SS) c.holdInterrupts();
  else leave(c);
}

function movFromSegment(c: Lift): void {
  if (c.d.reg > GS) return c.trap(TRAP.UD);
  const value = selectorOf(c, c.d.reg);
  if (c.isMemory) c.store(c.memory(2, true), 16, value);
  else c.setReg(c.d.rm, c.d.operandSize, c.d.operandSize === 64 ? c.to64(value) : value);
}
function movToSegment(c: Lift): void {
  if (c.d.reg > GS || c.d.reg === CS) return c.trap(TRAP.UD);
  const value = c.isMemory ? c.load(c.memory(2), 16) : c.reg(c.d.rm, 16);
  loadSegment(c, c.d.reg, c.to32(value));
  segmentLoaded(c, c.d.reg);
}
function pushSegment(c: Lift, segment: number): void {
  const value = selectorOf(c, segment);
  c.push(c.d.operandSize === 64 ? c.to64(value) : value, c.d.operandSize);
}
function popSegment(c: Lift, segment: number): void {
  const value = c.cut(c.top(c.d.operandSize), 16);
  loadSegment(c, segment, c.to32(value));
  c.moveStack(c.d.operandSize / 8);
  segmentLoaded(c, segment);
}
/** LDS, LES, LSS, LFS, LGS. */
function loadFarPointer(c: Lift, segment: number): void {
  const bits = c.d.operandSize;
  const a = c.memory(bits / 8 + 2);
  const value = c.load(a, bits);
  const selector = c.to32(c.load(c.offset(a, bits / 8), 16));
  const kept = c.b.temp(bits === 64 ? 'i64' : 'i32', value) as Slot<'i32' | 'i64'>;
  loadSegment(c, segment, selector);
  c.setReg(c.d.reg, bits, c.b.get(kept));
  if (!c.is64 && segment < FS) leave(c);
}

// ---- bases of FS and GS

function requireFsGsBase(c: Lift): void {
  const s = new StateBuilder(c.b);
  c.b.raiseIf(s.matches(s.word(X86State.offset.cr4), CR4.FSGSBASE, 0), TRAP.UD);
}
const segmentBase = (segment: number): Slot<'i64'> => SEGMENT_BASE[segment] as Slot<'i64'>;
function readBase(c: Lift, segment: number): void {
  requireFsGsBase(c);
  const bits = c.d.operandSize === 64 ? 64 : 32;
  c.setReg(c.d.rm, bits, c.cut(c.b.get(segmentBase(segment)), bits));
}
function writeBase(c: Lift, segment: number): void {
  requireFsGsBase(c);
  const { b } = c;
  const base = c.to64(c.reg(c.d.rm, c.d.operandSize === 64 ? 64 : 32));
  b.raiseIf(b.eqz(new StateBuilder(b).isCanonical(base)), TRAP.GP0);
  b.set(segmentBase(segment), base);
}
function swapgs(c: Lift): void {
  if (!requireLevel0(c)) return;
  const { b } = c;
  const base = b.get(segmentBase(GS));
  b.set(segmentBase(GS), b.get(KERNEL_GS_BASE));
  b.set(KERNEL_GS_BASE, base);
}

export const SEGMENT_REGISTER_ROWS: readonly Row[] = [
  insn('8C /r', 'mov', undefined, movFromSegment),
  insn('8E /r', 'mov', undefined, movToSegment),
  insn('!64 06', 'push', undefined, (c) => pushSegment(c, ES)),
  insn('!64 0E', 'push', undefined, (c) => pushSegment(c, CS)),
  insn('!64 16', 'push', undefined, (c) => pushSegment(c, SS)),
  insn('!64 1E', 'push', undefined, (c) => pushSegment(c, DS)),
  insn('d64 0F A0', 'push', undefined, (c) => pushSegment(c, FS)),
  insn('d64 0F A8', 'push', undefined, (c) => pushSegment(c, GS)),
  insn('!64 07', 'pop', undefined, (c) => popSegment(c, ES)),
  insn('!64 17', 'pop', undefined, (c) => popSegment(c, SS)),
  insn('!64 1F', 'pop', undefined, (c) => popSegment(c, DS)),
  insn('d64 0F A1', 'pop', undefined, (c) => popSegment(c, FS)),
  insn('d64 0F A9', 'pop', undefined, (c) => popSegment(c, GS)),
  insn('!64 C4 mem', 'les', undefined, (c) => loadFarPointer(c, ES)),
  insn('!64 C5 mem', 'lds', undefined, (c) => loadFarPointer(c, DS)),
  insn('0F B2 mem', 'lss', undefined, (c) => loadFarPointer(c, SS)),
  insn('0F B4 mem', 'lfs', undefined, (c) => loadFarPointer(c, FS)),
  insn('0F B5 mem', 'lgs', undefined, (c) => loadFarPointer(c, GS)),

  insn('64 0F 01 =F8', 'swapgs', undefined, swapgs),
  insn('64 F3 0F AE /0 reg', 'rdfsbase', 'fsgsbase', (c) => readBase(c, FS)),
  insn('64 F3 0F AE /1 reg', 'rdgsbase', 'fsgsbase', (c) => readBase(c, GS)),
  insn('64 F3 0F AE /2 reg', 'wrfsbase', 'fsgsbase', (c) => writeBase(c, FS)),
  insn('64 F3 0F AE /3 reg', 'wrgsbase', 'fsgsbase', (c) => writeBase(c, GS)),
];
