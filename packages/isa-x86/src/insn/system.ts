// System instructions: segment registers, far transfers, control and debug registers, descriptor tables, I/O, flags, MSRs. SDM Vol. 2.
// Most hand their operands to a helper (x0, x1) and end the block, since what follows may be translated in another mode.

import type { Value } from '@anillo/ir/block';
import { helper, type Helper, type Routine } from '@anillo/ir/callee';
import { EXIT } from '@anillo/ir/frontend';
import { slot, type Slot } from '@anillo/ir/slot';
import { PC, X64 } from '@anillo/ir/vcpu-header';
import type { IntBits } from '../flags.ts';
import type { Int, Lift } from '../lift.ts';
import { CHANGE_AC } from '../change-ac.ts';
import { IRET32, IRET64 } from '../interrupt-return-routines.ts';
import { CR4, EFER, MODE } from '../mode.ts';
import { insn, type Row } from '../row.ts';
import { CS, DS, EFLAG, ES, FLAGS, FS, GS, LDTR, RAX, RDX, SEGMENT_BASE, SS, STACK_SHADOW, TR, TRAP, X86State } from '../state.ts';
import { SEGMENT_LOADS_32, SEGMENT_LOADS_64 } from '../segment-load-routines.ts';
import { StateBuilder } from '../state-builder.ts';
import { modeAtLevel0, modeAtLevel3, SYSCALL64, SYSENTER32, SYSEXIT32, SYSRET64 } from '../system-call-routines.ts';

const X0 = X64[0] as Slot<'i64'>;
const X1 = X64[1] as Slot<'i64'>;
const field = (name: 'cr0' | 'cr2' | 'cr3' | 'cr4' | 'tscAux' | 'kernelGsBase'): Slot<'i64'> => slot(name, 'i64', X86State.offset[name], true);
const CR0_SLOT = field('cr0');
/** Control registers that are read as they are. */
const CONTROL_SLOTS: readonly (Slot<'i64'> | undefined)[] = [CR0_SLOT, undefined, field('cr2'), field('cr3'), field('cr4')];
const KERNEL_GS_BASE = field('kernelGsBase');
const SELECTOR_OFFSET = X86State.offset.segmentSelector;

const traps = (name: string, argCount: number): Helper => helper(name, argCount, { traps: true });
const H = {
  farJump: traps('farJump', 2), farCall: traps('farCall', 2), farReturn: traps('farReturn', 2), iret: traps('iret', 2),
  intN: traps('intN', 3), breakpointTrap: traps('breakpointTrap', 2), int1: traps('int1', 1),
  syscall: traps('syscall', 1), sysret: traps('sysret', 1), sysenter: traps('sysenter', 0), sysexit: traps('sysexit', 1),
  readControl: traps('readControl', 1), writeControl: traps('writeControl', 1), readDebug: traps('readDebug', 1), writeDebug: traps('writeDebug', 1),
  clts: traps('clts', 0), lmsw: traps('lmsw', 0), xsetbv: traps('xsetbv', 0), xgetbv: traps('xgetbv', 0), invlpg: traps('invlpg', 0), invpcid: traps('invpcid', 0),
  hlt: traps('hlt', 0), portIn: traps('portIn', 2), portOut: traps('portOut', 3), portString: traps('portString', 7),
  changeInterruptFlag: traps('changeInterruptFlag', 1), pushfImage: traps('pushfImage', 1), popf: traps('popf', 1),
  rdtsc: traps('rdtsc', 0), rdtscp: traps('rdtscp', 0), rdpmc: traps('rdpmc', 0), umip: traps('umip', 0), loadGdt: traps('loadGdt', 0), loadIdt: traps('loadIdt', 0),
  storeTable: traps('storeTable', 1), lldt: traps('lldt', 1), ltr: traps('ltr', 1), storeSelector: traps('storeSelector', 1), loadSegment: traps('loadSegment', 2),
  lar: traps('lar', 0), lsl: traps('lsl', 0), verify: traps('verify', 1),
  random: helper('random', 0), hypercall: helper('hypercall', 0), rdpkru: traps('rdpkru', 0), wrpkru: traps('wrpkru', 0), cpuid: helper('cpuid', 0), rdmsr: traps('rdmsr', 0), wrmsr: traps('wrmsr', 0),
} as const;

