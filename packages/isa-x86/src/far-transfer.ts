// Far jumps, calls and returns, and software interrupts. SDM Vol. 2 (CALL, JMP, RET, INT n), Vol. 3A 5.8 (call gates).
// Helpers here set `pc` (and the mode) themselves; generated code goes on with `dispatch`. x0: offset, x1: selector.
// `nextDelta`: bytes from the block's start to the next instruction. Return 1: fault recorded, nothing changed.

import { getEflags, setEflags } from './eflags.ts';
import { raise, type HelperMap, type X86Context } from './helper-map.ts';
import { IMPLICIT, readLinear, readWords, writeWords } from './linear-memory.ts';
import { CR4, cplOf, syncMode } from './mode.ts';
import { ACCESSED_BIT, descriptorAddress, descriptorDpl, descriptorLimit, dropInnerSegments, in64BitCode, inLongMode, isCode, isConforming, isNull, isPresent, isProtected, isUserDescriptor, isV86, markDescriptor, newDescriptor, readDescriptor, readTss, segmentAttributes, segmentLimit, segmentSelector, setFromDescriptor, setNull, setRealSegment, setV86Segment, systemType } from './segments.ts';
import { currentStack, inner, innerStack, longStackPointer, newStack, peekStack, privilegeClass, pushFrame, setStackPointer, stackPointer64 } from './stack-frame.ts';
import { CS, EFLAG, RSP, SS, TR, VECTOR } from './state.ts';
import { highWord, isCanonical, setSignedField, setWord, setWords, signedField, signedWords, word, WORD } from './state-words.ts';
import { taskSwitch } from './task-switch.ts';
import { loadReturn, popped, popWords, release } from './far-return.ts';
import { cutPc } from './trap.ts';

const code = newDescriptor();
const gateUpper = newDescriptor();
const stack = newStack();
const oldStack = newStack();
const values: number[] = new Array<number>(40).fill(0);
const frame = new Uint32Array(8);

const nextPcOf = (cpu: X86Context, nextDelta: number): number => cutPc(cpu, signedField(cpu, WORD.pc) + nextDelta);

/** Checks that `target` lies in the code segment of `d` (or is canonical, for a 64-bit one). */
export function isTargetValid(cpu: X86Context, d: Uint32Array, target: number): boolean {
  if (inLongMode(cpu) && (d[1] & 0x0020_0000) !== 0) return isCanonical(target);
  return target >= 0 && target <= descriptorLimit(d);
}

/** Loads CS from a checked descriptor and goes to `target` at privilege level `cpl`. */
export function enterCode(cpu: X86Context, selector: number, d: Uint32Array, cpl: number, target: number): void {
  setFromDescriptor(cpu, CS, (selector & 0xfffc) | cpl, d);
  setSignedField(cpu, WORD.pc, target);
  syncMode(cpu);
}

/** Privilege checks of a direct far jump or call to a code segment. 1: fault recorded. */
function checkDirect(cpu: X86Context, selector: number, cpl: number): number {
  const dpl = descriptorDpl(code);
  const error = selector & 0xfffc;
  if (isConforming(code) ? dpl > cpl : (selector & 3) > cpl || dpl !== cpl) return raise(cpu, VECTOR.GP, error);
  if (inLongMode(cpu) && (code[1] & 0x0060_0000) === 0x0060_0000) return raise(cpu, VECTOR.GP, error);
  if (!isPresent(code)) return raise(cpu, VECTOR.NP, error);
  return 0;
}

/** Offset operand cut to the operand size. */
function targetOperand(cpu: X86Context, bits: number): number {
  if (bits === 64) return signedField(cpu, WORD.x);
  return bits === 32 ? word(cpu, WORD.x) : word(cpu, WORD.x) & 0xffff;
}

/** Pushes CS and the return address for a call at the same level. 1: fault recorded. */
function pushReturn(cpu: X86Context, bits: number, returnPc: number): number {
  if (in64BitCode(cpu)) return pushReturn64(cpu, bits, returnPc);
  values[0] = segmentSelector(cpu, CS);
  values[1] = returnPc;
  if (!pushFrame(cpu, currentStack(cpu, cplOf(cpu), stack), bits === 16 ? 2 : 4, values, 2)) return 1;
  setStackPointer(cpu, stack.attributes, stack.pointer);
  return 0;
}

