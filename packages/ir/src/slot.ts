// A slot is a typed place in the vCPU struct that IR reads and writes by name. Both tiers may keep an unpinned slot elsewhere
// (a WebAssembly local) between the points where others can look: faults, calls that declare it, block ends.

import type { Type } from './ops.ts';

export interface Slot<T extends Type = Type> {
  readonly name: string;
  readonly type: T;
  /** Byte offset from the start of the vCPU struct; a multiple of 8 (16 for v128). -1 for a temp before it is placed. */
  readonly offset: number;
  /** Also reached by run-time offset or by helpers that do not declare it: never cached outside memory. */
  readonly pinned: boolean;
  /** Lives only inside one block or routine; its value does not survive it. */
  readonly temp: boolean;
  /** Of a temp: its number in the block or routine, from 0. */
  readonly index: number;
  /** Accesses to memory at it (and a constant) mostly stay in one page. */
  readonly isStackPointer: boolean;
}

export const slot = <T extends Type>(name: string, type: T, offset: number, pinned = false): Slot<T> => ({
  name,
  type,
  offset,
  pinned,
  temp: false,
  index: -1,
  isStackPointer: false,
});
export const stackPointerSlot = (name: string, offset: number): Slot<'i64'> => ({ ...slot(name, 'i64', offset), isStackPointer: true });
