// Hardware task switching with 16- and 32-bit TSSs. SDM Vol. 3A chapter 8 (8.3 switching, 8.4 linking), table 8-1 for the order of checks.
// Up to the commit point a fault belongs to the old task, which is unchanged; after it, to the new one (`faultInNewTask`).

import { getEflags, setEflags } from './eflags.ts';
import { raise, type X86Context } from './helper-map.ts';
import { ACCESS } from '@anillo/ir/frontend';
import { IMPLICIT, probe, readBytes, readWords, writeBytes, writeLinear } from './linear-memory.ts';
import { flushTranslations, loadPdptes } from './mmu.ts';
import { CR0, CR4, syncMode } from './mode.ts';
import { ACCESSED_BIT, descriptorAddress, descriptorAttributes, descriptorBase, descriptorDpl, descriptorLimit, isCode, isConforming, isNull, isPresent, isUserDescriptor, loadDataSegment, loadStackSegment, markDescriptor, newDescriptor, readDescriptor, segmentBase, segmentLimit, segmentSelector, setFromDescriptor, setNull, setSegment, setV86Segment, systemType } from './segments.ts';
import { currentStack, newStack, pushFrame, setStackPointer } from './stack-frame.ts';
import { CS, DS, EFLAG, ES, FS, GS, LDTR, SS, TR, VECTOR } from './state.ts';
import { setSignedField, setWord, setWords, word, WORD } from './state-words.ts';

export type TaskSwitchReason = 'jump' | 'call' | 'iret' | 'gate';

const SMALL = { bytes: 0x2c, ip: 0x0e, flags: 0x10, registers: 0x12, segments: 0x22, segmentCount: 4, ldt: 0x2a } as const;
const WIDE = { bytes: 0x68, ip: 0x20, flags: 0x24, registers: 0x28, segments: 0x48, segmentCount: 6, ldt: 0x60 } as const;
const BUSY_BIT = 0x200;
/** DR6.BT: the new task's debug trap bit was set. */
const DR6_BT = 0x8000;

const descriptor = newDescriptor();
const oldDescriptor = newDescriptor();
const image = new Uint8Array(WIDE.bytes);
const imageView = new DataView(image.buffer);
const saved = new Uint8Array(WIDE.bytes);
const savedView = new DataView(saved.buffer);
const stack = newStack();

function fail(cpu: X86Context, vector: number, error: number): false {
  raise(cpu, vector, error);
  return false;
}

/** Descriptor of the TSS to go to, checked, in `descriptor`. */
function checkTarget(cpu: X86Context, selector: number, reason: TaskSwitchReason, ext: number): boolean {
  const error = (selector & 0xfffc) | ext;
  const vector = reason === 'iret' ? VECTOR.TS : VECTOR.GP;
  if ((selector & 4) !== 0 || Number.isNaN(descriptorAddress(cpu, selector))) return fail(cpu, vector, error);
  if (!readDescriptor(cpu, selector, vector, ext, descriptor)) return false;
  const type = systemType(descriptor) & ~8;
  if (isUserDescriptor(descriptor) || type !== (reason === 'iret' ? 3 : 1)) return fail(cpu, vector, error);
  if (!isPresent(descriptor)) return fail(cpu, VECTOR.NP, error);
  const layout = (systemType(descriptor) & 8) !== 0 ? WIDE : SMALL;
  if (descriptorLimit(descriptor) < layout.bytes - 1) return fail(cpu, VECTOR.TS, error);
  return true;
}

/** Puts the present task's registers into `saved`, between the instruction pointer and the segment registers. */
function saveImage(cpu: X86Context, layout: typeof SMALL | typeof WIDE, pc: number, flags: number): Uint8Array {
  const size = layout === WIDE ? 4 : 2;
  const put = (at: number, value: number): void => (size === 4 ? savedView.setUint32(at, value, true) : savedView.setUint16(at, value, true));
  put(layout.ip, pc);
  put(layout.flags, flags);
  for (let i = 0; i < 8; i++) put(layout.registers + size * i, word(cpu, WORD.gpr + 2 * i));
  for (let i = 0; i < layout.segmentCount; i++) put(layout.segments + size * i, segmentSelector(cpu, i));
  return saved.subarray(layout.ip, layout.segments + size * layout.segmentCount);
}