function pushReturn64(cpu: X86Context, bits: number, returnPc: number): number {
  const pointer = stackPointer64(cpu);
  const size = bits / 8;
  const bottom = pointer - 2 * size;
  if (!isCanonical(pointer) || !isCanonical(bottom)) return raise(cpu, VECTOR.SS, 0);
  const selector = segmentSelector(cpu, CS);
  let count = 4;
  if (bits === 64) frame.set([returnPc >>> 0, highWord(returnPc), selector, 0]);
  else if (bits === 32) {
    frame.set([returnPc >>> 0, selector]);
    count = 2;
  } else {
    frame[0] = (returnPc & 0xffff) | (selector << 16);
    count = 1;
  }
  if (!writeWords(cpu, bottom, count, privilegeClass(cpu, cplOf(cpu)), frame)) return 1;
  setSignedField(cpu, WORD.gpr + 2 * RSP, bottom);
  return 0;
}

/** Far jump or call; `call` tells which. */
function farTransfer(cpu: X86Context, bits: number, nextDelta: number, call: boolean): number {
  const selector = word(cpu, WORD.x + 4) & 0xffff;
  const target = targetOperand(cpu, bits);
  const next = nextPcOf(cpu, nextDelta);
  if (!isProtected(cpu)) {
    // SDM: the target must lie within the limit that CS has.
    if (target > segmentLimit(cpu, CS)) return raise(cpu, VECTOR.GP, 0);
    if (call && pushReturn(cpu, bits, next) !== 0) return 1;
    if (isV86(cpu)) setV86Segment(cpu, CS, selector);
    else setRealSegment(cpu, CS, selector);
    setSignedField(cpu, WORD.pc, target);
    syncMode(cpu);
    return 0;
  }
  if (isNull(selector)) return raise(cpu, VECTOR.GP, 0);
  if (!readDescriptor(cpu, selector, VECTOR.GP, 0, code)) return 1;
  if (!isUserDescriptor(code)) return systemTransfer(cpu, selector, next, bits, call);
  if (!isCode(code)) return raise(cpu, VECTOR.GP, selector & 0xfffc);
  const cpl = cplOf(cpu);
  if (checkDirect(cpu, selector, cpl) !== 0) return 1;
  if (!isTargetValid(cpu, code, target)) return raise(cpu, VECTOR.GP, 0);
  if (!markDescriptor(cpu, selector, code, ACCESSED_BIT)) return 1;
  if (call && pushReturn(cpu, bits, next) !== 0) return 1;
  enterCode(cpu, selector, code, cpl, target);
  return 0;
}

/** The selector names a call gate, task gate or TSS; its descriptor is in `code`. */
function systemTransfer(cpu: X86Context, selector: number, next: number, _bits: number, call: boolean): number {
  const type = systemType(code);
  const error = selector & 0xfffc;
  const long = inLongMode(cpu);
  const isGate = type === 12 || (!long && (type === 4 || type === 5));
  const isTss = !long && (type === 1 || type === 9);
  if (!isGate && !isTss) return raise(cpu, VECTOR.GP, error);
  const dpl = descriptorDpl(code);
  if (dpl < cplOf(cpu) || dpl < (selector & 3)) return raise(cpu, VECTOR.GP, error);
  if (isTss) return taskSwitch(cpu, selector, call ? 'call' : 'jump', 0, next) ? 0 : 1;
  if (!isPresent(code)) return raise(cpu, VECTOR.NP, error);
  if (type === 5) return taskSwitch(cpu, code[0] >>> 16, call ? 'call' : 'jump', 0, next) ? 0 : 1;
  gateUpper.fill(0);
  if (long) {
    const address = descriptorAddress(cpu, selector, 16);
    if (Number.isNaN(address)) return raise(cpu, VECTOR.GP, error);
    if (!readWords(cpu, address + 8, 2, IMPLICIT, gateUpper)) return 1;
    if ((gateUpper[1] & 0x1f00) !== 0) return raise(cpu, VECTOR.GP, error);
  }
  const offset = (code[0] & 0xffff) | (type === 12 ? code[1] & 0xffff_0000 : 0);
  const target = long ? signedWords(offset, gateUpper[0]) : offset >>> 0;
  return throughGate(cpu, code[0] >>> 16, target, code[1] & 31, long ? 64 : type === 12 ? 32 : 16, next, call);
}

