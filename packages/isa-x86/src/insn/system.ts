// System instructions that stay where they are: control and debug registers, descriptor tables, flags, TLB, MSRs and counters. SDM Vol. 2.
// Far transfers are in far-transfer.ts, segment registers in segment-register.ts, I/O in port-io.ts.

import { helper, type Helper } from '@anillo/ir/callee';
import { EXIT } from '@anillo/ir/frontend';
import type { Slot } from '@anillo/ir/slot';
import { CHANGE_AC } from '../change-ac.ts';
import type { IntBits } from '../flags.ts';
import type { Int, Lift } from '../lift.ts';
import { MODE } from '../mode.ts';
import { insn, type Row } from '../row.ts';
import { EFLAG, FLAGS, LDTR, SS, TR, TRAP } from '../state.ts';
import { StateBuilder } from '../state-builder.ts';
import { callHelper, isProtected, leave, requireLevel0, stateSlot, traps, X0, X1 } from './system-lift.ts';

const CR0_SLOT = stateSlot('cr0');
/** Control registers that are read as they are. */
const CONTROL_SLOTS: readonly (Slot<'i64'> | undefined)[] = [CR0_SLOT, undefined, stateSlot('cr2'), stateSlot('cr3'), stateSlot('cr4')];
/** Size of a register operand that is 64 bits in 64-bit code and else 32. */
const wide = (c: Lift): IntBits => (c.is64 ? 64 : 32);

const H = {
  readControl: traps('readControl', 1),
  writeControl: traps('writeControl', 1),
  readDebug: traps('readDebug', 1),
  writeDebug: traps('writeDebug', 1),
  clts: traps('clts', 0),
  lmsw: traps('lmsw', 0),
  xsetbv: traps('xsetbv', 0),
  xgetbv: traps('xgetbv', 0),
  invlpg: traps('invlpg', 0),
  invpcid: traps('invpcid', 0),
  hlt: traps('hlt', 0),
  changeInterruptFlag: traps('changeInterruptFlag', 1),
  pushfImage: traps('pushfImage', 1),
  popf: traps('popf', 1),
  rdtsc: traps('rdtsc', 0),
  rdtscp: traps('rdtscp', 0),
  rdpmc: traps('rdpmc', 0),
  umip: traps('umip', 0),
  loadGdt: traps('loadGdt', 0),
  loadIdt: traps('loadIdt', 0),
  storeTable: traps('storeTable', 1),
  lldt: traps('lldt', 1),
  ltr: traps('ltr', 1),
  storeSelector: traps('storeSelector', 1),
  lar: traps('lar', 0),
  lsl: traps('lsl', 0),
  verify: traps('verify', 1),
  random: helper('random', 0),
  hypercall: helper('hypercall', 0),
  rdpkru: traps('rdpkru', 0),
  wrpkru: traps('wrpkru', 0),
  cpuid: helper('cpuid', 0),
  rdmsr: traps('rdmsr', 0),
  wrmsr: traps('wrmsr', 0),
} as const;

export const SYSTEM_CALLEES: readonly Helper[] = Object.values(H);

// ---- control and debug registers

