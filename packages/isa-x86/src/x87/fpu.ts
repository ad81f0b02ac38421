// The x87 register stack and status word for helpers (SDM 1, 8.1, 8.4, 8.5). One instruction is `begin` (pending exceptions, pointers, controls), its
// operation on `env`, and `finish` (exceptions into the status word). Between them an unmasked invalid, denormal or zero-divide exception leaves
// registers, tags and TOP as they were: `mayWrite` says so.

import { FLAG, FloatEnv, PRE_COMPUTATION } from '../softfloat/float-env.ts';
import type { Unpacked } from '../softfloat/unpacked.ts';
import { raise, type X86Context } from '../helper-map.ts';
import { CR0 } from '../mode.ts';
import { CS, VECTOR } from '../state.ts';
import { setWord, setWords, word, WORD } from '../state-words.ts';

export const STATUS = { EXCEPTIONS: 0x3f, SF: 0x40, ES: 0x80, C0: 0x100, C1: 0x200, C2: 0x400, TOP: 0x3800, C3: 0x4000, B: 0x8000 } as const;
export const TOP_SHIFT = 11;
export const CONDITIONS = STATUS.C0 | STATUS.C1 | STATUS.C2 | STATUS.C3;

/** Real indefinite, the default NaN. */
export const INDEFINITE = 0xffff_c000_0000_0000_0000n;

/** Controls and flags of the instruction in progress. */
export const env = new FloatEnv();
let stackFault = 0;

/** What an instruction tells about itself: offset from block start, opcode (11 bits), segment of its memory operand + 1 (0: none). */
export const AT_BITS = 13;
export const OPCODE_BITS = 11;

/** Looks for unmasked exceptions of earlier instructions, as every waiting instruction does. True: #MF is recorded. */
export function pendingException(cpu: X86Context): boolean {
  if ((word(cpu, WORD.fpuStatus) & STATUS.ES) === 0) return false;
  if ((word(cpu, WORD.cr0) & CR0.NE) !== 0) {
    raise(cpu, VECTOR.MF);
    return true;
  }
  // MS-DOS compatibility (SDM 1, D.2): FERR# goes to the board, which answers with IRQ 13.
  setWord(cpu, WORD.ferr, 1);
  cpu.ports.requestExit();
  return false;
}

/** Starts a waiting, non-control instruction. True: trapped. The offset of a memory operand is in x3. */
export function begin(cpu: X86Context, where: number): boolean {
  if (pendingException(cpu)) return true;
  recordPointers(cpu, where);
  env.loadControlWord(word(cpu, WORD.fpuControl));
  stackFault = 0;
  return false;
}

function recordPointers(cpu: X86Context, where: number): void {
  const at = where & ((1 << AT_BITS) - 1);
  const low = word(cpu, WORD.pc);
  const sum = low + at;
  setWords(cpu, WORD.fpuIp, sum, word(cpu, WORD.pc + 1) + (sum > 0xffff_ffff ? 1 : 0));
  setWord(cpu, WORD.fpuCs, word(cpu, WORD.segmentSelector + CS));
  setWord(cpu, WORD.fpuOpcode, (where >> AT_BITS) & ((1 << OPCODE_BITS) - 1));
  const segment = (where >> (AT_BITS + OPCODE_BITS)) - 1;
  if (segment < 0) return;
  setWords(cpu, WORD.fpuDp, word(cpu, WORD.x + 12), word(cpu, WORD.x + 13));
  setWord(cpu, WORD.fpuDs, word(cpu, WORD.segmentSelector + segment));
}

/** Merges the instruction's exceptions and C1 into the status word. Returns 0 for `return finish(cpu)`. */
export function finish(cpu: X86Context): 0 {
  const unmasked = env.unmasked();
  let status = (word(cpu, WORD.fpuStatus) & ~STATUS.C1) | env.flags | stackFault;
  if (env.roundedUp && (unmasked & PRE_COMPUTATION) === 0) status |= STATUS.C1;
  if (unmasked !== 0) status |= STATUS.ES | STATUS.B;
  setWord(cpu, WORD.fpuStatus, status);
  return 0;
}

/** As `finish`, for FCOMI and FCMOVcc, which leave C1 alone unless the stack underflows (as AMD's processors; Intel's FCOMI clears it). */
export function finishKeepingC1(cpu: X86Context): 0 {
  const kept = stackFault === 0 ? word(cpu, WORD.fpuStatus) & STATUS.C1 : 0;
  finish(cpu);
  setWord(cpu, WORD.fpuStatus, word(cpu, WORD.fpuStatus) | kept);
  return 0;
}