/**
 * Switches to the task of a TSS selector. `nextPc` is where the old task resumes; `error` the error code to push, or -1; `flags` the old
 * task's EFLAGS. False: fault recorded.
 */
export function taskSwitch(cpu: X86Context, selector: number, reason: TaskSwitchReason, ext: number, nextPc: number, error = -1, flags = getEflags(cpu)): boolean {
  if (!checkTarget(cpu, selector, reason, ext)) return false;
  const wide = (systemType(descriptor) & 8) !== 0;
  const layout = wide ? WIDE : SMALL;
  const base = descriptorBase(descriptor);
  if (!readBytes(cpu, base, image.subarray(0, layout.bytes), IMPLICIT)) return false;

  const oldSelector = segmentSelector(cpu, TR);
  const oldBase = segmentBase(cpu, TR);
  const oldLayout = (word(cpu, WORD.segmentAttributes + TR) & 8) !== 0 ? WIDE : SMALL;
  if (segmentLimit(cpu, TR) < oldLayout.bytes - 1) return fail(cpu, VECTOR.TS, (oldSelector & 0xfffc) | ext);
  if (!probe(cpu, oldBase, oldLayout.bytes, ACCESS.WRITE, IMPLICIT)) return false;
  if (!probe(cpu, base, 2, ACCESS.WRITE, IMPLICIT)) return false;
  const nested = reason === 'call' || reason === 'gate';
  if (!nested && Number.isNaN(descriptorAddress(cpu, oldSelector))) return fail(cpu, VECTOR.TS, (oldSelector & 0xfffc) | ext);
  if (!nested && !readWords(cpu, descriptorAddress(cpu, oldSelector), 2, IMPLICIT, oldDescriptor)) return false;
  if (reason !== 'iret' && !markDescriptor(cpu, selector, descriptor, BUSY_BIT)) return false;

  // Committed: what follows cannot fault in the old task.
  if (!nested) writeLinear(cpu, descriptorAddress(cpu, oldSelector) + 4, 4, oldDescriptor[1] & ~BUSY_BIT, IMPLICIT);
  const part = saveImage(cpu, oldLayout, nextPc, reason === 'iret' ? flags & ~EFLAG.NT : flags);
  writeBytes(cpu, oldBase + oldLayout.ip, part, IMPLICIT);
  if (nested) writeLinear(cpu, base, 2, oldSelector, IMPLICIT);
  descriptor[1] |= BUSY_BIT;
  setSegment(cpu, TR, selector, base, descriptorLimit(descriptor), descriptorAttributes(descriptor));
  if (!loadTask(cpu, wide, nested, error)) {
    setWord(cpu, WORD.faultInNewTask, 1);
    syncMode(cpu);
    return false;
  }
  syncMode(cpu);
  return true;
}

