// A profile of a running machine: stacks of names with the time spent on them, in the order of time. The time line is kept in windows, in which each stack is
// met once; when there are many entries, windows are joined in pairs, so that a profile of hours is as large as one of minutes.

import type { Profile } from '@anillo/accel/profile';

export interface ProfileEntry {
  readonly stack: number;
  ms: number;
}

/** What was profiled. */
export type ProfileStack =
  | { readonly kind: 'activity'; readonly path: readonly string[] }
  | { readonly kind: 'code'; readonly tier: string; readonly address: bigint };

const FIRST_WINDOW_MS = 10;
const MOST_ENTRIES = 400_000;

export class GuestProfile implements Profile {
  readonly stacks: ProfileStack[] = [];
  /** By tier and address; as a key that is a number, of which canonical addresses have few enough bits (a big integer would be some microseconds slower). */
  readonly #codes = new Map<string, Map<number, number>>();
  #windows: ProfileEntry[][] = [];
  #window = new Map<number, ProfileEntry>();
  #windowMs = FIRST_WINDOW_MS;
  #inWindowMs = 0;
  #entries = 0;

  activity(path: readonly string[]): number {
    return this.stacks.push({ kind: 'activity', path }) - 1;
  }

  code(tier: string, address: bigint): number {
    let numbers = this.#codes.get(tier);
    if (numbers === undefined) {
      numbers = new Map();
      this.#codes.set(tier, numbers);
    }
    const key = Number(BigInt.asIntN(64, address));
    let number = numbers.get(key);
    if (number === undefined) {
      number = this.stacks.push({ kind: 'code', tier, address }) - 1;
      numbers.set(key, number);
    }
    return number;
  }

  spend(number: number, ms: number): void {
    const entry = this.#window.get(number);
    if (entry === undefined) this.#window.set(number, { stack: number, ms });
    else entry.ms += ms;
    this.#inWindowMs += ms;
    if (this.#inWindowMs >= this.#windowMs) this.#closeWindow();
  }

  #closeWindow(): void {
    this.#windows.push([...this.#window.values()]);
    this.#entries += this.#window.size;
    this.#window = new Map();
    this.#inWindowMs = 0;
    if (this.#entries > MOST_ENTRIES) this.#joinWindows();
  }

  #joinWindows(): void {
    const joined: ProfileEntry[][] = [];
    for (let i = 0; i < this.#windows.length; i += 2) {
      const both = new Map<number, ProfileEntry>();
      for (const entry of [...this.#windows[i], ...(this.#windows[i + 1] ?? [])]) {
        const known = both.get(entry.stack);
        if (known === undefined) both.set(entry.stack, entry);
        else known.ms += entry.ms;
      }
      joined.push([...both.values()]);
    }
    this.#windows = joined;
    this.#windowMs *= 2;
    this.#entries = joined.reduce((sum, window) => sum + window.length, 0);
  }

  /** In the order of time, to within a window. */
  entries(): readonly ProfileEntry[] {
    return [...this.#windows.flat(), ...this.#window.values()];
  }
}