export const SYSTEM_HELPERS: readonly Helper[] = Object.values(H);

const call = (c: Lift, h: Helper, ...args: (number | Value<'i32'>)[]): void => {
  c.b.call(h, args.map((a) => (typeof a === 'number' ? c.b.i32(a) : a)));
};
const isProtected = (c: Lift): boolean => (c.mode & MODE.PROTECTED) !== 0;
/** Size of a register operand that is 64 bits in 64-bit code and else 32. */
const wide = (c: Lift): IntBits => (c.is64 ? 64 : 32);

/** Ends in `trapCode` outside level 0. The mode tells level 3 and virtual-8086 mode, where this answers false; levels 1 and 2 are told at run time. */
function requireLevel0(c: Lift, trapCode: number = TRAP.GP0): boolean {
  if ((c.mode & (MODE.CPL3 | MODE.V86)) !== 0) {
    c.trap(trapCode);
    return false;
  }
  if (isProtected(c)) c.b.raiseIf(c.b.eqz(new StateBuilder(c.b).isLevel0()), trapCode);
  return true;
}

/** Calls a routine that does the frequent case, and where it has not, the helper that does all. */
function callEither(c: Lift, r: Routine, routineArgs: readonly Value[], h: Helper, ...helperArgs: (number | Value<'i32'>)[]): void {
  c.b.if(c.b.eqz(c.b.call(r, routineArgs) as Value<'i32'>), () => call(c, h, ...helperArgs));
}
/** Is this 32-bit code outside long mode, with flat segments and stack? */
const isFlat32 = (c: Lift): boolean => {
  const flat32 = 1 | MODE.STACK32 | MODE.FLAT | MODE.PROTECTED;
  return (c.mode & (MODE.CODE_SIZE | MODE.STACK32 | MODE.FLAT | MODE.PROTECTED | MODE.LONG)) === flat32;
};
const isStepping = (c: Lift): boolean => (c.mode & MODE.STEP) !== 0;
const isLevel3 = (c: Lift): boolean => (c.mode & MODE.CPL3) !== 0;

/** Goes on after this instruction by looking the next block up: the mode may have changed. */
function leave(c: Lift): void {
  const { b } = c;
  c.flags.forget();
  b.set(PC, c.to64(c.cut(b.add(b.get(PC), b.i64(c.next)), c.pcBits)));
  c.dispatch();
}
/** After a helper that has set pc. */
function transferred(c: Lift): void {
  c.flags.forget();
  c.dispatch();
}

// ---- segment registers

const selectorOf = (c: Lift, segment: number): Value<'i32'> => c.b.op('state.load32', [c.b.i32(0)], SELECTOR_OFFSET + 4 * segment);

function loadSegment(c: Lift, segment: number, selector: Value<'i32'>): void {
  const loads = isLevel3(c) ? undefined : c.is64 ? SEGMENT_LOADS_64 : isFlat32(c) ? SEGMENT_LOADS_32 : undefined;
  const r = loads?.get(segment);
  if (r === undefined) call(c, H.loadSegment, segment, selector);
  else callEither(c, r, [selector], H.loadSegment, segment, selector);
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

// ---- far transfers

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
  call(c, H.farJump, c.d.operandSize, c.next);
  transferred(c);
}
function farCall(c: Lift): void {
  call(c, H.farCall, c.d.operandSize, c.next);
  transferred(c);
}
function farReturn(c: Lift, popBytes: number): void {
  call(c, H.farReturn, c.d.operandSize, popBytes);
  transferred(c);
}
function into(c: Lift): void {
  c.b.if(c.flags.condition(0), () => call(c, H.breakpointTrap, 4, c.d.byteCount));
}

function iret(c: Lift): void {
  const bits = c.is64 ? 64 : 32;
  if (isStepping(c) || isLevel3(c) || c.d.operandSize !== bits || !(c.is64 || isFlat32(c))) call(c, H.iret, c.d.operandSize, c.next);
  else callEither(c, c.is64 ? IRET64 : IRET32, [c.b.i32(modeAtLevel0(c.mode))], H.iret, bits, c.next);
  transferred(c);
}

// ---- system calls

/** All of EFLAGS. */
const eflags = (c: Lift): Value<'i32'> => c.b.or(c.b.or(c.b.wrap(c.b.get(FLAGS)), c.flags.bits()), c.b.i32(2));

