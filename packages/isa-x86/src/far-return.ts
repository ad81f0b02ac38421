// What far RET and IRET share: popping the frame and checking where it leads. SDM Vol. 2 RET and IRET, Vol. 3A 5.8.6.

import { raise, type X86Context } from './helper-map.ts';
import { readLinear, readWords } from './linear-memory.ts';
import { cplOf } from './mode.ts';
import { ACCESSED_BIT, checkStackSegment, descriptorDpl, descriptorLimit, in64BitCode, inLongMode, isCode, isConforming, isNull, isPresent, markDescriptor, newDescriptor, readDescriptor, setFromDescriptor, setNull } from './segments.ts';
import { currentStack, newStack, peekStack, privilegeClass, setStackPointer, stackPointer64 } from './stack-frame.ts';
import { RSP, SS, VECTOR } from './state.ts';
import { isCanonical, setSignedField, WORD } from './state-words.ts';

/** Values popped, two words each. */
export const popped = new Uint32Array(24);
const stack = newStack();
const pair = new Uint32Array(2);
const stackDescriptor = newDescriptor();

/** Reads `count` stack values of `size` bytes from place `from` (plus `skipBytes`) into `popped`, without moving the stack pointer. False: fault recorded. */
export function popWords(cpu: X86Context, size: 2 | 4 | 8, from: number, count: number, skipBytes: number): boolean {
  if (!in64BitCode(cpu)) {
    currentStack(cpu, cplOf(cpu), stack);
    stack.pointer += skipBytes;
    for (let i = from; i < from + count; i++) {
      const value = peekStack(cpu, stack, size as 2 | 4, i);
      if (value < 0) return false;
      popped[2 * i] = value;
      popped[2 * i + 1] = 0;
    }
    return true;
  }
  const base = stackPointer64(cpu) + skipBytes + from * size;
  if (!isCanonical(base) || !isCanonical(base + size * count - 1)) {
    raise(cpu, VECTOR.SS, 0);
    return false;
  }
  const privilege = privilegeClass(cpu, cplOf(cpu));
  if (size === 8) return readWords(cpu, base, 2 * count, privilege, from === 0 ? popped : popped.subarray(2 * from));
  for (let i = 0; i < count; i++) {
    pair[0] = readLinear(cpu, base + size * i, size, privilege);
    if ((pair[0] | 0) === -1 && readLinear(cpu, base + size * i, size, privilege) < 0) return false;
    popped[2 * (from + i)] = pair[0];
    popped[2 * (from + i) + 1] = 0;
  }
  return true;
}

/** Moves the stack pointer up over what was popped. */
export function release(cpu: X86Context, byteCount: number): void {
  if (in64BitCode(cpu)) {
    setSignedField(cpu, WORD.gpr + 2 * RSP, stackPointer64(cpu) + byteCount);
    return;
  }
  currentStack(cpu, 0, stack);
  setStackPointer(cpu, stack.attributes, stack.pointer + byteCount);
}

/**
 * Checks the code selector to return to (its descriptor goes to `code`) and, for an outer level or a 64-bit frame, the stack selector, which
 * is then loaded. False: fault recorded, nothing loaded.
 */
export function loadReturn(cpu: X86Context, selector: number, target: number, withStack: boolean, stackSelector: number, code: Uint32Array): boolean {
  const error = selector & 0xfffc;
  const cpl = selector & 3;
  if (isNull(selector)) return fail(cpu, VECTOR.GP, 0);
  if (!readDescriptor(cpu, selector, VECTOR.GP, 0, code)) return false;
  const dpl = descriptorDpl(code);
  const long = inLongMode(cpu);
  const to64 = long && (code[1] & 0x0020_0000) !== 0;
  if (!isCode(code) || cpl < cplOf(cpu) || (isConforming(code) ? dpl > cpl : dpl !== cpl) || (to64 && (code[1] & 0x0040_0000) !== 0)) return fail(cpu, VECTOR.GP, error);
  if (!isPresent(code)) return fail(cpu, VECTOR.NP, error);
  if (to64 ? !isCanonical(target) : target < 0 || target > descriptorLimit(code)) return fail(cpu, VECTOR.GP, 0);
  if (withStack) {
    if (isNull(stackSelector)) {
      if (!to64 || cpl === 3 || (stackSelector & 3) !== cpl) return fail(cpu, VECTOR.GP, 0);
      if (!markDescriptor(cpu, selector, code, ACCESSED_BIT)) return false;
      setNull(cpu, SS, stackSelector, cpl);
      return true;
    }
    if (!checkStackSegment(cpu, stackSelector, cpl, VECTOR.GP, 0, stackDescriptor)) return false;
    if (!markDescriptor(cpu, selector, code, ACCESSED_BIT) || !markDescriptor(cpu, stackSelector, stackDescriptor, ACCESSED_BIT)) return false;
    setFromDescriptor(cpu, SS, stackSelector, stackDescriptor);
    return true;
  }
  return markDescriptor(cpu, selector, code, ACCESSED_BIT);
}

function fail(cpu: X86Context, vector: number, error: number): false {
  raise(cpu, vector, error);
  return false;
}
