// Small dense numbers for the slots of one block, in the order in which they are met.

import type { Slot } from '../slot.ts';

export class SlotNumbers {
  /** By place, where the slot with that number is the place's: nothing is to be cleared between blocks. */
  readonly #numbers: number[] = [];
  /** By number. */
  slots: Slot[] = [];

  clear(): void {
    this.slots = [];
  }

  /** -1: the slot has not been met. */
  find({ place }: Slot): number {
    if (place >= this.#numbers.length) return -1;
    const number = this.#numbers[place];
    return number < this.slots.length && this.slots[number].place === place ? number : -1;
  }

  of(slot: Slot): number {
    const found = this.find(slot);
    if (found >= 0) return found;
    while (this.#numbers.length <= slot.place) this.#numbers.push(0);
    const number = this.slots.length;
    this.#numbers[slot.place] = number;
    this.slots.push(slot);
    return number;
  }
}