function syscall(c: Lift): void {
  const { b } = c;
  if (!c.is64 || isStepping(c)) call(c, H.syscall, c.next);
  else {
    const s = new StateBuilder(b);
    b.raiseIf(s.matches(s.word(X86State.offset.efer), EFER.SCE, 0), TRAP.UD);
    b.call(SYSCALL64, [b.add(b.get(PC), b.i64(c.next)), eflags(c), b.i32(modeAtLevel0(c.mode))]);
  }
  transferred(c);
}
function sysret(c: Lift): void {
  const bits = c.d.operandSize === 64 ? 64 : 32;
  if (!c.is64 || bits !== 64 || isStepping(c) || isLevel3(c)) call(c, H.sysret, bits);
  else callEither(c, SYSRET64, [c.b.i32(modeAtLevel3(c.mode))], H.sysret, bits);
  transferred(c);
}
function sysenter(c: Lift): void {
  if (!isFlat32(c)) call(c, H.sysenter);
  else callEither(c, SYSENTER32, [eflags(c), c.b.i32(modeAtLevel0(c.mode))], H.sysenter);
  transferred(c);
}
function sysexit(c: Lift): void {
  const bits = c.d.operandSize === 64 ? 64 : 32;
  if (!isFlat32(c) || isLevel3(c)) call(c, H.sysexit, bits);
  else callEither(c, SYSEXIT32, [c.b.i32(modeAtLevel3(c.mode))], H.sysexit, bits);
  transferred(c);
}

// ---- control and debug registers

function movFromControl(c: Lift): void {
  const bits = wide(c);
  const register = CONTROL_SLOTS[c.d.reg];
  if (register === undefined) call(c, H.readControl, c.d.reg);
  else if (!requireLevel0(c)) return;
  c.setReg(c.d.rm, bits, c.cut(c.b.get(register ?? X0), bits));
}
function movToControl(c: Lift): void {
  c.b.set(X0, c.to64(c.reg(c.d.rm, wide(c))));
  call(c, H.writeControl, c.d.reg);
  leave(c);
}
function movFromDebug(c: Lift): void {
  call(c, H.readDebug, c.d.reg);
  c.setReg(c.d.rm, wide(c), wide(c) === 64 ? c.b.get(X0) : c.b.wrap(c.b.get(X0)));
}
function movToDebug(c: Lift): void {
  c.b.set(X0, c.to64(c.reg(c.d.rm, wide(c))));
  call(c, H.writeDebug, c.d.reg);
  leave(c);
}
function smsw(c: Lift): void {
  call(c, H.umip);
  const value = c.b.get(CR0_SLOT);
  if (c.isMemory) c.store(c.memory(2, true), 16, c.cut(value, 16));
  else c.setReg(c.d.rm, c.d.operandSize, c.cut(value, c.d.operandSize));
}

// ---- descriptor tables

