// The interpreter's instructions that end a block.

import { EXIT } from '@anillo/ir/frontend';
import { BRANCH, EXIT_TO, FIELD, JUMP, LINK_NEVER, opcodeName } from './bytecode-format.ts';
import { HEADER, loadHeader32, loadHeader64, storeHeader32, storeHeader64 } from './header-access.ts';
import type { InterpreterEmitter } from './interpreter-emitter.ts';
import type { Arm } from './interpreter-arms.ts';
import { emitNoteTarget } from './jump-targets.ts';
import { emitSlotLoad } from './slot-access.ts';
import { opcodeOf } from './wasm-opcodes.ts';
import type { FunctionCode } from './function-code.ts';

const O = {
  add: opcodeOf('i32.add'),
  add64: opcodeOf('i64.add'),
  and64: opcodeOf('i64.and'),
  eqz: opcodeOf('i32.eqz'),
  sub64: opcodeOf('i64.sub'),
  wrap: opcodeOf('i32.wrap_i64'),
  shl: opcodeOf('i32.shl'),
  gtU: opcodeOf('i32.gt_u'),
  load32: opcodeOf('i32.load'),
  load64: opcodeOf('i64.load'),
  select: opcodeOf('select'),
} as const;

export type PcBits = 16 | 32 | 64;
export const PC_WIDTHS: readonly PcBits[] = [16, 32, 64];

/** Cuts the i64 on the stack to the pc's width. */
export function emitCutPc(f: FunctionCode, pcBits: PcBits): void {
  if (pcBits === 64) return;
  f.i64(pcBits === 32 ? -1 : 0xffff, 0);
  f.op(O.and64);
}

/** pc += the i64 in the instruction at byte `delta` from `pushBase`. */
function emitMovePc(e: InterpreterEmitter, pcBits: PcBits, delta: number, pushBase = () => e.f.get(e.ip)): void {
  const { f, cpu } = e;
  storeHeader64(f, cpu, HEADER.pc, () => {
    loadHeader64(f, cpu, HEADER.pc);
    pushBase();
    f.memory(O.load64, delta);
    f.op(O.add64);
    emitCutPc(f, pcBits);
  });
}

/** Goes to the record in the link at `pushBase` + `link`, or looks it up (and then fills the link unless it says never). */
function emitFollowLink(e: InterpreterEmitter, link: number, pushBase = () => e.f.get(e.ip)): void {
  const { f } = e;
  pushBase();
  f.memory(O.load32, link);
  f.tee(e.record);
  f.i32(LINK_NEVER);
  f.op(O.gtU);
  f.brIf(e.labels.enter);
  f.i32(0);
  pushBase();
  f.i32(link);
  f.op(O.add);
  f.get(e.record);
  f.op(O.select);
  f.set(e.linkAt);
  f.br(e.labels.lookup);
}

function emitLookup(e: InterpreterEmitter): void {
  e.f.i32(0);
  e.f.set(e.linkAt);
  e.f.br(e.labels.lookup);
}

function emitPoll(e: InterpreterEmitter): void {
  loadHeader32(e.f, e.cpu, HEADER.pending);
  e.f.brIf(e.labels.poll);
}

const arm = (name: string, emit: (e: InterpreterEmitter) => void): Arm => ({ name, byteCount: 0, emit });

const jumpArm = (pcBits: PcBits): Arm =>
  arm(opcodeName.terminal('jump', pcBits), (e) => {
    emitMovePc(e, pcBits, JUMP.delta);
    emitFollowLink(e, JUMP.link);
  });

const pollArm = (pcBits: PcBits): Arm =>
  arm(opcodeName.terminal('poll', pcBits), (e) => {
    emitMovePc(e, pcBits, JUMP.delta);
    emitPoll(e);
    emitLookup(e);
  });

/** Both ways share their code: the condition selects fields, so the host predicts one indirect jump, not also a branch. */
const branchArm = (pcBits: PcBits): Arm =>
  arm(opcodeName.terminal('branch', pcBits), (e) => {
    const { f } = e;
    const notTaken = e.scratch('i32', 4);
    const field = (shift: number) => () => {
      f.get(e.ip);
      f.get(notTaken);
      f.i32(shift);
      f.op(O.shl);
      f.op(O.add);
    };
    e.pushAddress(BRANCH.cond);
    emitSlotLoad(f, 'i32', 0);
    f.op(O.eqz);
    f.set(notTaken);
    emitMovePc(e, pcBits, BRANCH.deltaTaken, field(Math.log2(BRANCH.deltaFall - BRANCH.deltaTaken)));
    emitFollowLink(e, BRANCH.linkTaken, field(Math.log2(BRANCH.linkFall - BRANCH.linkTaken)));
  });

const indirectArm = (pcBits: PcBits): Arm =>
  arm(opcodeName.terminal('indirect', pcBits), (e) => {
    storeHeader64(e.f, e.cpu, HEADER.pc, () => {
      e.pushAddress(FIELD.a);
      emitSlotLoad(e.f, 'i64', 0);
      emitCutPc(e.f, pcBits);
    });
    emitLookup(e);
  });

/** As `indirect`, and notes where it goes. */
const switchArm = (pcBits: PcBits): Arm =>
  arm(opcodeName.terminal('switch', pcBits), (e) => {
    const { f } = e;
    const target = e.scratch('i64', 4);
    const delta = e.scratch('i32', 4);
    e.pushAddress(FIELD.a);
    emitSlotLoad(f, 'i64', 0);
    emitCutPc(f, pcBits);
    f.tee(target);
    loadHeader64(f, e.cpu, HEADER.pc);
    f.op(O.sub64);
    f.op(O.wrap);
    f.set(delta);
    storeHeader64(f, e.cpu, HEADER.pc, () => f.get(target));
    emitNoteTarget(f, e.cpu, e.record, delta, e.scratch('i32', 5));
    emitLookup(e);
  });

const exitArm = (pcBits: PcBits): Arm =>
  arm(opcodeName.terminal('exit', pcBits), (e) => {
    const { f } = e;
    const reason = e.scratch('i32', 4);
    emitMovePc(e, pcBits, EXIT_TO.delta);
    storeHeader32(f, e.cpu, HEADER.exitReason, () => {
      f.get(e.ip);
      f.memory(O.load32, EXIT_TO.reason);
      f.tee(reason);
    });
    f.get(reason);
    f.return();
  });

const dispatchArm = arm('dispatch', (e) => {
  emitPoll(e);
  emitLookup(e);
});

const trapArm = arm('trap', (e) => {
  e.f.i32(EXIT.TRAP);
  e.trapIf();
  e.f.br(e.labels.fault);
});

export const terminalArms = (): Arm[] => [
  ...PC_WIDTHS.flatMap((w) => [jumpArm(w), pollArm(w), branchArm(w), indirectArm(w), switchArm(w), exitArm(w)]),
  dispatchArm,
  trapArm,
];
