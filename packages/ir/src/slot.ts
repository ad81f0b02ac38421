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
  /** A small number that slots have in common which are the same place: by `offset` (pinned ones, which may overlap: and `type`), temps by `index`. */
  readonly place: number;
  /** Accesses to memory at it (and a constant) mostly stay in one page. */
  readonly isStackPointer: boolean;
}

/** State slots have even places, temps odd ones. */
const places = new Map<string, number>();
function placeOf(key: string): number {
  const place = places.get(key) ?? 2 * places.size;
  places.set(key, place);
  return place;
}

/** The one that makes slots, so that all have one shape. */
const makeSlot = <T extends Type>(
  name: string,
  type: T,
  offset: number,
  traits: { pinned: boolean; index: number; place: number; isStackPointer: boolean },
): Slot<T> => ({
  name,
  type,
  offset,
  pinned: traits.pinned,
  temp: traits.index >= 0,
  index: traits.index,
  place: traits.place,
  isStackPointer: traits.isStackPointer,
});

export const slot = <T extends Type>(name: string, type: T, offset: number, pinned = false, isStackPointer = false): Slot<T> =>
  makeSlot(name, type, offset, { pinned, index: -1, place: placeOf(pinned ? `${offset}:${type}` : `${offset}`), isStackPointer });
export const stackPointerSlot = (name: string, offset: number): Slot<'i64'> => slot(name, 'i64', offset, false, true);
export const tempSlot = <T extends Type>(name: string, type: T, index: number): Slot<T> =>
  makeSlot(name, type, -1, { pinned: false, index, place: 2 * index + 1, isStackPointer: false });
