// IRET in every mode. SDM Vol. 2 IRET, Vol. 3A 6.14.3 (64-bit), 8.4 (nested tasks), 20.2 (virtual-8086 mode).

import { getEflags, setEflags } from './eflags.ts';
import { raise, type HelperMap, type X86Context } from './helper-map.ts';
import { CR4, cplOf, syncMode } from './mode.ts';
import { dropInnerSegments, in64BitCode, inLongMode, isProtected, isV86, newDescriptor, readTss, segmentAttributes, segmentLimit, setFromDescriptor, setRealSegment, setV86Segment } from './segments.ts';
import { setStackPointer } from './stack-frame.ts';
import { ARITHMETIC_FLAGS, CS, DS, EFLAG, ES, FS, GS, RSP, SS, VECTOR } from './state.ts';
import { setSignedField, setWord, setWords, signedField, signedWords, word, WORD } from './state-words.ts';
import { taskSwitch } from './task-switch.ts';
import { loadReturn, popped, popWords, release } from './far-return.ts';
import { cutPc } from './trap.ts';

const code = newDescriptor();

/** Flags that any IRET or POPF may change. */
const COMMON = ARITHMETIC_FLAGS | EFLAG.TF | EFLAG.DF | EFLAG.NT;
export const WIDE_COMMON = COMMON | EFLAG.RF | EFLAG.AC | EFLAG.ID;

/** Sets the flags in `mask` from `image`. RF is kept only where an instruction breakpoint could make use of it. */
function changeFlags(cpu: X86Context, image: number, mask: number): void {
  let flags = (getEflags(cpu) & ~mask) | (image & mask);
  if ((word(cpu, WORD.dr + 14) & 0xff) === 0) flags &= ~EFLAG.RF;
  setEflags(cpu, flags);
}

function iretReal(cpu: X86Context, size: 2 | 4): number {
  const v86 = isV86(cpu);
  const iopl3 = (word(cpu, WORD.flags) & EFLAG.IOPL) === EFLAG.IOPL;
  const virtual = v86 && !iopl3;
  if (virtual && ((word(cpu, WORD.cr4) & CR4.VME) === 0 || size === 4)) return raise(cpu, VECTOR.GP, 0);
  if (!popWords(cpu, size, 0, 3, 0)) return 1;
  let image = popped[4];
  if (popped[0] > segmentLimit(cpu, CS)) return raise(cpu, VECTOR.GP, 0);
  let mask = size === 4 ? WIDE_COMMON : COMMON;
  if (virtual) {
    const wantsIf = (image & EFLAG.IF) !== 0;
    if ((wantsIf && (word(cpu, WORD.flags) & EFLAG.VIP) !== 0) || (image & EFLAG.TF) !== 0) return raise(cpu, VECTOR.GP, 0);
    mask |= EFLAG.VIF;
    image = (image & ~EFLAG.VIF) | (wantsIf ? EFLAG.VIF : 0);
  } else {
    mask |= EFLAG.IF;
    if (!v86) mask |= EFLAG.IOPL;
  }
  const selector = popped[2] & 0xffff;
  release(cpu, 3 * size);
  if (v86) setV86Segment(cpu, CS, selector);
  else setRealSegment(cpu, CS, selector);
  setWords(cpu, WORD.pc, popped[0], 0);
  changeFlags(cpu, image, mask);
  return 0;
}

/** Back to virtual-8086 mode: IP, CS, flags, SP, SS, ES, DS, FS, GS have been pushed. */
function iretToV86(cpu: X86Context): number {
  if (!popWords(cpu, 4, 0, 9, 0)) return 1;
  const image = popped[4];
  setEflags(cpu, (image & 0x003f_7fd5) | EFLAG.VM);
  setV86Segment(cpu, CS, popped[2]);
  setWords(cpu, WORD.pc, popped[0] & 0xffff, 0);
  setWords(cpu, WORD.gpr + 2 * RSP, popped[6], 0);
  setV86Segment(cpu, SS, popped[8]);
  setV86Segment(cpu, ES, popped[10]);
  setV86Segment(cpu, DS, popped[12]);
  setV86Segment(cpu, FS, popped[14]);
  setV86Segment(cpu, GS, popped[16]);
  return 0;
}

function iretProtected(cpu: X86Context, size: 2 | 4 | 8, nextDelta: number): number {
  const flags = word(cpu, WORD.flags);
  const long = inLongMode(cpu);
  if ((flags & EFLAG.NT) !== 0) {
    if (long) return raise(cpu, VECTOR.GP, 0);
    const link = readTss(cpu, 0, 2);
    if (link < 0) return 1;
    return taskSwitch(cpu, link, 'iret', 0, cutPc(cpu, signedField(cpu, WORD.pc) + nextDelta)) ? 0 : 1;
  }
  const cpl = cplOf(cpu);
  const from64 = in64BitCode(cpu);
  if (!popWords(cpu, size, 0, from64 ? 5 : 3, 0)) return 1;
  const image = popped[4];
  if ((image & EFLAG.VM) !== 0 && cpl === 0 && size === 4 && !long) return iretToV86(cpu);
  const selector = popped[2] & 0xffff;
  const newCpl = selector & 3;
  const withStack = from64 || newCpl > cpl;
  if (!from64 && withStack && !popWords(cpu, size, 3, 2, 0)) return 1;
  const target = size === 8 ? signedWords(popped[0], popped[1]) : popped[0];
  if (!loadReturn(cpu, selector, target, withStack, popped[8] & 0xffff, code)) return 1;
  if (!withStack) release(cpu, 3 * size);
  setFromDescriptor(cpu, CS, selector, code);
  setSignedField(cpu, WORD.pc, target);
  if (withStack) {
    if (size === 8) setWords(cpu, WORD.gpr + 2 * RSP, popped[6], popped[7]);
    else if (in64BitCode(cpu)) setWords(cpu, WORD.gpr + 2 * RSP, popped[6], 0);
    else setStackPointer(cpu, segmentAttributes(cpu, SS), popped[6]);
  }
  let mask = size === 2 ? COMMON : WIDE_COMMON;
  if (cpl <= ((flags >> 12) & 3)) mask |= EFLAG.IF;
  if (cpl === 0) mask |= size === 2 ? EFLAG.IOPL : EFLAG.IOPL | EFLAG.VIF | EFLAG.VIP;
  changeFlags(cpu, image, mask);
  if (newCpl > cpl) dropInnerSegments(cpu, newCpl);
  return 0;
}

/** `bits`: operand size. Ends the block with `dispatch`. */
function iret(cpu: X86Context, bits: number, nextDelta: number): number {
  if (word(cpu, WORD.nmiBlocked) !== 0) {
    setWord(cpu, WORD.nmiBlocked, 0);
    if (cpu.ports.interrupts.nmiPending === true) cpu.ports.requestExit();
  }
  const size = (bits >> 3) as 2 | 4 | 8;
  const outcome = isProtected(cpu) ? iretProtected(cpu, size, nextDelta) : iretReal(cpu, size as 2 | 4);
  if (outcome !== 0) return outcome;
  syncMode(cpu);
  return 0;
}

export const INTERRUPT_RETURN_HELPERS: HelperMap = { iret };
