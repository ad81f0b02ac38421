// The state of a device that is made of parts: theirs, one after the other.

import { AnilloError } from '@anillo/base/anillo-error';

export interface StatePart {
  save(): Uint8Array;
  restore(state: Uint8Array): void;
}

export class StateList implements StatePart {
  readonly #parts: readonly StatePart[];

  /** Parts whose saved form always has the same length. */
  constructor(...parts: readonly StatePart[]) {
    this.#parts = parts;
  }

  save(): Uint8Array {
    const saved = this.#parts.map((part) => part.save());
    const bytes = new Uint8Array(saved.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of saved) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  restore(state: Uint8Array): void {
    const lengths = this.#parts.map((part) => part.save().length);
    const total = lengths.reduce((sum, length) => sum + length, 0);
    if (state.length !== total) {
      throw new AnilloError(
        'STATE',
        `Device state of ${state.length} bytes does not fit (${total} expected); restore it with the version that saved it.`,
      );
    }
    let at = 0;
    this.#parts.forEach((part, i) => {
      part.restore(state.subarray(at, at + lengths[i]));
      at += lengths[i];
    });
  }
}
