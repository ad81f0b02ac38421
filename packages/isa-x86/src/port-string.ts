// INS and OUTS, with REP. SDM Vol. 2. Elements go one by one, registers kept in step, so a fault in the middle restarts where it was.
// The helper sets `pc`: to the next instruction, or back to this one when a long repetition is to be resumed.

import { raise, type HelperMap, type X86Context } from './helper-map.ts';
import { ACCESS } from '@anillo/ir/frontend';
import { currentPrivilege, probe, readLinear, writeLinear } from './linear-memory.ts';
import { ATTRIBUTE } from './mode.ts';
import { PRIVILEGED_HELPERS } from './privileged.ts';
import { in64BitCode, isInLimit, segmentAttributes, segmentBase, segmentLimit } from './segments.ts';
import { EFLAG, ES, FS, RCX, RDI, RDX, RSI, SS, VECTOR } from './state.ts';
import { setSignedField, setWord, setWords, signedField, word, WORD } from './state-words.ts';
import { cutPc } from './trap.ts';

/** Elements done before interrupts get a chance. */
const MAX_ELEMENTS = 1024;

function readRegister(cpu: X86Context, register: number, bits: number): number {
  const at = WORD.gpr + 2 * register;
  return bits === 64 ? signedField(cpu, at) : bits === 32 ? word(cpu, at) : word(cpu, at) & 0xffff;
}

function writeRegister(cpu: X86Context, register: number, bits: number, value: number): void {
  const at = WORD.gpr + 2 * register;
  if (bits === 64) setSignedField(cpu, at, value);
  else if (bits === 32) setWords(cpu, at, value, 0);
  else setWord(cpu, at, (word(cpu, at) & 0xffff_0000) | (value & 0xffff));
}

/** Linear address of an element, or NaN: fault recorded. */
function elementAddress(cpu: X86Context, segment: number, offset: number, byteCount: number, write: boolean): number {
  if (in64BitCode(cpu)) return segment >= FS ? segmentBase(cpu, segment) + offset : offset;
  const attributes = segmentAttributes(cpu, segment);
  const isCode = (attributes & ATTRIBUTE.CODE) !== 0;
  const allowed = (attributes & ATTRIBUTE.P) !== 0 && (write ? !isCode && (attributes & ATTRIBUTE.WRITABLE) !== 0 : !isCode || (attributes & ATTRIBUTE.WRITABLE) !== 0);
  if (!allowed || !isInLimit(attributes, segmentLimit(cpu, segment), offset, byteCount)) {
    raise(cpu, segment === SS ? VECTOR.SS : VECTOR.GP, 0);
    return Number.NaN;
  }
  return (segmentBase(cpu, segment) + offset) >>> 0;
}

/** One element. False: fault recorded, nothing changed. */
function element(cpu: X86Context, out: boolean, byteCount: 1 | 2 | 4, bits: number, segment: number): boolean {
  const index = out ? RSI : RDI;
  const offset = readRegister(cpu, index, bits);
  const port = word(cpu, WORD.gpr + 2 * RDX) & 0xffff;
  const linear = elementAddress(cpu, out ? segment : ES, offset, byteCount, !out);
  if (Number.isNaN(linear)) return false;
  const privilege = currentPrivilege(cpu);
  if (out) {
    const value = readLinear(cpu, linear, byteCount, privilege);
    if (value < 0) return false;
    cpu.ports.writePort(port, byteCount, value);
  } else {
    if (!probe(cpu, linear, byteCount, ACCESS.WRITE, privilege)) return false;
    writeLinear(cpu, linear, byteCount, cpu.ports.readPort(port, byteCount), privilege);
  }
  writeRegister(cpu, index, bits, offset + ((word(cpu, WORD.flags) & EFLAG.DF) !== 0 ? -byteCount : byteCount));
  return true;
}

/** `direction`: 0 in, 1 out; `bits`: address size; `rep`: 0 or 1; `at`, `next`: this and the next instruction, from the block's start. */
function portString(cpu: X86Context, direction: number, byteCount: number, bits: number, segment: number, rep: number, at: number, next: number): number {
  const width = byteCount as 1 | 2 | 4;
  const start = signedField(cpu, WORD.pc);
  let left = rep !== 0 ? readRegister(cpu, RCX, bits) : 1;
  // Even when the count is 0.
  const checkIo = PRIVILEGED_HELPERS.checkIo as NonNullable<(typeof PRIVILEGED_HELPERS)[string]>;
  if (checkIo(cpu, word(cpu, WORD.gpr + 2 * RDX) & 0xffff, byteCount) !== 0) return 1;
  for (let done = 0; left !== 0 && done < MAX_ELEMENTS; done++) {
    if (!element(cpu, direction !== 0, width, bits, segment)) return 1;
    left--;
    if (rep !== 0) writeRegister(cpu, RCX, bits, left);
  }
  setSignedField(cpu, WORD.pc, cutPc(cpu, start + (left !== 0 ? at : next)));
  return 0;
}

export const PORT_STRING_HELPERS: HelperMap = { portString };