function loadTable(c: Lift, h: Helper): void {
  const { b } = c;
  if (!requireLevel0(c)) return;
  const a = c.memory(c.is64 ? 10 : 6);
  const limit = c.load(a, 16);
  const base = c.load(c.offset(a, 2), wide(c));
  b.set(X0, c.d.operandSize === 16 && !c.is64 ? c.to64(b.and(c.to32(base), b.i32(0xff_ffff))) : c.to64(base));
  b.set(X1, c.to64(limit));
  call(c, h);
}
function storeTable(c: Lift, table: number): void {
  call(c, H.storeTable, table);
  const a = c.memory(c.is64 ? 10 : 6, true);
  c.probeWrite(c.offset(a, 2), wide(c));
  c.store(a, 16, c.cut(c.b.get(X1), 16));
  c.store(c.offset(a, 2), wide(c), c.cut(c.b.get(X0), wide(c)));
}
function storeSelector(c: Lift, segment: number): void {
  if (!isProtected(c)) return c.trap(TRAP.UD);
  call(c, H.storeSelector, segment);
  const value = c.b.get(X0);
  if (c.isMemory) c.store(c.memory(2, true), 16, c.cut(value, 16));
  else c.setReg(c.d.rm, c.d.operandSize, c.cut(value, c.d.operandSize));
}
const selectorOperand = (c: Lift): Int => (c.isMemory ? c.load(c.memory(2), 16) : c.reg(c.d.rm, 16));
function loadSystemSelector(c: Lift, h: Helper): void {
  if (!isProtected(c)) return c.trap(TRAP.UD);
  if (!requireLevel0(c)) return;
  call(c, h, c.to32(selectorOperand(c)));
}
function inspect(c: Lift, h: Helper): void {
  if (!isProtected(c)) return c.trap(TRAP.UD);
  const { b } = c;
  b.set(X0, c.to64(selectorOperand(c)));
  call(c, h);
  const bits = c.d.operandSize;
  b.if(b.wrap(b.get(X1)), () => c.setReg(c.d.reg, bits, c.cut(b.get(X0), bits)));
  c.changeFlags(EFLAG.ZF, b.shl(b.wrap(b.get(X1)), b.i32(6)));
}
function verify(c: Lift, write: number): void {
  if (!isProtected(c)) return c.trap(TRAP.UD);
  const { b } = c;
  b.set(X0, c.to64(selectorOperand(c)));
  call(c, H.verify, write);
  c.changeFlags(EFLAG.ZF, b.shl(b.wrap(b.get(X1)), b.i32(6)));
}
function arpl(c: Lift): void {
  if (!isProtected(c)) return c.trap(TRAP.UD);
  const { b } = c;
  const old = c.to32(c.read(0));
  const rpl = b.and(c.to32(c.read(1)), b.i32(3));
  const raised = b.temp('i32', b.ltU(b.and(old, b.i32(3)), rpl));
  b.if(b.get(raised), () => c.write(0, b.or(b.and(old, b.i32(0xfffc)), rpl)));
  c.changeFlags(EFLAG.ZF, b.shl(b.get(raised), b.i32(6)));
}

// ---- I/O

const ioBits = (c: Lift, isByte: boolean): 8 | 16 | 32 => (isByte ? 8 : c.d.operandSize === 16 ? 16 : 32);
function portIn(c: Lift, port: number | Value<'i32'>, isByte: boolean): void {
  const bits = ioBits(c, isByte);
  call(c, H.portIn, port, bits / 8);
  c.setReg(RAX, bits, c.cut(c.b.get(X0), bits));
  c.endBlock(true);
}
function portOut(c: Lift, port: number | Value<'i32'>, isByte: boolean): void {
  const bits = ioBits(c, isByte);
  call(c, H.portOut, port, bits / 8, c.to32(c.reg(RAX, bits)));
  c.endBlock(true);
}
const immediatePort = (c: Lift): number => c.imm() & 0xff;
const dxPort = (c: Lift): Value<'i32'> => c.to32(c.reg(RDX, 16));
function portString(c: Lift, out: boolean, isByte: boolean): void {
  const segment = c.d.segment >= 0 ? c.d.segment : DS;
  call(c, H.portString, out ? 1 : 0, ioBits(c, isByte) / 8, c.d.addressSize, segment, c.d.rep !== 0 ? 1 : 0, c.at, c.next);
  c.dispatch();
}

// ---- flags

/** CLI and STI. The mode tells level 3 and virtual-8086 mode; levels 1 and 2 are told at run time. */
function interruptFlag(c: Lift, set: boolean): void {
  const { b } = c;
  if ((c.mode & (MODE.CPL3 | MODE.V86)) !== 0) call(c, H.changeInterruptFlag, set ? 1 : 0);
  else {
    const flags = b.get(FLAGS);
    if (isProtected(c)) {
      const cpl = b.and(b.shrU(new StateBuilder(b).attributes(SS), b.i32(5)), b.i32(3));
      b.raiseIf(b.gtU(cpl, b.and(b.shrU(b.wrap(flags), b.i32(12)), b.i32(3))), TRAP.GP0);
    }
    b.set(FLAGS, set ? b.or(flags, b.i64(EFLAG.IF)) : b.and(flags, b.i64(~EFLAG.IF)));
  }
  if (set) c.shadow = true;
}
function pushf(c: Lift): void {
  const { b } = c;
  const bits = c.d.operandSize;
  if ((c.mode & MODE.V86) !== 0) {
    call(c, H.pushfImage, bits);
    c.push(c.cut(b.get(X0), bits), bits);
    return;
  }
  const others = b.and(b.wrap(b.get(FLAGS)), b.i32(~(EFLAG.VM | EFLAG.RF)));
  const image = b.or(b.or(others, c.flags.bits()), b.i32(2));
  c.push(bits === 64 ? b.extendU(image) : c.cut(image, bits), bits);
}
function popf(c: Lift): void {
  const bits = c.d.operandSize;
  c.b.set(X0, c.to64(c.top(bits)));
  call(c, H.popf, bits);
  c.moveStack(bits / 8);
  leave(c);
}
function changeAc(c: Lift, set: number): void {
  if (requireLevel0(c, TRAP.UD)) c.b.call(CHANGE_AC, [c.b.i32(set)]);
}

