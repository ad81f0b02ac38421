// The vCPU struct as 32-bit words: what helpers on frequent paths use instead of the view's BigInt fields.
// A 64-bit field `f` has its low word at WORD.f and its high word at WORD.f + 1.

import type { X86Context } from './helper-map.ts';
import { X86State } from './state.ts';

type Offsets = typeof X86State.offset;

/** Index of each field's first word, from the start of the struct. */
export const WORD = Object.freeze(Object.fromEntries(Object.entries(X86State.offset).map(([name, offset]) => [name, offset >> 2]))) as { readonly [K in keyof Offsets]: number };

/** Reads a word as an unsigned number. */
export const word = (cpu: X86Context, index: number): number => cpu.state[index];

export function setWord(cpu: X86Context, index: number, value: number): void {
  cpu.state[index] = value;
}

export function setWords(cpu: X86Context, index: number, low: number, high: number): void {
  cpu.state[index] = low;
  cpu.state[index + 1] = high;
}

/**
 * A 64-bit field as a signed number. Exact for canonical addresses (48 bits, sign-extended) and for everything else below 2^53;
 * other values come out rounded, but never as a canonical address.
 */
export function signedField(cpu: X86Context, index: number): number {
  return (cpu.state[index + 1] | 0) * 0x1_0000_0000 + cpu.state[index];
}

/** Writes a signed number of at most 53 bits to a 64-bit field. */
export function setSignedField(cpu: X86Context, index: number, value: number): void {
  cpu.state[index] = value;
  cpu.state[index + 1] = Math.floor(value / 0x1_0000_0000);
}

/** High word of a signed number of at most 53 bits. */
export const highWord = (value: number): number => Math.floor(value / 0x1_0000_0000) >>> 0;

/** Signed number from the two words of a 64-bit value. */
export const signedWords = (low: number, high: number): number => (high | 0) * 0x1_0000_0000 + (low >>> 0);

/** 48-bit canonical addresses, as signed numbers. */
export const isCanonical = (linear: number): boolean => linear >= -0x8000_0000_0000 && linear < 0x8000_0000_0000;