function movFromControl(c: Lift): void {
  const bits = wide(c);
  const register = CONTROL_SLOTS[c.d.reg];
  if (register === undefined) callHelper(c, H.readControl, c.d.reg);
  else if (!requireLevel0(c)) return;
  c.setReg(c.d.rm, bits, c.cut(c.b.get(register ?? X0), bits));
}
function movToControl(c: Lift): void {
  c.b.set(X0, c.to64(c.reg(c.d.rm, wide(c))));
  callHelper(c, H.writeControl, c.d.reg);
  leave(c);
}
function movFromDebug(c: Lift): void {
  callHelper(c, H.readDebug, c.d.reg);
  c.setReg(c.d.rm, wide(c), wide(c) === 64 ? c.b.get(X0) : c.b.wrap(c.b.get(X0)));
}
function movToDebug(c: Lift): void {
  c.b.set(X0, c.to64(c.reg(c.d.rm, wide(c))));
  callHelper(c, H.writeDebug, c.d.reg);
  leave(c);
}
function smsw(c: Lift): void {
  callHelper(c, H.umip);
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
  callHelper(c, h);
}
function storeTable(c: Lift, table: number): void {
  callHelper(c, H.storeTable, table);
  const a = c.memory(c.is64 ? 10 : 6, true);
  c.probeWrite(c.offset(a, 2), wide(c));
  c.store(a, 16, c.cut(c.b.get(X1), 16));
  c.store(c.offset(a, 2), wide(c), c.cut(c.b.get(X0), wide(c)));
}
function storeSelector(c: Lift, segment: number): void {
  if (!isProtected(c)) return c.trap(TRAP.UD);
  callHelper(c, H.storeSelector, segment);
  const value = c.b.get(X0);
  if (c.isMemory) c.store(c.memory(2, true), 16, c.cut(value, 16));
  else c.setReg(c.d.rm, c.d.operandSize, c.cut(value, c.d.operandSize));
}
const selectorOperand = (c: Lift): Int => (c.isMemory ? c.load(c.memory(2), 16) : c.reg(c.d.rm, 16));
function loadSystemSelector(c: Lift, h: Helper): void {
  if (!isProtected(c)) return c.trap(TRAP.UD);
  if (!requireLevel0(c)) return;
  callHelper(c, h, c.to32(selectorOperand(c)));
}
function inspect(c: Lift, h: Helper): void {
  if (!isProtected(c)) return c.trap(TRAP.UD);
  const { b } = c;
  b.set(X0, c.to64(selectorOperand(c)));
  callHelper(c, h);
  const bits = c.d.operandSize;
  b.if(b.wrap(b.get(X1)), () => c.setReg(c.d.reg, bits, c.cut(b.get(X0), bits)));
  c.changeFlags(EFLAG.ZF, b.shl(b.wrap(b.get(X1)), b.i32(6)));
}
function verify(c: Lift, write: number): void {
  if (!isProtected(c)) return c.trap(TRAP.UD);
  const { b } = c;
  b.set(X0, c.to64(selectorOperand(c)));
  callHelper(c, H.verify, write);
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

// ---- flags

/** CLI and STI. The mode tells level 3 and virtual-8086 mode; levels 1 and 2 are told at run time. */
function interruptFlag(c: Lift, set: boolean): void {
  const { b } = c;
  if ((c.mode & (MODE.CPL3 | MODE.V86)) !== 0) callHelper(c, H.changeInterruptFlag, set ? 1 : 0);
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
    callHelper(c, H.pushfImage, bits);
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
  callHelper(c, H.popf, bits);
  c.moveStack(bits / 8);
  leave(c);
}
function changeAc(c: Lift, set: number): void {
  if (requireLevel0(c, TRAP.UD)) c.b.call(CHANGE_AC, [c.b.i32(set)]);
}

// ---- others

function wrmsr(c: Lift): void {
  callHelper(c, H.wrmsr);
  c.endBlock(true);
}
/** Under EFLAGS.TF the single-step trap ends the halt before it has begun. */
function hlt(c: Lift): void {
  callHelper(c, H.hlt);
  if ((c.mode & MODE.STEP) !== 0) c.endBlock();
  else c.exit(EXIT.HALT);
}
function invlpg(c: Lift): void {
  c.b.set(X0, c.sum(c.linear(c.segment, c.effectiveAddress(), 1, false)));
  callHelper(c, H.invlpg);
  c.endBlock();
}
function invpcid(c: Lift): void {
  if (!requireLevel0(c)) return;
  c.b.set(X0, c.to64(c.reg(c.d.reg, wide(c))));
  c.b.set(X1, c.sum(c.memory(16)));
  callHelper(c, H.invpcid);
  c.endBlock();
}
function random(c: Lift): void {
  c.b.call(H.random);
  c.setReg(c.d.rm, c.d.operandSize, c.cut(c.b.get(X0), c.d.operandSize));
  c.setFlagBits(c.b.i32(EFLAG.CF));
}
const TSC_AUX_SLOT = stateSlot('tscAux');
function rdpid(c: Lift): void {
  c.setReg(c.d.rm, 64, c.b.get(TSC_AUX_SLOT));
}
function vmcall(c: Lift): void {
  c.b.call(H.hypercall);
  c.endBlock(true);
}

export const SYSTEM_ROWS: readonly Row[] = [
  insn('0F 20 any', 'mov', undefined, movFromControl),
  insn('0F 22 any', 'mov', undefined, movToControl),
  insn('0F 21 any', 'mov', undefined, movFromDebug),
  insn('0F 23 any', 'mov', undefined, movToDebug),
  insn('0F 06', 'clts', undefined, (c) => (callHelper(c, H.clts), leave(c))),
  insn('0F 01 /4', 'smsw', undefined, smsw),
  insn('0F 01 /6', 'lmsw', undefined, (c) => requireLevel0(c) && (c.b.set(X0, c.to64(selectorOperand(c))), callHelper(c, H.lmsw), leave(c))),
  insn('NP 0F 01 =D0', 'xgetbv', 'xsave', (c) => callHelper(c, H.xgetbv)),
  insn('NP 0F 01 =D1', 'xsetbv', 'xsave', (c) => (callHelper(c, H.xsetbv), leave(c))),
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

  insn('FA', 'cli', undefined, (c) => interruptFlag(c, false)),
  insn('FB', 'sti', undefined, (c) => interruptFlag(c, true)),
  insn('d64 9C', 'pushf', undefined, pushf),
  insn('d64 9D', 'popf', undefined, popf),
  insn('NP 0F 01 =CA', 'clac', 'smap', (c) => changeAc(c, 0)),
  insn('NP 0F 01 =CB', 'stac', 'smap', (c) => changeAc(c, 1)),

  insn('0F 31', 'rdtsc', 'tsc', (c) => callHelper(c, H.rdtsc)),
  insn('0F 01 =F9', 'rdtscp', 'rdtscp', (c) => callHelper(c, H.rdtscp)),
  insn('0F 33', 'rdpmc', undefined, (c) => callHelper(c, H.rdpmc)),
  insn('0F A2', 'cpuid', undefined, (c) => void c.b.call(H.cpuid)),
  insn('0F 32', 'rdmsr', 'msr', (c) => callHelper(c, H.rdmsr)),
  insn('0F 30', 'wrmsr', 'msr', wrmsr),
  insn('NFx 0F C7 /6 reg', 'rdrand', 'rdrand', random),
  insn('NFx 0F C7 /7 reg', 'rdseed', 'rdseed', random),
  insn('F3 0F C7 /7 reg', 'rdpid', 'rdpid', rdpid),
  insn('NP 0F 01 =C1', 'vmcall', 'hypervisor', vmcall),
  insn('NP 0F 01 =D9', 'vmmcall', 'hypervisor', vmcall),
  insn('NP 0F 01 =EE', 'rdpkru', 'pku', (c) => callHelper(c, H.rdpkru)),
  insn('NP 0F 01 =EF', 'wrpkru', 'pku', (c) => (callHelper(c, H.wrpkru), c.endBlock(true))),
  insn('F4', 'hlt', undefined, hlt),
];
