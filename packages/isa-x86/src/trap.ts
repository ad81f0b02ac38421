// Delivery of exceptions and interrupts. SDM Vol. 3A chapter 6 (6.11 IDT, 6.12 handlers, 6.13 error codes, 6.14 64-bit mode, 6.15 double fault),
// 20.1.4 (real mode), 20.3 (virtual-8086 mode). A delivery that faults changes nothing but accessed and dirty bits; the fault that it met is
// then delivered in its place, by the rules of table 6-5.

import { getEflags, setEflags } from './eflags.ts';
import { raise, type X86Context } from './helper-map.ts';
import { IMPLICIT, readLinear, readWords, writeWords } from './linear-memory.ts';
import { CR0, cplOf, MODE, syncMode } from './mode.ts';
import { ACCESSED_BIT, descriptorDpl, descriptorLimit, inLongMode, isCode, isConforming, isNull, isPresent, isV86, markDescriptor, newDescriptor, readDescriptor, segmentSelector, setFromDescriptor, setNull, setRealSegment } from './segments.ts';
import { currentStack, inner, innerStack, longStackPointer, newStack, privilegeClass, pushFrame, setStackPointer, stackPointer64 } from './stack-frame.ts';
import { CS, DS, EFLAG, ES, FS, GS, RSP, SS, VECTOR } from './state.ts';
import { highWord, isCanonical, setSignedField, setWord, setWords, signedField, signedWords, word, WORD } from './state-words.ts';
import { taskSwitch } from './task-switch.ts';

/** What is being delivered. `SOFTWARE`: INT n, INT3, INTO, which check the gate's DPL. */
export const EVENT = { EXCEPTION: 0, SOFTWARE: 1, INT1: 2, EXTERNAL: 3, NMI: 4 } as const;

const gate = new Uint32Array(4);
const code = newDescriptor();
const frame = new Uint32Array(12);
const values: number[] = new Array<number>(12).fill(0);
const stack = newStack();

function fail(cpu: X86Context, vector: number, error: number): false {
  raise(cpu, vector, error);
  return false;
}

/** Makes DR6 bits valid and disarms general detect, as #DB does on delivery. SDM Vol. 3B 17.2. */
function recordDebugStatus(cpu: X86Context): void {
  const dr6 = word(cpu, WORD.dr + 12);
  setWord(cpu, WORD.dr + 12, (dr6 & ~15) | word(cpu, WORD.faultDr6));
  setWord(cpu, WORD.dr + 14, word(cpu, WORD.dr + 14) & ~0x2000);
  setWord(cpu, WORD.faultDr6, 0);
}

/** Do faults of this vector push RF set, so that an instruction breakpoint does not repeat? SDM Vol. 3B 17.3.1.1. */
const pushesRf = (vector: number, event: number): boolean => event === EVENT.EXCEPTION && vector !== VECTOR.DB && vector !== VECTOR.BP && vector !== VECTOR.OF && vector !== VECTOR.DF && vector !== VECTOR.MC;

const isContributory = (vector: number): boolean => vector === VECTOR.DE || (vector >= VECTOR.TS && vector <= VECTOR.GP);

/** RIP, EIP or IP cut to the width of the code segment. */
export function cutPc(cpu: X86Context, pc: number): number {
  const size = word(cpu, WORD.mode) & MODE.CODE_SIZE;
  return size === 2 ? pc : size === 1 ? pc >>> 0 : pc & 0xffff;
}

/**
 * Delivers an event and, where that faults, what follows from it. `faultPc` is where the interrupted instruction starts, `returnPc` what the
 * handler returns to. False: triple fault.
 */
