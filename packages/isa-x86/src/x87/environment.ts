// x87 control instructions and the memory images of FNSTENV, FLDENV, FNSAVE and FRSTOR (SDM 1, figures 8-9 to 8-12; SDM 2, FINIT, FCLEX, FLDCW).
// Images are read and written at the linear address in x0 by the helper itself, all or nothing.

import type { HelperFunction, X86Context } from '../helper-map.ts';
import { currentPrivilege, readBytes, writeBytes } from '../linear-memory.ts';
import { setWord, setWords, signedField, word, WORD } from '../state-words.ts';
import { pendingException, physical, setControlWord, setStatusWord, STATUS, statusWord, syncSummary } from './fpu.ts';

export const IMAGE_FORMAT = { WIDE: 1, PROTECTED: 2 } as const;

/** Full tag of physical register n: 0 valid, 1 zero, 2 special, 3 empty. */
function tagOf(cpu: X86Context, n: number): number {
  if (((word(cpu, WORD.fpuTags) >> n) & 1) === 0) return 3;
  const exponent = cpu.view.fpuExponent[n] & 0x7fff;
  const high = word(cpu, WORD.fpuMantissa + 2 * n + 1);
  if (exponent === 0) return high === 0 && word(cpu, WORD.fpuMantissa + 2 * n) === 0 ? 1 : 2;
  return exponent === 0x7fff || high < 0x8000_0000 ? 2 : 0;
}

export function tagWord(cpu: X86Context): number {
  let tags = 0;
  for (let n = 0; n < 8; n++) tags |= tagOf(cpu, n) << (2 * n);
  return tags;
}

function setTagWord(cpu: X86Context, tags: number): void {
  let used = 0;
  for (let n = 0; n < 8; n++) if (((tags >> (2 * n)) & 3) !== 3) used |= 1 << n;
  setWord(cpu, WORD.fpuTags, used);
}

const environmentBytes = (format: number): number => (format & IMAGE_FORMAT.WIDE ? 28 : 14);

function packEnvironment(cpu: X86Context, format: number, image: Uint8Array): void {
  const data = new DataView(image.buffer, image.byteOffset);
  const ip = word(cpu, WORD.fpuIp);
  const dp = word(cpu, WORD.fpuDp);
  const fields = [word(cpu, WORD.fpuControl), statusWord(cpu), tagWord(cpu)];
  const opcode = word(cpu, WORD.fpuOpcode);
  const [codeLinear, dataLinear] = [ip + (word(cpu, WORD.fpuCs) << 4), dp + (word(cpu, WORD.fpuDs) << 4)];
  if (format & IMAGE_FORMAT.WIDE) {
    fields.forEach((value, i) => data.setUint32(4 * i, (value | 0xffff_0000) >>> 0, true));
    if (format & IMAGE_FORMAT.PROTECTED) {
      data.setUint32(12, ip, true);
      data.setUint32(16, word(cpu, WORD.fpuCs) | (opcode << 16), true);
      data.setUint32(20, dp, true);
      data.setUint32(24, (word(cpu, WORD.fpuDs) | 0xffff_0000) >>> 0, true);
    } else {
      data.setUint32(12, ((codeLinear & 0xffff) | 0xffff_0000) >>> 0, true);
      data.setUint32(16, ((codeLinear >>> 16) << 12) | opcode, true);
      data.setUint32(20, ((dataLinear & 0xffff) | 0xffff_0000) >>> 0, true);
      data.setUint32(24, (dataLinear >>> 16) << 12, true);
    }
    return;
  }
  fields.forEach((value, i) => data.setUint16(2 * i, value, true));
  const wide = (format & IMAGE_FORMAT.PROTECTED) !== 0;
  data.setUint16(6, wide ? ip : codeLinear, true);
  data.setUint16(8, wide ? word(cpu, WORD.fpuCs) : ((codeLinear >>> 4) & 0xf000) | opcode, true);
  data.setUint16(10, wide ? dp : dataLinear, true);
  data.setUint16(12, wide ? word(cpu, WORD.fpuDs) : (dataLinear >>> 4) & 0xf000, true);
}

