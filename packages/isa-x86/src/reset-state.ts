// Power-on state and the states in which boot protocols start a guest. SDM Vol. 3A table 10-1 (9-1 in older editions), 10.1.4.

import type { StartState } from '@anillo/ir/frontend';
import type { X86Context } from './helper-map.ts';
import { DR6_FIXED, DR7_FIXED } from './control.ts';
import { AES_TABLES } from './insn/aes-tables.ts';
import { REVERSAL } from './insn/pclmul.ts';
import { FLOAT_LIMITS } from './insn/simd-float-limits.ts';
import { CR0, CR4, EFER, syncMode } from './mode.ts';
import { flushTranslations } from './mmu.ts';
import { writeMsr } from './msr.ts';
import { setSegment } from './segments.ts';
import { CS, DS, ES, FS, GPR, GS, LDTR, RDX, SS, TR, X86State } from './state.ts';
import { setSignedField, setWord, setWords, WORD } from './state-words.ts';
import { resetX87State } from './x87/fxsave-image.ts';

const PAT_RESET = [0x0007_0406, 0x0007_0406] as const;
const MXCSR_RESET = 0x1f80;
/** Fast strings. */
const MISC_ENABLE_RESET = 1;

/** State after RESET#. */
export function resetState(cpu: X86Context): void {
  const from = (cpu.ports.state + X86State.offset.pc) >>> 2;
  cpu.words.fill(0, from, (cpu.ports.state + X86State.bytes) >>> 2);
  setWords(cpu, WORD.cr0, CR0.CD | CR0.NW | CR0.ET, 0);
  setWords(cpu, WORD.flags, 2, 0);
  for (const segment of [ES, SS, DS, FS, GS]) setSegment(cpu, segment, 0, 0, 0xffff, 0x93);
  setSegment(cpu, CS, 0xf000, 0xffff_0000, 0xffff, 0x9b);
  setSegment(cpu, LDTR, 0, 0, 0xffff, 0x82);
  setSegment(cpu, TR, 0, 0, 0xffff, 0x8b);
  setWords(cpu, WORD.pc, 0xfff0, 0);
  setWords(cpu, WORD.gpr + 2 * RDX, cpu.model.signature ?? 0, 0);
  setWord(cpu, WORD.gdtLimit, 0xffff);
  setWord(cpu, WORD.idtLimit, 0xffff);
  setWords(cpu, WORD.dr + 12, DR6_FIXED, 0);
  setWords(cpu, WORD.dr + 14, DR7_FIXED, 0);
  setWords(cpu, WORD.pat, PAT_RESET[0], PAT_RESET[1]);
  setWords(cpu, WORD.miscEnable, MISC_ENABLE_RESET, 0);
  setWords(cpu, WORD.xcr0, 1, 0);
  setWord(cpu, WORD.mxcsr, MXCSR_RESET);
  cpu.view.floatLimits.set(FLOAT_LIMITS);
  cpu.view.aesTables.set(AES_TABLES);
  cpu.view.reversal.set(REVERSAL);
  resetX87State(cpu);
  flushTranslations(cpu);
  syncMode(cpu);
}

/** State after INIT (SDM Vol. 3A 10.1.4): as after RESET#, but for memory types and the time-stamp counter. */
function initState(cpu: X86Context): void {
  const { view } = cpu;
  const { pat, tscOffset, tscAdjust, mtrrDefType } = view;
  const [fixed, variable] = [view.mtrrFixed.slice(), view.mtrrVariable.slice()];
  resetState(cpu);
  Object.assign(view, { pat, tscOffset, tscAdjust, mtrrDefType });
  view.mtrrFixed.set(fixed);
  view.mtrrVariable.set(variable);
}

/** Flat segments (and paging, for long64) for a kernel that is entered without firmware. */
export function setStartState(cpu: X86Context, start: StartState): void {
  if (start.afterInit === true) initState(cpu);
  else resetState(cpu);
  if (start.mode === 'real16') {
    const base = start.pc & 0xf_fff0;
    setSegment(cpu, CS, base >> 4, base, 0xffff, 0x9b);
    setWords(cpu, WORD.pc, start.pc & 15, 0);
  } else if (start.mode !== 'reset') {
    const long = start.mode === 'long64';
    const code = start.gdt?.codeSelector ?? 0x10;
    const data = start.gdt?.dataSelector ?? 0x18;
    if (start.gdt !== undefined) {
      setSignedField(cpu, WORD.gdtBase, start.gdt.base);
      setWord(cpu, WORD.gdtLimit, start.gdt.limit);
    }
    setWord(cpu, WORD.idtLimit, 0);
    setSegment(cpu, CS, code, 0, 0xffff_ffff, long ? 0xa09b : 0xc09b);
    for (const segment of [DS, ES, SS, FS, GS]) setSegment(cpu, segment, data, 0, 0xffff_ffff, 0xc093);
    setWords(cpu, WORD.cr0, CR0.PE | CR0.ET | (long ? CR0.PG : 0), 0);
    if (long) {
      setWords(cpu, WORD.cr4, CR4.PAE, 0);
      setSignedField(cpu, WORD.cr3, start.cr3 ?? 0);
      setWords(cpu, WORD.efer, EFER.LME | EFER.LMA, 0);
    }
    setWords(cpu, WORD.gpr + 2 * RDX, 0, 0);
    setSignedField(cpu, WORD.pc, start.pc);
  }
  for (const [name, value] of Object.entries(start.registers)) {
    const index = GPR.findIndex((slot) => slot.name === name || slot.name === `r${name.slice(1)}`);
    if (index >= 0) setSignedField(cpu, WORD.gpr + 2 * index, value);
  }
  for (const { index, low, high } of start.modelRegisters ?? []) writeMsr(cpu, index, low, high);
  syncMode(cpu);
}