export function deliverEvent(cpu: X86Context, vector: number, error: number, event: number, faultPc: number, returnPc: number): boolean {
  let kind = event;
  let now = vector;
  let code = error;
  let pc = returnPc;
  let start = faultPc;
  for (;;) {
    if (now === VECTOR.DB && kind === EVENT.EXCEPTION) recordDebugStatus(cpu);
    if (deliverOne(cpu, now, code, kind, pc)) {
      if (kind === EVENT.NMI) setWord(cpu, WORD.nmiBlocked, 1);
      setWord(cpu, WORD.halted, 0);
      setWord(cpu, WORD.interruptShadow, 0);
      setWord(cpu, WORD.trapped, 0);
      return true;
    }
    const next = word(cpu, WORD.faultVector) & 0xff;
    if (now === VECTOR.DF && kind === EVENT.EXCEPTION) return false;
    const doubled = kind === EVENT.EXCEPTION && ((isContributory(now) && isContributory(next)) || (now === VECTOR.PF && (next === VECTOR.PF || isContributory(next))));
    now = doubled ? VECTOR.DF : next;
    code = doubled ? 0 : word(cpu, WORD.faultError) | 0;
    kind = EVENT.EXCEPTION;
    // A fault inside a task switch belongs to the new task, whose pc is in force by then.
    if (word(cpu, WORD.faultInNewTask) !== 0) start = signedField(cpu, WORD.pc);
    pc = start;
    setWord(cpu, WORD.faultInNewTask, 0);
  }
}

function deliverOne(cpu: X86Context, vector: number, error: number, event: number, returnPc: number): boolean {
  const software = event === EVENT.SOFTWARE;
  const ext = software ? 0 : 1;
  const flags = getEflags(cpu) | (pushesRf(vector, event) ? EFLAG.RF : 0);
  if ((word(cpu, WORD.cr0) & CR0.PE) === 0) return deliverReal(cpu, vector, returnPc, flags);
  return inLongMode(cpu) ? deliverLong(cpu, vector, error, software, ext, returnPc, flags) : deliverProtected(cpu, vector, error, software, ext, returnPc, flags);
}

function deliverReal(cpu: X86Context, vector: number, returnPc: number, flags: number): boolean {
  if (4 * vector + 3 > word(cpu, WORD.idtLimit)) return fail(cpu, VECTOR.GP, -1);
  const entry = readLinear(cpu, signedField(cpu, WORD.idtBase) + 4 * vector, 4, IMPLICIT);
  if (entry < 0) return false;
  values[0] = flags;
  values[1] = segmentSelector(cpu, CS);
  values[2] = returnPc;
  if (!pushFrame(cpu, currentStack(cpu, 0, stack), 2, values, 3)) return false;
  setStackPointer(cpu, stack.attributes, stack.pointer);
  setRealSegment(cpu, CS, entry >>> 16);
  setSignedField(cpu, WORD.pc, entry & 0xffff);
  setEflags(cpu, flags & ~(EFLAG.TF | EFLAG.IF | EFLAG.RF | EFLAG.AC));
  syncMode(cpu);
  return true;
}

/** The code segment that a gate names, into `code`. Returns the new privilege level, or -1: fault recorded. */
function gateTarget(cpu: X86Context, selector: number, ext: number, cpl: number): number {
  if (isNull(selector)) return raise(cpu, VECTOR.GP, ext) - 2;
  if (!readDescriptor(cpu, selector, VECTOR.GP, ext, code)) return -1;
  const error = (selector & 0xfffc) | ext;
  const dpl = descriptorDpl(code);
  if (!isCode(code) || dpl > cpl || (inLongMode(cpu) && (code[1] & 0x0060_0000) !== 0x0020_0000)) return raise(cpu, VECTOR.GP, error) - 2;
  if (!isPresent(code)) return raise(cpu, VECTOR.NP, error) - 2;
  return isConforming(code) ? cpl : dpl;
}