// ---- others

function wrmsr(c: Lift): void {
  call(c, H.wrmsr);
  c.endBlock(true);
}
/** Under EFLAGS.TF the single-step trap ends the halt before it has begun. */
function hlt(c: Lift): void {
  call(c, H.hlt);
  if ((c.mode & MODE.STEP) !== 0) c.endBlock();
  else c.exit(EXIT.HALT);
}
function invlpg(c: Lift): void {
  c.b.set(X0, c.sum(c.linear(c.segment, c.effectiveAddress(), 1, false)));
  call(c, H.invlpg);
  c.endBlock();
}
function invpcid(c: Lift): void {
  if (!requireLevel0(c)) return;
  c.b.set(X0, c.to64(c.reg(c.d.reg, wide(c))));
  c.b.set(X1, c.sum(c.memory(16)));
  call(c, H.invpcid);
  c.endBlock();
}
function random(c: Lift): void {
  c.b.call(H.random);
  c.setReg(c.d.rm, c.d.operandSize, c.cut(c.b.get(X0), c.d.operandSize));
  c.setFlagBits(c.b.i32(EFLAG.CF));
}
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
const TSC_AUX_SLOT = field('tscAux');
function rdpid(c: Lift): void {
  c.setReg(c.d.rm, 64, c.b.get(TSC_AUX_SLOT));
}
function vmcall(c: Lift): void {
  c.b.call(H.hypercall);
  c.endBlock(true);
}

