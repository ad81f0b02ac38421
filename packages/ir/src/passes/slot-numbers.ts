// Small dense numbers for the slots of one block: unpinned state slots by offset, pinned ones by offset and type (they may overlap), temps by identity.

import type { Slot } from '../slot.ts';
import type { Type } from '../ops.ts';

const TYPE_NUMBER: Readonly<Record<Type, number>> = { i32: 1, i64: 2, f32: 3, f64: 4, v128: 5 };

export class SlotNumbers {
  readonly #numbers = new Map<number | Slot, number>();
  /** By number. */
  readonly slots: Slot[] = [];

  clear(): void {
    this.#numbers.clear();
    this.slots.length = 0;
  }

  of(slot: Slot): number {
    const key = slot.temp ? slot : slot.pinned ? slot.offset + 0x10000 * TYPE_NUMBER[slot.type] : slot.offset;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.slots.length;
      this.#numbers.set(key, number);
      this.slots.push(slot);
    }
    return number;
  }
}