export function setConditions(cpu: X86Context, bits: number): void {
  setWord(cpu, WORD.fpuStatus, (word(cpu, WORD.fpuStatus) & ~CONDITIONS) | bits);
}

/** No unmasked exception forbids writing the destination. */
export const mayWrite = (): boolean => (env.unmasked() & PRE_COMPUTATION) === 0;

/** Operand register empty: masked response is the indefinite. */
export function stackUnderflow(): bigint {
  env.flags |= FLAG.IE;
  env.roundedUp = false;
  stackFault = STATUS.SF;
  return INDEFINITE;
}

/** No room to push. */
export function stackOverflow(): bigint {
  env.flags |= FLAG.IE;
  env.roundedUp = false;
  stackFault = STATUS.SF | STATUS.C1;
  return INDEFINITE;
}

const topOf = (cpu: X86Context): number => word(cpu, WORD.fpuTop);
/** Number of the physical register that is ST(i). */
export const physical = (cpu: X86Context, i: number): number => (topOf(cpu) + i) & 7;
export const isEmpty = (cpu: X86Context, i: number): boolean => ((word(cpu, WORD.fpuTags) >> physical(cpu, i)) & 1) === 0;

export function setTop(cpu: X86Context, top: number): void {
  setWord(cpu, WORD.fpuTop, top & 7);
}

/** The status word as programs see it, with TOP. */
export const statusWord = (cpu: X86Context): number => word(cpu, WORD.fpuStatus) | (topOf(cpu) << TOP_SHIFT);

export function setStatusWord(cpu: X86Context, value: number): void {
  setWord(cpu, WORD.fpuStatus, value & ~STATUS.TOP);
  setTop(cpu, value >> TOP_SHIFT);
}

export function readStack(cpu: X86Context, i: number, into: Unpacked): Unpacked {
  const n = physical(cpu, i);
  return into.setExtended(cpu.view.fpuExponent[n], cpu.view.fpuMantissa[n]);
}

/** Copies the bits of physical register `from` to ST(i). */
export function copyRegister(cpu: X86Context, from: number, i: number): void {
  const n = physical(cpu, i);
  const at = WORD.fpuMantissa + 2 * from;
  setWords(cpu, WORD.fpuMantissa + 2 * n, word(cpu, at), word(cpu, at + 1));
  setWord(cpu, WORD.fpuExponent + n, word(cpu, WORD.fpuExponent + from));
  setWord(cpu, WORD.fpuTags, word(cpu, WORD.fpuTags) | (1 << n));
}

/** The 80 bits of ST(i). */
export function rawStack(cpu: X86Context, i: number): bigint {
  const n = physical(cpu, i);
  return (BigInt(cpu.view.fpuExponent[n] & 0xffff) << 64n) | cpu.view.fpuMantissa[n];
}

export function writeStack(cpu: X86Context, i: number, bits: bigint): void {
  const n = physical(cpu, i);
  cpu.view.fpuMantissa[n] = BigInt.asUintN(64, bits);
  cpu.view.fpuExponent[n] = Number(bits >> 64n);
  setWord(cpu, WORD.fpuTags, word(cpu, WORD.fpuTags) | (1 << n));
}

export function push(cpu: X86Context, bits: bigint): void {
  setTop(cpu, topOf(cpu) - 1);
  writeStack(cpu, 0, bits);
}

export function free(cpu: X86Context, i: number): void {
  setWord(cpu, WORD.fpuTags, word(cpu, WORD.fpuTags) & ~(1 << physical(cpu, i)));
}

export function pop(cpu: X86Context): void {
  free(cpu, 0);
  setTop(cpu, topOf(cpu) + 1);
}

/** Sets ES and B by exception flags and masks: after either was loaded. */
export function syncSummary(cpu: X86Context): void {
  const status = word(cpu, WORD.fpuStatus);
  const unmasked = status & ~word(cpu, WORD.fpuControl) & STATUS.EXCEPTIONS;
  setWord(cpu, WORD.fpuStatus, unmasked ? status | STATUS.ES | STATUS.B : status & ~(STATUS.ES | STATUS.B));
}

export const CONTROL_BITS = 0x1f3f;
export const CONTROL_FIXED = 0x40;
/** Loads the control word; bit 6 reads as 1, bits 7 and 13-15 as 0. */
export function setControlWord(cpu: X86Context, value: number): void {
  setWord(cpu, WORD.fpuControl, (value & CONTROL_BITS) | CONTROL_FIXED);
}
