// The event that is about to be delivered, as a line for people: "#PF(0x4) at 0x401000, address 0x8".

import type { X86Context } from './helper-map.ts';
import { VECTOR } from './state.ts';
import { signedField, word, WORD } from './state-words.ts';

const NAMES = new Map<number, string>(Object.entries(VECTOR).map(([name, vector]) => [vector, `#${name}`]));
const HAS_ERROR = 0x100;

const hex = (value: number | bigint): string => `0x${BigInt.asUintN(64, BigInt(value)).toString(16)}`;

/** Before delivery. A fault that is met while delivering takes its place without being told here. */
export function describeTrap(cpu: X86Context): string {
  const trapCode = word(cpu, WORD.trapCode);
  const vector = trapCode === 0 ? word(cpu, WORD.faultVector) : trapCode & 0xff;
  const error = trapCode === 0 ? word(cpu, WORD.faultError) | 0 : (trapCode & HAS_ERROR) === 0 ? -1 : 0;
  const isSoftware = trapCode === 0 && word(cpu, WORD.faultSoftware) !== 0;
  const name = isSoftware ? `INT ${hex(vector)}` : (NAMES.get(vector) ?? hex(vector));
  const pc = signedField(cpu, WORD.pc) + (word(cpu, WORD.faultInNewTask) === 0 ? word(cpu, WORD.trapAt) : 0);
  const address = !isSoftware && vector === VECTOR.PF ? `, address ${hex(cpu.view.cr2)}` : '';
  return `${name}${error < 0 || isSoftware ? '' : `(${hex(error)})`} at ${hex(pc)}${address}`;
}