function unpackEnvironment(cpu: X86Context, format: number, image: Uint8Array): void {
  const data = new DataView(image.buffer, image.byteOffset);
  const wide = (format & IMAGE_FORMAT.WIDE) !== 0;
  const field = (i: number): number => (wide ? data.getUint32(4 * i, true) : data.getUint16(2 * i, true));
  setControlWord(cpu, field(0) & 0xffff);
  setStatusWord(cpu, field(1) & 0xffff);
  setTagWord(cpu, field(2) & 0xffff);
  if (format & IMAGE_FORMAT.PROTECTED) {
    setWords(cpu, WORD.fpuIp, field(3), 0);
    setWord(cpu, WORD.fpuCs, field(4) & 0xffff);
    if (wide) setWord(cpu, WORD.fpuOpcode, (field(4) >>> 16) & 0x7ff);
    setWords(cpu, WORD.fpuDp, field(5), 0);
    setWord(cpu, WORD.fpuDs, field(6) & 0xffff);
  } else {
    // Linear addresses: kept with selectors of 0.
    const high = (i: number): number => (wide ? (field(i) >>> 12) << 16 : (field(i) & 0xf000) << 4);
    setWords(cpu, WORD.fpuIp, (field(3) & 0xffff) | high(4), 0);
    setWords(cpu, WORD.fpuDp, (field(5) & 0xffff) | high(6), 0);
    setWord(cpu, WORD.fpuOpcode, field(4) & 0x7ff);
    setWord(cpu, WORD.fpuCs, 0);
    setWord(cpu, WORD.fpuDs, 0);
  }
  syncSummary(cpu);
}

const address = (cpu: X86Context): number => signedField(cpu, WORD.x);

/** FNSTENV; then masks all exceptions. */
const x87StoreEnvironment: HelperFunction = (cpu, format) => {
  const image = new Uint8Array(environmentBytes(format));
  packEnvironment(cpu, format, image);
  if (!writeBytes(cpu, address(cpu), image, currentPrivilege(cpu))) return 1;
  setWord(cpu, WORD.fpuControl, word(cpu, WORD.fpuControl) | STATUS.EXCEPTIONS);
  syncSummary(cpu);
  return 0;
};

const x87LoadEnvironment: HelperFunction = (cpu, format) => {
  if (pendingException(cpu)) return 1;
  const image = new Uint8Array(environmentBytes(format));
  if (!readBytes(cpu, address(cpu), image, currentPrivilege(cpu))) return 1;
  unpackEnvironment(cpu, format, image);
  return 0;
};

/** FNSAVE; then initialises. */
const x87Save: HelperFunction = (cpu, format) => {
  const start = environmentBytes(format);
  const image = new Uint8Array(start + 80);
  packEnvironment(cpu, format, image);
  const data = new DataView(image.buffer);
  for (let i = 0; i < 8; i++) {
    const n = physical(cpu, i);
    data.setBigUint64(start + 10 * i, cpu.view.fpuMantissa[n], true);
    data.setUint16(start + 10 * i + 8, cpu.view.fpuExponent[n], true);
  }
  if (!writeBytes(cpu, address(cpu), image, currentPrivilege(cpu))) return 1;
  initializeFpu(cpu);
  return 0;
};

const x87Restore: HelperFunction = (cpu, format) => {
  if (pendingException(cpu)) return 1;
  const start = environmentBytes(format);
  const image = new Uint8Array(start + 80);
  if (!readBytes(cpu, address(cpu), image, currentPrivilege(cpu))) return 1;
  unpackEnvironment(cpu, format, image);
  const data = new DataView(image.buffer);
  for (let i = 0; i < 8; i++) {
    const n = physical(cpu, i);
    cpu.view.fpuMantissa[n] = data.getBigUint64(start + 10 * i, true);
    cpu.view.fpuExponent[n] = data.getUint16(start + 10 * i + 8, true);
  }
  return 0;
};

/** State after FNINIT (SDM 3A, table 9-1); register contents stay. */
export function initializeFpu(cpu: X86Context): void {
  setWord(cpu, WORD.fpuControl, 0x37f);
  setStatusWord(cpu, 0);
  setWord(cpu, WORD.fpuTags, 0);
  setWord(cpu, WORD.fpuOpcode, 0);
  setWord(cpu, WORD.fpuCs, 0);
  setWord(cpu, WORD.fpuDs, 0);
  setWords(cpu, WORD.fpuIp, 0, 0);
  setWords(cpu, WORD.fpuDp, 0, 0);
  setWord(cpu, WORD.ferr, 0);
}

const x87Initialize: HelperFunction = (cpu) => {
  initializeFpu(cpu);
  return 0;
};

const x87ClearExceptions: HelperFunction = (cpu) => {
  setWord(cpu, WORD.fpuStatus, word(cpu, WORD.fpuStatus) & ~(STATUS.EXCEPTIONS | STATUS.SF | STATUS.ES | STATUS.B));
  setWord(cpu, WORD.ferr, 0);
  return 0;
};

/** FLDCW: the word is in x0. */
const x87LoadControl: HelperFunction = (cpu) => {
  if (pendingException(cpu)) return 1;
  setControlWord(cpu, word(cpu, WORD.x));
  syncSummary(cpu);
  return 0;
};

/** FWAIT, FNOP, MMX: traps if an exception is pending. */
const x87Pending: HelperFunction = (cpu) => (pendingException(cpu) ? 1 : 0);

export const ENVIRONMENT = { x87StoreEnvironment, x87LoadEnvironment, x87Save, x87Restore, x87Initialize, x87ClearExceptions, x87LoadControl, x87Pending };