function deliverLong(cpu: X86Context, vector: number, error: number, software: boolean, ext: number, returnPc: number, flags: number): boolean {
  const cpl = cplOf(cpu);
  const gateError = vector * 8 + 2 + ext;
  if (vector * 16 + 15 > word(cpu, WORD.idtLimit)) return fail(cpu, VECTOR.GP, gateError);
  if (!readWords(cpu, signedField(cpu, WORD.idtBase) + vector * 16, 4, IMPLICIT, gate)) return false;
  const type = (gate[1] >>> 8) & 0x1f;
  if ((type !== 14 && type !== 15) || (software && descriptorDpl(gate) < cpl)) return fail(cpu, VECTOR.GP, gateError);
  if (!isPresent(gate)) return fail(cpu, VECTOR.NP, gateError);
  const selector = gate[0] >>> 16;
  const newCpl = gateTarget(cpu, selector, ext, cpl);
  if (newCpl < 0) return false;
  const target = signedWords((gate[0] & 0xffff) | (gate[1] & 0xffff_0000), gate[2]);
  if (!isCanonical(target)) return fail(cpu, VECTOR.GP, ext);

  let pointer = stackPointer64(cpu);
  const ist = gate[1] & 7;
  if (ist !== 0) pointer = longStackPointer(cpu, 0x1c + 8 * ist, ext);
  else if (newCpl < cpl) pointer = longStackPointer(cpu, 4 + 8 * newCpl, ext);
  if (Number.isNaN(pointer)) return false;
  const wordCount = error >= 0 ? 12 : 10;
  const bottom = pointer - (pointer & 15) - 4 * wordCount;
  if (!isCanonical(pointer) || !isCanonical(bottom)) return fail(cpu, VECTOR.SS, ext);

  const at = wordCount - 10;
  frame[0] = error;
  frame[1] = 0;
  frame[at] = returnPc;
  frame[at + 1] = highWord(returnPc);
  frame[at + 2] = segmentSelector(cpu, CS);
  frame[at + 3] = 0;
  frame[at + 4] = flags;
  frame[at + 5] = 0;
  frame[at + 6] = word(cpu, WORD.gpr + 2 * RSP);
  frame[at + 7] = word(cpu, WORD.gpr + 2 * RSP + 1);
  frame[at + 8] = segmentSelector(cpu, SS);
  frame[at + 9] = 0;
  if (!markDescriptor(cpu, selector, code, ACCESSED_BIT)) return false;
  if (!writeWords(cpu, bottom, wordCount, privilegeClass(cpu, newCpl), frame)) return false;

  setSignedField(cpu, WORD.gpr + 2 * RSP, bottom);
  setFromDescriptor(cpu, CS, (selector & 0xfffc) | newCpl, code);
  if (newCpl !== cpl) setNull(cpu, SS, newCpl, newCpl);
  setSignedField(cpu, WORD.pc, target);
  enterHandler(cpu, flags, type === 14);
  return true;
}

/** Flags of a handler's start. SDM Vol. 3A 6.12.1.3. */
function enterHandler(cpu: X86Context, flags: number, interruptGate: boolean): void {
  setEflags(cpu, flags & ~(EFLAG.TF | EFLAG.NT | EFLAG.RF | EFLAG.VM | (interruptGate ? EFLAG.IF : 0)));
  syncMode(cpu);
}