/** Loads the registers in `image`. */
function loadTask(cpu: X86Context, wide: boolean, nested: boolean, error: number): boolean {
  const layout = wide ? WIDE : SMALL;
  const size = wide ? 4 : 2;
  const get = (at: number): number => (wide ? imageView.getUint32(at, true) : imageView.getUint16(at, true));
  setWord(cpu, WORD.cr0, word(cpu, WORD.cr0) | CR0.TS);
  setWord(cpu, WORD.dr + 14, word(cpu, WORD.dr + 14) & ~0x155);
  let cr3Valid = true;
  if (wide && (word(cpu, WORD.cr0) & CR0.PG) !== 0) {
    const cr3 = imageView.getUint32(0x1c, true);
    cr3Valid = (word(cpu, WORD.cr4) & CR4.PAE) === 0 || loadPdptes(cpu, cr3);
    if (cr3Valid) {
      setWords(cpu, WORD.cr3, cr3, 0);
      flushTranslations(cpu);
    }
  }
  const keep = wide ? 0 : getEflags(cpu) & 0xffff_0000 & ~(EFLAG.VM | EFLAG.RF);
  const flags = (get(layout.flags) & 0x003f_7fd5) | 2 | (nested ? EFLAG.NT : 0) | keep;
  setSignedField(cpu, WORD.pc, get(layout.ip));
  for (let i = 0; i < 8; i++) setWords(cpu, WORD.gpr + 2 * i, wide ? get(layout.registers + 4 * i) : 0xffff_0000 | get(layout.registers + 2 * i), 0);
  const selectors: number[] = [];
  for (let i = 0; i < 6; i++) selectors.push(i < layout.segmentCount ? get(layout.segments + size * i) & 0xffff : 0);
  const cpl = (flags & EFLAG.VM) !== 0 ? 3 : (selectors[CS] as number) & 3;
  // Selectors are in place before any descriptor is looked at, so that a fault's handler sees them.
  for (let i = 0; i < 6; i++) setNull(cpu, i, selectors[i] as number, i === SS ? cpl : 0);
  setNull(cpu, LDTR, get(layout.ldt) & 0xffff);
  setEflags(cpu, flags);
  if (!cr3Valid) return fail(cpu, VECTOR.TS, segmentSelector(cpu, TR) & 0xfffc);
  if (!loadTaskLdt(cpu, get(layout.ldt) & 0xffff)) return false;
  if ((flags & EFLAG.VM) !== 0) {
    for (let i = 0; i < 6; i++) setV86Segment(cpu, i, selectors[i] as number);
  } else {
    if (!loadTaskSegments(cpu, selectors, cpl)) return false;
  }
  return finishTask(cpu, wide, error);
}

function loadTaskLdt(cpu: X86Context, selector: number): boolean {
  if (isNull(selector)) return true;
  const code = selector & 0xfffc;
  if ((selector & 4) !== 0 || Number.isNaN(descriptorAddress(cpu, selector))) return fail(cpu, VECTOR.TS, code);
  if (!readDescriptor(cpu, selector, VECTOR.TS, 0, descriptor)) return false;
  if (isUserDescriptor(descriptor) || systemType(descriptor) !== 2 || !isPresent(descriptor)) return fail(cpu, VECTOR.TS, code);
  setSegment(cpu, LDTR, selector, descriptorBase(descriptor), descriptorLimit(descriptor), descriptorAttributes(descriptor));
  return true;
}

function loadTaskSegments(cpu: X86Context, selectors: readonly number[], cpl: number): boolean {
  const selector = selectors[CS] as number;
  const code = selector & 0xfffc;
  if (isNull(selector)) return fail(cpu, VECTOR.TS, 0);
  if (!readDescriptor(cpu, selector, VECTOR.TS, 0, descriptor)) return false;
  const dpl = descriptorDpl(descriptor);
  if (!isCode(descriptor) || (isConforming(descriptor) ? dpl > cpl : dpl !== cpl)) return fail(cpu, VECTOR.TS, code);
  if (!isPresent(descriptor)) return fail(cpu, VECTOR.NP, code);
  if (!markDescriptor(cpu, selector, descriptor, ACCESSED_BIT)) return false;
  setFromDescriptor(cpu, CS, selector, descriptor);
  if (!loadStackSegment(cpu, selectors[SS] as number, cpl, VECTOR.TS, 0)) return false;
  for (const segment of [ES, DS, FS, GS]) {
    if (!loadDataSegment(cpu, segment, selectors[segment] as number, cpl, VECTOR.TS)) return false;
  }
  return true;
}

/** Pushes the error code and looks at EIP and the debug trap bit. */
function finishTask(cpu: X86Context, wide: boolean, error: number): boolean {
  if (error >= 0) {
    const cpl = (word(cpu, WORD.segmentAttributes + SS) >> 5) & 3;
    currentStack(cpu, cpl, stack);
    if (!pushFrame(cpu, stack, wide ? 4 : 2, [error], 1)) return false;
    setStackPointer(cpu, stack.attributes, stack.pointer);
  }
  if (word(cpu, WORD.pc) > segmentLimit(cpu, CS)) return fail(cpu, VECTOR.GP, 0);
  if (wide && (imageView.getUint16(0x64, true) & 1) !== 0) {
    setWord(cpu, WORD.faultDr6, DR6_BT);
    return fail(cpu, VECTOR.DB, -1);
  }
  return true;
}