/** Call gate to `target` in code segment `selector`; `bits`: the gate's size. */
function throughGate(cpu: X86Context, selector: number, target: number, parameterCount: number, bits: number, next: number, call: boolean): number {
  const error = selector & 0xfffc;
  const cpl = cplOf(cpu);
  if (isNull(selector)) return raise(cpu, VECTOR.GP, 0);
  if (!readDescriptor(cpu, selector, VECTOR.GP, 0, code)) return 1;
  const dpl = descriptorDpl(code);
  if (!isCode(code) || dpl > cpl) return raise(cpu, VECTOR.GP, error);
  if (bits === 64 && (code[1] & 0x0060_0000) !== 0x0020_0000) return raise(cpu, VECTOR.GP, error);
  const toInner = !isConforming(code) && dpl < cpl;
  if (toInner && !call) return raise(cpu, VECTOR.GP, error);
  if (!isPresent(code)) return raise(cpu, VECTOR.NP, error);
  if (!isTargetValid(cpu, code, target)) return raise(cpu, VECTOR.GP, 0);
  if (!markDescriptor(cpu, selector, code, ACCESSED_BIT)) return 1;
  if (toInner) {
    if ((bits === 64 ? pushInner64(cpu, dpl, next) : pushInner(cpu, dpl, bits, parameterCount, next)) !== 0) return 1;
    enterCode(cpu, selector, code, dpl, target);
    return 0;
  }
  if (call && pushReturn(cpu, bits, next) !== 0) return 1;
  enterCode(cpu, selector, code, cpl, target);
  return 0;
}

/** Switches to the stack of inner level `cpl`, copies the parameters and pushes the return frame. */
function pushInner(cpu: X86Context, cpl: number, bits: number, parameterCount: number, next: number): number {
  const size = bits === 16 ? 2 : 4;
  if (!innerStack(cpu, cpl, 0, stack)) return 1;
  currentStack(cpu, cplOf(cpu), oldStack);
  let count = 0;
  values[count++] = segmentSelector(cpu, SS);
  values[count++] = word(cpu, WORD.gpr + 2 * RSP);
  for (let i = parameterCount - 1; i >= 0; i--) {
    const parameter = peekStack(cpu, oldStack, size, i);
    if (parameter < 0) return 1;
    values[count++] = parameter;
  }
  values[count++] = segmentSelector(cpu, CS);
  values[count++] = next;
  if (!markDescriptor(cpu, inner.selector, inner.descriptor, ACCESSED_BIT)) return 1;
  if (!pushFrame(cpu, stack, size, values, count)) return 1;
  setFromDescriptor(cpu, SS, inner.selector, inner.descriptor);
  setStackPointer(cpu, stack.attributes, stack.pointer);
  return 0;
}

function pushInner64(cpu: X86Context, cpl: number, next: number): number {
  const pointer = longStackPointer(cpu, 4 + 8 * cpl, 0);
  if (Number.isNaN(pointer)) return 1;
  const bottom = pointer - 32;
  if (!isCanonical(pointer) || !isCanonical(bottom)) return raise(cpu, VECTOR.SS, 0);
  const rsp = WORD.gpr + 2 * RSP;
  frame.set([next >>> 0, highWord(next), segmentSelector(cpu, CS), 0, word(cpu, rsp), word(cpu, rsp + 1), segmentSelector(cpu, SS), 0]);
  if (!writeWords(cpu, bottom, 8, privilegeClass(cpu, cpl), frame)) return 1;
  setNull(cpu, SS, cpl, cpl);
  setSignedField(cpu, rsp, bottom);
  return 0;
}

