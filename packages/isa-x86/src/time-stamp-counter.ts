// The TSC counts nanoseconds of guest time: 1 GHz, which CPUID leaves 0x15 and 0x16 tell. SDM Vol. 3B 18.17.

import type { X86Context } from './helper-map.ts';
import { setWords, word, WORD } from './state-words.ts';

export const TSC_HZ = 1_000_000_000;

/** Puts the present TSC into a 64-bit field (low word's index). No BigInt: guests read it often. */
export function storeTsc(cpu: X86Context, into: number): void {
  const ns = Math.floor(cpu.ports.nowNs());
  const low = (ns >>> 0) + word(cpu, WORD.tscOffset);
  const high = Math.floor(ns / 0x1_0000_0000) + word(cpu, WORD.tscOffset + 1) + (low > 0xffff_ffff ? 1 : 0);
  setWords(cpu, into, low, high % 0x1_0000_0000);
}

export const tscNow = (cpu: X86Context): bigint => BigInt.asUintN(64, BigInt(Math.floor(cpu.ports.nowNs())) + cpu.view.tscOffset);

/** Sets the TSC; IA32_TSC_ADJUST moves by the same amount. */
export function writeTsc(cpu: X86Context, value: bigint): void {
  const delta = value - tscNow(cpu);
  cpu.view.tscOffset = BigInt.asUintN(64, cpu.view.tscOffset + delta);
  cpu.view.tscAdjust = BigInt.asUintN(64, cpu.view.tscAdjust + delta);
}

export function writeTscAdjust(cpu: X86Context, value: bigint): void {
  cpu.view.tscOffset = BigInt.asUintN(64, cpu.view.tscOffset + value - cpu.view.tscAdjust);
  cpu.view.tscAdjust = value;
}