export const SYSTEM_ROWS: readonly Row[] = [
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

  insn('!64 EA', 'jmp Ap', undefined, (c) => (farPointerOperand(c), farJump(c))),
  insn('!64 9A', 'call Ap', undefined, (c) => (farPointerOperand(c), farCall(c))),
  insn('FF /5 mem', 'jmp', undefined, (c) => (farMemoryOperand(c), farJump(c))),
  insn('FF /3 mem', 'call', undefined, (c) => (farMemoryOperand(c), farCall(c))),
  insn('CA', 'retf Iw', undefined, (c) => farReturn(c, c.imm() & 0xffff)),
  insn('CB', 'retf', undefined, (c) => farReturn(c, 0)),
  insn('CF', 'iret', undefined, iret),
  insn('CD', 'int Ib', undefined, (c) => (call(c, H.intN, c.imm() & 0xff, c.d.byteCount, c.next), transferred(c))),
  insn('CC', 'int3', undefined, (c) => (call(c, H.breakpointTrap, 3, c.d.byteCount), transferred(c))),
  insn('!64 CE', 'into', undefined, into),
  insn('F1', 'int1', undefined, (c) => (call(c, H.int1, c.d.byteCount), transferred(c))),
  insn('0F 05', 'syscall', 'syscall', syscall),
  insn('0F 07', 'sysret', 'syscall', sysret),
  insn('0F 34', 'sysenter', 'sep', sysenter),
  insn('0F 35', 'sysexit', 'sep', sysexit),

  insn('0F 20 any', 'mov', undefined, movFromControl),
  insn('0F 22 any', 'mov', undefined, movToControl),
  insn('0F 21 any', 'mov', undefined, movFromDebug),
  insn('0F 23 any', 'mov', undefined, movToDebug),
  insn('0F 06', 'clts', undefined, (c) => (call(c, H.clts), leave(c))),
  insn('0F 01 /4', 'smsw', undefined, smsw),
  insn('0F 01 /6', 'lmsw', undefined, (c) => requireLevel0(c) && (c.b.set(X0, c.to64(selectorOperand(c))), call(c, H.lmsw), leave(c))),
  insn('NP 0F 01 =D0', 'xgetbv', 'xsave', (c) => call(c, H.xgetbv)),
  insn('NP 0F 01 =D1', 'xsetbv', 'xsave', (c) => (call(c, H.xsetbv), leave(c))),
  insn('0F 01 /7 mem', 'invlpg', undefined, invlpg),
  insn('66 0F38 82 mem', 'invpcid', 'invpcid', invpcid),
  insn('0F 08', 'invd', undefined, (c) => void requireLevel0(c)),
  insn('0F 09', 'wbinvd', undefined, (c) => void requireLevel0(c)),

  insn('0F 01 /2 mem', 'lgdt', undefined, (c) => loadTable(c, H.loadGdt)),
  insn('0F 01 /3 mem', 'lidt', undefined, (c) => loadTable(c, H.loadIdt)),
  insn('0F 01 /0 mem', 'sgdt', undefined, (c) => storeTable(c, 0)),
  insn('0F 01 /1 mem', 'sidt', undefined, (c) => storeTable(c, 1)),
  insn('0F 00 /0', 'sldt', undefined, (c) => storeSelector(c, LDTR)),
  insn('0F 00 /1', 'str', undefined, (c) => storeSelector(c, TR)),
  insn('0F 00 /2', 'lldt', undefined, (c) => loadSystemSelector(c, H.lldt)),
  insn('0F 00 /3', 'ltr', undefined, (c) => loadSystemSelector(c, H.ltr)),
  insn('0F 00 /4', 'verr', undefined, (c) => verify(c, 0)),
  insn('0F 00 /5', 'verw', undefined, (c) => verify(c, 1)),
  insn('0F 02 /r', 'lar', undefined, (c) => inspect(c, H.lar)),
  insn('0F 03 /r', 'lsl', undefined, (c) => inspect(c, H.lsl)),
  insn('!64 63', 'arpl Ew,Gw', undefined, arpl),

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

  insn('FA', 'cli', undefined, (c) => interruptFlag(c, false)),
  insn('FB', 'sti', undefined, (c) => interruptFlag(c, true)),
  insn('d64 9C', 'pushf', undefined, pushf),
  insn('d64 9D', 'popf', undefined, popf),
  insn('NP 0F 01 =CA', 'clac', 'smap', (c) => changeAc(c, 0)),
  insn('NP 0F 01 =CB', 'stac', 'smap', (c) => changeAc(c, 1)),

  insn('0F 31', 'rdtsc', 'tsc', (c) => call(c, H.rdtsc)),
  insn('0F 01 =F9', 'rdtscp', 'rdtscp', (c) => call(c, H.rdtscp)),
  insn('0F 33', 'rdpmc', undefined, (c) => call(c, H.rdpmc)),
  insn('0F A2', 'cpuid', undefined, (c) => void c.b.call(H.cpuid)),
  insn('0F 32', 'rdmsr', 'msr', (c) => call(c, H.rdmsr)),
  insn('0F 30', 'wrmsr', 'msr', wrmsr),
  insn('64 0F 01 =F8', 'swapgs', undefined, swapgs),
  insn('64 F3 0F AE /0 reg', 'rdfsbase', 'fsgsbase', (c) => readBase(c, FS)),
  insn('64 F3 0F AE /1 reg', 'rdgsbase', 'fsgsbase', (c) => readBase(c, GS)),
  insn('64 F3 0F AE /2 reg', 'wrfsbase', 'fsgsbase', (c) => writeBase(c, FS)),
  insn('64 F3 0F AE /3 reg', 'wrgsbase', 'fsgsbase', (c) => writeBase(c, GS)),
  insn('NFx 0F C7 /6 reg', 'rdrand', 'rdrand', random),
  insn('NFx 0F C7 /7 reg', 'rdseed', 'rdseed', random),
  insn('F3 0F C7 /7 reg', 'rdpid', 'rdpid', rdpid),
  insn('NP 0F 01 =C1', 'vmcall', 'hypervisor', vmcall),
  insn('NP 0F 01 =D9', 'vmmcall', 'hypervisor', vmcall),
  insn('NP 0F 01 =EE', 'rdpkru', 'pku', (c) => call(c, H.rdpkru)),
  insn('NP 0F 01 =EF', 'wrpkru', 'pku', (c) => (call(c, H.wrpkru), c.endBlock(true))),
  insn('F4', 'hlt', undefined, hlt),
];

