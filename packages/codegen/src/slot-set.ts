// Sets of slots, by the slots' numbers in a cache: values of four words, never changed.

/** Numbers are below this. */
export const SLOTS_AT_MOST = 128;

export class SlotSet {
  readonly #a: number;
  readonly #b: number;
  readonly #c: number;
  readonly #d: number;

  private constructor(a: number, b: number, c: number, d: number) {
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#d = d;
  }

  static readonly NONE = new SlotSet(0, 0, 0, 0);
  static readonly ALL = new SlotSet(-1, -1, -1, -1);

  get isEmpty(): boolean {
    return (this.#a | this.#b | this.#c | this.#d) === 0;
  }
  equals(other: SlotSet): boolean {
    return this === other || (this.#a === other.#a && this.#b === other.#b && this.#c === other.#c && this.#d === other.#d);
  }
  #word(index: number): number {
    if (index < 2) return index === 0 ? this.#a : this.#b;
    return index === 2 ? this.#c : this.#d;
  }
  has(number: number): boolean {
    return ((this.#word(number >> 5) >>> (number & 31)) & 1) !== 0;
  }
  /** Lowest member from `first` on; -1: none. */
  next(first: number): number {
    for (let index = first >> 5, mask = -1 << (first & 31); index < SLOTS_AT_MOST >> 5; index++, mask = -1) {
      const word = this.#word(index) & mask;
      if (word !== 0) return 32 * index + 31 - Math.clz32(word & -word);
    }
    return -1;
  }

  with(number: number): SlotSet {
    if (this.has(number)) return this;
    const bit = 1 << (number & 31);
    switch (number >> 5) {
      case 0:
        return new SlotSet(this.#a | bit, this.#b, this.#c, this.#d);
      case 1:
        return new SlotSet(this.#a, this.#b | bit, this.#c, this.#d);
      case 2:
        return new SlotSet(this.#a, this.#b, this.#c | bit, this.#d);
      default:
        return new SlotSet(this.#a, this.#b, this.#c, this.#d | bit);
    }
  }
  or(other: SlotSet): SlotSet {
    return new SlotSet(this.#a | other.#a, this.#b | other.#b, this.#c | other.#c, this.#d | other.#d);
  }
  and(other: SlotSet): SlotSet {
    return new SlotSet(this.#a & other.#a, this.#b & other.#b, this.#c & other.#c, this.#d & other.#d);
  }
  without(other: SlotSet): SlotSet {
    return new SlotSet(this.#a & ~other.#a, this.#b & ~other.#b, this.#c & ~other.#c, this.#d & ~other.#d);
  }
}