function deliverProtected(cpu: X86Context, vector: number, error: number, software: boolean, ext: number, returnPc: number, flags: number): boolean {
  const cpl = cplOf(cpu);
  const gateError = vector * 8 + 2 + ext;
  if (vector * 8 + 7 > word(cpu, WORD.idtLimit)) return fail(cpu, VECTOR.GP, gateError);
  if (!readWords(cpu, signedField(cpu, WORD.idtBase) + vector * 8, 2, IMPLICIT, gate)) return false;
  const type = (gate[1] >>> 8) & 0x1f;
  if ((type !== 5 && (type & 0x16) !== 6) || (software && descriptorDpl(gate) < cpl)) return fail(cpu, VECTOR.GP, gateError);
  if (!isPresent(gate)) return fail(cpu, VECTOR.NP, gateError);
  const selector = gate[0] >>> 16;
  if (type === 5) return taskSwitch(cpu, selector, 'gate', ext, returnPc, error, flags);
  const size = (type & 8) !== 0 ? 4 : 2;
  const newCpl = gateTarget(cpu, selector, ext, cpl);
  if (newCpl < 0) return false;
  const v86 = isV86(cpu);
  if (v86 && newCpl !== 0) return fail(cpu, VECTOR.GP, (selector & 0xfffc) | ext);
  const target = (gate[0] & 0xffff) | (size === 4 ? gate[1] & 0xffff_0000 : 0);
  if (target >>> 0 > descriptorLimit(code)) return fail(cpu, VECTOR.GP, ext);

  let count = 0;
  if (newCpl < cpl) {
    if (!innerStack(cpu, newCpl, ext, stack)) return false;
    if (v86) for (const segment of [GS, FS, DS, ES]) values[count++] = segmentSelector(cpu, segment);
    values[count++] = segmentSelector(cpu, SS);
    values[count++] = word(cpu, WORD.gpr + 2 * RSP);
  } else {
    currentStack(cpu, cpl, stack).faultCode = ext;
  }
  values[count++] = flags;
  values[count++] = segmentSelector(cpu, CS);
  values[count++] = returnPc;
  if (error >= 0) values[count++] = error;
  if (!markDescriptor(cpu, selector, code, ACCESSED_BIT)) return false;
  if (newCpl < cpl && !markDescriptor(cpu, inner.selector, inner.descriptor, ACCESSED_BIT)) return false;
  if (!pushFrame(cpu, stack, size, values, count)) return false;

  if (newCpl < cpl) setFromDescriptor(cpu, SS, inner.selector, inner.descriptor);
  setStackPointer(cpu, stack.attributes, stack.pointer);
  if (v86) for (const segment of [GS, FS, DS, ES]) setNull(cpu, segment, 0);
  setFromDescriptor(cpu, CS, (selector & 0xfffc) | newCpl, code);
  setSignedField(cpu, WORD.pc, target >>> 0);
  enterHandler(cpu, flags, (type & 1) === 0);
  return true;
}

/** Delivers what has trapped: the recorded fault, or the header's trap code. False: shutdown. */
export function deliver(cpu: X86Context): boolean {
  const trapCode = word(cpu, WORD.trapCode);
  let vector = word(cpu, WORD.faultVector);
  let error = word(cpu, WORD.faultError) | 0;
  let event = word(cpu, WORD.faultSoftware);
  if (trapCode !== 0) {
    vector = trapCode & 0xff;
    error = (trapCode & 0x100) !== 0 ? 0 : -1;
    event = EVENT.EXCEPTION;
  }
  const pc = word(cpu, WORD.faultInNewTask) !== 0 ? signedField(cpu, WORD.pc) : cutPc(cpu, signedField(cpu, WORD.pc) + word(cpu, WORD.trapAt));
  setSignedField(cpu, WORD.pc, pc);
  setWords(cpu, WORD.trapped, 0, 0);
  setWord(cpu, WORD.trapAt, 0);
  setWord(cpu, WORD.faultSoftware, 0);
  setWord(cpu, WORD.faultInNewTask, 0);
  const breakpoints = word(cpu, WORD.pendingDr6);
  setWord(cpu, WORD.pendingDr6, 0);
  const returnPc = event === EVENT.EXCEPTION ? pc : cutPc(cpu, pc + word(cpu, WORD.faultInsnBytes));
  if (!deliverEvent(cpu, vector, error, event, pc, returnPc)) return false;
  if (breakpoints === 0 || event !== EVENT.SOFTWARE) return true;
  // A breakpoint met by MOV SS has waited for the software interrupt and traps at the handler's first instruction.
  setWord(cpu, WORD.faultDr6, breakpoints);
  const handler = signedField(cpu, WORD.pc);
  return deliverEvent(cpu, VECTOR.DB, -1, EVENT.EXCEPTION, handler, handler);
}

/** Delivers an external interrupt between instructions. False: shutdown. */
export function deliverInterrupt(cpu: X86Context, vector: number): boolean {
  const pc = signedField(cpu, WORD.pc);
  return deliverEvent(cpu, vector, -1, EVENT.EXTERNAL, pc, pc);
}

/** Delivers a non-maskable interrupt; further ones wait until IRET. */
export function deliverNmi(cpu: X86Context): boolean {
  const pc = signedField(cpu, WORD.pc);
  return deliverEvent(cpu, VECTOR.NMI, -1, EVENT.NMI, pc, pc);
}