/** RET far: `bits` operand size, `popBytes` the immediate. */
function farReturn(cpu: X86Context, bits: number, popBytes: number): number {
  const size = (bits / 8) as 2 | 4 | 8;
  if (!popWords(cpu, size, 0, 2, 0)) return 1;
  const selector = popped[2] & 0xffff;
  if (!isProtected(cpu)) {
    if (popped[0] > segmentLimit(cpu, CS)) return raise(cpu, VECTOR.GP, 0);
    release(cpu, 2 * size + popBytes);
    if (isV86(cpu)) setV86Segment(cpu, CS, selector);
    else setRealSegment(cpu, CS, selector);
    setWords(cpu, WORD.pc, popped[0], 0);
    syncMode(cpu);
    return 0;
  }
  const target = size === 8 ? signedWords(popped[0], popped[1]) : popped[0];
  const cpl = cplOf(cpu);
  const outer = (selector & 3) > cpl;
  if (outer && !popWords(cpu, size, 2, 2, popBytes)) return 1;
  if (!loadReturn(cpu, selector, target, outer, popped[6] & 0xffff, code)) return 1;
  if (!outer) release(cpu, 2 * size + popBytes);
  enterCode(cpu, selector, code, selector & 3, target);
  if (outer) {
    const attributes = segmentAttributes(cpu, SS);
    if (size === 8) setSignedField(cpu, WORD.gpr + 2 * RSP, signedWords(popped[4], popped[5]) + popBytes);
    else if (in64BitCode(cpu)) setWords(cpu, WORD.gpr + 2 * RSP, popped[4] + popBytes, 0);
    else setStackPointer(cpu, attributes, popped[4] + popBytes);
    dropInnerSegments(cpu, selector & 3);
    syncMode(cpu);
  }
  return 0;
}

/** Records a software interrupt; its return address is `insnBytes` after the instruction. */
function softwareInterrupt(cpu: X86Context, vector: number, insnBytes: number, kind: number): number {
  raise(cpu, vector, -1);
  setWord(cpu, WORD.faultSoftware, kind);
  setWord(cpu, WORD.faultInsnBytes, insnBytes);
  return 1;
}

/** INT n. In virtual-8086 mode IOPL and, with CR4.VME, the redirection map decide. SDM Vol. 3A 20.3.3. Ends the block with `dispatch`. */
function intN(cpu: X86Context, vector: number, insnBytes: number, nextDelta: number): number {
  if (!isV86(cpu)) return softwareInterrupt(cpu, vector, insnBytes, 1);
  const iopl3 = (word(cpu, WORD.flags) & EFLAG.IOPL) === EFLAG.IOPL;
  if ((word(cpu, WORD.cr4) & CR4.VME) !== 0) {
    if (segmentLimit(cpu, TR) < 0x67) return raise(cpu, VECTOR.GP, 0);
    const map = readTss(cpu, 0x66, 2);
    if (map < 0) return 1;
    const at = map - 32 + (vector >> 3);
    if (at > segmentLimit(cpu, TR)) return raise(cpu, VECTOR.GP, 0);
    const bits = readTss(cpu, at, 1);
    if (bits < 0) return 1;
    if (((bits >> (vector & 7)) & 1) === 0) return redirect(cpu, vector, nextDelta, iopl3);
  }
  return iopl3 ? softwareInterrupt(cpu, vector, insnBytes, 1) : raise(cpu, VECTOR.GP, 0);
}

/** INT n served by the 8086 program's own handler. */
function redirect(cpu: X86Context, vector: number, nextDelta: number, iopl3: boolean): number {
  const flags = getEflags(cpu);
  const entry = readLinear(cpu, 4 * vector, 4, privilegeClass(cpu, 3));
  if (entry < 0) return 1;
  values[0] = iopl3 ? flags : (flags & ~EFLAG.IF) | EFLAG.IOPL | ((flags & EFLAG.VIF) !== 0 ? EFLAG.IF : 0);
  values[1] = segmentSelector(cpu, CS);
  values[2] = nextPcOf(cpu, nextDelta);
  if (!pushFrame(cpu, currentStack(cpu, 3, stack), 2, values, 3)) return 1;
  setStackPointer(cpu, stack.attributes, stack.pointer);
  setV86Segment(cpu, CS, entry >>> 16);
  setWords(cpu, WORD.pc, entry & 0xffff, 0);
  setEflags(cpu, flags & ~(EFLAG.TF | EFLAG.NT | EFLAG.RF | (iopl3 ? EFLAG.IF : EFLAG.VIF)));
  syncMode(cpu);
  return 0;
}

export const FAR_TRANSFER_HELPERS: HelperMap = {
  farJump: (cpu, bits, nextDelta) => farTransfer(cpu, bits, nextDelta, false),
  farCall: (cpu, bits, nextDelta) => farTransfer(cpu, bits, nextDelta, true),
  farReturn,
  intN,
  /** INT3 (vector 3) and INTO (vector 4): not subject to IOPL. */
  breakpointTrap: (cpu, vector, insnBytes) => softwareInterrupt(cpu, vector, insnBytes, 1),
  int1: (cpu, insnBytes) => softwareInterrupt(cpu, VECTOR.DB, insnBytes, 2),
};

