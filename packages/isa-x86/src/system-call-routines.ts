// SYSCALL and SYSRET between 64-bit code and level 0, SYSENTER and SYSEXIT between flat 32-bit code and level 0, without single-stepping: the frequent
// cases of system-call.ts, in IR. The mode bits of the target are the caller's, for they follow from those of the instruction's block.

import type { Value } from '@anillo/ir/block';
import { routine, type Routine } from '@anillo/ir/callee';
import type { Slot } from '@anillo/ir/slot';
import { PC } from '@anillo/ir/vcpu-header';
import { EFER, MODE } from './mode.ts';
import { CS, EFLAG, FLAGS, GPR, RCX, RDX, RSP, SS, X86State } from './state.ts';
import { StateBuilder, TRANSFER_WRITES } from './state-builder.ts';
import { CODE32, CODE64, DATA, DPL3, RFLAGS_FROM_R11 } from './system-call.ts';

const at = X86State.offset;
const gpr = (n: number): Slot<'i64'> => GPR[n] as Slot<'i64'>;
const R11 = 11;

/** Mode bits at level 0 and 3 of code that is of the same kind otherwise. Alignment checks begin only with EFLAGS.AC, which SYSRET and IRET look at. */
export const modeAtLevel0 = (mode: number): number => mode & ~(MODE.CPL3 | MODE.ALIGN);
export const modeAtLevel3 = (mode: number): number => mode | MODE.CPL3;

/** (address of the next instruction, EFLAGS, mode after). EFER.SCE has been checked. */
export const SYSCALL64: Routine = routine({
  name: 'syscall64',
  params: ['i64', 'i32', 'i32'],
  result: undefined,
  reads: 'none',
  writes: [...TRANSFER_WRITES, gpr(RCX), gpr(R11)],
  traps: false,
  build: (b, [next, eflags, mode]) => {
    const s = new StateBuilder(b);
    const saved = b.and(eflags as Value<'i32'>, b.i32(~EFLAG.RF));
    b.set(gpr(RCX), next as Value<'i64'>);
    b.set(gpr(R11), b.extendU(saved));
    b.set(PC, s.quad(at.lstar));
    const kept = b.and(saved, b.xor(s.word(at.sfmask), b.i32(-1)));
    s.setFlags(kept);
    const selector = b.and(s.word(at.star + 4), b.i32(0xfffc));
    s.setFlat(CS, selector, CODE64);
    s.setFlat(SS, b.add(selector, b.i32(8)), DATA);
    s.setWord(at.mode, mode as Value<'i32'>);
    s.selectSupervisorTlb(kept);
    return undefined;
  },
});

/** REX.W SYSRET in 64-bit code above level 3: (mode after) -> done. */
export const SYSRET64: Routine = routine({
  name: 'sysret64',
  params: ['i32'],
  result: 'i32',
  reads: [gpr(RCX), gpr(R11)],
  writes: TRANSFER_WRITES,
  traps: false,
  build: (b, [mode]) => {
    const s = new StateBuilder(b);
    const image = b.temp('i32', b.wrap(b.get(gpr(R11))));
    const done = b.temp(
      'i32',
      s.all(
        s.isLevel0(),
        s.matches(s.word(at.efer), EFER.SCE, EFER.SCE),
        s.isCanonical(b.get(gpr(RCX))),
        s.matches(b.get(image), EFLAG.TF, 0),
        b.eqz(s.checksAlignment(b.get(image))),
      ),
    );
    b.if(b.get(done), () => {
      b.set(PC, b.get(gpr(RCX)));
      s.setFlags(b.and(b.get(image), b.i32(RFLAGS_FROM_R11 & ~EFLAG.RF)));
      const selector = b.shrU(s.word(at.star + 4), b.i32(16));
      s.setFlat(CS, b.or(b.add(selector, b.i32(16)), b.i32(3)), CODE64 | DPL3);
      s.setFlat(SS, b.or(b.add(selector, b.i32(8)), b.i32(3)), DATA | DPL3);
      s.setWord(at.mode, mode as Value<'i32'>);
      s.selectUserTlb();
    });
    return b.get(done);
  },
});

/** SYSENTER in flat 32-bit code outside long mode: (EFLAGS, mode after) -> done. */
export const SYSENTER32: Routine = routine({
  name: 'sysenter32',
  params: ['i32', 'i32'],
  result: 'i32',
  reads: 'none',
  writes: [...TRANSFER_WRITES, gpr(RSP)],
  traps: false,
  build: (b, [eflags, mode]) => {
    const s = new StateBuilder(b);
    const selector = b.temp('i32', b.and(s.word(at.sysenterCs), b.i32(0xfffc)));
    b.if(b.get(selector), () => {
      const kept = b.and(eflags as Value<'i32'>, b.i32(~(EFLAG.VM | EFLAG.IF | EFLAG.RF)));
      s.setFlags(kept);
      b.set(gpr(RSP), b.extendU(s.word(at.sysenterEsp)));
      b.set(PC, b.extendU(s.word(at.sysenterEip)));
      s.setFlat(CS, b.get(selector), CODE32);
      s.setFlat(SS, b.add(b.get(selector), b.i32(8)), DATA);
      s.setWord(at.mode, mode as Value<'i32'>);
      s.selectSupervisorTlb(kept);
    });
    return b.ne(b.get(selector), b.i32(0));
  },
});

/** SYSEXIT to 32-bit code, in flat 32-bit code outside long mode: (mode after) -> done. */
export const SYSEXIT32: Routine = routine({
  name: 'sysexit32',
  params: ['i32'],
  result: 'i32',
  reads: [FLAGS, gpr(RCX), gpr(RDX)],
  writes: [...TRANSFER_WRITES, gpr(RSP)],
  traps: false,
  build: (b, [mode]) => {
    const s = new StateBuilder(b);
    const selector = b.temp('i32', b.and(s.word(at.sysenterCs), b.i32(0xfffc)));
    const done = b.temp('i32', s.all(b.ne(b.get(selector), b.i32(0)), s.isLevel0(), b.eqz(s.checksAlignment(b.wrap(b.get(FLAGS))))));
    b.if(b.get(done), () => {
      b.set(gpr(RSP), b.extendU(b.wrap(b.get(gpr(RCX)))));
      b.set(PC, b.extendU(b.wrap(b.get(gpr(RDX)))));
      s.setFlat(CS, b.or(b.add(b.get(selector), b.i32(16)), b.i32(3)), CODE32 | DPL3);
      s.setFlat(SS, b.or(b.add(b.get(selector), b.i32(24)), b.i32(3)), DATA | DPL3);
      s.setWord(at.mode, mode as Value<'i32'>);
      s.selectUserTlb();
    });
    return b.get(done);
  },
});

export const SYSTEM_CALL_ROUTINES: readonly Routine[] = [SYSCALL64, SYSRET64, SYSENTER32, SYSEXIT32];
